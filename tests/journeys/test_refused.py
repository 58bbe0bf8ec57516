"""What is wrong is refused with its status and type, and nothing of it is stored."""

import json
import time
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey, RSAKey
from support.rows import owner_dsn, tables
from support.stack import Stack, if_match, key

SEARCH = "/v1/directory/search"


OF_THE_WORKER = {
    *("feed", "sequencing", "service_seen", "webhook_endpoint", "webhook_delivery"),
    *("figure_month", "figure_own"),
}
"""What the worker writes by itself, of steps that were confirmed before, while a test looks."""


def stored(stack: Stack) -> dict[str, list[str]]:
    """Answer all that requests have stored of referrals."""
    return {name: rows for name, rows in tables(owner_dsn(stack.home, "referral")).items() if name not in OF_THE_WORKER}


@pytest.fixture(name="nothing_stored")
def _nothing_stored(stack: Stack) -> Iterator[None]:
    """Compare all that is kept of referrals before and after."""
    before = stored(stack)
    yield
    assert stored(stack) == before


@pytest.fixture(name="client")
def _client(stack: Stack) -> dict[str, Any]:
    return stack.clients("directory:read", "referral:send", "referral:receive")[0]


def asked(stack: Stack, client_id: str, secret: str, **form: str) -> httpx.Response:
    pair = b64encode(f"{client_id}:{secret}".encode()).decode()
    return httpx.post(
        f"{stack.base_url}/oauth2/token",
        data={"grant_type": "client_credentials", **form},
        headers={"Authorization": f"Basic {pair}"},
    )


def test_tokens_are_refused_as_rfc_6749_says(stack: Stack, client: dict[str, Any]) -> None:
    good = client["client_id"], client["client_secret"]
    expected = [
        (asked(stack, good[0], "wrong"), 401, "invalid_client"),
        (asked(stack, str(uuid4()), good[1]), 401, "invalid_client"),
        (asked(stack, *good, scope="directory:read no:such"), 400, "invalid_scope"),
        (asked(stack, *good, scope="platform:admin"), 400, "invalid_scope"),
        (asked(stack, *good, grant_type="password"), 400, "unsupported_grant_type"),
        (asked(stack, *good, grant_type=""), 400, "invalid_request"),
        (httpx.post(f"{stack.base_url}/oauth2/token", json={"grant_type": "client_credentials"}), 401, None),
    ]
    for answer, status, error in expected:
        if error is None:
            assert answer.status_code in {400, 401}
            continue
        assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
        assert len(answer.json()["trace_id"]) == 32
    assert expected[0][0].headers["www-authenticate"].startswith("Basic")


def forgeries(stack: Stack, good: str) -> dict[str, str]:
    """Answer tokens that look like `good` and must not pass."""
    head, body, signature = good.split(".")
    header = decoded(head)
    claims = decoded(body)
    published = httpx.get(f"{stack.base_url}/.well-known/jwks.json").json()["keys"][0]
    mine, now = OKPKey.generate_key("Ed25519"), int(time.time())

    def signed(key_: OKPKey | OctKey | RSAKey, alg: str, **changes: object) -> str:
        more = {name[7:]: value for name, value in changes.items() if name.startswith("header_")}
        other = {name: value for name, value in changes.items() if not name.startswith("header_")}
        return jwt.encode({**header, "alg": alg, **more}, {**claims, **other}, key_, algorithms=[alg])

    none = encoded({**header, "alg": "none"})
    return {
        "alg none": f"{none}.{body}.",
        "alg none, signature kept": f"{none}.{body}.{signature}",
        "no signature": f"{head}.{body}.",
        "another key": signed(mine, "Ed25519"),
        "another key that it brings along": signed(mine, "Ed25519", header_jwk=mine.as_dict(private=False)),
        "a secret made of the public key": signed(OctKey.import_key(json.dumps(published)), "HS256"),
        "a key of another kind": signed(RSAKey.generate_key(2048), "RS256"),
        "changed claims": f"{head}.{encoded({**claims, 'exp': now + 10**6})}.{signature}",
        "an assertion for the inside": _assertion(stack),
        "rubbish": "rubbish",
        "empty parts": "..",
    }


def encoded(part: object) -> str:
    """Answer a part of a token: base64url of its JSON."""
    return urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def decoded(part: str) -> dict[str, Any]:
    """Answer what a part of a token holds."""
    found: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def _assertion(stack: Stack) -> str:
    inside = OKPKey.import_key(json.loads((stack.home / "keys" / "gateway.jwk").read_text()))
    now = int(time.time())
    claims = {
        "iss": "gateway", "aud": "gateway", "sub": "client:x", "kind": "client", "org": None,
        "scope": "directory:read", "iat": now, "exp": now + 60,
    }  # fmt: skip
    header = {"alg": "Ed25519", "typ": "relais-assertion+jwt", "kid": inside.kid}
    return jwt.encode(header, claims, inside, algorithms=["Ed25519"])


def test_forged_tokens_are_nobody(stack: Stack, client: dict[str, Any]) -> None:
    good = stack.token(client)
    assert httpx.get(stack.base_url + SEARCH, headers={"Authorization": f"Bearer {good}"}).status_code == 200
    for name, token in forgeries(stack, good).items():
        answer = httpx.get(stack.base_url + SEARCH, headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthenticated"), name
        assert answer.headers["www-authenticate"].startswith("Bearer"), name
    nobody = httpx.get(stack.base_url + SEARCH)
    assert (nobody.status_code, nobody.json()["type"]) == (401, "/problems/unauthenticated")


def test_a_scope_that_is_not_held_is_named(stack: Stack, client: dict[str, Any]) -> None:
    with stack.api(client, "directory:read") as api:
        answer = api.get("/v1/referrals")
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/scope-missing")


@pytest.mark.usefixtures("nothing_stored")
def test_what_is_malformed_is_refused_whole(stack: Stack, client: dict[str, Any]) -> None:
    with stack.api(client) as api:
        nobody = httpx.post(f"{stack.base_url}/v1/referrals", content=b"{broken")
        broken = api.post("/v1/referrals", content=b"{broken", headers={**key(), "Content-Type": "application/json"})
        faulty = api.post(
            "/v1/referrals",
            headers=key(),
            json={
                "recipient": {"organisation_id": "x"},
                "needs": [],
                "colour": "blue",
                "person": {"languages": "fr"},
            },
        )
        keyless = api.post("/v1/referrals", json={})
        range_ = api.get(SEARCH, params={"radius_km": 500, "limit": 0, "near": "95,500"})
        large = api.post("/v1/referrals", headers=key(), content=b" " * (2 << 20))
        untyped = api.post("/v1/referrals", headers=key(), content=b"{}")
        a_form = api.post("/v1/referrals", headers=key(), data={"needs": "x"})
    assert nobody.status_code == 401
    assert (broken.status_code, broken.json()["type"]) == (400, "/problems/malformed-request")
    assert (faulty.status_code, faulty.json()["type"]) == (422, "/problems/invalid-input")
    named = {error["pointer"] for error in faulty.json()["errors"]}
    assert {"/recipient/organisation_id", "/recipient/service_id", "/colour", "/counsellor"} <= named, named
    assert keyless.status_code in {400, 422}
    assert range_.status_code == 422
    assert {error["pointer"] for error in range_.json()["errors"]} >= {"?radius_km", "?limit"}
    assert large.status_code == 413
    for answer in (untyped, a_form):
        assert (answer.status_code, answer.json()["type"]) == (415, "/problems/unsupported-media-type")
    for answer in (broken, faulty, keyless, range_, large, untyped, a_form):
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.json()["trace_id"]) == 32


def test_a_key_used_again_is_the_same_request_or_none(stack: Stack, client: dict[str, Any]) -> None:
    other = stack.clients("directory:read", "referral:send", "referral:receive")[1]
    with stack.api(client) as api:
        found = api.get(SEARCH, params={"organisation_id": other["organisation_id"]}).json()["items"]
        service = next(one for one in found if one["can_receive"] == "relais")
        body = {
            "recipient": {"organisation_id": other["organisation_id"], "service_id": service["service"]["id"]},
            "counsellor": {"name": "Ana Lopes"},
            "person": {
                "identity": {"given_name": "Refus"},
                "contact": {},
                "area": {"municipality": "be:52011", "postcode": "6000"},
                "languages": ["fr"],
            },
            "needs": [{"theme": "mobility", "words": "un bus le matin"}],
        }
        used = key()
        first = api.post("/v1/referrals", headers=used, json=body)
        assert first.status_code == 201, first.text
        before = stored(stack)
        again = api.post("/v1/referrals", headers=used, json=body)
        assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
        changed = api.post("/v1/referrals", headers=used, json={**body, "constraints": ["à pied"]})
        assert (changed.status_code, changed.json()["type"]) == (422, "/problems/idempotency-key-reused")
        after = stored(stack)
        assert {name: rows for name, rows in after.items() if name != "disclosure"} == {
            name: rows for name, rows in before.items() if name != "disclosure"
        }
        api.post(f"/v1/referrals/{first.json()['id']}/cancel", headers=if_match(first), json={})
