"""What attackers send to the authorisation server instead of an honest assertion or proof: refused, and worthless."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from api.gateway.partner import ALG, TOKEN, Partner, _access, _door, _partner, signed  # noqa: F401 - the fixtures
from api.gateway.world import PUBLIC_URL
from joserfc.jwk import ECKey, OctKey, OKPKey

from relais_gateway.domain.refusals import InvalidProof
from relais_gateway.proofs import Asked
from relais_shared.clock import utc_now

pytestmark = pytest.mark.anyio

ECHO = f"{PUBLIC_URL}/v1/directory/echo"
LONG = 60 * 60


def unsigned(claims: dict[str, Any]) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims)]
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


def critical(partner: Partner) -> str:
    """Answer an assertion with a header that must be understood; no library signs such a thing."""
    header = {"alg": "EdDSA", "typ": "JWT", "crit": ["exp2"], "exp2": 1}
    parts = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, partner.claims())]
    signature = partner.key.private_key.sign(b".".join(parts))
    return b".".join([*parts, urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def twice(partner: Partner) -> str:
    """Answer an assertion that says who it is of twice, the first time rightly."""
    said = json.dumps(partner.claims())[:-1] + f', "sub": "{uuid4()}"' + "}"
    return signed({"alg": ALG[partner.key.key_type], "typ": "JWT"}, said.encode(), partner.key)


def by_public_key(partner: Partner) -> str:
    """Answer an assertion whose HMAC is keyed by what everybody knows: the public key."""
    known = OctKey.import_key(json.dumps(partner.key.as_dict(private=False)))
    return signed({"alg": "HS256", "typ": "JWT"}, json.dumps(partner.claims()).encode(), known)


ASSERTIONS: dict[str, Callable[[Partner], str]] = {
    "alg none": lambda partner: unsigned(partner.claims()),
    "an HMAC by the public key": by_public_key,
    "another key": lambda partner: partner.assertion(key=OKPKey.generate_key("Ed25519")),
    "a key of its own in the header": lambda partner: partner.assertion(
        {"jwk": (other := OKPKey.generate_key("Ed25519")).as_dict(private=False)}, other
    ),
    "a key somewhere else": lambda partner: partner.assertion(
        {"jku": "https://attacker.example/keys"}, OKPKey.generate_key("Ed25519")
    ),
    "a critical header that nobody knows": critical,
    "a claim said twice": twice,
    "another client": lambda partner: partner.assertion(iss=str(uuid4()), sub=str(uuid4())),
    "issuer and subject apart": lambda partner: partner.assertion(iss=str(uuid4())),
    "another audience": lambda partner: partner.assertion(aud="https://elsewhere.example"),
    "no audience": lambda partner: partner.assertion(aud=None),
    "expired": lambda partner: partner.assertion(iat=int(time.time()) - LONG, exp=int(time.time()) - LONG + 60),
    "never ending": lambda partner: partner.assertion(exp=int(time.time()) + LONG),
    "of the future": lambda partner: partner.assertion(iat=int(time.time()) + LONG, exp=int(time.time()) + LONG + 60),
    "no end": lambda partner: partner.assertion(exp=None),
    "no id": lambda partner: partner.assertion(jti=None),
    "huge": lambda partner: partner.assertion(more="x" * 100_000),
    "no token at all": lambda _: "a.b.c",
}


@pytest.mark.parametrize("name", ASSERTIONS)
async def test_no_false_assertion_gets_a_token(partner: Partner, name: str) -> None:
    answer = await partner.ask(ASSERTIONS[name](partner))
    # A form that long is not even read.
    wanted = (400, "invalid_request") if name == "huge" else (401, "invalid_client")
    assert (answer.status_code, answer.json()["error"]) == wanted, answer.text
    assert (await partner.ask(partner.assertion())).status_code == 200, "an honest one is refused no more than before"


async def test_an_assertion_is_taken_once(partner: Partner) -> None:
    assertion = partner.assertion()
    assert (await partner.ask(assertion)).status_code == 200
    answer = await partner.ask(assertion)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


PROOFS: dict[str, Callable[[Partner, str], str]] = {
    "another address": lambda partner, token: partner.proof("POST", f"{ECHO}/more", token),
    "another method": lambda partner, token: partner.proof("GET", ECHO, token),
    "another token": lambda partner, _token: partner.proof("POST", ECHO, "another"),
    "no token": lambda partner, _token: partner.proof("POST", ECHO),
    "another key": lambda partner, token: partner.proof("POST", ECHO, token, key=ECKey.generate_key("P-256")),
    "old": lambda partner, token: partner.proof("POST", ECHO, token, iat=int(time.time()) - LONG),
    "of the future": lambda partner, token: partner.proof("POST", ECHO, token, iat=int(time.time()) + LONG),
    "no id": lambda partner, token: partner.proof("POST", ECHO, token, jti=None),
    "no proof's type": lambda partner, token: partner.proof("POST", ECHO, token, header={"typ": "JWT"}),
    "a private key in it": lambda partner, token: partner.proof(
        "POST", ECHO, token, header={"jwk": partner.bound.as_dict(private=True)}
    ),
}


@pytest.mark.parametrize("name", PROOFS)
async def test_no_false_proof_opens_anything(partner: Partner, name: str) -> None:
    token = await partner.token()
    answer = await partner.call(token, PROOFS[name](partner, token))
    assert answer.status_code == 401, answer.text
    assert 'DPoP error="' in answer.headers["www-authenticate"]


async def test_a_proof_is_of_the_very_path_that_is_asked(partner: Partner) -> None:
    """A path that was decoded is not decoded again, nor cut at a question mark that stood in it encoded."""
    await partner.fresh_nonce()
    judge, base = partner.door.state.proofs.judge, f"{PUBLIC_URL}/v1/things"
    for asked, signed_for in (("/v1/things/a?b", f"{base}/a"), ("/v1/things/a%2Fb", f"{base}/a/b")):
        with pytest.raises(InvalidProof, match="htu"):
            await judge(partner.proof("GET", signed_for), Asked("GET", asked), utc_now())
    for asked, signed_for in (("/v1/things/a?b", f"{base}/a%3Fb"), ("/v1/things/a%2Fb", f"{base}/a%252Fb")):
        assert await judge(partner.proof("GET", signed_for), Asked("GET", asked), utc_now())


async def test_a_proof_is_taken_once(partner: Partner) -> None:
    token = await partner.token()
    proof = partner.proof("POST", ECHO, token)
    assert (await partner.call(token, proof)).status_code == 200
    assert (await partner.call(token, proof)).status_code == 401
    assert (
        await partner.call(token, [partner.proof("POST", ECHO, token), partner.proof("POST", ECHO, token)])
    ).status_code == 401


async def test_a_proof_for_a_token_is_taken_once(partner: Partner) -> None:
    await partner.fresh_nonce()
    proof = partner.proof("POST", TOKEN)
    assert (await partner.ask(partner.assertion(), proof)).status_code == 200
    answer = await partner.ask(partner.assertion(), proof)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_dpop_proof")
