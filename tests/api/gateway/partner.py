"""A partner's system that proves itself by a key, and binds its tokens to another: what it signs, right or wrong."""

import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from api.gateway.world import PUBLIC_URL, Door, opened
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from relais_gateway import token_actions
from relais_gateway.clients import ASSERTION
from relais_local.databases import Access
from relais_shared.clock import utc_now

Key = OKPKey | ECKey | RSAKey
ALG = {"OKP": "Ed25519", "EC": "ES256", "RSA": "PS256"}
TOKEN = f"{PUBLIC_URL}/oauth2/token"


class _Anything(jws.JWSRegistry):
    max_header_length = max_payload_length = 1 << 20

    def get_alg(self, name: str) -> jws.JWSAlgModel:
        return self.algorithms[name]


def signed(header: dict[str, Any], payload: bytes, key: Any) -> str:
    """Sign whatever it is, as it stands."""
    registry = _Anything(algorithms=[header["alg"]], strict_check_header=False)
    return jws.serialize_compact(header, payload, key, registry=registry)


def seal(text: str) -> str:
    """Answer what proofs call a token by."""
    return urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()


def changed(what: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Answer it with changes; what is changed to None is left out."""
    return {name: value for name, value in {**what, **changes}.items() if value is not None}


@dataclass
class Partner:
    """A client with a key by which it proves itself, and one to which its tokens are bound."""

    door: Door
    place: int = 0
    key: Key = field(default_factory=lambda: OKPKey.generate_key("Ed25519"))
    bound: Key = field(default_factory=lambda: ECKey.generate_key("P-256"))
    nonce: str | None = None

    @property
    def id(self) -> str:
        """Its client id."""
        found: str = self.door.demo["clients"][self.place]["client_id"]
        return found

    async def enrolled(self, **more: Any) -> None:
        """Note how it proves itself: by its key, or its secret."""
        wanted = {"methods": ["client_secret_basic", "private_key_jwt"], "jwks": [self.key.as_dict(private=False)]}
        wanted |= more
        async with self.door.state.pool.acquire() as connection:
            authentication = token_actions.Authentication(**wanted)
            await token_actions.set_authentication(
                connection, self.id, authentication, organisation_id=None, actor="system:test", now=utc_now()
            )
            version = await connection.fetchval("select version from registry_version")
        await self.door.known(lambda state: state.version >= version)

    def claims(self) -> dict[str, Any]:
        """Answer what it says of itself."""
        now = int(time.time())
        return {"iss": self.id, "sub": self.id, "aud": PUBLIC_URL, "iat": now, "exp": now + 60, "jti": str(uuid4())}

    def assertion(self, header: dict[str, Any] | None = None, key: Any = None, **changes: Any) -> str:
        """Answer an assertion, with these changes."""
        said = changed({"alg": ALG[self.key.key_type], "typ": "JWT"}, header or {})
        return signed(said, httpx.Response(200, json=changed(self.claims(), changes)).content, key or self.key)

    def proof(
        self,
        method: str,
        url: str,
        token: str | None = None,
        *,
        header: dict[str, Any] | None = None,
        key: Any = None,
        **changes: Any,
    ) -> str:
        """Answer a proof for a request, with these changes."""
        jwk = {name: value for name, value in self.bound.as_dict(private=False).items() if name != "kid"}
        said = changed({"alg": ALG[self.bound.key_type], "typ": "dpop+jwt", "jwk": jwk}, header or {})
        claims = {"htm": method, "htu": url, "iat": int(time.time()), "jti": str(uuid4()), "nonce": self.nonce}
        claims |= {"ath": seal(token) if token else None}
        return signed(said, httpx.Response(200, json=changed(claims, changes)).content, key or self.bound)

    async def ask(self, assertion: str | None, proof: str | None = None, path: str = "", **form: str) -> httpx.Response:
        """Ask for a token, or about one, and keep the nonce that comes with the answer."""
        if assertion is not None:
            form = {"client_assertion": assertion, "client_assertion_type": ASSERTION, **form}
        headers = {"DPoP": proof} if proof else {}
        headers |= {} if assertion is not None else self.door.basic(self.place)
        data = form if path else {"grant_type": "client_credentials", **form}
        answer = await self.door.ask("POST", path or "/oauth2/token", data=data, headers=headers)
        self.nonce = answer.headers.get("dpop-nonce", self.nonce)
        return answer

    async def fresh_nonce(self) -> None:
        """Take a nonce as a client does: by a proof without one."""
        self.nonce = None
        answer = await self.ask(self.assertion(), self.proof("POST", TOKEN))
        assert (answer.status_code, answer.json()["error"]) == (400, "use_dpop_nonce"), answer.text

    async def token(self, **form: str) -> str:
        """Answer a bound token."""
        await self.fresh_nonce()
        answer = await self.ask(self.assertion(), self.proof("POST", TOKEN), **form)
        assert (answer.status_code, answer.json().get("token_type")) == (200, "DPoP"), answer.text
        found: str = answer.json()["access_token"]
        return found

    async def call(self, token: str, proof: str | list[str], method: str = "POST") -> httpx.Response:
        """Call what echoes, with a token and a proof."""
        proofs = [proof] if isinstance(proof, str) else proof
        headers = [("Authorization", f"DPoP {token}"), *(("DPoP", one) for one in proofs)]
        answer = await self.door.ask(method, "/v1/directory/echo", headers=headers)
        self.nonce = answer.headers.get("dpop-nonce", self.nonce)
        return answer


@pytest.fixture(name="access", scope="module")
def _access(home: Path, fresh_database: Callable[[str], Access]) -> Access:
    del home
    return fresh_database("gateway")


@pytest.fixture(name="door", scope="module")
async def _door(access: Access, anyio_backend: str) -> AsyncIterator[Door]:
    """Run one gateway for this file; each test enrols its client anew."""
    del anyio_backend
    async with opened(access) as door:
        yield door


@pytest.fixture(name="partner")
async def _partner(door: Door) -> Partner:
    partner = Partner(door)
    await partner.enrolled()
    return partner
