"""Which documents are taken: small ones, of a few kinds, that are what they say (design 5)."""

from collections.abc import Mapping
from typing import Final

LARGEST: Final = 1_000_000
"""Bytes: a page or two scanned; what is larger hardly helps a first meeting, and every reading unseals all of it."""

KINDS: Final[Mapping[str, tuple[bytes, ...]]] = {
    "application/pdf": (b"%PDF-",),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
}
"""Media type → how such a file begins."""

_ENDS: Final[Mapping[str, bytes]] = {"application/pdf": b"%%EOF", "image/png": b"IEND", "image/jpeg": b"\xff\xd9"}
"""How such a file ends, within its last kilobyte: what was cut off or hangs behind shows."""

_ACTIVE: Final = (b"/JavaScript", b"/JS", b"/Launch", b"/EmbeddedFile", b"/RichMedia", b"/XFA")
"""What in a PDF acts by itself or carries another file."""


def fault(media_type: str, content: bytes) -> str | None:
    """Answer why a document cannot be taken, or nothing.

    Args:
        media_type: As it was declared, without parameters.
        content: The whole file.
    """
    if media_type not in KINDS:
        return f"Send one of {', '.join(KINDS)}."
    if not content:
        return "It is empty."
    if len(content) > LARGEST:
        return f"At most {LARGEST:,} bytes: scan it in grey, or send the one page that matters."
    if not content.startswith(KINDS[media_type]) or _ENDS[media_type] not in content[-1_024:]:
        return f"It is not a whole {media_type} file."
    if media_type == "application/pdf" and any(name in content for name in _ACTIVE):
        return "It holds something that acts by itself: print it into a new PDF, or send an image."
    return None
