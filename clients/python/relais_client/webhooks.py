"""Know that a webhook is from Relais (Standard Webhooks 1.0), without asking Relais."""

import hmac
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from relais_client.models import Event, Webhook
from relais_client.problems import NotFromRelais

TOLERANCE_S: Final = 300
"""How far the time of a message may be from ours: the advice of the standard's libraries."""


def verify(
    body: bytes,
    headers: Mapping[str, str],
    keys: str | Iterable[str],
    *,
    tolerance_s: int = TOLERANCE_S,
    now: float | None = None,
) -> Event:
    """Answer the event of a webhook that bears a signature by one of these keys.

    Args:
        body: What came, byte for byte: JSON that was read and written again has another signature.
        headers: Those of the request, in whatever case.
        keys: The secret of the endpoint (`whsec_...`), its public keys (`whpk_...`), or several while they change.
        tolerance_s: How old, or how early, it may be; a message that was recorded is worth nothing later.
        now: Seconds since 1970; this machine's clock where None.

    Raises:
        NotFromRelais: No signature fits, it is too old, or it is no event.
        ValueError: A key is none.
    """
    known = [keys] if isinstance(keys, str) else list(keys)
    given = {name.lower(): value for name, value in headers.items()}
    try:
        id_, at, signatures = (given[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
        age_s = (time.time() if now is None else now) - int(at)
    except (KeyError, ValueError):
        raise NotFromRelais("The headers of a webhook are missing.") from None
    if abs(age_s) > tolerance_s:
        raise NotFromRelais("It is too old, or a clock is wrong.")
    signed = f"{id_}.{at}.".encode() + body
    offered = [one.partition(",")[::2] for one in signatures.split(" ")]
    # Every pair is looked at: how long it takes tells nothing of which one fits.
    if not any([_fits(key, version, value, signed) for key in known for version, value in offered]):  # noqa: C419
        raise NotFromRelais("No signature is by a key that is known.")
    try:
        event = Webhook.model_validate_json(body).data
    except ValidationError:
        raise NotFromRelais("It is signed, but no event.") from None
    if str(event.id) != id_:
        raise NotFromRelais("The event has another id than the message.")
    return event


def _fits(key: str, version: str, value: str, signed: bytes) -> bool:
    kind, _, encoded = key.partition("_")
    try:
        raw = b64decode(encoded, validate=True)
    except ValueError:
        raise ValueError("A key begins with whsec_ or whpk_, then base64.") from None
    if kind == "whsec" and raw:
        expected = b64encode(hmac.digest(raw, signed, sha256)).decode()
        return version == "v1" and hmac.compare_digest(value.encode(), expected.encode())
    if kind != "whpk":
        raise ValueError("A key begins with whsec_ or whpk_, then base64.")
    public = Ed25519PublicKey.from_public_bytes(raw)
    if version != "v1a":
        return False
    try:
        public.verify(b64decode(value, validate=True), signed)
    except (InvalidSignature, ValueError):
        return False
    return True
