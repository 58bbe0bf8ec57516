"""The referral app with its neighbours: a directory of a few services, some organisations, and their callers."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote
from uuid import UUID, uuid4

import httpx
import orjson
from fastapi import FastAPI
from joserfc.jwk import OKPKey
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send

from relais_local.databases import Access
from relais_referral.actions.sequencing import sequence
from relais_referral.app import create_app
from relais_referral.settings import ReferralSettings
from relais_shared.auth import Actor, Keyring, system
from relais_shared.client import ASGITransport, Client, open_client

SEND, RECEIVE = "referral:send", "referral:receive"
BOTH = frozenset({SEND, RECEIVE})
HELD = BOTH | {"directory:read", "webhook:manage"}
"""What the organisations of these tests are granted; a caller shows both of a referral's unless told."""

GIVEN, FAMILY, PHONE = "Amina-Essai", "Benali-Essai", "0470 11 22 33"
WORDS, NOTE, PLACE = "une place avant lundi", "elle dort mal depuis avril", "sous le platane"
HERS = (GIVEN, FAMILY, PHONE, "470112233", WORDS, NOTE, PLACE)
"""What is hers in the referrals of these tests."""


@dataclass(frozen=True)
class Structure:
    """An organisation of these tests, with the one service that it gives."""

    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    id: UUID = field(default_factory=uuid4)
    service_id: UUID = field(default_factory=uuid4)
    service: dict[str, Any] = field(default_factory=dict)

    def organisation(self) -> dict[str, Any]:
        """Answer it as the gateway's registry tells it."""
        usual = {"scopes": sorted(HELD), "secrecy": "professional", "agreement": True}
        return {"id": str(self.id), "name": self.name, **usual, **self.facts}

    def offers(self) -> dict[str, Any]:
        """Answer its service as the directory tells it."""
        usual = {"can_receive": "relais", "status": "active", "sensitive": False}
        owner = {"id": str(self.id), "name": self.name}
        return {
            "id": str(self.service_id),
            "name": f"Accueil {self.name}",
            "organisation": owner,
            **usual,
            **self.service,
        }


SENDER = Structure("Depart")
RECIPIENT = Structure("Creche")
OUTSIDER = Structure("Ailleurs")
SANCTIONING = Structure("Controle", {"may_sanction": True})
UNBOUND = Structure("Club", {"secrecy": "none"})
SENSITIVE = Structure("Abri", service={"sensitive": True})
DESK = {"name": "Zoé Maes", "phone": "071 00 00 09", "email": None}
BY_PHONE = Structure(
    "Guichet",
    service={"can_receive": "phone_only", "phones": [{"number": "071 00 00 08"}], "relay_contact": DESK},
)
IMPORTED = Structure("Nid", service={"can_receive": "guest", "email": "accueil@nid.example"})
"""It stands in the directory alone: its organisation has no account."""
RETIRED = Structure("Ferme", service={"status": "retired"})
UNSIGNED = Structure("Nouveau", {"agreement": False})
WITHOUT_ACCOUNT = Structure("Voisin", {"scopes": []})
PRACTISING = Structure("Ecole", {"practice": True})
THIRD = Structure("Garage")
STRUCTURES = (
    SENDER, RECIPIENT, OUTSIDER, SANCTIONING, UNBOUND, SENSITIVE,
    BY_PHONE, RETIRED, UNSIGNED, WITHOUT_ACCOUNT, PRACTISING, THIRD,
)  # fmt: skip
HOMES = {
    "be:52011": {"name": "Charleroi", "province": "Hainaut", "population": 200_000},
    "be:73028": {"name": "Herstappe", "province": "Limbourg", "population": 79},
}
THEMES = {"childcare": False, "mobility": False, "support--health": True}


class Directory:
    """A directory that answers as the real one does for what the referral app asks (design 4)."""

    def __init__(self, structures: Sequence[Structure] = STRUCTURES) -> None:
        self.services = {str(one.service_id): one.offers() for one in (*structures, IMPORTED)}
        self.cards: list[dict[str, Any]] = []
        self.changed: list[dict[str, Any]] = []
        self.up = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        del receive
        status, body = self._answer(scope["path"], scope["query_string"].decode())
        head = {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"application/json")],
        }
        await send(head)
        await send({"type": "http.response.body", "body": orjson.dumps(body)})

    def _answer(self, path: str, query: str) -> tuple[int, object]:
        if not self.up:
            return 503, {}
        if path == "/healthz":
            return 200, {"status": "alive"}
        if path == "/v1/directory/themes":
            items = [
                {"slug": slug, "sensitive": sensitive, "labels": {"fr": slug}} for slug, sensitive in THEMES.items()
            ]
            return 200, {"items": items}
        if path == "/v1/directory/search":
            return 200, {"items": self.cards}
        if path == "/v1/directory/changes":
            return self._changes(parse_qs(query))
        kind, _, id_ = path.removeprefix("/v1/directory/").partition("/")
        found = {"services": self.services, "places": HOMES}.get(kind, {}).get(unquote(id_))
        return (200, found) if found else (404, {})

    def _changes(self, asked: dict[str, list[str]]) -> tuple[int, object]:
        since, limit = int(asked.get("since", ["0"])[0]), int(asked["limit"][0])
        if since > len(self.changed):
            return 422, {}
        items = self.changed[since : since + limit]
        cursor = str(since + len(items)) if since + len(items) else None
        return 200, {"items": items, "more": since + limit < len(self.changed), "next_cursor": cursor}


class Asserted(httpx.Auth):
    """Signs each request for one actor with the gateway's key: an assertion lives a minute only."""

    def __init__(self, gateway: Keyring, actor: Actor) -> None:
        self._gateway = gateway
        self._actor = actor

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Show the assertion."""
        request.headers["Authorization"] = f"Bearer {self._gateway.sign('referral', self._actor)}"
        yield request


@dataclass
class World:
    """The running app, its database and directory, and the gateway's key to call it with."""

    app: FastAPI
    database: Access
    directory: Directory
    gateway: Keyring
    clients: list[Client] = field(default_factory=list)

    def anonymous(self, auth: httpx.Auth | None = None) -> Client:
        """Answer a client toward the app."""
        client = open_client("http://referral", transport=ASGITransport(self.app), timeout_s=30)
        client.auth = auth  # type: ignore[assignment]  # None is taken, and means nobody
        self.clients.append(client)
        return client

    def as_(self, structure: Structure, *scopes: str) -> Client:
        """Answer a client that acts for a structure, with both scopes unless told."""
        name = f"client:{structure.name.lower()}"
        actor = Actor("client", name, structure.id, structure.name, frozenset(scopes) or BOTH)
        return self.anonymous(Asserted(self.gateway, actor))

    async def tell_registry(self, version: int = 1, **changed: dict[str, Any]) -> None:
        """Push the registry as the gateway does; facts of some, by name, are other than usual."""
        client = self.anonymous(Asserted(self.gateway, system("gateway")))
        told = [one.organisation() | changed.get(one.name, {}) for one in STRUCTURES]
        snapshot = {"version": version, "organisations": told}
        answer = await client.put("/internal/registry", json=snapshot)
        assert answer.json() == {"taken": True}, answer.text

    async def sequenced(self) -> None:
        """Let the worker give positions to what was committed."""
        await sequence(self.app.state.database, datetime.now(UTC))

    def between(self, sender: Structure, recipient: Structure) -> "Handover":
        """Answer a hand-over to walk, not yet opened."""
        return Handover(self.as_(sender), self.as_(recipient), recipient)


@asynccontextmanager
async def opened(database: Access, version: int = 1) -> AsyncIterator[World]:
    """Run the app on a database, with a version of the registry told; `RELAIS_HOME` stands in the environment."""
    directory = Directory()
    # Nobody listens on port 9: the registry is pushed here, never pulled.
    settings = ReferralSettings.load(
        dsn=SecretStr(database.dsn),
        gateway_url="http://127.0.0.1:9",
        directory_url="http://directory",
        webhook_loopback=True,
    )
    app = create_app(settings, directory=ASGITransport(directory))
    private = OKPKey.import_key(orjson.loads((settings.home / "keys" / "gateway.jwk").read_bytes()))
    world = World(app, database, directory, Keyring("gateway", private, {}))
    async with app.router.lifespan_context(app):
        await world.tell_registry(version)
        yield world
        for client in world.clients:
            await client.aclose()


def key() -> dict[str, str]:
    """Answer a header with a new Idempotency-Key."""
    return {"Idempotency-Key": f'"{uuid4()}"'}


def if_match(answer: httpx.Response) -> dict[str, str]:
    """Answer the header that says: as I read it here."""
    return {"If-Match": answer.headers["etag"]}


def a_draft(recipient: Structure, /, **changes: Any) -> dict[str, Any]:
    """Answer the body of a new referral, as the design's appendix shows it."""
    body: dict[str, Any] = {
        "recipient": {"organisation_id": str(recipient.id), "service_id": str(recipient.service_id)},
        "counsellor": {"name": "Ana Lopes", "email": "ana@depart.example", "phone": "071 00 00 01"},
        "person": {
            "identity": {"given_name": GIVEN, "family_name": FAMILY, "birth_date": "1991-05-04"},
            "contact": {"phone": PHONE, "preferred": "phone"},
            "area": {"municipality": "be:52011", "postcode": "6000"},
            "languages": ["fr"],
        },
        "needs": [{"theme": "childcare", "words": WORDS}],
        "constraints": [PLACE],
    }
    return {**body, **changes}


def a_consent(*categories: str, **changes: Any) -> dict[str, Any]:
    """Answer the body of a consent to these categories; to who she is, how she is reached and what she needs."""
    return {
        "purposes": ["referral"],
        "data_categories": list(categories) or ["identity", "contact", "needs"],
        "method": "in_person_oral",
        "language": "fr",
        "notice_version": "2026-1",
        "collected_by": "Ana Lopes",
        "given_at": datetime.now(UTC).isoformat(),
        **changes,
    }


BEN = {"counsellor": {"name": "Ben Noel", "phone": "071 00 00 02"}}
BODIES: dict[str, dict[str, Any]] = {
    "propose": {},
    "receive": BEN,
    "accept": BEN,
    "decline": {"reason": "no_place", "words": "Complet jusque mai."},
    "release": {"reason": "hours"},
    "plan_meeting": {"to_be_agreed": True},
    "replan": {"to_be_agreed": True, "mode": "call"},
    "confirm_handover": {},
    "close": {"outcome": "under_way"},
    "undo": {},
    "reopen": {},
    "pause": {},
    "resume": {},
    "agree_by_phone": {"colleague": "Ben Noel"},
    "cancel": {},
    "withdraw": {},
}
"""The least that each step brings along."""


@dataclass
class Handover:
    """One hand-over, walked by real actions only."""

    sender: Client
    recipient: Client
    to: Structure
    id: str = ""
    consent_id: str = ""

    @property
    def place(self) -> str:
        """Where it is."""
        return f"/v1/referrals/{self.id}"

    async def open(self, **changes: Any) -> httpx.Response:
        """Open it as a draft."""
        answer = await self.sender.post("/v1/referrals", headers=key(), json=a_draft(self.to, **changes))
        assert answer.status_code == 201, answer.text
        self.id = answer.json()["id"]
        return answer

    async def agree(self, *categories: str, **changes: Any) -> httpx.Response:
        """Record her agreement."""
        answer = await self.sender.post(f"{self.place}/consents", headers=key(), json=a_consent(*categories, **changes))
        assert answer.status_code == 201, answer.text
        self.consent_id = answer.json()["id"]
        return answer

    async def step(self, client: Client, action: str, **changes: Any) -> httpx.Response:
        """Take a step as a side, on the version that it reads now."""
        seen = await client.get(self.place)
        return await client.post(f"{self.place}/{action}", headers=if_match(seen), json={**BODIES[action], **changes})

    async def walk(self, *steps: str) -> httpx.Response:
        """Take steps in order: `r.accept` is the recipient's, all others the sender's; each must succeed."""
        answer = None
        for step in steps:
            side, _, action = step.rpartition(".")
            answer = await self.step(self.recipient if side == "r" else self.sender, action)
            assert answer.status_code == 200, answer.text
        assert answer is not None
        return answer

    async def proposed(self, *categories: str, **changes: Any) -> "Handover":
        """Open it, record her agreement, and propose."""
        await self.open(**changes)
        await self.agree(*categories)
        await self.walk("propose")
        return replace(self)


PATHS: dict[str, tuple[str, ...]] = {
    "draft": (),
    "proposed": ("propose",),
    "received": ("propose", "r.receive"),
    "accepted": ("propose", "r.accept"),
    "meeting_planned": ("propose", "r.accept", "r.plan_meeting"),
    "handed_over": ("propose", "r.accept", "confirm_handover", "r.confirm_handover"),
    "closed": ("propose", "r.accept", "confirm_handover", "r.confirm_handover", "r.close"),
    "declined": ("propose", "r.decline"),
    "cancelled": ("propose", "cancel"),
    "withdrawn": ("propose", "withdraw"),
}
"""How each state is reached."""


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Answer the status and the last part of the type of a refusal."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert document["status"] == answer.status_code
    return answer.status_code, document["type"].rpartition("/")[2]


Worlds = AsyncGenerator[World, None]
