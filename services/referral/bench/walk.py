"""One hand-over, walked by real calls: what each step sends, and every row that it wrote."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import orjson

from relais_gateway.exchange import Exchange, Header, request_head
from relais_gateway.upstream import Instance
from relais_shared.auth import Actor, Keyring

Rows = dict[tuple[Any, ...], dict[str, Any]]
"""The rows of one table, by primary key."""

TABLES = {
    "referral": ("id",),
    "sealed_part": ("referral_id", "part"),
    "consent": ("id",),
    "consent_state": ("consent_id",),
    "event": ("referral_id", "number"),
    "disclosure": ("id",),
    "task": ("id",),
    "idempotency": ("organisation_id", "route", "key"),
}
"""What a hand-over writes, owners first, by their keys."""

BEN = {"counsellor": {"name": "Ben Noel", "phone": "071 00 00 02"}}


@dataclass(frozen=True)
class Step:
    """One call of the walk.

    Attributes:
        name: What it does.
        receives: The recipient makes it; else the sender.
        method: GET or POST.
        path: After `/v1/referrals`, with `{id}`.
        body: What it sends.
        status: What it is answered with.
    """

    name: str
    receives: bool
    method: str
    path: str
    body: Any = None
    status: int = 200

    @property
    def keyed(self) -> bool:
        """Answer whether it makes something, under a key of its own; other steps name the version that was read."""
        return self.status == 201


def steps(recipient_id: UUID, service_id: UUID, theme: str) -> list[Step]:
    """Answer the walk from the draft to the last reading."""
    now = datetime.now(UTC)
    draft = {
        "recipient": {"organisation_id": str(recipient_id), "service_id": str(service_id)},
        "counsellor": {"name": "Ana Lopes", "email": "ana@depart.example", "phone": "071 00 00 01"},
        "person": {
            "identity": {"given_name": "Amina-Mesure", "family_name": "Benali-Mesure", "birth_date": "1991-05-04"},
            "contact": {"phone": "0470 11 22 33", "preferred": "phone"},
            "area": {"municipality": "be:52011", "postcode": "6000"},
            "languages": ["fr"],
        },
        "needs": [{"theme": theme, "words": "une place avant lundi"}],
        "constraints": ["le matin"],
    }
    agreed = {
        "purposes": ["referral", "feedback"],
        "data_categories": ["identity", "contact", "needs"],
        "method": "in_person_oral",
        "language": "fr",
        "notice_version": "2026-1",
        "collected_by": "Ana Lopes",
        "given_at": now.isoformat(),
    }
    met = {"starts_at": (now + timedelta(days=2)).isoformat(), "mode": "visit", "place": "Accueil, rez-de-chaussée"}
    return [
        Step("create draft", False, "POST", "", draft, 201),
        Step("consent", False, "POST", "/{id}/consents", agreed, 201),
        Step("propose", False, "POST", "/{id}/propose", {}),
        Step("receive", True, "POST", "/{id}/receive", BEN),
        Step("accept", True, "POST", "/{id}/accept", BEN),
        Step("plan meeting", True, "POST", "/{id}/plan_meeting", met),
        Step("confirm, sender", False, "POST", "/{id}/confirm_handover", {}),
        Step("confirm, recipient", True, "POST", "/{id}/confirm_handover", {}),
        Step("close", True, "POST", "/{id}/close", {"outcome": "completed", "words": "Deux jours par semaine."}),
        Step("read", True, "GET", "/{id}"),
    ]


@dataclass(frozen=True)
class Seen:
    """One step as it was taken for real: what was sent and answered, and the rows before and after."""

    step: Step
    version: str
    answer: bytes
    before: dict[str, Rows]
    after: dict[str, Rows]

    def written(self) -> Iterator[tuple[str, dict[str, Any] | None, dict[str, Any]]]:
        """Answer what the step wrote: the table, the row before (None: it is new), the row after."""
        for table in TABLES:
            for key, row in self.after[table].items():
                was = self.before[table].get(key)
                if was != row:
                    yield table, was, row


@dataclass(frozen=True)
class Parties:
    """Who calls: the two sides of every hand-over that is measured."""

    keyring: Keyring
    sender: Actor
    recipient: Actor

    def token(self, step: Step) -> str:
        """Answer an assertion of whoever takes the step."""
        return self.keyring.sign("referral", self.recipient if step.receives else self.sender)


async def seen(url: str, parties: Parties, walk: Sequence[Step], admin_dsn: str) -> tuple[UUID, list[Seen]]:
    """Take the walk once, and answer the referral and what each step sent, answered and wrote."""
    admin = await asyncpg.connect(admin_dsn)
    id_, found, version = "", [], ""
    keys = await _rows(admin, None)
    async with httpx.AsyncClient(base_url=url) as client:
        for step in walk:
            before = await _rows(admin, UUID(id_) if id_ else None, keys)
            headers = {"Authorization": f"Bearer {parties.token(step)}", "Content-Type": "application/json"}
            headers |= {"Idempotency-Key": f'"{uuid4()}"'} if step.keyed else {"If-Match": version}
            body = orjson.dumps(step.body) if step.body is not None else None
            place = f"/v1/referrals{step.path.format(id=id_)}"
            answer = await client.request(step.method, place, headers=headers, content=body)
            assert answer.status_code == step.status, answer.text
            id_ = id_ or answer.json()["id"]
            found.append(Seen(step, version, answer.content, before, await _rows(admin, UUID(id_), keys)))
            version = answer.headers["etag"]
    await admin.close()
    return UUID(id_), found


async def _rows(
    admin: asyncpg.Connection, referral_id: UUID | None, known: dict[str, Rows] | None = None
) -> dict[str, Rows]:
    """Answer the rows of one referral; of repeated requests, those that were not there at first."""
    found: dict[str, Rows] = {}
    for table, keys in TABLES.items():
        of = {"referral": "id = $1", "idempotency": "$1::uuid is null or true"}.get(table, "referral_id = $1")
        rows = await admin.fetch(f"select * from {table} where {of}", referral_id)  # noqa: S608 - our own names
        by_key = {tuple(row[key] for key in keys): dict(row) for row in rows}
        old = known[table] if known and table == "idempotency" else {}
        found[table] = {key: row for key, row in by_key.items() if key not in old}
    return found


class Caller:
    """Takes steps of many hand-overs over kept connections, as measured from outside.

    Args:
        url: Of the service, or of the other side.
        parties: Whose assertions are shown; None toward the other side, which asks nobody.
        taken: The walk as it was taken once: the versions that each step names.
    """

    def __init__(self, url: str, parties: Parties | None, taken: Sequence[Seen]) -> None:
        self._server = Instance("bench", url)
        self._parties = parties
        self._bodies = [orjson.dumps(one.step.body) if one.step.body is not None else b"" for one in taken]
        self._taken = taken

    async def take(self, number: int, id_: str) -> tuple[float, str]:
        """Take a step; answer its seconds and the referral."""
        one = self._taken[number]
        step, body = one.step, self._bodies[number]
        headers: list[Header] = [(b"host", self._server.authority), (b"content-length", b"%d" % len(body))]
        if body:
            headers.append((b"content-type", b"application/json"))
        if self._parties is not None:
            headers.append((b"authorization", f"Bearer {self._parties.token(step)}".encode()))
        if step.keyed:
            headers.append((b"idempotency-key", f'"{uuid4()}"'.encode()))
        else:
            headers.append((b"if-match", one.version.encode()))
        if self._parties is None:
            # The other side is told which referral it shall be.
            id_ = id_ or str(uuid4())
            target = f"/{number}/{id_}"
        else:
            target = f"/v1/referrals{step.path.format(id=id_)}"
        began = time.perf_counter()
        exchange = await self._server.take()
        status, answer = await _call(exchange, request_head(step.method, target.encode(), headers) + body)
        seconds = time.perf_counter() - began
        assert status == step.status, (status, step.name, answer)
        self._server.give_back(exchange)
        return seconds, id_ or str(orjson.loads(answer)["id"])

    def close(self) -> None:
        """Close the connections."""
        self._server.close()


async def _call(exchange: Exchange, request: bytes) -> tuple[int, bytes]:
    exchange.begin(request)
    await exchange.head()
    return exchange.status, b"".join([block async for block in exchange.body()])


def secret_of(home: Path, name: str) -> str:
    """Answer a DSN of a home as asyncpg wants it."""
    return (home / "secrets" / name).read_text().strip().replace("postgresql+asyncpg", "postgresql")
