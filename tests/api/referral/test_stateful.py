"""Any order of any action by two structures, an outsider and faults: what must hold, holds after every step.

The model beside the app knows the referral only by what was answered: its state by the handshake's table, the
agreement in force by what was recorded. `RELAIS_EXAMPLES=2000` walks longer than a submission does.
"""

import asyncio
import json
import os
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from api.referral.world import (
    BODIES,
    FAMILY,
    GIVEN,
    NOTE,
    OUTSIDER,
    PHONE,
    RECIPIENT,
    SENDER,
    Structure,
    World,
    a_consent,
    a_draft,
    key,
    opened,
)
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from relais_local.databases import Access
from relais_referral import store
from relais_referral.domain import chain
from relais_referral.domain.handshake import (
    HANDED_OVER,
    UNDOABLE,
    Action,
    Party,
    Slip,
    Standing,
    State,
    decide,
)
from relais_referral.domain.refusals import ConsentMissing, IllegalAction, NotYourTurn
from relais_shared.client import ASGITransport, Client

EXAMPLES = int(os.environ.get("RELAIS_EXAMPLES", "15"))
STEPS = 30

CATEGORIES = ("identity", "contact", "needs", "notes")
TELLING = {"identity": (GIVEN, FAMILY), "contact": (PHONE,), "notes": (NOTE,)}
"""What tells that a category was opened, wherever it stands in an answer."""

STEPS_OF_THE_TABLE = [action for action in Action if action is not Action.REDIRECT]
OPEN = {State.ACCEPTED, State.MEETING_PLANNED, State.HANDED_OVER, State.CLOSED}


PLACES = ("", "/events", "/consents", "/disclosures", "/messages", "/documents", "/meetings", "/tasks")
"""What an outsider tries below a referral, one after the other."""


class Referral:
    """What the model knows of one referral."""

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.state = State.DRAFT
        self.consents: dict[str, frozenset[str]] = {}
        self.in_force: str | None = None
        self.until: datetime | None = None
        self.confirmed: set[Party] = set()
        self.slip: Slip | None = None
        self.paused = False

    @property
    def place(self) -> str:
        """Where it is."""
        return f"/v1/referrals/{self.id}"

    def categories(self, now: datetime) -> frozenset[str]:
        """Answer what her agreement opens now."""
        if self.in_force is None or (self.until is not None and self.until <= now):
            return frozenset()
        return self.consents[self.in_force]

    def standing(self, now: datetime) -> Standing:
        """Answer it as the table wants it."""
        slip = self.slip if self.slip and self.slip.stands(now) else None
        return Standing(
            self.state,
            consented=bool(self.categories(now)),
            confirmed=frozenset(self.confirmed),
            slip=slip,
            paused=self.paused,
        )


class Machine(RuleBasedStateMachine):
    """Two structures, an outsider, a clock and faults."""

    world: World
    run: Callable[[Coroutine[Any, Any, Any]], Any]
    admin: asyncpg.Connection
    superuser: asyncpg.Connection
    name: str

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime.now(UTC)
        self.world.app.state.clock = lambda: self.now
        self.referrals: list[Referral] = []
        self.looks: dict[str, int] = {}
        self.fault = False
        self.turn = 0
        self.clients: dict[str, Client] = {}

    @initialize(categories=st.sets(st.sampled_from(CATEGORIES), min_size=1))
    def somebody_comes(self, categories: set[str]) -> None:
        """Begin with one draft and her agreement, so that the first steps have something to do."""
        self.create()
        self._agree(self.referrals[0], categories, None)

    def client(self, party: Party) -> Client:
        """Answer the client of a side."""
        return self.as_(SENDER if party is Party.SENDER else RECIPIENT)

    def as_(self, structure: Structure) -> Client:
        """Answer a client of a structure that is told of a failure as the outside is: by an answer."""
        if structure.name not in self.clients:
            client = self.world.as_(structure)
            client._transport = ASGITransport(self.world.app, raise_app_exceptions=False)  # noqa: SLF001 - httpx has no other way to change it
            self.clients[structure.name] = client
        return self.clients[structure.name]

    def call(self, client: Client, method: str, path: str, **options: Any) -> httpx.Response:
        """Call the app, and let what was asked to fail, fail."""
        with pytest.MonkeyPatch.context() as patch:
            if self.fault:
                patch.setattr(store, "add_event", _break_off)
            self.fault = False
            answer: httpx.Response = self.run(client.request(method, path, **options))
        return answer

    @rule()
    def create(self) -> None:
        """Open a draft."""
        if len(self.referrals) >= 3:
            return
        answer = self.call(
            self.client(Party.SENDER), "POST", "/v1/referrals", headers=key(), json=a_draft(RECIPIENT, notes=NOTE)
        )
        if answer.status_code == 201:
            self.referrals.append(Referral(answer.json()["id"]))
        else:
            assert answer.status_code >= 500, answer.text

    @precondition(lambda self: self.referrals)
    @rule(
        data=st.data(),
        categories=st.sets(st.sampled_from(CATEGORIES), min_size=1),
        days=st.none() | st.integers(1, 3),
    )
    def agree(self, data: st.DataObject, categories: set[str], days: int | None) -> None:
        """Record her agreement to some categories, for some days."""
        self._agree(data.draw(st.sampled_from(self.referrals)), categories, days)

    def _agree(self, referral: Referral, categories: set[str], days: int | None) -> None:
        until = self.now + timedelta(days=days) if days else None
        body = a_consent(*sorted(categories), given_at=self.now.isoformat())
        body |= {"valid_until": until.isoformat()} if until else {}
        answer = self.call(self.client(Party.SENDER), "POST", f"{referral.place}/consents", headers=key(), json=body)
        possible = _possible(referral.standing(self.now), Action.CANCEL, Party.SENDER)
        if answer.status_code == 201:
            assert possible
            referral.in_force, referral.until = answer.json()["id"], until
            referral.consents[referral.in_force] = frozenset(categories)
        else:
            assert answer.status_code >= 500 or not possible, answer.text

    @precondition(lambda self: self.referrals)
    @rule(
        data=st.data(),
        party=st.sampled_from([Party.SENDER, Party.RECIPIENT]),
        action=st.sampled_from(STEPS_OF_THE_TABLE),
        stale=st.integers(0, 5),
    )
    def act(self, data: st.DataObject, party: Party, action: Action, stale: int) -> None:
        """Take any step as any side, now and then on an old version."""
        referral = data.draw(st.sampled_from(self.referrals))
        client = self.client(party)
        seen = self.run(client.get(referral.place))
        headers = {**key(), "If-Match": '"0"' if stale == 0 else seen.headers.get("etag", '"1"')}
        answer = self.call(client, "POST", f"{referral.place}/{action}", headers=headers, json=BODIES[action])
        if seen.status_code == 404:
            # A draft is its sender's alone; a failure may come first.
            assert answer.status_code in {404, 403} or answer.status_code >= 500
            return
        standing = referral.standing(self.now)
        if answer.status_code == 200:
            assert stale or action is Action.WITHDRAW
            step = decide(standing, action, parties=frozenset({party}))
            self._follow(referral, step.action, step.by, step.target, step.event)
            return
        if answer.status_code >= 500:
            return
        if stale == 0 and action is not Action.WITHDRAW:
            assert answer.status_code in {412, 403}, answer.text
            return
        assert answer.status_code in {409, 403}, answer.text
        assert not _possible(standing, action, party)

    @precondition(lambda self: self.referrals)
    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        """Take a step that is possible and ends nothing: without this, few walks would get far."""
        referral = data.draw(st.sampled_from(self.referrals))
        standing = referral.standing(self.now)
        ways = [
            (party, action)
            for party in (Party.SENDER, Party.RECIPIENT)
            for action in STEPS_OF_THE_TABLE
            if action not in {Action.CANCEL, Action.WITHDRAW} and _possible(standing, action, party)
        ]
        if not ways:
            return
        party, action = data.draw(st.sampled_from(ways))
        client = self.client(party)
        headers = {**key(), "If-Match": self.run(client.get(referral.place)).headers["etag"]}
        answer = self.call(client, "POST", f"{referral.place}/{action}", headers=headers, json=BODIES[action])
        if answer.status_code >= 500:
            return
        assert answer.status_code == 200, answer.text
        step = decide(standing, action, parties=frozenset({party}))
        assert answer.json()["state"] == step.target
        self._follow(referral, step.action, step.by, step.target, step.event)

    def _follow(self, referral: Referral, action: Action, by: Party, target: State, event: str) -> None:
        if action is Action.CONFIRM_HANDOVER:
            referral.confirmed.add(by)
            assert (event == HANDED_OVER) == (target is State.HANDED_OVER)
        if action is Action.WITHDRAW:
            referral.in_force = None
        if action in {Action.PAUSE, Action.RESUME}:
            referral.paused = action is Action.PAUSE
            return
        referral.slip = Slip(action, by, referral.state, self.now) if action in UNDOABLE else None
        if target is not referral.state and target in {
            State.DECLINED,
            State.CANCELLED,
            State.WITHDRAWN,
            State.CLOSED,
        }:
            referral.paused = False
        referral.state = target

    @precondition(lambda self: any(one.in_force for one in self.referrals))
    @rule(
        data=st.data(),
        party=st.sampled_from([Party.SENDER, Party.RECIPIENT]),
        some=st.sets(st.sampled_from(CATEGORIES)),
    )
    def withdraw(self, data: st.DataObject, party: Party, some: set[str]) -> None:
        """Stop the sharing at her word: of all, or of some categories."""
        referral = data.draw(st.sampled_from([one for one in self.referrals if one.in_force]))
        consent_id = str(referral.in_force)
        body = {"data_categories": sorted(some)} if some else {}
        answer = self.call(self.client(party), "POST", f"/v1/consents/{consent_id}/withdraw", json=body)
        if answer.status_code != 200:
            hidden = party is Party.RECIPIENT and referral.state is State.DRAFT
            assert answer.status_code >= 500 or (hidden and answer.status_code == 404), answer.text
            return
        left = referral.consents[consent_id] - some
        if some and left:
            referral.in_force = answer.json()["id"]
            referral.consents[str(referral.in_force)] = left
            return
        self._follow(referral, Action.WITHDRAW, party, State.WITHDRAWN, "referral.withdrawn")

    @rule(minutes=st.sampled_from([1, 14, 60, 60 * 24, 60 * 24 * 4]))
    def time_passes(self, minutes: int) -> None:
        """Move the clock."""
        self.now += timedelta(minutes=minutes)

    @rule()
    def the_next_call_fails(self) -> None:
        """Let the next change break off after its last write, before it is confirmed."""
        self.fault = True

    @rule()
    def the_database_hangs_up(self) -> None:
        """Cut every connection that waits in the pool, as a restarted PostgreSQL does."""
        self.run(
            self.superuser.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = $1 and application_name = 'relais-referral'",
                self.name,
            )
        )
        # The first call after that may be refused; it is asked again, as every client does.
        for _ in range(20):
            if self.run(self.as_(SENDER).get("/v1/referrals", params={"limit": 1})).status_code == 200:
                break

    @invariant()
    def the_recipient_reads_what_she_agreed_to_and_no_more(self) -> None:
        """Every opened category has its consent, its stage and its disclosure row."""
        for referral in self.referrals:
            answer = self.run(self.client(Party.RECIPIENT).get(referral.place))
            if referral.state is State.DRAFT:
                assert answer.status_code == 404
                continue
            assert answer.status_code == 200, answer.text
            agreed = referral.categories(self.now) if referral.state in OPEN else frozenset()
            for category, words in TELLING.items():
                assert any(word in answer.text for word in words) == (category in agreed), category
            self._disclosed(referral, answer)

    def _disclosed(self, referral: Referral, answer: httpx.Response) -> None:
        body = answer.json()
        opened_now = {name for name in ("identity", "contact") if name in body.get("person", {})}
        opened_now |= {name for name in ("notes", "constraints") if name in body}
        opened_now |= {"needs"} if any("words" in line for line in body.get("needs", ())) else set()
        rows = self.run(
            self.admin.fetch(
                "select categories from disclosure where referral_id = $1 and organisation_id = $2 and consent_id"
                " is not null order by at desc, id",
                UUID(referral.id),
                RECIPIENT.id,
            )
        )
        new = len(rows) - self.looks.get(referral.id, 0)
        self.looks[referral.id] = len(rows)
        if opened_now:
            assert new >= 1
            assert any(set(row["categories"]) == opened_now for row in rows), (opened_now, rows[:3])

    @invariant()
    def state_events_and_row_agree(self) -> None:
        """The chain is whole, its last state is the row's, and the row's is the model's."""
        for referral in self.referrals:
            row = self.run(self.admin.fetchrow("select * from referral where id = $1", UUID(referral.id)))
            events = self.run(
                self.admin.fetch("select * from event where referral_id = $1 order by number", UUID(referral.id))
            )
            assert row["state"] == referral.state
            assert row["event_count"] == len(events)
            said = [_event(event) for event in events]
            assert chain.first_fault(said, head=bytes(row["event_head"]), count=row["event_count"]) is None
            states = [event.data["state"] for event in said if "state" in event.data]
            assert (states[-1] if states else "draft") == row["state"]
            one = self.run(
                self.admin.fetchval(
                    "select count(*) from consent_state where referral_id = $1 and status = 'given'",
                    UUID(referral.id),
                )
            )
            assert one == (1 if referral.in_force else 0)

    @invariant()
    def outsiders_learn_nothing(self) -> None:
        """An outsider is told of a referral what it is told of an id that does not exist."""
        outsider = self.as_(OUTSIDER)
        self.turn += 1
        path = PLACES[self.turn % len(PLACES)]
        for referral in self.referrals:
            there = self.run(outsider.get(referral.place + path))
            nowhere = self.run(outsider.get(f"/v1/referrals/{uuid4()}{path}"))
            assert there.status_code == nowhere.status_code == 404
            assert _without_trace(there) == _without_trace(nowhere)
        assert self.run(outsider.get("/v1/referrals")).json()["items"] == []

    def teardown(self) -> None:
        """Close what the walk opened, and leave the app as it was."""
        for client in self.clients.values():
            self.run(client.aclose())
            self.world.clients.remove(client)
        del self.world.app.state.clock


def _break_off(*_args: Any, **_facts: Any) -> None:
    """Fail after everything was written but the event: then nothing at all may remain."""
    raise RuntimeError("broken off")


def _possible(standing: Standing, action: Action, party: Party) -> bool:
    try:
        decide(standing, action, parties=frozenset({party}))
    except (IllegalAction, NotYourTurn, ConsentMissing):
        return False
    return True


def _event(row: asyncpg.Record) -> chain.Event:
    facts = dict(row)
    return chain.Event(
        referral_id=facts["referral_id"],
        number=facts["number"],
        at=facts["at"],
        type=facts["type"],
        actor=facts["actor"],
        organisation_id=facts["organisation_id"],
        data=facts["data"],
        previous=bytes(facts["previous"]),
        hash=bytes(facts["hash"]),
    )


def _without_trace(answer: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    return {name: value for name, value in body.items() if name != "trace_id"}


def test_whatever_happens_what_must_hold_holds(
    home: Path, databases: Any, fresh_database: Callable[[str], Access]
) -> None:
    del home
    database = fresh_database("referral")

    async def connect(dsn: str) -> asyncpg.Connection:
        connection = await asyncpg.connect(dsn)
        await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
        return connection

    with asyncio.Runner() as runner, ExitStack() as stack:
        world = opened(database)
        Machine.world = runner.run(world.__aenter__())
        stack.callback(lambda: runner.run(world.__aexit__(None, None, None)))
        Machine.run = staticmethod(runner.run)
        Machine.admin = runner.run(connect(database.owner_dsn))
        stack.callback(lambda: runner.run(Machine.admin.close()))
        Machine.superuser = runner.run(connect(databases.admin_dsn))
        stack.callback(lambda: runner.run(Machine.superuser.close()))
        Machine.name = database.dsn.rpartition("/")[2]
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )
