"""Her agreement: recorded, superseded, ended; it cuts the next read, and its record cannot be touched."""

import asyncio
from datetime import UTC, datetime, timedelta
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
    RECIPIENT,
    SANCTIONING,
    SENDER,
    SENSITIVE,
    UNBOUND,
    WORDS,
    Handover,
    World,
    a_consent,
    if_match,
    key,
    problem,
)

pytestmark = pytest.mark.anyio


async def test_nobody_else_records_it(world: World, handover: Handover) -> None:
    await handover.proposed()
    place = f"{handover.place}/consents"
    assert problem(await world.anonymous().post(place, json=a_consent())) == (401, "unauthenticated")
    eve = await world.as_(OUTSIDER).post(place, headers=key(), json=a_consent())
    assert problem(eve) == (404, "not-found")
    # The recipient may not widen what it reads.
    wider = a_consent("identity", "contact", "needs", "notes", "situation")
    assert problem(await handover.recipient.post(place, headers=key(), json=wider)) == (409, "not-your-turn")


@pytest.mark.parametrize("state", [state for state in PATHS if state not in {"draft", "withdrawn"}])
@pytest.mark.parametrize("side", ["sender", "recipient"])
async def test_a_withdrawal_cuts_the_next_read(world: World, state: str, side: str) -> None:
    """In every state, closed included, through a counsellor of either side."""
    handover = world.between(SENDER, RECIPIENT)
    await handover.open(notes=NOTE)
    await handover.agree("identity", "contact", "needs", "notes")
    await handover.walk(*PATHS[state])
    client = handover.sender if side == "sender" else handover.recipient
    answer = await client.post(f"/v1/consents/{handover.consent_id}/withdraw", json={"method": "phone"})
    assert (answer.status_code, answer.json()["status"]) == (200, "withdrawn"), answer.text
    assert answer.json()["withdrawal_method"] == "phone"
    left = await handover.recipient.get(handover.place)
    assert left.json()["state"] == "withdrawn"
    assert not [word for word in HERS if word in left.text]
    assert answer.headers["etag"] == (await client.get(handover.place)).headers["etag"]
    again = await client.post(f"/v1/consents/{handover.consent_id}/withdraw", json={})
    assert (again.status_code, again.json()) == (200, answer.json())


async def test_withdrawing_the_referral_ends_the_consent(handover: Handover) -> None:
    await handover.open()
    await handover.agree()
    await handover.walk("propose", "r.accept", "withdraw")
    found = (await handover.sender.get(f"{handover.place}/consents")).json()["items"]
    assert [one["status"] for one in found] == ["withdrawn"]
    assert [one["status"] for one in found[0]["status_history"]] == ["given", "withdrawn"]


async def test_a_read_that_meets_a_withdrawal_is_before_it_or_after(world: World) -> None:
    """No read shows her once a withdrawal has answered, however they meet."""
    handover = world.between(SENDER, RECIPIENT)
    await handover.open()
    await handover.agree()
    await handover.walk("propose", "r.accept")
    reads = [world.as_(RECIPIENT).get(handover.place) for _ in range(6)]
    answers = await asyncio.gather(
        *reads[:3], handover.sender.post(f"/v1/consents/{handover.consent_id}/withdraw", json={}), *reads[3:]
    )
    assert [answer.status_code for answer in answers] == [200] * 7
    for answer in answers[:3] + answers[4:]:
        assert (GIVEN in answer.text) == (answer.json()["state"] == "accepted")
    assert GIVEN not in (await handover.recipient.get(handover.place)).text


async def test_a_newer_consent_takes_the_place_of_the_older(handover: Handover) -> None:
    await handover.open(notes=NOTE)
    await handover.agree("identity", "contact", "needs", "notes")
    await handover.walk("propose", "r.accept")
    assert {GIVEN, PHONE, NOTE} <= set(_shown((await handover.recipient.get(handover.place)).text))
    first = handover.consent_id
    await handover.agree("identity")
    read = await handover.recipient.get(handover.place)
    assert set(_shown(read.text)) == {GIVEN, FAMILY, PLACE}
    found = (await handover.sender.get(f"{handover.place}/consents")).json()["items"]
    assert [(one["id"], one["status"]) for one in found] == [(handover.consent_id, "given"), (first, "superseded")]
    # Ending the one that no longer holds ends nothing.
    old = await handover.sender.post(f"/v1/consents/{first}/withdraw", json={})
    assert (old.status_code, old.json()["status"]) == (200, "superseded")
    assert (await handover.recipient.get(handover.place)).json()["state"] == "accepted"


def _shown(text: str) -> list[str]:
    return [word for word in HERS if word in text]


async def test_the_recipient_reads_the_categories_that_she_named(handover: Handover) -> None:
    await handover.open(notes=NOTE)
    await handover.agree("contact", "notes")
    await handover.walk("propose")
    assert _shown((await handover.recipient.get(handover.place)).text) == [PLACE]
    read = await handover.walk("r.accept")
    assert set(_shown(read.text)) == {PHONE, NOTE, PLACE}
    assert WORDS not in read.text
    assert read.json()["needs"] == [{"theme": "childcare"}]


async def test_it_runs_out_at_its_instant(fresh: World) -> None:
    """Nothing has to happen for it to end: the clock of the reading decides."""
    handover = fresh.between(SENDER, RECIPIENT)
    until = datetime.now(UTC) + timedelta(days=30)
    await handover.open(concerned=[{"relation": "fille", "age_band": "3-5"}])
    await handover.agree(valid_until=until.isoformat())
    await handover.walk("propose", "r.accept")
    fresh.app.state.clock = lambda: until - timedelta(seconds=1)
    last = await handover.recipient.get(handover.place)
    assert GIVEN in last.text
    assert last.json()["concerned"] == [{"relation": "fille", "age_band": "3-5"}]
    fresh.app.state.clock = lambda: until
    after = await handover.recipient.get(handover.place)
    found = (await handover.recipient.get(f"{handover.place}/consents")).json()["items"]
    assert [one["status"] for one in found] == ["expired"]
    assert _shown(after.text) == []
    assert "concerned" not in after.json()
    meeting = {"to_be_agreed": True}
    refused = await handover.recipient.post(f"{handover.place}/plan_meeting", headers=if_match(after), json=meeting)
    assert problem(refused) == (409, "consent-missing")
    assert "plan_meeting" not in refused.json()["allowed_actions"]
    # The sender still reads what it wrote itself.
    assert GIVEN in (await handover.sender.get(handover.place)).text


NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"purposes": ["feedback"]}, "/purposes"),
        ({"purposes": []}, "/purposes"),
        ({"data_categories": []}, "/data_categories"),
        ({"data_categories": ["horoscope"]}, "/data_categories/0"),
        ({"method": "private_link"}, "/method"),
        ({"given_at": (NOW - timedelta(hours=25)).isoformat()}, "/given_at"),
        ({"given_at": (NOW + timedelta(days=1)).isoformat()}, "/given_at"),
        ({"given_at": "2026-03-02T12:00:00"}, "/given_at"),
        ({"valid_until": (NOW - timedelta(hours=1)).isoformat()}, "/valid_until"),
        ({"notice_version": "1999-1"}, "/notice_version"),
        ({"notice_version": "../2026-1"}, "/notice_version"),
        ({"language": "ar"}, "/notice_version"),
        ({"ticked_beforehand": True}, "/ticked_beforehand"),
    ],
)
async def test_an_agreement_that_cannot_be_names_its_fault(
    handover: Handover, changes: dict[str, Any], pointer: str
) -> None:
    await handover.open()
    answer = await handover.sender.post(
        f"{handover.place}/consents", headers=key(), json=a_consent(**{"data_categories": ["needs"], **changes})
    )
    assert problem(answer) == (422, "invalid-input")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert (await handover.sender.get(f"{handover.place}/consents")).json()["items"] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"given_at": (NOW - timedelta(days=90)).isoformat(), "method": "in_person_written"},
        {"language": "ar", "interpreter": "professional"},
        {"language": "nl-BE"},
    ],
)
async def test_an_agreement_that_can_be_is_recorded(handover: Handover, changes: dict[str, Any]) -> None:
    await handover.open()
    agreed = await handover.agree(**changes)
    assert agreed.json()["notice"]["version"] == "2026-1"
    notice = await handover.sender.get(f"/v1/notices/2026-1/{agreed.json()['notice']['language']}")
    assert notice.json()["sha256"] == agreed.json()["notice"]["sha256"]


@pytest.mark.parametrize("category", ["situation", "notes", "documents"])
async def test_what_is_confided_does_not_go_where_nobody_is_bound(world: World, category: str) -> None:
    handover = world.between(SENDER, UNBOUND)
    await handover.open()
    answer = await handover.sender.post(
        f"{handover.place}/consents", headers=key(), json=a_consent("identity", category)
    )
    assert problem(answer) == (409, "recipient-not-bound")
    assert answer.json()["data_categories"] == [category]
    await handover.agree("identity", "contact", "needs")


@pytest.mark.parametrize(("structure", "theme"), [(SENSITIVE, "childcare"), (RECIPIENT, "support--health")])
async def test_a_sensitive_theme_needs_its_basis(world: World, structure: Any, theme: str) -> None:
    handover = world.between(SENDER, structure)
    await handover.open(needs=[{"theme": theme, "words": WORDS}])
    answer = await handover.sender.post(f"{handover.place}/consents", headers=key(), json=a_consent())
    assert problem(answer) == (409, "sensitive-basis-missing")
    agreed = await handover.agree(article_9_basis="explicit consent (art. 9.2.a)")
    assert agreed.json()["article_9_basis"] == "explicit consent (art. 9.2.a)"


@pytest.mark.parametrize(
    ("field", "value", "place"),
    [
        ("article_9_basis", f"accord de {GIVEN}", "/article_9_basis"),
        ("legal_basis", {"referral": f"joignable au {PHONE}"}, "/legal_basis/referral"),
        ("collected_by", "91.05.04-123.54", "/collected_by"),
    ],
)
async def test_a_record_that_outlives_her_data_tells_nothing_of_her(
    handover: Handover, field: str, value: Any, place: str
) -> None:
    await handover.open()
    body = a_consent(**{field: value})
    answer = await handover.sender.post(f"{handover.place}/consents", headers=key(), json=body)
    assert problem(answer) == (422, "personal-data-detected")
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [place]
    assert not [word for word in (GIVEN, PHONE, "91.05") if word in answer.text]
    await handover.agree(legal_basis={"referral": "art. 6.1.e, loi du 12/05/2004"})


async def test_a_sender_that_may_sanction_is_not_offered_feedback(world: World) -> None:
    handover = world.between(SANCTIONING, RECIPIENT)
    await handover.open()
    answer = await handover.sender.post(
        f"{handover.place}/consents", headers=key(), json=a_consent(purposes=["referral", "feedback"])
    )
    assert problem(answer) == (422, "invalid-input")


@pytest.mark.parametrize("state", ["closed", "declined", "cancelled", "withdrawn"])
async def test_nothing_is_agreed_after_the_end(handover: Handover, state: str) -> None:
    await handover.open()
    await handover.agree()
    await handover.walk(*PATHS[state])
    answer = await handover.sender.post(f"{handover.place}/consents", headers=key(), json=a_consent())
    assert problem(answer) == (409, "transition-not-allowed")


TOUCHES = [
    "update {table} set {column} = {column}",
    "delete from {table}",
    "truncate {table} cascade",
]


@pytest.mark.parametrize(("table", "column"), [("consent", "record"), ("disclosure", "categories"), ("event", "data")])
async def test_a_record_cannot_be_touched(fresh: World, table: str, column: str) -> None:
    """Neither by the service's role, though it asks as the sender, nor by the owner of the tables."""
    handover = await fresh.between(SENDER, RECIPIENT).proposed()
    for dsn, forced in ((fresh.database.dsn, True), (fresh.database.owner_dsn, False)):
        connection = await asyncpg.connect(dsn)
        if not forced:
            await connection.execute(f"alter table {table} no force row level security")
        await connection.execute("select set_config('relais.organisation', $1, false)", str(SENDER.id))
        before = await connection.fetch(f"select t::text from {table} t order by 1")  # noqa: S608 - our own names
        assert before
        for touch in TOUCHES:
            with pytest.raises((asyncpg.RaiseError, asyncpg.InsufficientPrivilegeError)):
                await connection.execute(touch.format(table=table, column=column))
        assert await connection.fetch(f"select t::text from {table} t order by 1") == before  # noqa: S608 - our own names
        await connection.close()
    assert (await handover.recipient.get(handover.place)).status_code == 200


async def test_the_database_holds_one_consent_in_force(fresh: World) -> None:
    handover = await fresh.between(SENDER, RECIPIENT).proposed()
    answers = await asyncio.gather(
        *(
            fresh.as_(SENDER).post(f"{handover.place}/consents", headers=key(), json=a_consent("needs"))
            for _ in range(3)
        )
    )
    assert [answer.status_code for answer in answers] == [201] * 3
    found = (await handover.sender.get(f"{handover.place}/consents")).json()["items"]
    assert sorted(one["status"] for one in found) == ["given"] + ["superseded"] * 3
