"""Taking back, taking up again, resting, redirecting, agreeing by telephone; whose it is, and what is overdue."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from api.referral.world import (
    BOTH,
    BY_PHONE,
    GIVEN,
    RECIPIENT,
    SANCTIONING,
    SEND,
    SENDER,
    SENSITIVE,
    WORDS,
    Asserted,
    Handover,
    Structure,
    World,
    a_consent,
    a_draft,
    if_match,
    key,
    problem,
)

from relais_referral.domain.deadlines import day_of
from relais_shared.auth import Actor
from relais_shared.client import Client

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        """Answer the instant that the test set."""
        return self.now


@pytest.fixture(name="clock")
def _clock(world: World) -> Any:
    clock = Clock()
    world.app.state.clock = clock
    yield clock
    del world.app.state.clock


def user(world: World, structure: Structure, **facts: Any) -> Client:
    """Answer a client that acts as one counsellor of a structure."""
    id_ = facts.pop("user_id", None) or uuid4()
    actor = Actor("user", f"user:{id_}", structure.id, structure.name, BOTH, user_id=id_, **facts)
    return world.anonymous(Asserted(world.gateway, actor))


@pytest.mark.parametrize(
    ("path", "action", "back"),
    [
        (("propose",), "r.accept", "proposed"),
        (("propose", "r.receive"), "r.accept", "received"),
        (("propose", "r.receive"), "r.decline", "received"),
        (("propose", "r.accept", "r.plan_meeting"), "r.release", "meeting_planned"),
        (("propose", "r.accept", "confirm_handover", "r.confirm_handover"), "r.close", "handed_over"),
    ],
)
async def test_a_slip_is_taken_back(handover: Handover, path: tuple[str, ...], action: str, back: str) -> None:
    await handover.open()
    await handover.agree()
    before = await handover.walk(*path)
    shown = (await handover.recipient.get(handover.place)).json()
    await handover.walk(action)
    taken = await handover.walk("r.undo")
    assert taken.json()["state"] == back == before.json()["state"]
    hidden = {"updated_at", "undo_until"}
    again = (await handover.recipient.get(handover.place)).json()
    assert {name: value for name, value in again.items() if name not in hidden} == {
        name: value for name, value in shown.items() if name not in hidden
    }
    events = (await handover.recipient.get(f"{handover.place}/events")).json()["items"]
    assert events[-1]["type"] == "referral.undone"


async def test_what_was_undone_closes_again(handover: Handover) -> None:
    await handover.proposed()
    opened = await handover.walk("r.accept")
    assert GIVEN in opened.text
    closed = await handover.walk("r.undo")
    assert GIVEN not in closed.text
    assert "recipient_counsellor" not in closed.json() or closed.json()["recipient_counsellor"] is None


async def test_after_a_quarter_of_an_hour_it_is_taken_up_again_instead(handover: Handover, clock: Clock) -> None:
    await handover.proposed()
    await handover.walk("r.decline")
    clock.now += 14 * MINUTE
    assert "undo" in (await handover.recipient.get(handover.place)).json()["allowed_actions"]
    clock.now += MINUTE
    allowed = (await handover.recipient.get(handover.place)).json()["allowed_actions"]
    assert "undo" not in allowed
    assert "reopen" in allowed
    assert problem(await handover.step(handover.recipient, "undo"))[0] == 409
    assert (await handover.walk("r.reopen")).json()["state"] == "received"
    # The sender is told, and tells her.
    told = (await handover.sender.get(f"{handover.place}/tasks")).json()["items"]
    assert [task["reason"] for task in told] == ["referral.declined", "referral.reopened"]


async def test_once_the_other_side_acted_nothing_is_taken_back(handover: Handover) -> None:
    await handover.proposed()
    await handover.walk("r.accept", "plan_meeting")
    assert problem(await handover.step(handover.recipient, "undo"))[0] == 409


async def test_nobody_takes_back_anothers_step(handover: Handover) -> None:
    await handover.proposed()
    await handover.walk("r.accept")
    assert problem(await handover.step(handover.sender, "undo")) == (409, "not-your-turn")


async def test_what_is_taken_back_is_told_to_nobody(handover: Handover) -> None:
    await handover.proposed()
    await handover.walk("r.accept", "r.undo", "r.decline")
    assert await waiting(handover) == ["referral.undone", "referral.declined"]


async def waiting(handover: Handover) -> list[str]:
    """Answer why the sender's open tasks of a hand-over were opened, from all pages of its list."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await handover.sender.get("/v1/tasks", params={"limit": "7", **cursor})).json()
        found += [task["reason"] for task in page["items"] if task["referral_id"] == handover.id]
        if "next_cursor" not in page:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def test_a_redirection_takes_her_words_along_and_asks_her_anew(world: World, handover: Handover) -> None:
    await handover.proposed()
    await handover.walk("r.decline")
    to = Handover(handover.sender, world.as_(SENSITIVE), SENSITIVE)
    body = {"recipient": a_draft(SENSITIVE)["recipient"]}
    seen = await handover.sender.get(handover.place)
    headers = {**if_match(seen), **key()}
    new = await handover.sender.post(f"{handover.place}/redirect", headers=headers, json=body)
    assert new.status_code == 201, new.text
    assert (new.json()["state"], new.json()["redirected_from"]) == ("draft", handover.id)
    assert new.json()["needs"][0]["words"] == WORDS
    assert new.json()["allowed_actions"] == ["cancel"]
    again = await handover.sender.post(f"{handover.place}/redirect", headers=headers, json=body)
    assert again.json()["id"] == new.json()["id"]
    old = (await handover.sender.get(handover.place)).json()
    assert old["redirected_to"] == new.json()["id"]
    assert "redirect" not in old["allowed_actions"]
    # What took its place is nothing for the structure that said no: neither which, nor that there is one.
    assert new.json()["id"] not in (await handover.recipient.get(handover.place)).text
    told = [
        (await side.get(f"{handover.place}/events")).json()["items"] for side in (handover.sender, handover.recipient)
    ]
    by_sender, by_recipient = ([one["type"] for one in items] for items in told)
    assert "referral.redirected" in by_sender
    # Nor what she was asked and answered before it was proposed.
    assert "consent.given" in by_sender
    assert by_recipient == ["referral.proposed", "referral.declined"]
    to.id = new.json()["id"]
    await to.agree(article_9_basis="explicit")
    assert (await to.walk("propose")).json()["state"] == "proposed"


async def test_what_was_agreed_by_phone_is_accepted_in_one_tap(handover: Handover) -> None:
    await handover.proposed()
    nobody = await handover.recipient.get(handover.place)
    refused = await handover.recipient.post(f"{handover.place}/accept", headers=if_match(nobody))
    assert problem(refused) == (422, "invalid-input")
    marked = await handover.walk("agree_by_phone")
    assert marked.json()["state"] == "proposed"
    seen = await handover.recipient.get(handover.place)
    assert seen.json()["agreed_by_phone"] == {"colleague": "Ben Noel"}
    assert GIVEN not in seen.text
    taken = await handover.recipient.post(f"{handover.place}/accept", headers=if_match(seen))
    assert taken.status_code == 200, taken.text
    assert taken.json()["recipient_counsellor"] == {"name": "Ben Noel"}
    assert GIVEN in taken.text


async def test_overdue_obeys_the_pause(handover: Handover, clock: Clock) -> None:
    async def listed() -> set[str]:
        found = set()
        for client, role in ((handover.sender, "sender"), (handover.recipient, "recipient")):
            page = await client.get("/v1/referrals", params={"role": role, "overdue": True, "limit": 100})
            if handover.id in {one["id"] for one in page.json()["items"]}:
                found.add(role)
        return found

    await handover.proposed(urgency="today")
    assert await listed() == set()
    clock.now += 60 * MINUTE
    assert await listed() == {"sender", "recipient"}
    assert (await handover.sender.get(handover.place)).json()["overdue"] is True
    counts = (await handover.recipient.get("/v1/referrals/counts")).json()
    assert counts["recipient"]["overdue"] >= 1
    paused = await handover.walk("pause")
    assert paused.json()["overdue"] is False
    assert paused.json()["paused"]["since"]
    assert await listed() == set()
    resumed = await handover.walk("r.resume")
    assert "paused" not in resumed.json()
    assert await listed() == {"sender", "recipient"}
    await handover.walk("r.accept")
    assert await listed() == set()


async def test_what_is_taken_up_again_is_waited_for_anew(handover: Handover, clock: Clock) -> None:
    await handover.proposed()
    await handover.walk("r.decline")
    clock.now += timedelta(days=20)
    again = await handover.walk("r.reopen")
    assert (again.json()["state"], again.json()["overdue"]) == ("received", False)
    assert datetime.fromisoformat(again.json()["due_at"]) > clock.now


async def test_a_pause_does_not_end_before_it_begins(handover: Handover, clock: Clock) -> None:
    await handover.proposed()
    for days, status in ((-2, 422), (0, 200)):
        until = (day_of(clock.now) + timedelta(days=days)).isoformat()
        assert (await handover.step(handover.sender, "pause", until=until)).status_code == status


async def test_an_answer_is_due_in_working_days(handover: Handover, clock: Clock) -> None:
    clock.now = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)  # a Friday
    await handover.open()
    await handover.agree(given_at=clock.now.isoformat())
    proposed = await handover.walk("propose")
    assert datetime.fromisoformat(proposed.json()["due_at"]) == datetime(2026, 12, 1, 9, 0, tzinfo=UTC)


async def test_alternatives_come_with_open_places_first(world: World, handover: Handover) -> None:
    await handover.proposed()
    world.directory.cards = [
        _card("loin", distance_m=9_000, available=None),
        _card("ici", distance_m=100, available=0),
        _card("place", distance_m=4_000, available=2),
        {**_card("le même"), "service": {"id": str(RECIPIENT.service_id), "name": "le même"}},
    ]
    found = (await handover.sender.get(f"{handover.place}/alternatives")).json()["items"]
    assert [one["name"] for one in found] == ["place", "ici", "loin"]
    suggested = world.directory.cards[0]["service"]["id"]
    await handover.step(handover.recipient, "decline", suggested_service_ids=[suggested])
    found = (await handover.sender.get(f"{handover.place}/alternatives")).json()["items"]
    assert (found[0]["name"], found[0]["suggested"]) == ("loin", True)
    assert problem(await handover.recipient.get(f"{handover.place}/alternatives"))[0] == 404


def _card(name: str, *, distance_m: int = 1_000, available: int | None = None) -> dict[str, Any]:
    return {
        "service": {"id": str(uuid4()), "name": name},
        "organisation": {"id": str(uuid4()), "name": "Une structure"},
        "location": {"address": {"municipality": "Charleroi"}},
        "distance_m": distance_m,
        "capacity": {"available": available, "held": True} if available is not None else None,
        "can_receive": "relais",
    }


async def test_each_side_keeps_its_own_references(handover: Handover) -> None:
    await handover.proposed(external_ids={"case-tool": "DOSSIER-4711"})
    assert (await handover.sender.get(handover.place)).json()["external_ids"] == {"case-tool": "DOSSIER-4711"}
    before = await handover.recipient.get(handover.place)
    kept = await handover.recipient.put(f"{handover.place}/external_ids", json={"own": "R-9"})
    assert kept.json()["external_ids"] == {"own": "R-9"}
    # Another representation has another version; the same once more has the same.
    assert kept.headers["etag"] != before.headers["etag"]
    again = await handover.recipient.put(f"{handover.place}/external_ids", json={"own": "R-9"})
    assert again.headers["etag"] == kept.headers["etag"]
    assert "DOSSIER-4711" not in kept.text
    assert "R-9" not in (await handover.sender.get(handover.place)).text
    refused = await handover.sender.put(f"{handover.place}/external_ids", json={"own": "85.07.30-033 28"})
    assert problem(refused) == (422, "personal-data-detected")
    assert "85.07" not in refused.text


async def test_a_draft_opens_on_the_screen(handover: Handover) -> None:
    draft = await handover.open()
    assert draft.json()["launch_url"].endswith(f"/relais/{handover.id}")


async def test_a_user_opens_what_is_hers_her_teams_or_her_deputyships(world: World) -> None:
    ana, bea, chef, else_ = uuid4(), uuid4(), uuid4(), uuid4()
    own = user(world, SENDER, user_id=ana, teams=("accueil",))
    handover = Handover(own, world.as_(RECIPIENT), RECIPIENT)
    await handover.proposed()
    for client, opens in (
        (own, True),
        (user(world, SENDER, user_id=bea, teams=("accueil",)), True),
        (user(world, SENDER, user_id=chef, leads=("accueil",)), True),
        (user(world, SENDER, user_id=bea, stands_for=(ana,)), True),
        (user(world, SENDER, user_id=else_, teams=("autre",)), False),
        (user(world, SENDER), False),
        (world.as_(SENDER), True),
    ):
        assert (await client.get(handover.place)).status_code == (200 if opens else 404)
        listed = (await client.get("/v1/referrals", params={"limit": 100})).json()["items"]
        assert (handover.id in {one["id"] for one in listed}) is opens
    mine = (await own.get("/v1/referrals", params={"counsellor": str(ana)})).json()["items"]
    assert handover.id in {one["id"] for one in mine}
    # Until somebody takes it in hand, it is the desk's: everybody of the recipient finds it.
    ben, desk = user(world, RECIPIENT), user(world, RECIPIENT)
    assert (await desk.get(handover.place)).status_code == 200
    handover.recipient = ben
    await handover.walk("r.receive")
    assert (await desk.get(handover.place)).status_code == 404
    # Each side reads whose it is among its own, in the list too, and nothing of the other's.
    for client, hers in ((own, str(ana)), (ben, (await ben.get(handover.place)).json()["assigned"]["account_id"])):
        listed = (await client.get("/v1/referrals", params={"limit": 100})).json()["items"]
        assert next(one for one in listed if one["id"] == handover.id)["assigned"]["account_id"] == hers
        assert hers in (await client.get(handover.place)).text
        assert hers not in (await (ben if client is own else own).get(handover.place)).text
    assert (await ben.post(f"{handover.place}/assign", json={})).status_code == 204
    opened = await desk.get(handover.place)
    assert opened.json()["assigned"] == {"account_id": None, "team_id": None}


async def test_a_sensitive_theme_stands_in_no_list(world: World) -> None:
    handover = world.between(SENDER, SENSITIVE)
    await handover.open()
    await handover.agree("identity", "contact", "needs", article_9_basis="explicit", seen_alone="yes")
    await handover.walk("propose")
    for client in (handover.sender, handover.recipient):
        page = (await client.get("/v1/referrals", params={"limit": 100})).json()["items"]
        listed = next(one for one in page if one["id"] == handover.id)
        assert "childcare" not in str(listed)
        assert SENSITIVE.offers()["name"] not in str(listed)
        assert "service_id" not in listed["recipient"]
        by_theme = (await client.get("/v1/referrals", params={"theme": "childcare", "limit": 100})).json()["items"]
        assert handover.id not in {one["id"] for one in by_theme}
        assert (await client.get(handover.place)).json()["themes"] == ["childcare"]


@pytest.mark.parametrize(("alone", "interpreter"), [("no", "none"), ("unknown", "none"), ("yes", "relative")])
async def test_whoever_stood_by_did_not_decide_for_her(world: World, alone: str, interpreter: str) -> None:
    handover = world.between(SENDER, SENSITIVE)
    await handover.open()
    more = {"article_9_basis": "explicit", "seen_alone": alone, "interpreter": interpreter}
    await handover.agree("identity", "contact", "needs", **more)
    accepted = await handover.walk("propose", "r.accept")
    assert "identity" in accepted.json()["person"] or "person" in accepted.json()
    seen = (await handover.recipient.get(handover.place)).json()["person"]
    assert "identity" in seen
    assert "contact" not in seen


async def test_a_line_that_she_hid_is_not_read_by_the_recipient(handover: Handover) -> None:
    lines = [
        {"theme": "childcare", "words": WORDS},
        {"theme": "mobility", "words": "la voiture est saisie", "hidden_from": ["recipient"]},
    ]
    await handover.proposed(needs=lines)
    await handover.walk("r.accept")
    seen = await handover.recipient.get(handover.place)
    assert WORDS in seen.text
    assert "saisie" not in seen.text
    assert "hidden_from" not in seen.text
    assert "saisie" in (await handover.sender.get(handover.place)).text


async def test_what_is_told_by_phone_is_logged_by_the_sender_alone(world: World) -> None:
    handover = Handover(world.as_(SENDER), world.as_(BY_PHONE), BY_PHONE)
    await handover.proposed()
    assert (await handover.sender.get(handover.place)).json()["via"] == "phone_only"
    met = await handover.walk("confirm_handover")
    assert met.json()["state"] == "handed_over"
    assert (await handover.walk("close")).json()["state"] == "closed"
    assert (await handover.walk("undo")).json()["state"] == "handed_over"


async def test_nobody_bound_by_nothing_hears_more_on_the_telephone(world: World) -> None:
    handover = Handover(world.as_(SENDER), world.as_(BY_PHONE), BY_PHONE)
    await handover.open(notes="elle dort mal")
    body = a_consent("identity", "notes")
    answer = await handover.sender.post(f"{handover.place}/consents", headers=key(), json=body)
    assert problem(answer) == (409, "recipient-not-bound")


async def test_a_part_is_withdrawn_and_the_rest_stands(handover: Handover) -> None:
    await handover.proposed("identity", "contact", "needs")
    await handover.walk("r.accept")
    assert "phone" in str((await handover.recipient.get(handover.place)).json()["person"])
    narrower = await handover.recipient.post(
        f"/v1/consents/{handover.consent_id}/withdraw", json={"data_categories": ["contact"]}
    )
    assert narrower.status_code == 200, narrower.text
    assert narrower.json()["id"] != handover.consent_id
    assert narrower.json()["status"] == "given"
    assert narrower.json()["data_categories"] == ["identity", "needs"]
    seen = (await handover.recipient.get(handover.place)).json()
    assert seen["state"] == "accepted"
    assert "contact" not in seen["person"]
    assert "identity" in seen["person"]
    by_id = {one["id"]: one for one in (await handover.sender.get(f"{handover.place}/consents")).json()["items"]}
    assert by_id[handover.consent_id]["status"] == "superseded"
    assert by_id[handover.consent_id]["superseded_by"] == narrower.json()["id"]
    copies = (await handover.recipient.get(f"{handover.place}/tasks")).json()["items"]
    assert [task["kind"] for task in copies] == ["local_copy"]


async def test_withdrawing_the_last_category_stops_everything(handover: Handover) -> None:
    await handover.proposed("needs")
    answer = await handover.sender.post(
        f"/v1/consents/{handover.consent_id}/withdraw", json={"data_categories": ["needs"]}
    )
    assert answer.json()["status"] == "withdrawn"
    assert (await handover.sender.get(handover.place)).json()["state"] == "withdrawn"


async def test_the_recipient_answers_what_becomes_of_its_copy(handover: Handover) -> None:
    await handover.proposed()
    await handover.walk("r.accept", "withdraw")
    [task] = (await handover.recipient.get(f"{handover.place}/tasks")).json()["items"]
    assert (task["kind"], task["reason"]) == ("local_copy", "consent.withdrawn")
    done = f"/v1/tasks/{task['id']}/done"
    assert problem(await handover.sender.post(done, json={"local_copy": "erased"}))[0] == 404
    assert problem(await handover.recipient.post(done, json={}))[0] == 422
    assert problem(await handover.recipient.post(done, json={"local_copy": "kept"}))[0] == 422
    answered = await handover.recipient.post(done, json={"local_copy": "kept", "basis": "archives, loi sociale"})
    assert answered.json()["answer"]["local_copy"] == "kept"
    # What was said first stands, and is what a repeat is answered.
    for again in ({"local_copy": "erased"}, {"local_copy": "kept", "basis": "autre"}):
        assert (await handover.recipient.post(done, json=again)).json() == answered.json()
    [kept] = (await handover.recipient.get(f"{handover.place}/tasks")).json()["items"]
    assert "done_at" in kept


async def test_a_sender_that_may_sanction_has_no_tasks_and_no_marks(world: World) -> None:
    handover = world.between(SANCTIONING, RECIPIENT)
    await handover.proposed()
    await handover.walk("r.accept")
    await handover.step(handover.recipient, "pause")
    assert (await handover.sender.get(f"{handover.place}/tasks")).json()["items"] == []
    assert "paused" not in (await handover.sender.get(handover.place)).json()
    for action in ("undo", "pause", "resume", "redirect", "agree_by_phone", "confirm_handover"):
        if action != "redirect":
            assert problem(await handover.step(handover.sender, action))[0] == 409


async def test_a_client_without_the_senders_scope_counts_only_what_it_receives(world: World) -> None:
    counts = (await world.as_(RECIPIENT, "referral:receive").get("/v1/referrals/counts")).json()
    assert counts["sender"] == {}
    assert (await world.as_(SENDER, SEND).get("/v1/referrals/counts")).json()["recipient"] == {}


async def test_the_day_is_that_of_those_who_work(handover: Handover, clock: Clock) -> None:
    """Half an hour after midnight in Brussels the day of UTC is still yesterday."""
    await handover.proposed()
    await handover.walk("r.accept")
    clock.now = datetime(clock.now.year + 1, 7, 13, 22, 30, tzinfo=UTC)
    met = await handover.walk("r.confirm_handover")
    assert met.json()["confirmations"]["recipient"]["on"] == f"{clock.now.year}-07-14"
