"""An OpenID provider, true or false: real discovery, real keys, codes good once and for whom they were made."""

import hmac
import json
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any
from urllib.parse import unquote, urlencode

from fastapi import FastAPI, Request
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

SECRET = "a secret: with+signs %"


def segment(block: bytes) -> str:
    """Answer bytes as a JWT carries them."""
    return urlsafe_b64encode(block).decode().rstrip("=")


@dataclass
class Provider:
    """A provider at which somebody is signed in, and what it does otherwise than it should.

    Attributes:
        who: What it says of whoever is signed in.
        twist: Answers claims in place of the right ones; None takes one away.
        forge: A name of a false signature.
        trouble: What is wrong with the whole of it.
        apart: What it says only at its userinfo endpoint, in place of the identity token; None where it has none.
        asked: The queries of the browsers that came.
        refused: Why codes were refused.
    """

    issuer: str
    client_id: str = "relais & co"
    who: dict[str, Any] = field(default_factory=dict)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    twist: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    forge: str = ""
    trouble: str = ""
    apart: dict[str, Any] | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    before: RSAKey | None = None

    def again(self) -> None:
        """Be honest again, and remember nobody."""
        self.twist, self.forge, self.trouble, self.apart = None, "", "", None
        self.asked, self.refused = [], []

    def rotate(self) -> None:
        """Sign with another key from now on."""
        self.before, self.key = self.key, RSAKey.generate_key(2048, {"kid": token_urlsafe(4)})

    def described(self) -> dict[str, Any]:
        """Answer the discovery document."""
        return {
            "issuer": "https://evil.example" if self.trouble == "another issuer" else self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            **({} if self.apart is None else {"userinfo_endpoint": f"{self.issuer}/userinfo"}),
            "jwks_uri": "ftp://evil.example/" if self.trouble == "in the clear elsewhere" else f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "authorization_response_iss_parameter_supported": True,
        }

    def token(self, nonce: str) -> str:
        """Answer an identity token, true or forged."""
        instant = int(self.now().timestamp())
        claims = {
            "iss": self.issuer, "aud": self.client_id, "iat": instant, "exp": instant + 300, "nonce": nonce, **self.who,
        }  # fmt: skip
        if self.twist is not None:
            claims |= self.twist(claims)
        claims = {name: value for name, value in claims.items() if value is not None}
        return self.signed(claims)

    def signed(self, claims: dict[str, Any]) -> str:
        """Answer claims, signed as told."""
        header: dict[str, Any] = {"alg": "RS256", "kid": self.key.kid, "typ": "JWT"}
        key = self.key
        match self.forge:
            case "none":
                return f"{unsigned({**header, 'alg': 'none'}, claims)}."
            case "hs256 with our secret" | "hs256 with its key":
                secret = SECRET.encode() if "our" in self.forge else self.key.as_pem(private=False)
                body = unsigned({**header, "alg": "HS256"}, claims)
                return f"{body}.{segment(hmac.digest(secret, body.encode(), sha256))}"
            case "another key":
                key = RSAKey.generate_key(2048, {"kid": self.key.kid})
            case "jwk":
                key = RSAKey.generate_key(2048)
                header = {"alg": "RS256", "jwk": key.as_dict(private=False)}
            case "the key before":
                assert self.before is not None
                key, header = self.before, {**header, "kid": self.before.kid}
            case "at+jwt":
                header["typ"] = "at+jwt"
            case "crit":
                header |= {"crit": ["b64"], "b64": True}
        made = jwt.encode(header, claims, key)
        return made.rpartition(".")[0] + "." if self.forge == "cut" else made


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Answer what a signature would stand behind."""
    return f"{segment(json.dumps(header).encode())}.{segment(json.dumps(claims).encode())}"


def app_of(provider: Provider) -> FastAPI:  # noqa: C901 - one server, its routes one after another
    """Answer the provider as a server."""
    app = FastAPI(openapi_url=None)

    @app.get("/.well-known/openid-configuration")
    async def described() -> Response:
        if provider.trouble == "down":
            return PlainTextResponse("later", 503)
        if provider.trouble == "no json":
            return PlainTextResponse("<html>")
        return JSONResponse(provider.described())

    @app.get("/keys")
    async def keys() -> Response:
        if provider.trouble == "no keys":
            return JSONResponse({"keys": []})
        odd = [{"kty": "oct", "k": "AAAA"}, "what?", {"kty": "EC", "crv": "P-521", "use": "enc"}]
        return JSONResponse({"keys": [*odd, provider.key.as_dict(private=False)]})

    @app.get("/authorize")
    async def authorize(request: Request) -> Response:
        query = dict(request.query_params)
        provider.asked.append(query)
        assert query["client_id"] == provider.client_id
        code = token_urlsafe(16)
        provider.codes[code] = query
        back = urlencode({"code": code, "state": query["state"], "iss": provider.issuer})
        return RedirectResponse(f"{query['redirect_uri']}?{back}", 302)

    @app.get("/userinfo")
    async def userinfo(request: Request) -> Response:
        if request.headers["authorization"] != "Bearer x" or provider.trouble == "no userinfo":
            return JSONResponse({"error": "invalid_token"}, 401)
        return JSONResponse(provider.apart)

    @app.post("/token")
    async def token(request: Request) -> Response:
        form = await request.form()
        shown = b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
        who = tuple(unquote(part) for part in shown.split(":", 1))
        made = provider.codes.pop(str(form["code"]), None)
        challenge = segment(sha256(str(form["code_verifier"]).encode()).digest())
        for wrong, why in (
            (who != (provider.client_id, SECRET), "client"),
            (made is None, "code"),
            (made is not None and made["redirect_uri"] != form["redirect_uri"], "redirect_uri"),
            (made is not None and made["code_challenge"] != challenge, "pkce"),
        ):
            if wrong:
                provider.refused.append(why)
                return JSONResponse({"error": "invalid_grant"}, 400)
        assert made is not None
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": provider.token(made["nonce"])})

    return app
