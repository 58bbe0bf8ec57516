"""Reading: lists, what is recorded of each opening, and what stands in the tables."""

import asyncio
from typing import Any

import asyncpg
import pytest
from api.referral.world import (
    FAMILY,
    GIVEN,
    HERS,
    NOTE,
    OUTSIDER,
    PATHS,
    PHONE,
    PLACE,
    RECEIVE,
    RECIPIENT,
    SEND,
    SENDER,
    WORDS,
    Handover,
    World,
    problem,
)
from support.rows import tables

from relais_referral.domain.handshake import State

pytestmark = pytest.mark.anyio


async def some(world: World, *states: str, **changes: Any) -> list[Handover]:
    """Open a referral in each of these states."""
    found = []
    for state in states:
        handover = world.between(SENDER, RECIPIENT)
        await handover.open(notes=NOTE, **changes)
        await handover.agree("identity", "contact", "needs", "notes")
        if PATHS[state]:
            await handover.walk(*PATHS[state])
        found.append(handover)
    return found


async def test_nobody_lists(world: World) -> None:
    assert problem(await world.anonymous().get("/v1/referrals")) == (401, "unauthenticated")
    assert problem(await world.as_(SENDER, "directory:read").get("/v1/referrals")) == (403, "scope-missing")


async def test_the_filters_of_the_list(fresh: World) -> None:
    every = await some(fresh, *State)
    bus = (await some(fresh, "proposed", needs=[{"theme": "mobility"}]))[0]
    ana, ben = fresh.as_(SENDER), fresh.as_(RECIPIENT)

    async def ids(client: Any, **query: Any) -> list[str]:
        answer = await client.get("/v1/referrals", params={"limit": 100, **query})
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]

    by_state = {state: one.id for state, one in zip(State, every, strict=True)}
    # The last changed first.
    newest_first = [bus.id, *reversed(by_state.values())]
    assert await ids(ana) == newest_first
    assert await ids(ben) == [id_ for id_ in newest_first if id_ != by_state[State.DRAFT]]
    assert await ids(ana, role="recipient") == []
    assert await ids(ben, role="sender") == []
    assert await ids(ben, role="recipient", state="proposed") == [bus.id, by_state[State.PROPOSED]]
    assert await ids(ana, state=["closed", "draft"]) == [by_state[State.CLOSED], by_state[State.DRAFT]]
    assert await ids(ana, theme="mobility") == [bus.id]
    assert await ids(ana, theme=["mobility", "childcare"], state="proposed") == [bus.id, by_state[State.PROPOSED]]
    since = (await ana.get(every[-1].place)).json()["updated_at"]
    assert await ids(ana, updated_since=since) == [bus.id, every[-1].id]
    assert await ids(fresh.as_(SENDER, RECEIVE)) == []
    assert await ids(fresh.as_(RECIPIENT, SEND)) == []
    assert await ids(fresh.as_(OUTSIDER)) == []


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0}, {"limit": 101}, {"state": "lost"}, {"role": "person"}, {"colour": "blue"},
        {"cursor": "x"}, {"updated_since": "yesterday"}, {"updated_since": "2026-03-02T12:00:00"}, {"role": "king"},
    ],
)  # fmt: skip
async def test_a_filter_that_is_none_is_refused(world: World, query: dict[str, Any]) -> None:
    answer = await world.as_(SENDER).get("/v1/referrals", params=query)
    assert problem(answer) == (422, "invalid-input")


async def test_walking_the_pages_finds_each_once(fresh: World) -> None:
    handovers = await some(fresh, *(["draft"] * 3), "proposed", "accepted", "declined", "draft")
    ana = fresh.as_(SENDER)
    for limit in (1, 2, 3, 7):
        seen: list[str] = []
        url = f"/v1/referrals?limit={limit}"
        while True:
            page = await ana.get(url)
            seen += [item["id"] for item in page.json()["items"]]
            assert len(page.json()["items"]) <= limit
            if "next_cursor" not in page.json():
                assert "link" not in page.headers
                break
            url, _, relation = page.headers["link"].partition("; ")
            assert relation == 'rel="next"'
            url = url.strip("<>")
        assert seen == [one.id for one in reversed(handovers)]


async def test_a_cursor_of_another_is_no_key(fresh: World) -> None:
    """A position is not a right: with the sender's cursor an outsider still sees its own list, which is empty."""
    await some(fresh, "draft", "draft")
    cursor = (await fresh.as_(SENDER).get("/v1/referrals", params={"limit": 1})).json()["next_cursor"]
    answer = await fresh.as_(OUTSIDER).get("/v1/referrals", params={"cursor": cursor})
    assert answer.json()["items"] == []


@pytest.mark.parametrize("state", PATHS)
async def test_a_list_never_opens_what_is_sealed(fresh: World, state: str) -> None:
    handover = (await some(fresh, state))[0]
    before = len(await _disclosures(handover))
    for client in (handover.sender, handover.recipient):
        listed = await client.get("/v1/referrals")
        assert not [word for word in HERS if word in listed.text]
    assert len(await _disclosures(handover)) == before


async def _disclosures(handover: Handover) -> list[dict[str, Any]]:
    answer = await handover.sender.get(f"{handover.place}/disclosures")
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_each_opening_is_recorded_with_what_it_showed(handover: Handover) -> None:
    await handover.open(notes=NOTE)
    await handover.agree("identity", "contact", "needs", "notes")
    await handover.walk("propose")
    expected = {
        "proposed": ["constraints", "needs"],
        "accepted": ["constraints", "contact", "identity", "needs", "notes"],
        "withdrawn": None,
    }
    for state, categories in expected.items():
        if state == "accepted":
            await handover.walk("r.accept")
        if state == "withdrawn":
            await handover.walk("withdraw")
        before = await _disclosures(handover)
        read = await handover.recipient.get(handover.place)
        after = await _disclosures(handover)
        if categories is None:
            assert after == before
            continue
        assert after[1:] == before
        assert after[0]["categories"] == categories
        assert after[0]["organisation_id"] == str(RECIPIENT.id)
        assert after[0]["actor"] == "client:creche"
        assert after[0]["consent_id"] == handover.consent_id
        assert after[0]["trace_id"] == read.headers["traceresponse"].split("-")[1]
    own = await handover.sender.get(handover.place)
    newest = (await _disclosures(handover))[0]
    assert GIVEN in own.text
    assert (newest["organisation_id"], newest["consent_id"]) == (str(SENDER.id), None)


async def test_no_disclosure_no_data(fresh: World) -> None:
    """Where the record cannot be written, nothing is shown."""
    handover = (await some(fresh, "accepted"))[0]
    owner = await asyncpg.connect(fresh.database.owner_dsn)
    await owner.execute("revoke insert on disclosure from relais_referral")
    with pytest.raises(Exception, match="permission denied"):
        await handover.recipient.get(handover.place)
    await owner.execute("grant insert on disclosure to relais_referral")
    await owner.close()
    assert GIVEN in (await handover.recipient.get(handover.place)).text


async def test_no_table_holds_her_in_clear(fresh: World) -> None:
    for state in ("draft", "meeting_planned", "closed", "declined"):
        handover = fresh.between(SENDER, RECIPIENT)
        await handover.open(
            notes=NOTE,
            situation={"logement": NOTE},
            goal_words=WORDS,
            resources=[PLACE],
            concerned=[{"relation": PLACE, "age_band": "3-5"}],
        )
        await handover.agree("identity", "contact", "needs", "notes", "situation")
        if PATHS[state]:
            await handover.walk(*PATHS[state])
        if state == "closed":
            await handover.step(handover.recipient, "close", words=NOTE)
    rows = await asyncio.to_thread(tables, fresh.database.owner_dsn)
    assert rows["referral"]
    assert rows["sealed_part"]
    for name, texts in rows.items():
        text = "\n".join(texts)
        # PostgreSQL writes bytes as hex: what is not sealed would stand there so.
        shown = [word for word in (*HERS, "1991-05-04", "logement") if word in text or word.encode().hex() in text]
        assert not shown, name


async def test_a_query_without_organisation_sees_nothing(fresh: World) -> None:
    """Row-level security stands behind the checks of the program."""
    handover = (await some(fresh, "accepted"))[0]
    draft = (await some(fresh, "draft"))[0]
    service = await asyncpg.connect(fresh.database.dsn)
    tables = ("referral", "sealed_part", "consent", "consent_state", "disclosure", "event")

    async def counted(organisation: str) -> dict[str, int]:
        await service.execute("select set_config('relais.organisation', $1, false)", organisation)
        return {
            name: await service.fetchval(f"select count(*) from {name}")  # noqa: S608 - our own names
            for name in tables
        }

    assert set((await counted("")).values()) == {0}
    assert set((await counted(str(OUTSIDER.id))).values()) == {0}
    both = await counted(str(SENDER.id))
    recipients = await counted(str(RECIPIENT.id))
    assert all(both.values())
    assert (both["referral"], recipients["referral"]) == (2, 1)
    ids = [row["id"] for row in await service.fetch("select id from referral")]
    assert [str(id_) for id_ in ids] == [handover.id] != [draft.id]
    await service.execute("select set_config('relais.organisation', '', false)")
    assert await service.execute("update referral set state = 'closed'") == "UPDATE 0"
    for forbidden in (
        "delete from referral",
        "delete from event",
        "update consent set record = '{}'",
        "drop table event",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute(forbidden)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute("insert into sealed_part (referral_id, part, content) values ($1, 'x', '')", ids[0])
    await service.close()


@pytest.mark.parametrize("state", PATHS)
async def test_answers_about_her_are_nobodys_to_keep(world: World, state: str) -> None:
    handover = (await some(world, state))[0]
    for path in ("", "/consents", "/disclosures", "/events"):
        answer = await handover.sender.get(f"{handover.place}{path}")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")


async def test_events_and_disclosures_hold_nothing_of_her(handover: Handover) -> None:
    await handover.open(notes=NOTE)
    await handover.agree("identity", "contact", "needs", "notes")
    await handover.walk(*PATHS["closed"])
    for client in (handover.sender, handover.recipient):
        for path in ("events", "disclosures"):
            text = (await client.get(f"{handover.place}/{path}")).text
            assert not [word for word in (*HERS, FAMILY, PHONE) if word in text]
