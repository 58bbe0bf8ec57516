"""Assertions: only a sibling's own key, for us alone, for a minute."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

from relais_shared.auth import ANONYMOUS, LEEWAY_S, LIFE_S, TYPE, Actor, Keyring, system
from relais_shared.keys import make_keys
from relais_shared.refusals import Unauthenticated

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
COUNSELLOR = Actor(
    kind="user",
    id="user:7",
    organisation_id=UUID(int=1),
    organisation="Mobilité",
    scopes=frozenset({"referral:send"}),
    user_id=UUID(int=7),
    name="Ana Lopes",
    teams=("front", "back"),
    leads=("front",),
    stands_for=(UUID(int=8),),
    on_behalf_of="c-12",
    limits={"referral:send": {"themes": ["mobility"]}},
    issuer="gateway",
)


@pytest.fixture(name="rings")
def _rings(tmp_path: Path) -> dict[str, Keyring]:
    make_keys(tmp_path)
    public = json.loads((tmp_path / "internal.jwks.json").read_text())["keys"]
    known = {key["kid"].split(":")[0]: OKPKey.import_key(key) for key in public}
    return {
        name: Keyring(name, OKPKey.import_key(json.loads((tmp_path / f"{name}.jwk").read_text())), known)
        for name in known
    }


def test_an_assertion_says_who_asks(rings: dict[str, Keyring]) -> None:
    token = rings["gateway"].sign("referral", COUNSELLOR, NOON)
    assert rings["referral"].verify(token, NOON) == COUNSELLOR


def test_an_assertion_is_reused_while_it_lives_and_says_the_same(rings: dict[str, Keyring]) -> None:
    gateway = rings["gateway"]
    first = gateway.sign("referral", COUNSELLOR, NOON)
    assert gateway.sign("referral", COUNSELLOR, NOON + timedelta(seconds=20)) == first
    assert gateway.sign("directory", COUNSELLOR, NOON) != first
    assert gateway.sign("referral", COUNSELLOR, NOON + timedelta(seconds=40)) != first


def test_an_assertion_ends_after_a_minute_also_when_it_was_seen_before(rings: dict[str, Keyring]) -> None:
    token = rings["gateway"].sign("referral", COUNSELLOR, NOON)
    last = NOON + timedelta(seconds=LIFE_S + LEEWAY_S)
    assert rings["referral"].verify(token, last)
    with pytest.raises(Unauthenticated):
        rings["referral"].verify(token, last + timedelta(seconds=1))


def test_a_sibling_vouches_for_itself_alone(rings: dict[str, Keyring]) -> None:
    """Whoever takes the directory over does not act as an organisation at the referral app, nor as another service."""
    directory, referral = rings["directory"], rings["referral"]
    assert referral.verify(directory.sign("referral", system("directory"), NOON), NOON).id == "system:directory"
    for other in (COUNSELLOR, ANONYMOUS, system("gateway"), replace(COUNSELLOR, id="system:directory")):
        with pytest.raises(Unauthenticated):
            referral.verify(directory.sign("referral", other, NOON), NOON)


def _forged(rings: dict[str, Keyring], key: OKPKey | OctKey, alg: str, **changes: object) -> str:
    del rings
    now = int(NOON.timestamp())
    header = {"alg": alg, "typ": TYPE, "kid": "gateway:x"} | {
        name[7:]: value for name, value in changes.items() if name.startswith("header_")
    }
    claims = COUNSELLOR.claims() | {"iss": "gateway", "aud": "referral", "iat": now, "exp": now + LIFE_S}
    claims |= {name: value for name, value in changes.items() if not name.startswith("header_")}
    return jwt.encode(header, claims, key, algorithms=[alg])


def test_forged_assertions_are_refused(rings: dict[str, Keyring], tmp_path: Path) -> None:
    gateway_key = OKPKey.import_key(json.loads((tmp_path / "gateway.jwk").read_text()))
    directory_key = OKPKey.import_key(json.loads((tmp_path / "directory.jwk").read_text()))
    now = int(NOON.timestamp())
    public_as_secret = OctKey.import_key(json.dumps(gateway_key.as_dict(private=False)))
    good = _forged(rings, gateway_key, "Ed25519")
    assert rings["referral"].verify(good, NOON) == COUNSELLOR
    head, body, _ = good.split(".")
    bad = {
        "another's key": _forged(rings, directory_key, "Ed25519"),
        "a key of nobody": _forged(rings, OKPKey.generate_key("Ed25519"), "Ed25519"),
        "a sibling in the gateway's name": _forged(rings, directory_key, "Ed25519", header_kid="directory:x"),
        "the public key as a secret": _forged(rings, public_as_secret, "HS256"),
        "another audience": _forged(rings, gateway_key, "Ed25519", aud="directory"),
        "an access token's type": _forged(rings, gateway_key, "Ed25519", header_typ="at+jwt"),
        "a life too long": _forged(rings, gateway_key, "Ed25519", exp=now + 3_600),
        "of the future": _forged(rings, gateway_key, "Ed25519", iat=now + 60, exp=now + 90),
        "no end": _forged(rings, gateway_key, "Ed25519", exp=None),
        "no signature": f"{head}.{body}.",
        "alg none": "eyJhbGciOiJub25lIiwidHlwIjoicmVsYWlzLWFzc2VydGlvbitqd3QifQ." + body + ".",
        "unknown key id": _forged(rings, gateway_key, "Ed25519", header_kid="../../etc/passwd"),
        "not a token": "x.y",
        "nothing": "",
    }
    for name, token in bad.items():
        with pytest.raises(Unauthenticated):
            pytest.fail(f"taken: {name} → {rings['referral'].verify(token, NOON)}")


def test_key_files_are_their_owners_alone(tmp_path: Path) -> None:
    make_keys(tmp_path)
    before = (tmp_path / "gateway.jwk").read_text()
    make_keys(tmp_path)
    assert (tmp_path / "gateway.jwk").read_text() == before
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert '"d"' not in (tmp_path / "internal.jwks.json").read_text()
