"""Kept right together: confirmed, reported and answered, reviewed; tips; needs that find no place."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from api.directory.owners import ADMIN, NAMUR, OWNER, READ, SEND, WRITE, World, faults, refusal, service

from relais_directory.domain.days import day_of

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_day")]

SOME = str(uuid4())
ASKED: list[tuple[str, str, Any, str]] = [
    ("POST", f"/services/{SOME}/confirmations", None, SEND),
    ("POST", f"/services/{SOME}/reports", {"field": "phone"}, SEND),
    ("GET", "/own/reports", None, SEND),
    ("GET", "/reports", None, WRITE),
    ("POST", f"/own/reports/{SOME}/answer", {"corrected": True}, READ),
    ("POST", "/campaigns", {"name": "n", "older_than_days": 1, "due_on": "2199-01-01"}, WRITE),
    ("GET", "/campaigns", None, WRITE),
    ("GET", f"/campaigns/{SOME}/owners", None, WRITE),
    ("POST", f"/campaigns/{SOME}/end", None, WRITE),
    ("GET", "/own/reviews", None, READ),
    ("POST", f"/services/{SOME}/tips", {"text": "Sonner deux fois."}, READ),
    ("GET", f"/services/{SOME}/tips", None, READ),
    ("DELETE", f"/tips/{SOME}", None, READ),
    ("POST", "/unmet-needs", {"theme": "childcare", "municipality": NAMUR, "reason": "no_place"}, SEND),
    ("GET", "/unmet-needs", None, SEND),
]


@pytest.mark.parametrize(("method", "path", "body", "other"), ASKED)
async def test_nobody_and_those_without_the_scope_are_refused(
    world: World, method: str, path: str, body: Any, other: str
) -> None:
    nobody = await world.caller().ask(method, path, body, headers={"Authorization": ""})
    assert refusal(nobody) == (401, "unauthenticated")
    assert refusal(await world.caller(other).ask(method, path, body)) == (403, "scope-missing")


# ── confirmed ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_confirmation_shows_on_card_and_order_at_once_and_counts_once_a_day(world: World) -> None:
    owner, reader = world.caller(), world.caller(READ, name="Un partenaire")
    stale, fresh = await owner.publish(assured_at="2020-01-01"), await owner.publish(assured_at="2024-01-01")
    assert list(await owner.found(sort="freshness")) == [fresh, stale]
    for _ in range(3):
        await reader.told("POST", f"/services/{stale}/confirmations")
    assert list(await owner.found(sort="freshness")) == [stale, fresh]
    card = (await owner.found())[stale]
    today = day_of(world.now()).isoformat()
    assert card["freshness"] == {"assured_at": today, "assured_by": "Un partenaire", "score": 1.0}
    assert (await reader.read(f"/services/{stale}"))["freshness"] == card["freshness"]
    count = "select count(*) from remark where service_id = $1 and kind = 'confirmed'"
    assert (await world.rows(count, UUID(stale)))[0][0] == 1
    await world.caller(READ).told("POST", f"/services/{stale}/confirmations")
    async with world.later(days=1):
        await reader.told("POST", f"/services/{stale}/confirmations")
    assert (await world.rows(count, UUID(stale)))[0][0] == 3
    # It is no new version, and an older word of the owner's does not undo it.
    assert await owner.version(stale) == '"1"'
    await owner.change(stale, name="Autre", assured_at="2024-05-05")
    assert (await owner.found())[stale]["freshness"]["score"] == 1.0


async def test_who_follows_by_hsds_hears_of_a_confirmation(world: World) -> None:
    partner = world.caller(READ)

    async def hsds(path: str, **params: str) -> Any:
        headers = {"Authorization": f"Bearer {world.gateway.sign('directory', partner.actor)}"}
        return (await world.client.get(f"/hsds/services{path}", params=params, headers=headers)).json()

    id_ = await world.caller().publish(assured_at="2024-01-01")
    before = await hsds(f"/{id_}")
    since = (datetime.fromisoformat(before["last_modified"]) + timedelta(microseconds=1)).isoformat()
    assert id_ not in {one["id"] for one in (await hsds("", modified_after=since))["contents"]}
    async with world.later(hours=1):
        await partner.told("POST", f"/services/{id_}/confirmations")
    (told,) = [one for one in (await hsds("", modified_after=since))["contents"] if one["id"] == id_]
    assert told["assured_date"] > before["assured_date"]
    assert told["last_modified"] > before["last_modified"]


async def test_only_what_is_there_is_confirmed_and_in_the_name_of_somebody(world: World) -> None:
    owner = world.caller()
    id_ = await owner.publish()
    assert refusal(await world.nameless(READ).ask("POST", f"/services/{id_}/confirmations")) == (403, "scope-missing")
    await owner.told("DELETE", f"/services/{id_}", version='"1"')
    reader = world.caller(READ)
    for gone in (id_, SOME):
        assert refusal(await reader.ask("POST", f"/services/{gone}/confirmations")) == (404, "not-found")


# ── reported ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_report_is_shown_until_answered_and_its_words_are_for_owner_and_author_alone(world: World) -> None:
    owner, author, third = world.caller(), world.caller(READ), world.caller(READ)
    id_ = await owner.publish()
    made = await author.told("POST", f"/services/{id_}/reports", {"field": "phone", "text": "C'est le 071 11 11 11."})
    report = made.json()["id"]
    assert made.status_code == 201
    (shown,) = (await third.read(f"/services/{id_}"))["reports"]
    assert (shown["id"], shown["field"]) == (report, "phone")
    assert shown.keys() == {"id", "field", "at"}
    assert (await third.read("/own/reports"))["items"] == []
    for caller, mine in ((owner, True), (author, False)):
        (one,) = (await caller.read("/own/reports"))["items"]
        assert (one["text"], one["mine"], one["answered_at"]) == ("C'est le 071 11 11 11.", mine, None)
    answer = f"/own/reports/{report}/answer"
    told = {"corrected": True, "text": "Merci, corrigé."}
    for other in (world.caller(), author.but(READ, WRITE)):
        assert refusal(await other.ask("POST", answer, told)) == (404, "not-found")
    await owner.told("POST", answer, told)
    assert (await third.read(f"/services/{id_}"))["reports"] == []
    (one,) = (await author.read("/own/reports", answered=True))["items"]
    assert (one["answer"], one["corrected"]) == ("Merci, corrigé.", True)
    assert (await author.read("/own/reports"))["items"] == []
    assert refusal(await owner.ask("POST", answer, told)) == (409, "not-now")


async def test_where_the_owner_is_not_in_relais_the_operator_answers(world: World) -> None:
    owner, author, operator = world.caller(), world.caller(READ), world.caller(ADMIN)
    id_ = await owner.publish()
    report = (await author.told("POST", f"/services/{id_}/reports", {"field": "closed"})).json()["id"]
    pages: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": 1}
    while True:
        page = await operator.read("/reports", **params)
        pages += page["items"]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert report in {one["id"] for one in pages}
    assert len({one["id"] for one in pages}) == len(pages)
    await operator.told("POST", f"/own/reports/{report}/answer", {"corrected": False})
    assert (await author.read(f"/services/{id_}"))["reports"] == []


async def test_a_report_says_what_is_wrong_and_nothing_of_a_person(world: World) -> None:
    id_ = await world.caller().publish()
    place = f"/services/{id_}/reports"
    reader = world.caller(READ)
    assert faults(await reader.ask("POST", place, {"field": "colour"})) == {"/field"}
    assert faults(await reader.ask("POST", place, {"field": "other", "text": " "})) == {"/text"}
    assert faults(await reader.ask("POST", place, {"field": "other", "text": "a\0"})) == {"/text"}
    number = await reader.ask("POST", place, {"field": "other", "text": "85.07.30-033 28"})
    assert refusal(number) == (422, "personal-data-detected")
    assert "85.07" not in number.text
    assert refusal(await reader.ask("POST", f"/services/{SOME}/reports", {"field": "name"})) == (404, "not-found")


# ── reviews ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_day_is_that_of_those_who_work(world: World) -> None:
    """Half an hour after midnight in Brussels the day of UTC is still yesterday."""
    owner, reader = world.caller(), world.caller(READ)
    year = world.now().year + 1
    half_past = datetime(year, 7, 13, 22, 30, tzinfo=UTC)
    async with world.later(seconds=(half_past - world.now()).total_seconds()):
        for id_ in (await owner.publish(), await owner.publish(assured_at=f"{year}-07-14")):
            assert (await owner.found())[id_]["freshness"]["assured_at"] == f"{year}-07-14"
        stale = await owner.publish(assured_at="2020-01-01")
        await reader.told("POST", f"/services/{stale}/confirmations")
        assert (await owner.found())[stale]["freshness"]["assured_at"] == f"{year}-07-14"
        ahead = await owner.ask("POST", "/services", service(assured_at=f"{year}-07-15"))
        assert faults(ahead) == {"/assured_at"}


async def test_owners_of_stale_entries_are_asked_and_each_answer_counts(world: World) -> None:
    owner, operator = world.caller(name="À revoir"), world.caller(ADMIN)
    await owner.told("PUT", "/own/organisation", {"name": "À revoir", "email": "b@example.org"}, version='"0"')
    stale = [await owner.publish(name=f"n{number}", assured_at="2021-01-01") for number in range(5)]
    await owner.publish(name="frais")
    hidden = await owner.publish(assured_at="2021-01-01", status="draft")
    due = (day_of(world.now()) + timedelta(days=30)).isoformat()
    campaign = {"name": "Automne", "older_than_days": 365, "due_on": due, "organisation_id": str(owner.id)}
    id_ = (await operator.told("POST", "/campaigns", campaign)).json()["id"]
    asked = (await owner.read("/own/reviews"))["items"]
    assert {one["service_id"] for one in asked} == set(stale)
    assert hidden not in {one["service_id"] for one in asked}
    assert {one["due_on"] for one in asked} == {due}
    listed = {one["id"]: one["asked"] for one in (await owner.read("/own/services"))["items"]}
    assert {service for service, stands in listed.items() if stands} == set(stale)
    # Confirmed, changed, written as it was, retired: each is an answer. Another's confirmation is none.
    await owner.told("POST", f"/services/{stale[0]}/confirmations")
    await owner.change(stale[1], fees="2 €")
    same = await owner.told("GET", f"/services/{stale[2]}/record")
    await owner.told("PUT", f"/services/{stale[2]}/record", same.json(), version=same.headers["ETag"])
    await owner.told("DELETE", f"/services/{stale[3]}", version='"1"')
    await world.caller(READ).told("POST", f"/services/{stale[4]}/confirmations")
    assert [one["service_id"] for one in (await owner.read("/own/reviews"))["items"]] == [stale[4]]
    outcomes = await world.rows("select service_id, outcome from campaign_entry where campaign_id = $1", UUID(id_))
    assert {str(row["service_id"]): row["outcome"] for row in outcomes} == dict(
        zip(stale, ["confirmed", "changed", "confirmed", "retired", None], strict=True)
    )
    (one,) = [one for one in (await operator.read("/campaigns"))["items"] if one["id"] == id_]
    assert (one["asked"], one["answered"], one["organisations"], one["ended_at"]) == (5, 4, 1, None)
    (whose,) = (await operator.read(f"/campaigns/{id_}/owners"))["items"]
    assert whose == {
        "organisation_id": str(owner.id), "organisation": "À revoir", "asked": 5, "answered": 4, "registered": False,
        "email": "b@example.org",
    }  # fmt: skip
    await operator.told("POST", f"/campaigns/{id_}/end")
    assert (await owner.read("/own/reviews"))["items"] == []
    await owner.told("POST", f"/services/{stale[4]}/confirmations")
    (one,) = [one for one in (await operator.read("/campaigns"))["items"] if one["id"] == id_]
    assert one["answered"] == 4
    assert refusal(await operator.ask("POST", f"/campaigns/{id_}/end")) == (404, "not-found")
    assert refusal(await operator.ask("GET", f"/campaigns/{SOME}/owners")) == (404, "not-found")
    assert (await world.caller().read("/own/reviews"))["items"] == []


async def test_a_review_is_due_on_a_day_to_come(world: World) -> None:
    today = day_of(world.now()).isoformat()
    campaign = {"name": " ", "older_than_days": 0, "due_on": "soon"}
    operator = world.caller(ADMIN)
    assert faults(await operator.ask("POST", "/campaigns", campaign)) == {"/name", "/older_than_days", "/due_on"}
    past = await operator.ask("POST", "/campaigns", {"name": "n", "older_than_days": 9, "due_on": today})
    assert faults(past) == {"/due_on"}


# ── tips ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_partners_share_tips_and_a_withdrawn_one_is_forgotten(world: World) -> None:
    owner = world.caller()
    id_ = await owner.publish()
    one, other = world.caller(SEND, name="Un partenaire"), world.caller("referral:receive")
    text = "Sonner deux fois, la porte est au fond de la cour."
    tip = (await one.told("POST", f"/services/{id_}/tips", {"text": text})).json()["id"]
    (seen,) = (await other.read(f"/services/{id_}/tips"))["items"]
    assert (seen["text"], seen["mine"]) == (text, False)
    (own,) = (await one.read(f"/services/{id_}/tips"))["items"]
    assert own["mine"]
    assert refusal(await other.ask("DELETE", f"/tips/{tip}")) == (404, "not-found")
    await one.told("DELETE", f"/tips/{tip}")
    assert (await other.read(f"/services/{id_}/tips"))["items"] == []
    assert [row["text"] for row in await world.rows("select text from tip where id = $1", UUID(tip))] == [""]
    assert refusal(await one.ask("DELETE", f"/tips/{tip}")) == (404, "not-found")
    assert refusal(await one.ask("POST", f"/services/{SOME}/tips", {"text": text})) == (404, "not-found")


@pytest.mark.parametrize(
    "text",
    [
        "Appeler le 0470 11 22 33.",
        "Écrire à halte@example.org",
        "Dossier 85.07.30-033 28",
        "Demandez Sophie",
        "Mme Dupont connaît le dossier.",
        "zineb est là le mardi",
        "C'est Ouassima qui répond le matin.",
    ],
)
async def test_a_tip_that_tells_of_somebody_is_refused_without_repeating_it(world: World, text: str) -> None:
    owner = world.caller()
    id_ = await owner.publish(
        relay_contact={"name": "Zineb El Amrani", "phone": "071 00 00 01"}, contacts=[{"name": "Ouassima Haddou"}]
    )
    answer = await world.caller(SEND).ask("POST", f"/services/{id_}/tips", {"text": text})
    assert refusal(answer) == (422, "personal-data-detected")
    assert not any(word in answer.text for word in text.split() if len(word) > 5)
    assert await world.rows("select from tip where service_id = $1", UUID(id_)) == []


async def test_a_desk_that_takes_hand_overs_is_nobodys_name(world: World) -> None:
    owner = world.caller(*OWNER, name="Maison Sophie")
    id_ = await owner.publish(name="Crèche Sophie", relay_contact={"name": "Accueil social", "phone": "071 00 00 01"})
    partner = world.caller(SEND)
    await partner.told("POST", f"/services/{id_}/tips", {"text": "Le service social de Sophie est au fond du couloir."})


# ── unmet needs ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_needs_are_shown_from_five_on_and_in_fives(world: World) -> None:
    reader = world.caller(READ)
    need = {"theme": "mobility--bike", "municipality": NAMUR, "hours": "night", "reason": "no_result"}

    async def shown() -> list[int]:
        items = (await reader.read("/unmet-needs"))["items"]
        return [one["needs"] for one in items if (one["theme"], one["hours"]) == ("mobility--bike", "night")]

    seen = []
    for _ in range(11):
        await reader.told("POST", "/unmet-needs", need)
        seen.append(await shown())
    # Each figure, and each difference of two of them, is five persons or none.
    assert seen == [[]] * 4 + [[5]] * 5 + [[10]] * 2
    # Fewer of another kind stay out of sight, and do not count among these.
    for other in ({"reason": "no_place"}, {"municipality": "be:52011"}, {"hours": "weekend"}):
        for _ in range(4):
            await reader.told("POST", "/unmet-needs", need | other)
    assert await shown() == [10]
    (one,) = [one for one in (await reader.read("/unmet-needs"))["items"] if one["theme"] == "mobility--bike"]
    assert one == {
        "year": day_of(world.now()).year, "theme": "mobility--bike", "municipality_code": NAMUR,
        "municipality": "Namur", "hours": "night", "reason": "no_result", "needs": 10,
    }  # fmt: skip
    rows = await world.rows("select * from unmet_need where theme = 'mobility--bike'")
    assert {name for row in rows for name, _value in row.items()} == {
        "id", "theme", "municipality_code", "hours", "reason", "on",
    }  # fmt: skip


async def test_needs_of_two_years_are_never_added_up(world: World) -> None:
    reader = world.caller(READ)
    need = {"theme": "training--digital", "municipality": NAMUR, "reason": "no_place"}
    for _ in range(4):
        await reader.told("POST", "/unmet-needs", need)
    async with world.later(days=366):
        for _ in range(4):
            await reader.told("POST", "/unmet-needs", need)
        assert not [one for one in (await reader.read("/unmet-needs"))["items"] if one["theme"] == "training--digital"]
        await reader.told("POST", "/unmet-needs", need)
        (one,) = [one for one in (await reader.read("/unmet-needs"))["items"] if one["theme"] == "training--digital"]
        assert (one["year"], one["needs"]) == (day_of(world.now()).year, 5)
    async with world.later(days=366 * 3):
        items = (await reader.read("/unmet-needs"))["items"]
        assert "training--digital" not in {one["theme"] for one in items}


async def test_a_need_names_what_the_directory_knows(world: World) -> None:
    reader = world.caller(READ)
    broken = {"theme": "x", "municipality": "Namur", "hours": "noon", "reason": "bad luck", "name": "Amina"}
    answer = await reader.ask("POST", "/unmet-needs", broken)
    assert faults(answer) == {"/theme", "/municipality", "/hours", "/reason", "/name"}
    unknown = await reader.ask(
        "POST", "/unmet-needs", {"theme": "childcare", "municipality": "be:99999", "reason": "no_place"}
    )
    assert faults(unknown) == {"/municipality"}
