"""The card that is printed when her link is made: its drawing opens her page; the code stands nowhere."""

from io import BytesIO

import segno

from relais_referral.papers import words
from relais_referral.papers.paper import Paper, Section, language_of


def card(link: str, language: str) -> Paper:
    """Answer her card: neutral, with no structure, name or theme on it.

    Args:
        link: The whole address of her page, shown this once.
        language: Hers, as a BCP 47 tag.
    """
    spoken = language_of(language)
    say = words.CARD[spoken]
    return Paper(
        say["title"],
        spoken,
        [Section(say["how"], [say["scan"], say["counter"], say["keep"]], [(say["address"], link)])],
        picture=(drawing(link), say["alt"]),
    )


def drawing(link: str) -> str:
    """Answer the QR code of a link as SVG; it stands a fold and a stain (error correction M)."""
    out = BytesIO()
    segno.make(link, error="m", micro=False).save(out, kind="svg", xmldecl=False, border=4, scale=4, omitsize=False)
    return out.getvalue().decode()
