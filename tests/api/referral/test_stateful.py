"""Any order of any action by two structures, herself, an outsider and faults: what must hold, holds after every step.

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
from api.referral.her import HEADER, PICTURES, Card, at_the_door, card
from api.referral.world import (
    BODIES,
    FAMILY,
    GIVEN,
    NOTE,
    OUTSIDER,
    PHONE,
    RECIPIENT,
    SENDER,
    WORDS,
    Handover,
    Structure,
    World,
    a_consent,
    a_draft,
    key,
    opened,
)
from hypothesis import HealthCheck, Phase, settings
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
from relais_referral.domain.deadlines import ZONE
from relais_referral.domain.handshake import (
    HANDED_OVER,
    UNDOABLE,
    WAITING,
    Action,
    Party,
    Slip,
    Standing,
    State,
    decide,
)
from relais_referral.domain.refusals import ConsentMissing, IllegalAction, NotYourTurn
from relais_shared.client import ASGITransport, Client

EXAMPLES = int(os.environ.get("RELAIS_EXAMPLES", "4"))
STEPS = 30

CATEGORIES = ("identity", "contact", "needs", "notes")
TELLING = {"identity": (GIVEN, FAMILY), "contact": (PHONE,), "notes": (NOTE,)}
"""What tells that a category was opened, wherever it stands in an answer."""

STEPS_OF_THE_TABLE = [action for action in Action if action is not Action.REDIRECT]
OPEN = {State.ACCEPTED, State.MEETING_PLANNED, State.HANDED_OVER, State.CLOSED}


TRIED: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
    *(
        ("GET", path, None)
        for path in (
            "",
            "/events",
            "/consents",
            "/disclosures",
            "/messages",
            "/documents",
            "/meetings",
            "/tasks",
            "/access",
        )
    ),
    *(("POST", f"/{action}", body) for action, body in BODIES.items()),
    ("PATCH", "", {"urgency": "none"}),
    ("PUT", "/external_ids", {"dossier": "A-1"}),
    ("POST", "/consents", a_consent("needs")),
    ("POST", "/messages", {"words": "Bonjour"}),
    ("POST", "/access", {"code": PICTURES, "level": "full"}),
)
"""What an outsider tries below a referral, one after the other."""

NAMES = {SENDER.id: SENDER.name, RECIPIENT.id: RECIPIENT.name}


class Referral:
    """What the model knows of one referral."""

    def __init__(self, id_: str, card: Card) -> None:
        self.id = id_
        self.card = card
        self.hidden = False
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
    """Two structures, the person, an outsider, a clock and faults."""

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
        """Answer a client of a structure."""
        return self._kept(structure.name, lambda: self.world.as_(structure))

    @property
    def door(self) -> Client:
        """Answer the client that stands at her door and shows nothing of itself."""
        return self._kept("door", lambda: at_the_door(self.world))

    def _kept(self, name: str, opened: Callable[[], Client]) -> Client:
        """Answer a client that is told of a failure as the outside is: by an answer."""
        if name not in self.clients:
            client = opened()
            client._transport = ASGITransport(self.world.app, raise_app_exceptions=False)  # noqa: SLF001 - httpx has no other way to change it
            self.clients[name] = client
        return self.clients[name]

    def session(self, referral: Referral) -> dict[str, str]:
        """Open her session with her card of a referral, and answer the header that shows it."""
        answer = self.run(self.door.post("/v1/person/session", json=referral.card.shown()))
        assert answer.status_code == 201, answer.text
        return {HEADER: answer.json()["session"]}

    def call(self, client: Client, method: str, path: str, **options: Any) -> httpx.Response:
        """Call the app, and let what was asked to fail, fail."""
        with pytest.MonkeyPatch.context() as patch:
            if self.fault:
                patch.setattr(store.trail, "add_event", _break_off)
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
            place = Handover(self.as_(SENDER), self.as_(RECIPIENT), RECIPIENT, answer.json()["id"])
            self.referrals.append(Referral(place.id, self.run(card(place))))
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

    @precondition(lambda self: self.referrals)
    @rule(
        data=st.data(), action=st.sampled_from([Action.PAUSE, Action.RESUME, Action.CONFIRM_HANDOVER, Action.WITHDRAW])
    )
    def she_acts(self, data: st.DataObject, action: Action) -> None:
        """Let her take a step by her own session; what she said already she may say again, and nothing changes."""
        referral = data.draw(st.sampled_from(self.referrals))
        standing, hers = referral.standing(self.now), self.session(referral)
        answer = self.call(self.door, "POST", f"/v1/person/referrals/{referral.id}/{action}", headers=hers, json={})
        if answer.status_code >= 500:
            return
        said_already = {
            Action.PAUSE: referral.paused,
            Action.RESUME: not referral.paused,
            Action.CONFIRM_HANDOVER: Party.PERSON in referral.confirmed,
            Action.WITHDRAW: referral.state is State.WITHDRAWN,
        }
        if said_already[action]:
            assert answer.status_code == 200, answer.text
            return
        if answer.status_code != 200:
            assert answer.status_code == 409, answer.text
            assert not _possible(standing, action, Party.PERSON)
            return
        step = decide(standing, action, parties=frozenset({Party.PERSON}))
        assert answer.json()["state"] == step.target
        self._follow(referral, step.action, step.by, step.target, step.event)

    @precondition(lambda self: self.referrals)
    @rule(data=st.data(), hidden=st.booleans())
    def she_hides_or_shows_a_line(self, data: st.DataObject, *, hidden: bool) -> None:
        """Let her hide her need's words from the other side, or show them again."""
        referral = data.draw(st.sampled_from(self.referrals))
        body = {"theme": "childcare", "words": WORDS, "hidden": hidden}
        path, hers = f"/v1/person/referrals/{referral.id}/hidden", self.session(referral)
        answer = self.call(self.door, "PUT", path, headers=hers, json=body)
        if answer.status_code == 200:
            referral.hidden = hidden
        else:
            assert answer.status_code >= 500, answer.text

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
            before = self._looks(referral)
            answer = self.run(self.client(Party.RECIPIENT).get(referral.place))
            if referral.state is State.DRAFT:
                assert answer.status_code == 404
                assert self._looks(referral) == before
                continue
            assert answer.status_code == 200, answer.text
            agreed = referral.categories(self.now)
            opened = agreed if referral.state in OPEN else frozenset()
            for category, words in TELLING.items():
                assert any(word in answer.text for word in words) == (category in opened), category
            early = "needs" in agreed and referral.state in OPEN | WAITING and not referral.hidden
            assert (WORDS in answer.text) == early
            self._disclosed(referral, answer, before)

    def _looks(self, referral: Referral) -> dict[UUID, asyncpg.Record]:
        """Answer what is on record of what the recipient was shown."""
        query = "select * from disclosure where referral_id = $1 and organisation_id = $2 and consent_id is not null"
        return {row["id"]: row for row in self.run(self.admin.fetch(query, UUID(referral.id), RECIPIENT.id))}

    def _disclosed(self, referral: Referral, answer: httpx.Response, before: dict[UUID, asyncpg.Record]) -> None:
        """See that this one reading wrote one row, with what it opened, under the consent in force."""
        body = answer.json()
        opened_now = {name for name in ("identity", "contact") if name in body.get("person", {})}
        opened_now |= {name for name in ("notes", "constraints") if name in body}
        opened_now |= {"needs"} if any("words" in line for line in body.get("needs", ())) else set()
        new = [row for id_, row in self._looks(referral).items() if id_ not in before]
        said = [(set(row["categories"]), str(row["consent_id"])) for row in new]
        assert said == ([(opened_now, referral.in_force)] if opened_now else []), opened_now

    @invariant()
    def she_reads_everything_and_who_read_it(self) -> None:
        """In every state she reads all that is hers, and one line for each structure and day that read it."""
        if not self.referrals:
            return
        referral = self.referrals[self.turn % len(self.referrals)]
        hers, place = self.session(referral), f"/v1/person/referrals/{referral.id}"
        whole = self.run(self.door.get(place, headers=hers))
        assert whole.status_code == 200, whole.text
        assert not [word for word in (GIVEN, FAMILY, PHONE, WORDS, NOTE) if word not in whole.text]
        readers = self.run(self.door.get(f"{place}/readers", headers=hers)).json()["items"]
        query = "select at, organisation_id from disclosure where referral_id = $1"
        rows = self.run(self.admin.fetch(query, UUID(referral.id)))
        lines = {(NAMES[row["organisation_id"]], row["at"].astimezone(ZONE).date().isoformat()) for row in rows}
        assert sorted((line["organisation"], line["day"]) for line in readers) == sorted(lines)

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
            self._told_alike(referral, row, said)

    def _told_alike(self, referral: Referral, row: asyncpg.Record, said: list[chain.Event]) -> None:
        """See that the events say of agreements, words and pauses what the rows say."""
        states = self.run(
            self.admin.fetch("select consent_id, status from consent_state where referral_id = $1", UUID(referral.id))
        )
        told = {
            kind: [event.data["consent_id"] for event in said if event.type == f"consent.{kind}"]
            for kind in ("given", "withdrawn")
        }
        assert {str(state["consent_id"]) for state in states} == set(referral.consents)
        assert set(told["given"]) <= set(referral.consents)
        withdrawn = {str(state["consent_id"]) for state in states if state["status"] == "withdrawn"}
        assert withdrawn <= set(told["withdrawn"])
        types = [event.type for event in said]
        assert types.count("referral.handover_confirmed") + types.count(HANDED_OVER) >= len(referral.confirmed)
        assert set(row["confirmations"]) == {str(party) for party in referral.confirmed}
        assert (row["paused_at"] is not None) == referral.paused

    @invariant()
    def outsiders_learn_nothing(self) -> None:
        """An outsider is told of a referral what it is told of an id that does not exist, whatever it tries."""
        outsider = self.as_(OUTSIDER)
        self.turn += 1
        if not self.referrals:
            return
        method, path, body = TRIED[self.turn % len(TRIED)]
        referral = self.referrals[self.turn % len(self.referrals)]
        self._alike(outsider, method, f"/v1/referrals/{{}}{path}", referral.id, json=body)
        if referral.in_force:
            self._alike(outsider, "POST", "/v1/consents/{}/withdraw", referral.in_force, json={})
        self._alike(self.door, "GET", "/v1/person/referrals/{}", referral.id, status=401)
        other = self.referrals[self.turn % len(self.referrals) - 1]
        if other is not referral:
            hers = self.session(other)
            self._alike(self.door, "GET", "/v1/person/referrals/{}", referral.id, headers=hers)
        for path in ("/v1/referrals", "/v1/tasks"):
            assert self.run(outsider.get(path)).json()["items"] == []
        counts: dict[str, Any] = self.run(outsider.get("/v1/referrals/counts")).json()
        assert not any(counts.values())

    def _alike(self, client: Client, method: str, path: str, id_: str, *, status: int = 404, **options: Any) -> None:
        options["headers"] = {**key(), "If-Match": '"1"', **options.get("headers", {})}
        there = self.run(client.request(method, path.format(id_), **options))
        nowhere = self.run(client.request(method, path.format(uuid4()), **options))
        assert there.status_code == nowhere.status_code == status, there.text
        assert _without_trace(there) == _without_trace(nowhere)

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
                # The same walks at each submission; others where more are asked for.
                derandomize="RELAIS_EXAMPLES" not in os.environ,
                suppress_health_check=list(HealthCheck),
                # A walk costs seconds: to make a failing one shorter would take longer than to read it.
                phases=(Phase.generate,),
                print_blob=True,
            ),
        )
