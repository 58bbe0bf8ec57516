"""A webhook is from Relais, or it is refused: Standard Webhooks 1.0, both kinds of signature."""

import hmac
import json
from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from relais_client import NotFromRelais, verify

ID = "0d9c3a4e-6f0e-4f0e-9a53-4a1f0d1f8c11"
NOW = 1_793_697_164
EVENT = {
    "id": ID,
    "type": "referral.accepted",
    "time": "2026-11-03T09:12:44Z",
    "subject": "https://relais.example/v1/referrals/6a0e",
    "subject_id": "6a0e1111-6f0e-4f0e-9a53-4a1f0d1f8c11",
    "sequence": 3,
    "practice": False,
}
BODY = json.dumps({"type": EVENT["type"], "timestamp": EVENT["time"], "data": EVENT}).encode()
SHARED = bytes(range(32))
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
SECRET = f"whsec_{b64encode(SHARED).decode()}"
PUBLIC = f"whpk_{b64encode(PRIVATE.public_key().public_bytes_raw()).decode()}"


def signed(body: bytes = BODY, at: int = NOW, *, kinds: str = "v1 v1a", id_: str = ID) -> dict[str, str]:
    content = f"{id_}.{at}.".encode() + body
    made = {
        "v1": b64encode(hmac.digest(SHARED, content, sha256)).decode(),
        "v1a": b64encode(PRIVATE.sign(content)).decode(),
    }
    return {
        "Webhook-Id": id_,
        "Webhook-Timestamp": str(at),
        "Webhook-Signature": " ".join(f"{kind},{made[kind]}" for kind in kinds.split()),
    }


@pytest.mark.parametrize(
    "keys", [SECRET, PUBLIC, [SECRET, PUBLIC], [f"whsec_{b64encode(b'old' * 8).decode()}", SECRET]]
)
def test_what_relais_signed_is_read(keys: Any) -> None:
    event = verify(BODY, signed(), keys, now=NOW + 2)
    assert (str(event.id), event.type, event.sequence) == (ID, "referral.accepted", 3)


def test_the_example_of_the_standard_fits() -> None:
    # The signature of the specification's own example; the body is no event, which is told only after the signature.
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    with pytest.raises(NotFromRelais, match="signed, but no event"):
        verify(b'{"test": 2432232314}', headers, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", now=1614265330)


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255), st.sampled_from([SECRET, PUBLIC]))
def test_one_changed_byte_is_refused(place: int, change: int, key: str) -> None:
    changed = BODY[:place] + bytes([BODY[place] ^ change]) + BODY[place + 1 :]
    with pytest.raises(NotFromRelais):
        verify(changed, signed(), key, now=NOW)


@pytest.mark.parametrize("late_s", [-301, 301])
@pytest.mark.parametrize("key", [SECRET, PUBLIC])
def test_what_is_old_or_early_is_refused(late_s: int, key: str) -> None:
    with pytest.raises(NotFromRelais, match="too old"):
        verify(BODY, signed(), key, now=NOW + late_s)
    verify(BODY, signed(), key, now=NOW + late_s, tolerance_s=400)


@pytest.mark.parametrize("header", ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"])
@pytest.mark.parametrize("instead", [None, "", "x", "v1,", "v1a,AAAA", "v1,é"])
def test_headers_that_are_missing_or_wrong_are_refused(header: str, instead: str | None) -> None:
    headers = {name: value for name, value in signed().items() if name != header}
    with pytest.raises(NotFromRelais):
        verify(BODY, headers if instead is None else headers | {header: instead}, [SECRET, PUBLIC], now=NOW)


def test_a_signature_of_one_kind_is_no_proof_of_the_other() -> None:
    with pytest.raises(NotFromRelais):
        verify(BODY, signed(kinds="v1"), PUBLIC, now=NOW)
    with pytest.raises(NotFromRelais):
        verify(BODY, signed(kinds="v1a"), SECRET, now=NOW)


@pytest.mark.parametrize("version", ["v2", "V1", "", "v1a"])
def test_a_signature_counts_only_under_its_own_version(version: str) -> None:
    headers = signed(kinds="v1")
    headers["Webhook-Signature"] = headers["Webhook-Signature"].replace("v1,", f"{version},")
    with pytest.raises(NotFromRelais):
        verify(BODY, headers, SECRET, now=NOW)


def test_what_the_public_library_signs_is_read() -> None:
    signature = Webhook(SECRET).sign(ID, datetime.fromtimestamp(NOW, UTC), BODY.decode())
    headers = {"webhook-id": ID, "webhook-timestamp": str(NOW), "webhook-signature": signature}
    assert str(verify(BODY, headers, SECRET, now=NOW).id) == ID


def test_an_event_keeps_its_id() -> None:
    with pytest.raises(NotFromRelais, match="another id"):
        verify(BODY, signed(id_="another"), SECRET, now=NOW)


@pytest.mark.parametrize("key", ["", "whsec_", "whpk_", "secret", "whsec_é", "whpk_AAAA"])
def test_what_is_no_key_is_said(key: str) -> None:
    with pytest.raises(ValueError, match=r"key|Key"):
        verify(BODY, signed(), key, now=NOW)
