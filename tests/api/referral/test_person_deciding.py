"""What she decides in her own session: she answers, stops, corrects, adds, hides and confirms."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from api.referral.her import ANA, NISS, asked_by_link, card, herself, mine, ok, opened
from api.referral.world import (
    FAMILY,
    GIVEN,
    HERS,
    OUTSIDER,
    PHONE,
    RECIPIENT,
    SANCTIONING,
    SENDER,
    SENSITIVE,
    WORDS,
    Handover,
    World,
    a_draft,
    problem,
)

pytestmark = pytest.mark.anyio


async def test_she_answers_what_she_was_asked(world: World, handover: Handover) -> None:
    """Yes, no, or less; once, and the same again changes nothing."""
    await handover.open()
    she = await herself(world, handover)
    request = await asked_by_link(world, handover, ANA, "identity", "contact")
    answer = f"/v1/person/consents/{request}/answer"
    more = {"agreed": True, "data_categories": ["identity", "notes"]}
    assert problem(await she.post(answer, json=more)) == (422, "invalid-input")
    past = {"agreed": True, "valid_until": "2026-01-01T00:00:00Z"}
    assert problem(await she.post(answer, json=past)) == (422, "invalid-input")
    for guessed in (1, "yes"):
        assert problem(await she.post(answer, json={"agreed": guessed})) == (422, "invalid-input")
    less = {"agreed": True, "data_categories": ["identity"]}
    first = ok(await she.post(answer, json=less))
    assert (first["status"], first["data_categories"], first["method"]) == ("given", ["identity"], "private_link")
    again = ok(await she.post(answer, json=less))
    assert again["id"] == first["id"]
    assert problem(await she.post(answer, json={"agreed": False})) == (409, "transition-not-allowed")
    await handover.walk("propose", "r.accept")
    assert GIVEN in (await handover.recipient.get(handover.place)).text
    other = world.between(SENDER, RECIPIENT)
    await other.open()
    she = await herself(world, other)
    request = await asked_by_link(world, other, ANA)
    for _ in range(2):
        assert (
            ok(await she.post(f"/v1/person/consents/{request}/answer", json={"agreed": False}))["status"] == "refused"
        )
    assert problem(await other.step(other.sender, "propose")) == (409, "consent-missing")


async def test_what_stays_closed_opens_when_she_confirms_it_alone(world: World) -> None:
    """On a sensitive theme, and not at a counter, where somebody stands by."""
    handover = world.between(SENDER, SENSITIVE)
    await handover.open()
    await handover.agree("identity", "contact", seen_alone="no", article_9_basis="explicit consent")
    await handover.walk("propose", "r.accept")
    hers = await card(handover)
    she = await opened(world, hers)
    (found,) = ok(await she.get("/v1/person/referrals"))["items"]
    assert found["waits"][0] == {"kind": "confirm_alone", "consent_id": handover.consent_id}
    assert (found["shared"][0]["categories"], found["shared"][0]["held_back"]) == (["identity"], ["contact"])
    confirm = f"/v1/person/consents/{handover.consent_id}/confirm"
    counter = await opened(world, hers, world.as_(OUTSIDER))
    assert problem(await counter.post(confirm)) == (409, "transition-not-allowed")
    assert PHONE not in (await handover.recipient.get(handover.place)).text
    first = ok(await she.post(confirm))
    assert (first["status"], first["seen_alone"]) == ("given", "yes")
    assert ok(await she.post(confirm))["id"] == first["id"]
    assert PHONE in (await handover.recipient.get(handover.place)).text
    assert ok(await she.get("/v1/person/referrals"))["items"][0]["shared"][0]["held_back"] == []


async def test_stopping_cuts_the_next_reading(world: World, handover: Handover) -> None:
    """A part of it, then all; the other side answers for its own copy, and she reads the answer."""
    await handover.proposed()
    await handover.walk("r.accept")
    she = await herself(world, handover)
    assert PHONE in (await handover.recipient.get(handover.place)).text
    stop = f"/v1/person/consents/{handover.consent_id}/withdraw"
    narrower = ok(await she.post(stop, json={"data_categories": ["contact"]}))
    assert narrower["data_categories"] == ["identity", "needs"]
    read = (await handover.recipient.get(handover.place)).text
    assert PHONE not in read
    assert GIVEN in read
    for _ in range(2):
        assert ok(await she.post(f"{mine(handover)}/withdraw"))["state"] == "withdrawn"
    read = (await handover.recipient.get(handover.place)).text
    assert not [word for word in HERS if word in read]
    whole = ok(await she.get(mine(handover)))
    methods = [one.get("withdrawal_method") for one in whole["consents"] if one["status"] == "withdrawn"]
    assert methods == ["private_link"]
    assert [one.get("answer") for one in whole["local_copies"]] == [None, None]
    tasks = (await handover.recipient.get(f"{handover.place}/tasks")).json()["items"]
    copies = [one["id"] for one in tasks if one["kind"] == "local_copy"]
    await handover.recipient.post(f"/v1/tasks/{copies[0]}/done", json={"local_copy": "erased"})
    kept = {"local_copy": "kept", "basis": "obligation comptable"}
    await handover.recipient.post(f"/v1/tasks/{copies[1]}/done", json=kept)
    told = ok(await she.get(mine(handover)))["local_copies"]
    assert [(one["answer"], one.get("basis")) for one in told] == [("erased", None), ("kept", "obligation comptable")]


async def test_stopping_one_agreement_stops_the_hand_over(world: World, handover: Handover) -> None:
    await handover.proposed()
    she = await opened(world, await card(handover), world.as_(OUTSIDER))
    stop = f"/v1/person/consents/{handover.consent_id}/withdraw"
    for _ in range(2):
        stopped = ok(await she.post(stop))
        assert (stopped["status"], stopped["withdrawal_method"]) == ("withdrawn", "in_person")
    assert ok(await she.get("/v1/person/referrals"))["items"][0]["state"] == "withdrawn"


async def test_she_corrects_who_she_is_and_both_sides_are_told(world: World, handover: Handover) -> None:
    await handover.proposed()
    await handover.walk("r.accept")
    she = await herself(world, handover)
    before = await handover.recipient.get(handover.place)
    change = {"identity": {"given_name": "Amina", "family_name": FAMILY}, "contact": {"phone": "0499 00 11 22"}}
    for _ in range(2):
        seen = ok(await she.patch(mine(handover), json=change))
        assert seen["person"]["identity"] == {"given_name": "Amina", "family_name": FAMILY}
    after = await handover.recipient.get(handover.place)
    assert after.json()["person"]["contact"]["phone"] == "0499 00 11 22"
    assert after.headers["etag"] != before.headers["etag"]
    assert (await handover.sender.get(handover.place)).json()["person"]["identity"]["given_name"] == "Amina"
    for client in (handover.sender, handover.recipient):
        tasks = (await client.get(f"{handover.place}/tasks")).json()["items"]
        assert [one["reason"] for one in tasks if one["kind"] == "corrected"] == ["person.corrected"]
        assert "Amina" not in json.dumps(tasks)
    events = (await handover.recipient.get(f"{handover.place}/events")).json()["items"]
    assert [one["actor"] for one in events if one["type"] == "person.corrected"] == ["person"]
    for wrong in (
        {"contact": {"address": f"rue {NISS}"}}, {"identity": {"called": NISS}},
        {"contact": {"safety": {"times": NISS}}},
    ):  # fmt: skip
        answer = await she.patch(mine(handover), json=wrong)
        assert problem(answer) == (422, "personal-data-detected")
        assert NISS not in answer.text


async def test_a_corrected_name_is_not_in_what_is_read_before(world: World, handover: Handover) -> None:
    """Her counsellor wrote the name that she now gives: the line is named, and nothing changes."""
    await handover.proposed(needs=[{"theme": "childcare", "words": "une place pour Yasmina"}])
    she = await herself(world, handover)
    answer = await she.patch(mine(handover), json={"identity": {"given_name": "Yasmina"}})
    assert problem(answer) == (422, "personal-data-detected")
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/needs/0/words"]
    assert "Yasmina" not in answer.text
    assert ok(await she.get(mine(handover)))["referral"]["person"]["identity"]["given_name"] == GIVEN
    # She hides the line, and then nothing of her is read before; showing it again would tell.
    line = {"theme": "childcare", "words": "une place pour Yasmina"}
    ok(await she.put(f"{mine(handover)}/hidden", json=line))
    ok(await she.patch(mine(handover), json={"identity": {"given_name": "Yasmina"}}))
    answer = await she.put(f"{mine(handover)}/hidden", json={**line, "hidden": False})
    assert problem(answer) == (422, "personal-data-detected")
    assert "Yasmina" not in (await handover.recipient.get(handover.place)).text


async def test_what_reads_without_her_hidden_line_is_recorded_so(world: World, handover: Handover) -> None:
    """Where she hid her only line nothing of the need is shown, and none of it stands in the record as shown."""
    await handover.proposed()
    she = await herself(world, handover)

    async def recorded() -> list[list[str]]:
        rows = (await handover.sender.get(f"{handover.place}/disclosures")).json()["items"]
        return [row["categories"] for row in rows if row["organisation_id"] == str(RECIPIENT.id)]

    ok(await she.put(f"{mine(handover)}/hidden", json={"theme": "childcare", "words": WORDS}))
    before = await recorded()
    assert WORDS not in (await handover.recipient.get(handover.place)).text
    after = await recorded()
    assert not any("needs" in categories for categories in after[: len(after) - len(before)])
    ok(await she.put(f"{mine(handover)}/hidden", json={"theme": "childcare", "words": WORDS, "hidden": False}))
    assert WORDS in (await handover.recipient.get(handover.place)).text
    assert "needs" in (await recorded())[0]


async def test_she_adds_words_and_hides_a_line(world: World, handover: Handover) -> None:
    await handover.proposed()
    she = await herself(world, handover)
    line = {"theme": "childcare", "words": "plutôt le matin"}
    for _ in range(2):
        seen = ok(await she.post(f"{mine(handover)}/needs", json=line))
        assert [(one["words"], one["said_by"]) for one in seen["needs"]] == [
            (WORDS, "person"),
            ("plutôt le matin", "person"),
        ]
    assert "plutôt le matin" in (await handover.recipient.get(handover.place)).text
    for words in (f"demandez {GIVEN}", PHONE, "a@b.example", NISS):
        answer = await she.post(f"{mine(handover)}/needs", json={"theme": "childcare", "words": words})
        assert problem(answer) == (422, "personal-data-detected")
        assert words not in answer.text
    elsewhere = {"theme": "support--health", "words": "fatiguée"}
    assert problem(await she.post(f"{mine(handover)}/needs", json=elsewhere)) == (422, "invalid-input")
    hide = {"theme": "childcare", "words": WORDS}
    for hidden in (True, True, False):
        ok(await she.put(f"{mine(handover)}/hidden", json={**hide, "hidden": hidden}))
        assert (WORDS in (await handover.recipient.get(handover.place)).text) is not hidden
        assert WORDS in (await handover.sender.get(handover.place)).text
    absent = {"theme": "childcare", "words": "rien de tel"}
    assert problem(await she.put(f"{mine(handover)}/hidden", json=absent)) == (422, "invalid-input")
    told = (await handover.recipient.get(f"{handover.place}/events")).text
    assert told.count("person.changed_needs") == 3
    tasks = (await handover.recipient.get(f"{handover.place}/tasks")).json()["items"]
    assert [(one["kind"], one["reason"]) for one in tasks] == [("corrected", "person.changed_needs")] * 3
    assert "hid" not in told


async def test_a_full_list_takes_no_more_lines_and_stays_a_draft_to_change(world: World, handover: Handover) -> None:
    opened_ = await handover.open(needs=[{"theme": "childcare", "words": f"ligne {n}"} for n in range(10)])
    she = await herself(world, handover)
    for number in range(10):
        ok(await she.post(f"{mine(handover)}/needs", json={"theme": "childcare", "words": f"mienne {number}"}))
    full = await she.post(f"{mine(handover)}/needs", json={"theme": "childcare", "words": "encore"})
    assert problem(full) == (422, "invalid-input")
    headers = {"If-Match": (await handover.sender.get(handover.place)).headers["etag"]}
    assert opened_.headers["etag"] != headers["If-Match"]
    changed = await handover.sender.patch(handover.place, headers=headers, json={"urgency": "today"})
    assert changed.status_code == 200, changed.text


async def test_she_lets_it_rest_and_says_that_she_was_met(world: World, handover: Handover) -> None:
    """No version to show, and twice is once."""
    await handover.proposed()
    she = await herself(world, handover)
    assert problem(await she.post(f"{mine(handover)}/confirm_handover")) == (409, "transition-not-allowed")
    day = (datetime.now(UTC).date() + timedelta(days=9)).isoformat()
    for until in (None, day, day):
        found = ok(await she.post(f"{mine(handover)}/pause", json={"until": until} if until else None))
        assert found["paused"].get("until") == until
    assert (await handover.recipient.get(handover.place)).json()["paused"]["until"] == day
    for _ in range(2):
        assert "paused" not in ok(await she.post(f"{mine(handover)}/resume"))
    await handover.walk("r.accept")
    for _ in range(2):
        found = ok(await she.post(f"{mine(handover)}/confirm_handover", json={"mode": "call"}))
        assert found["confirmations"]["person"]["mode"] == "call"
    types = [one["type"] for one in found["steps"]]
    assert types.count("referral.paused") == 2
    assert types.count("referral.resumed") == 1
    assert types.count("referral.handover_confirmed") == 1


async def test_without_telephone_and_surname_it_reaches_handed_over(world: World, handover: Handover) -> None:
    """What she wishes to be called and the word of her counsellor are enough."""
    person = {
        **a_draft(RECIPIENT)["person"],
        "identity": {"called": "Mme A."},
        "contact": {"reach": "via_sender"},
    }
    await handover.open(person=person)
    she = await opened(world, await card(handover, level="none"), world.as_(OUTSIDER))
    request = await asked_by_link(world, handover, ANA, "identity", "contact", "needs")
    ok(await she.post(f"/v1/person/consents/{request}/answer", json={"agreed": True}))
    await handover.walk("propose", "r.receive", "r.accept", "r.plan_meeting", "confirm_handover", "r.confirm_handover")
    read = (await handover.recipient.get(handover.place)).json()
    assert (read["state"], read["person"]["identity"]) == ("handed_over", {"called": "Mme A."})
    assert read["person"]["contact"]["reach"] == "via_sender"


async def test_her_word_stands_for_her_senders_and_never_for_the_recipients(world: World) -> None:
    """Whichever comes first; with her sender's alone, nobody of the other side has met her yet."""
    for first in ("she", "recipient"):
        handover = await world.between(SENDER, RECIPIENT).proposed()
        await handover.walk("r.accept")
        she = await herself(world, handover)
        if first == "she":
            assert ok(await she.post(f"{mine(handover)}/confirm_handover"))["state"] == "accepted"
            assert (await handover.step(handover.sender, "confirm_handover")).json()["state"] == "accepted"
            assert (await handover.step(handover.recipient, "confirm_handover")).json()["state"] == "handed_over"
        else:
            assert (await handover.step(handover.recipient, "confirm_handover")).json()["state"] == "accepted"
            assert ok(await she.post(f"{mine(handover)}/confirm_handover"))["state"] == "handed_over"


async def test_a_sanctioning_senders_hand_over_is_confirmed_without_it(world: World) -> None:
    """By the recipient and by her; the sender reads nothing of it, whoever says it first."""
    handover = await world.between(SANCTIONING, RECIPIENT).proposed()
    await handover.walk("r.accept")
    hers = await card(handover, handover.recipient)
    she = await opened(world, hers)

    async def seen() -> list[str]:
        found = [await handover.sender.get(f"{handover.place}{path}") for path in ("", "/events", "/tasks", "/access")]
        return [one.headers.get("etag", "") + one.text for one in found]

    before = await seen()
    assert problem(await handover.step(handover.sender, "confirm_handover"))[0] == 409
    ok(await she.post(f"{mine(handover)}/confirm_handover"))
    assert await seen() == before
    confirmed = await handover.step(handover.recipient, "confirm_handover")
    assert confirmed.json()["state"] == "handed_over"
    assert await seen() == before
    assert ok(await she.get("/v1/person/referrals"))["items"][0]["state"] == "handed_over"
