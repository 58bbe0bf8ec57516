"""Access tokens: only what our own living key signed, for us, of now; nothing that a token brings along counts."""

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from relais_gateway.signing import ALGORITHM, LEEWAY_S, OVERLAP, RSA, SIGNS_AFTER, TYPE, SigningKeys
from relais_shared.refusals import Unauthenticated

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HERE = "https://relais.example"
SECRET = b"s" * 32


def keys_of(*rows: dict[str, Any]) -> SigningKeys:
    keys = SigningKeys(SECRET, HERE)
    keys.take(rows)
    return keys


def row(alg: str = ALGORITHM, made: datetime = NOON - timedelta(days=1)) -> dict[str, Any]:
    kid, public, sealed = SigningKeys(SECRET, HERE).new(alg)
    return {"kid": kid, "public": public, "sealed_private": sealed, "created_at": made, "retired_at": None}


ROW = row()
RING = keys_of(ROW)
PRIVATE: OKPKey = RING._keys[ROW["kid"]].key  # type: ignore[assignment]  # noqa: SLF001 - forging needs the real key
CLAIMS = {
    "iss": HERE, "aud": HERE, "sub": "client:c", "client_id": "c", "org": str(UUID(int=1)), "scope": "directory:read",
    "iat": int(NOON.timestamp()), "exp": int(NOON.timestamp()) + 600, "jti": "j",
}  # fmt: skip


def signed(key: Any = PRIVATE, alg: str = ALGORITHM, *, without: str = "", **changes: Any) -> str:
    header = {"alg": alg, "typ": TYPE, "kid": ROW["kid"]}
    header |= {name.removeprefix("header_"): value for name, value in changes.items() if name.startswith("header_")}
    claims = CLAIMS | {name: value for name, value in changes.items() if not name.startswith("header_")}
    return jwt.encode(
        {name: value for name, value in header.items() if name != without and value is not None},
        {name: value for name, value in claims.items() if name != without},
        key,
        algorithms=[alg],
    )


def part(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


GOOD = signed()
HEAD, BODY, SIGNATURE = GOOD.split(".")
OTHER = OKPKey.generate_key("Ed25519")
NOW = int(NOON.timestamp())

FORGED = {
    "nothing": "",
    "dots": "..",
    "five parts": "a.b.c.d.e",
    "no signature": f"{HEAD}.{BODY}.",
    "two parts": f"{HEAD}.{BODY}",
    "another's signature": f"{HEAD}.{BODY}.{signed(OTHER).split('.')[2]}",
    "a blank behind": GOOD + " ",
    "a blank before": " " + GOOD,
    "no ASCII": GOOD + "\u00e9",
    "alg none": f"{part({'alg': 'none', 'typ': TYPE, 'kid': ROW['kid']})}.{BODY}.",
    "alg None": f"{part({'alg': 'None', 'typ': TYPE, 'kid': ROW['kid']})}.{BODY}.{SIGNATURE}",
    "no alg": f"{part({'typ': TYPE, 'kid': ROW['kid']})}.{BODY}.{SIGNATURE}",
    "HS256 with the public key": signed(OctKey.import_key(json.dumps(ROW["public"])), "HS256"),
    "HS256 with its bytes": signed(OctKey.import_key(PRIVATE.as_dict(private=False)["x"]), "HS256"),
    "RS256": signed(RSAKey.generate_key(2048), "RS256"),
    "ES256": signed(ECKey.generate_key("P-256"), "ES256"),
    "another key": signed(OTHER),
    "another key that it brings along": signed(OTHER, header_jwk=OTHER.as_dict(private=False)),
    "another key at an address": signed(OTHER, header_jku="https://evil.example/jwks.json"),
    "another key by its certificate": signed(OTHER, header_x5u="https://evil.example/x5u.pem"),
    "unknown kid": signed(header_kid="unknown"),
    "a kid that is a path": signed(OTHER, header_kid="../../../dev/null"),
    "a kid that is SQL": signed(OTHER, header_kid="x' union select 'a' --"),
    "without an id": signed(without="jti"),
    "huge claims": signed(more="x" * 100_000),
    "a huge text": "x" * 1_000_000,
    "no kid": signed(without="kid"),
    "a kid that is no text": f"{part({'alg': ALGORITHM, 'typ': TYPE, 'kid': ['a']})}.{BODY}.{SIGNATURE}",
    "typ JWT": signed(header_typ="JWT"),
    "no typ": signed(without="typ"),
    "typ of an assertion": signed(header_typ="relais-assertion+jwt"),
    "a critical header": signed(header_crit=["b64"], header_b64=True),
    "another issuer": signed(iss=HERE + "/"),
    "another audience": signed(aud="https://other.example"),
    "several audiences": signed(aud=[HERE, "https://other.example"]),
    "expired": signed(iat=NOW - 700, exp=NOW - LEEWAY_S - 1),
    "of tomorrow": signed(iat=NOW + 86_400, exp=NOW + 87_000),
    "not yet": signed(nbf=NOW + LEEWAY_S + 1),
    "never ending": signed(without="exp"),
    "of no time": signed(without="iat"),
    "a time in words": signed(exp="soon"),
    "of nobody": signed(without="sub"),
    "of no organisation": signed(org="none"),
    "without scopes": signed(without="scope"),
    "scopes as a list": signed(scope=["directory:read"]),
}


def test_ours_passes() -> None:
    claims = RING.verify(GOOD, NOON)
    assert (claims.subject, claims.organisation_id, claims.scopes) == ("client:c", UUID(int=1), {"directory:read"})
    assert RING.verify(signed(header_typ="application/at+jwt"), NOON) == claims


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_token_is_nobody(name: str) -> None:
    # Twice: what was refused is not remembered as known.
    for _ in range(2):
        with pytest.raises(Unauthenticated) as refused:
            RING.verify(FORGED[name], NOON)
        assert refused.value.facts["headers"] == {"WWW-Authenticate": 'Bearer error="invalid_token"'}


@given(st.text())
def test_no_text_is_a_token_and_none_breaks_us(text: str) -> None:
    with pytest.raises(Unauthenticated):
        RING.verify(text, NOON)


@given(st.integers(0, len(GOOD) - 1), st.sampled_from("Aa0_-."))
def test_one_changed_letter_is_another_token(place: int, letter: str) -> None:
    changed = GOOD[:place] + letter + GOOD[place + 1 :]
    # The last letter of a signature carries two bits that mean nothing.
    if changed == GOOD or place == len(GOOD) - 1:
        return
    with pytest.raises(Unauthenticated):
        RING.verify(changed, NOON)


def test_a_token_ends_also_while_it_is_remembered() -> None:
    ring = keys_of(ROW)
    last = NOON + timedelta(seconds=600 + LEEWAY_S)
    assert ring.verify(GOOD, last)
    with pytest.raises(Unauthenticated):
        ring.verify(GOOD, last + timedelta(seconds=1))


def issued(ring: SigningKeys, now: datetime, **more: Any) -> str:
    return ring.issue(
        subject="client:c", client_id="c", organisation_id=UUID(int=1), scopes=["b", "a"], now=now, life_s=60, **more
    )


def test_a_new_key_signs_once_everybody_knows_it_and_the_old_one_verifies_on() -> None:
    newer = row(made=NOON)
    ring = keys_of({**ROW, "retired_at": NOON + OVERLAP}, newer)
    early, late = NOON + SIGNS_AFTER / 2, NOON + SIGNS_AFTER
    assert keys_of(ROW).verify(issued(ring, early), early)
    fresh = issued(ring, late)
    assert keys_of(newer).verify(fresh, late).scopes == {"a", "b"}
    assert ring.verify(GOOD, late)
    kids = {one["kid"] for one in ring.public(late)["keys"]}
    assert kids == {ROW["kid"], newer["kid"]}
    ended = NOON + OVERLAP
    assert [one["kid"] for one in ring.public(ended)["keys"]] == [newer["kid"]]
    with pytest.raises(Unauthenticated):
        keys_of({**ROW, "retired_at": NOON}, newer).verify(GOOD, NOON)


def test_a_key_that_is_withdrawn_is_forgotten_with_what_it_verified() -> None:
    ring, newer = keys_of(ROW), row()
    ring.take([ROW, newer])
    assert ring.verify(GOOD, NOON)
    ring.take([newer])
    with pytest.raises(Unauthenticated):
        ring.verify(GOOD, NOON)


def test_a_first_key_signs_at_once() -> None:
    ring = keys_of(row(made=NOON))
    assert ring.verify(issued(ring, NOON), NOON)


def test_each_algorithm_has_its_own_key() -> None:
    rsa = row(RSA)
    ring = keys_of(ROW, rsa)
    token = issued(ring, NOON, alg=RSA, credential="by", jkt="bound")
    claims = ring.verify(token, NOON)
    assert (claims.credential, claims.jkt) == ("by", "bound")
    assert keys_of(rsa).verify(token, NOON) == claims
    assert ring.verify(issued(ring, NOON), NOON).jkt is None
    # What one key signs in the name of the other is nobody's.
    real = ring._keys[rsa["kid"]].key  # noqa: SLF001 - forging needs the real key
    with pytest.raises(Unauthenticated):
        ring.verify(signed(real, RSA), NOON)
    with pytest.raises(Unauthenticated):
        ring.verify(signed(real, "PS256", header_kid=rsa["kid"]), NOON)


def test_what_is_published_and_what_is_sealed_keep_the_key() -> None:
    private = PRIVATE.as_dict(private=True)["d"]
    assert private not in json.dumps(RING.public(NOON))
    assert private.encode() not in ROW["sealed_private"]
    assert "d" not in ROW["public"]


def test_a_cache_full_of_tokens_forgets_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relais_gateway.signing.CACHE", 3)
    ring = keys_of(ROW)
    for number in range(10):
        assert ring.verify(signed(jti=str(number)), NOON)
        assert len(ring._verified) <= 3  # noqa: SLF001 - what is bounded is inside
