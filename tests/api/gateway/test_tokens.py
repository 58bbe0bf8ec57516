"""The authorisation server towards honest clients: each way to prove oneself, and what a token is worth then."""

from collections.abc import Callable
from typing import Any

import pytest
from api.gateway.partner import TOKEN, Partner, _access, _door, _partner  # noqa: F401 - the fixtures
from api.gateway.world import PUBLIC_URL, Door
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from relais_gateway.signing import OVERLAP, SIGNS_AFTER
from relais_shared.clock import utc_now

pytestmark = pytest.mark.anyio

ECHO = f"{PUBLIC_URL}/v1/directory/echo"
FAPI = {"methods": ["private_key_jwt"], "dpop_required": True, "fapi": True}


async def test_what_the_metadata_says_is_there(door: Door) -> None:
    said = (await door.ask("GET", "/.well-known/oauth-authorization-server")).json()
    assert said["issuer"] == PUBLIC_URL
    for name in ("token_endpoint", "revocation_endpoint", "introspection_endpoint"):
        answer = await door.ask("POST", said[name].removeprefix(PUBLIC_URL), data={"token": "x", "grant_type": "x"})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), name
        assert answer.headers["www-authenticate"].startswith("Basic")
        assert answer.headers["cache-control"] == "no-store"
        place = name.removesuffix("_endpoint")
        assert set(said[f"{place}_endpoint_auth_methods_supported"]) == {"client_secret_basic", "private_key_jwt"}
        assert "none" not in said[f"{place}_endpoint_auth_signing_alg_values_supported"]
    assert "RS256" not in said["dpop_signing_alg_values_supported"]
    keys = (await door.ask("GET", said["jwks_uri"].removeprefix(PUBLIC_URL))).json()["keys"]
    assert {(key["alg"], key["use"]) for key in keys} == {("Ed25519", "sig"), ("RS256", "sig")}
    assert not any({"d", "p", "q"} & key.keys() for key in keys)


@pytest.mark.parametrize(
    ("make", "alg"),
    [
        (lambda: OKPKey.generate_key("Ed25519"), "EdDSA"),
        (lambda: OKPKey.generate_key("Ed25519"), "Ed25519"),
        (lambda: ECKey.generate_key("P-256"), "ES256"),
        (lambda: RSAKey.generate_key(2048), "PS256"),
        (lambda: RSAKey.generate_key(2048), "RS256"),
    ],
)
async def test_a_client_proves_itself_by_each_kind_of_key(door: Door, make: Callable[[], Any], alg: str) -> None:
    partner = Partner(door, key=make())
    await partner.enrolled(methods=["private_key_jwt"])
    for audience in (PUBLIC_URL, TOKEN, [PUBLIC_URL]):
        answer = await partner.ask(partner.assertion({"alg": alg}, aud=audience), scope="directory:read")
        assert (answer.status_code, answer.json().get("token_type")) == (200, "Bearer"), answer.text
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert (await door.ask("POST", "/v1/directory/echo", headers=headers)).status_code == 200
    # Its secret opens nothing while it is not among its methods.
    assert (await partner.ask(None)).status_code == 401


async def test_of_two_keys_the_one_that_is_named_is_asked(partner: Partner) -> None:
    other = OKPKey.generate_key("Ed25519")
    keys = [{**partner.key.as_dict(private=False), "kid": "old"}, {**other.as_dict(private=False), "kid": "new"}]
    await partner.enrolled(jwks=keys)
    for kid, key in (("old", partner.key), ("new", other)):
        assert (await partner.ask(partner.assertion({"kid": kid}, key))).status_code == 200
    assert (await partner.ask(partner.assertion())).status_code == 401
    assert (await partner.ask(partner.assertion({"kid": "old"}, other))).status_code == 401


async def test_a_bound_token_opens_only_with_a_proof(partner: Partner, door: Door) -> None:
    token = await partner.token()
    for _ in range(2):
        answer = await partner.call(token, partner.proof("POST", ECHO, token))
        assert answer.status_code == 200, answer.text
        assert not {"dpop", "authorization"} & {name for name, _ in answer.json()["headers"] if name == "dpop"}
    # The host in other letters and the port said are the same address; HEAD is proven as HEAD.
    written = ECHO.replace("relais.example", "RELAIS.example:80")
    assert (await partner.call(token, partner.proof("POST", written, token))).status_code == 200
    big = ECHO.replace("echo", "big")
    headers = {"Authorization": f"DPoP {token}", "DPoP": partner.proof("HEAD", big, token)}
    assert (await door.ask("HEAD", "/v1/directory/big", headers=headers)).status_code == 200
    bare = await door.ask("POST", "/v1/directory/echo", headers={"Authorization": f"Bearer {token}"})
    assert (bare.status_code, bare.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
    none = await door.ask("POST", "/v1/directory/echo", headers={"Authorization": f"DPoP {token}"})
    assert none.status_code == 401
    assert 'DPoP error="invalid_dpop_proof", algs="' in none.headers["www-authenticate"]
    nobody = await door.ask("POST", "/v1/directory/echo")
    assert nobody.headers["www-authenticate"].startswith("Bearer, DPoP algs=")


async def test_a_nonce_is_asked_for_and_renewed(partner: Partner) -> None:
    token = await partner.token()
    partner.nonce = None
    answer = await partner.call(token, partner.proof("POST", ECHO, token))
    assert answer.status_code == 401
    assert 'error="use_dpop_nonce"' in answer.headers["www-authenticate"]
    assert partner.nonce
    answer = await partner.call(token, partner.proof("POST", ECHO, token))
    assert (answer.status_code, answer.headers["dpop-nonce"]) == (200, partner.nonce)
    # A client that has its secret alone may bind its tokens too.
    answer = await partner.ask(None, partner.proof("POST", TOKEN))
    assert answer.json()["token_type"] == "DPoP"


async def test_where_dpop_is_required_nothing_else_is_given_or_taken(partner: Partner, door: Door) -> None:
    bare = (await partner.ask(partner.assertion())).json()["access_token"]
    headers = {"Authorization": f"Bearer {bare}"}
    assert (await door.ask("POST", "/v1/directory/echo", headers=headers)).status_code == 200
    await partner.enrolled(dpop_required=True)
    assert (await door.ask("POST", "/v1/directory/echo", headers=headers)).status_code == 401
    answer = await partner.ask(partner.assertion())
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_dpop_proof")
    token = await partner.token()
    assert (await partner.call(token, partner.proof("POST", ECHO, token))).status_code == 200


async def test_a_partner_held_to_fapi(door: Door) -> None:
    partner = Partner(door, key=RSAKey.generate_key(2048))
    await partner.enrolled(**FAPI)
    token = await partner.token()
    assert (await partner.call(token, partner.proof("POST", ECHO, token))).status_code == 200
    for wrong in ({"aud": TOKEN}, {"aud": [PUBLIC_URL]}, {"header": {"alg": "RS256"}}):
        answer = await partner.ask(partner.assertion(**wrong), partner.proof("POST", TOKEN))
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), wrong
    assert (await partner.ask(None, partner.proof("POST", TOKEN))).status_code == 401
    assert (await partner.ask(partner.assertion())).status_code == 400


async def test_a_token_lives_and_is_signed_as_its_client_needs(partner: Partner, door: Door) -> None:
    await partner.enrolled(token_life_s=60, token_alg="RS256")
    body = (await partner.ask(partner.assertion(), scope="directory:read")).json()
    assert body["expires_in"] == 60
    # Whoever knows RS256 alone verifies it by our published keys (RFC 9068).
    known = KeySet.import_key_set((await door.ask("GET", "/.well-known/jwks.json")).json())
    told = jwt.decode(body["access_token"], known, algorithms=["RS256"])
    assert (told.header["typ"], told.claims["iss"], told.claims["aud"]) == ("at+jwt", PUBLIC_URL, PUBLIC_URL)
    assert told.claims["exp"] - told.claims["iat"] == 60
    assert {"sub", "client_id", "jti", "scope", "org"} <= told.claims.keys()
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    assert (await door.ask("POST", "/v1/directory/echo", headers=headers)).status_code == 200


async def test_a_token_is_looked_into_and_given_up(partner: Partner, door: Door) -> None:
    other = Partner(door, place=1)
    await other.enrolled()
    token = await partner.token(scope="directory:read")

    async def told(by: Partner, what: str) -> dict[str, Any]:
        answer = await by.ask(by.assertion(), path="/oauth2/introspect", token=what)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    mine = await told(partner, token)
    assert (mine["active"], mine["scope"], mine["client_id"]) == (True, "directory:read", partner.id)
    assert (mine["token_type"], mine["cnf"]) == ("DPoP", {"jkt": partner.bound.thumbprint()})
    assert mine["exp"] - mine["iat"] == 600
    assert await told(other, token) == {"active": False}
    assert await told(partner, "x") == {"active": False}
    foreign = await other.ask(other.assertion(), path="/oauth2/revoke", token=token)
    assert (foreign.status_code, foreign.json()["error"]) == (400, "unauthorized_client")
    assert (await told(partner, token))["active"]
    for what in (token, token, "x"):
        answer = await partner.ask(partner.assertion(), path="/oauth2/revoke", token=what, token_type_hint="x")
        assert (answer.status_code, answer.content) == (200, b"")
    jti = mine["jti"]
    await door.known(lambda state: jti in state.revoked)
    assert await told(partner, token) == {"active": False}
    refused = await partner.call(token, partner.proof("POST", ECHO, token))
    assert refused.status_code == 401
    # Another of its tokens is not touched by it.
    again = await partner.token()
    assert (await partner.call(again, partner.proof("POST", ECHO, again))).status_code == 200
    missing = await partner.ask(partner.assertion(), path="/oauth2/revoke")
    assert (missing.status_code, missing.json()["error"]) == (400, "invalid_request")


async def test_a_token_falls_with_the_key_that_got_it(partner: Partner, door: Door) -> None:
    by_key = (await partner.ask(partner.assertion())).json()["access_token"]
    by_secret = (await partner.ask(None)).json()["access_token"]
    await partner.enrolled(jwks=[OKPKey.generate_key("Ed25519").as_dict(private=False)])
    for token, status in ((by_key, 401), (by_secret, 200)):
        headers = {"Authorization": f"Bearer {token}"}
        assert (await door.ask("POST", "/v1/directory/echo", headers=headers)).status_code == status


@pytest.mark.usefixtures("partner")  # whatever a test before asked for, its tokens are signed as usual
async def test_signing_keys_are_replaced_without_anybody_noticing(door: Door) -> None:
    old = await door.bearer()
    admin = await door.bearer(1)
    before = (await door.ask("GET", "/.well-known/jwks.json")).json()["keys"]
    made = await door.ask("POST", "/v1/platform/signing_keys", headers=admin)
    assert made.status_code == 201, made.text
    listed = made.json()["items"]
    assert [one["verifies_until"] is None for one in listed] == [True, True, False, False]

    async def published() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await door.ask("GET", "/.well-known/jwks.json")).json()["keys"]
        return found

    version = await _version(door)
    await door.known(lambda state: state.version >= version)
    assert {one["kid"] for one in await published()} == {one["kid"] for one in [*before, *listed]}
    door.state.clock = lambda: utc_now() + SIGNS_AFTER
    try:
        fresh = await door.bearer()
    finally:
        del door.state.clock
    known = KeySet.import_key_set({"keys": await published()})
    kid = jwt.decode(fresh["Authorization"].split()[1], known, algorithms=["Ed25519"]).header["kid"]
    assert kid in {one["kid"] for one in listed[:2]}
    for headers in (old, fresh):
        assert (await door.ask("POST", "/v1/directory/echo", headers=headers)).status_code == 200
    # Once nobody's token can be of the old ones, they are published no more.
    door.state.clock = lambda: utc_now() + OVERLAP
    try:
        assert {one["kid"] for one in await published()} == {one["kid"] for one in listed[:2]}
    finally:
        del door.state.clock
    gone = await door.ask("DELETE", f"/v1/platform/signing_keys/{kid}", headers=admin)
    assert (gone.status_code, gone.json()["type"]) == (409, "/problems/last-signing-key")


async def _version(door: Door) -> int:
    async with door.state.pool.acquire() as connection:
        found: int = await connection.fetchval("select version from registry_version")
        return found
