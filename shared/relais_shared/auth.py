"""Who asks: the signed assertion that every internal call carries, made and checked here alone."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from fastapi import Depends, Request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey

from relais_shared.clock import utc_now
from relais_shared.refusals import ScopeMissing, Unauthenticated
from relais_shared.settings import ServiceSettings, SettingsProblem

TYPE: Final = "relais-assertion+jwt"
LIFE_S: Final = 60
"""An assertion lives a minute at most: long enough to be reused, too short to be worth stealing."""
REUSE_S: Final = 30
"""An assertion is handed out again while at least this much of its life is left."""
LEEWAY_S: Final = 30
"""Clocks of our own machines may differ by this much."""
CACHE: Final = 4_096
"""Assertions remembered, made and checked: more than the callers of one minute."""

DOOR: Final = "gateway"
"""Who alone vouches for others: each of its siblings vouches for itself, so that whoever takes one takes no more."""

Kind = Literal["client", "user", "system", "anonymous"]
"""A partner's system, a person signed in, one of our services, or whoever calls what is open to all."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever acts, as the gateway (or a sibling) vouches for it.

    `id` names the actor for good (`client:…`, `user:…`, `system:referral`); `limits` holds a grant's
    limits by scope (themes, municipalities).

    Attributes:
        name: Of the person signed in; empty for everyone else.
        teams: Ids of the teams that the person signed in belongs to.
        leads: Those of them that this person leads.
        stands_for: The absent colleagues whose deputy this person is today.
        on_behalf_of: The partner's own word for the human whom its system acts for.
    """

    kind: Kind
    id: str
    organisation_id: UUID | None = None
    organisation: str = ""
    scopes: frozenset[str] = frozenset()
    user_id: UUID | None = None
    name: str = field(default="", repr=False)
    teams: tuple[str, ...] = ()
    leads: tuple[str, ...] = ()
    stands_for: tuple[UUID, ...] = ()
    on_behalf_of: str | None = field(default=None, repr=False)
    limits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    issuer: str = ""

    def __hash__(self) -> int:
        """Answer by the id alone: whoever is looked up is mostly the very same, and the rest takes long to look at."""
        return hash(self.id)

    def claims(self) -> dict[str, Any]:
        """Answer the claims of an assertion for this actor."""
        return {
            "sub": self.id,
            "kind": self.kind,
            "org": str(self.organisation_id) if self.organisation_id else None,
            "org_name": self.organisation,
            "scope": " ".join(sorted(self.scopes)),
            "user": str(self.user_id) if self.user_id else None,
            "name": self.name,
            "teams": list(self.teams),
            "leads": list(self.leads),
            "stands_for": [str(each) for each in self.stands_for],
            "obo": self.on_behalf_of,
            "limits": dict(self.limits),
        }

    @classmethod
    def of(cls, claims: Mapping[str, Any]) -> "Actor":
        """Answer the actor that verified claims speak of."""
        return cls(
            kind=claims["kind"],
            id=claims["sub"],
            organisation_id=UUID(claims["org"]) if claims.get("org") else None,
            organisation=claims.get("org_name") or "",
            scopes=frozenset(claims["scope"].split()),
            user_id=UUID(claims["user"]) if claims.get("user") else None,
            name=claims.get("name") or "",
            teams=tuple(claims.get("teams") or ()),
            leads=tuple(claims.get("leads") or ()),
            stands_for=tuple(UUID(each) for each in claims.get("stands_for") or ()),
            on_behalf_of=claims.get("obo"),
            limits=claims.get("limits") or {},
            issuer=claims["iss"],
        )


class Keyring:
    """One service's signing key and the public keys of all: signs and checks assertions.

    Args:
        service: Whose key signs; also the audience that it accepts.
        private: Its Ed25519 key.
        public: The public keys by issuing service.
    """

    def __init__(self, service: str, private: OKPKey, public: Mapping[str, OKPKey]) -> None:
        self.service = service
        self._private = private
        self._public = public
        self._made: dict[tuple[str, Actor], tuple[int, str]] = {}
        self._checked: dict[str, tuple[int, Actor]] = {}

    @classmethod
    def load(cls, settings: ServiceSettings) -> "Keyring":
        """Read the key files below `RELAIS_HOME/keys`.

        Raises:
            SettingsProblem: A file is absent or no key.
        """
        folder = settings.home / "keys"
        own, shared = folder / f"{settings.service}.jwk", folder / "internal.jwks.json"
        try:
            private = OKPKey.import_key(json.loads(own.read_text()))
            known = KeySet.import_key_set(json.loads(shared.read_text()))
        except (OSError, ValueError, JoseError) as fault:
            raise SettingsProblem(
                f"The internal keys {own.name} and {shared.name} are not readable in "
                f"$RELAIS_HOME/keys ({type(fault).__name__}). `relais up` makes them."
            ) from None
        public = {str(key.kid).split(":")[0]: key for key in known.keys if isinstance(key, OKPKey)}
        return cls(settings.service, private, public)

    def sign(self, audience: str, actor: Actor, now: datetime | None = None) -> str:
        """Answer an assertion for `audience`; the same one while it lives and says the same."""
        instant = int((now or utc_now()).timestamp())
        key = (audience, actor)
        made = self._made.get(key)
        if made is not None and made[0] - instant >= REUSE_S:
            return made[1]
        expires = instant + LIFE_S
        header = {"alg": "Ed25519", "typ": TYPE, "kid": self._private.kid}
        claims = actor.claims() | {"iss": self.service, "aud": audience, "iat": instant, "exp": expires}
        token = jwt.encode(header, claims, self._private, algorithms=["Ed25519"])
        _remember(self._made, key, (expires, token))
        return token

    def verify(self, token: str, now: datetime | None = None) -> Actor:
        """Answer who an assertion vouches for.

        Raises:
            Unauthenticated: It is not ours, not for us, not of now, or of a sibling that vouches for somebody else. The
                text does not say which.
        """
        instant = int((now or utc_now()).timestamp())
        known = self._checked.get(token)
        if known is None:
            known = self._judge(token, instant)
            _remember(self._checked, token, known)
        if known[0] + LEEWAY_S < instant:
            raise _unknown()
        return known[1]

    def _judge(self, token: str, instant: int) -> tuple[int, Actor]:
        try:
            claimed = jwt.decode(token, self._key_for, algorithms=["Ed25519"])
            claims = claimed.claims
            fits = (
                claimed.header.get("typ") == TYPE
                and claims["aud"] == self.service
                and claims["iss"] == str(claimed.header["kid"]).split(":")[0]
                and claims["iat"] - LEEWAY_S <= instant
                and claims["exp"] - claims["iat"] <= LIFE_S
            )
            actor = Actor.of(claims)
            if fits and (actor.issuer == DOOR or (actor.kind, actor.id) == ("system", system(actor.issuer).id)):
                return int(claims["exp"]), actor
        except (JoseError, KeyError, ValueError, TypeError):
            pass
        raise _unknown()

    def _key_for(self, guest: Any) -> OKPKey:  # noqa: ANN401 - joserfc's own protocol
        return self._public[str(guest.headers()["kid"]).split(":")[0]]


def _unknown() -> Unauthenticated:
    # A new one each time: an exception that is raised again keeps every frame that it ever passed.
    return Unauthenticated("Show a token that we issued and that is still valid.")


def _remember(memory: dict[Any, Any], key: Any, value: Any) -> None:  # noqa: ANN401 - a bounded dict of anything
    if len(memory) >= CACHE:
        # Emptied rather than ordered: it fills again within a minute, and a full one is rare.
        memory.clear()
    memory[key] = value


def bearer(request: Request) -> str:
    """Answer the bearer token of a request.

    Raises:
        Unauthenticated: There is none, or more than one.
    """
    values = request.headers.getlist("authorization")
    kind, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if kind.lower() != "bearer" or not token:
        raise _unknown()
    return token


def actor_of(request: Request) -> Actor:
    """Answer who asks: the gateway's own door put it in the scope, elsewhere the assertion says it.

    Raises:
        Unauthenticated: No valid assertion.
    """
    known = request.scope.get("relais.actor")
    if isinstance(known, Actor):
        return known
    keyring: Keyring = request.app.state.keyring
    return keyring.verify(bearer(request))


class Guard(ABC):
    """A dependency that judges the caller; its route asks it before the body is read.

    `scopes` stand in the OpenAPI document; none where only a sibling may call.
    """

    scopes: tuple[str, ...] = ()

    @abstractmethod
    async def __call__(self, request: Request) -> Actor:
        """Answer who asks, or refuse."""


class _Requires(Guard):
    """The dependency behind `requires`."""

    def __init__(self, scopes: tuple[str, ...]) -> None:
        self.scopes = scopes

    async def __call__(self, request: Request) -> Actor:
        actor = actor_of(request)
        if not actor.scopes.intersection(self.scopes):
            raise ScopeMissing("Ask your administrator for this right.", scopes=list(self.scopes))
        return actor


class _FromService(Guard):
    """The dependency behind `from_service`."""

    def __init__(self, services: tuple[str, ...]) -> None:
        self._services = services

    async def __call__(self, request: Request) -> Actor:
        actor = actor_of(request)
        if actor.kind != "system" or actor.issuer not in self._services:
            raise _unknown()
        return actor


def requires(*scopes: str) -> Any:  # noqa: ANN401 - FastAPI's marker has no public type
    """Say that an operation needs any one of these scopes.

    Written `Annotated[Actor, requires("directory:read")]`; the caller is judged before its body is read.
    """
    return Depends(_Requires(scopes))


def from_service(*services: str) -> Any:  # noqa: ANN401 - FastAPI's marker has no public type
    """Say that only these siblings may call, as themselves: the `/internal/*` routes."""
    return Depends(_FromService(services))


def system(service: str, *scopes: str) -> Actor:
    """Answer a service acting as itself."""
    return Actor(kind="system", id=f"system:{service}", scopes=frozenset(scopes))


ANONYMOUS: Final = Actor(kind="anonymous", id="anonymous")
"""Whoever calls an operation that is open to all: it holds no scope, so that no guarded operation opens."""


def public(reason: str) -> dict[str, Any]:
    """Answer `openapi_extra=` of an operation that is open to all, with the reason why."""
    return {"x-relais-public": reason, "security": []}
