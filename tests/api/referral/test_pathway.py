"""Her pathway: whoever she agreed to show it to reads its outline, and nobody else anything."""

import json

import pytest
from api.referral.her import Card, card, herself, ok
from api.referral.world import (
    HERS,
    OUTSIDER,
    RECEIVE,
    RECIPIENT,
    SANCTIONING,
    SENDER,
    SENSITIVE,
    UNBOUND,
    Handover,
    Structure,
    World,
    problem,
)

from relais_shared.client import Client

pytestmark = pytest.mark.anyio

SHARING = {"purposes": ["referral", "pathway_sharing"]}


async def accepted(world: World, sender: Structure, recipient: Structure, **terms: object) -> Handover:
    """Walk a hand-over to where somebody took her over."""
    handover = world.between(sender, recipient)
    await handover.open()
    await handover.agree("identity", "needs", **terms)
    await handover.walk("propose", "r.accept")
    return handover


async def joined(world: World, first: Handover, *others: Handover) -> Client:
    """Have a card made for each hand-over, and let her join the others to the first."""
    she = await herself(world, first)
    for other in others:
        hers: Card = await card(other)
        ok(await she.post("/v1/person/referrals/link", json=hers.shown()))
    return she


async def outline(client: Client, handover: Handover) -> list[dict[str, object]]:
    """Read the pathway from one hand-over."""
    answer = await client.get(f"{handover.place}/pathway")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found: list[dict[str, object]] = answer.json()["items"]
    return found


async def test_nobody_and_the_wrong_structure_read_none(world: World) -> None:
    first = await accepted(world, SENDER, RECIPIENT, **SHARING)
    place = f"{first.place}/pathway"
    assert problem(await world.anonymous().get(place)) == (401, "unauthenticated")
    assert problem(await world.as_(SENDER, "directory:read").get(place)) == (403, "scope-missing")
    assert problem(await world.as_(SENDER, RECEIVE).get(place)) == (404, "not-found")
    assert problem(await world.as_(OUTSIDER).get(place)) == (404, "not-found")


async def test_without_her_agreement_it_is_empty(world: World) -> None:
    first, other = await accepted(world, SENDER, RECIPIENT), await accepted(world, OUTSIDER, UNBOUND)
    await joined(world, first, other)
    for client in (first.sender, first.recipient):
        assert await outline(client, first) == []
        assert "pathway" not in (await client.get(f"{first.place}/disclosures")).text


async def test_both_sides_read_the_outline_and_she_sees_that(world: World) -> None:
    first = await accepted(world, SENDER, RECIPIENT, **SHARING)
    other = await accepted(world, OUTSIDER, UNBOUND)
    she = await joined(world, first, other)
    [seen] = await outline(first.recipient, first)
    assert await outline(first.sender, first) == [seen]
    assert set(seen) == {"state", "created_at", "state_at", "sender", "recipient", "themes"}
    assert (seen["state"], seen["sender"], seen["recipient"]) == ("accepted", OUTSIDER.name, UNBOUND.name)
    assert seen["themes"] == ["childcare"]
    assert not [hers for hers in HERS if hers in json.dumps(seen)]
    lines = ok(await she.get(f"/v1/person/referrals/{first.id}/readers"))["items"]
    assert {one["organisation"] for one in lines if "pathway" in one["categories"]} == {SENDER.name, RECIPIENT.name}
    # The structures of the other hand-over learn of nothing: she showed nobody anything there.
    assert await outline(other.recipient, other) == []
    for path in ("/disclosures", "/events"):
        text = (await other.recipient.get(other.place + path)).text
        assert "pathway" not in text
        assert str(RECIPIENT.id) not in text


async def test_it_stops_with_her_agreement_her_link_or_her_card(world: World) -> None:
    first = await accepted(world, SENDER, RECIPIENT, **SHARING)
    other, third = await accepted(world, OUTSIDER, UNBOUND), await accepted(world, OUTSIDER, UNBOUND)
    she = await joined(world, first, other, third)
    assert len(await outline(first.recipient, first)) == 2
    ok(await she.post(f"/v1/person/referrals/{other.id}/unlink"))
    assert len(await outline(first.recipient, first)) == 1
    # What she stopped is not shown on.
    ok(await she.post(f"/v1/person/referrals/{third.id}/withdraw"))
    assert await outline(first.recipient, first) == []
    hers = await card(other)
    ok(await she.post("/v1/person/referrals/link", json=hers.shown()))
    assert len(await outline(first.recipient, first)) == 1
    stop = {"purposes": ["pathway_sharing"]}
    assert (await first.sender.post(f"/v1/consents/{first.consent_id}/withdraw", json=stop)).status_code == 200
    assert await outline(first.recipient, first) == await outline(first.sender, first) == []


async def test_ending_her_card_ends_it(world: World) -> None:
    first = await accepted(world, SENDER, RECIPIENT, **SHARING)
    await joined(world, first, await accepted(world, OUTSIDER, UNBOUND))
    assert await outline(first.recipient, first)
    assert (await first.sender.post(f"{first.place}/access/end")).status_code == 204
    assert await outline(first.recipient, first) == []


async def test_of_a_sensitive_one_neither_theme_nor_structure(world: World) -> None:
    first = await accepted(world, SENDER, RECIPIENT, **SHARING)
    other = await accepted(world, OUTSIDER, SENSITIVE, article_9_basis="consent", seen_alone="yes")
    await joined(world, first, other)
    [seen] = await outline(first.recipient, first)
    assert set(seen) == {"state", "created_at", "state_at"}


async def test_before_acceptance_and_after_an_end_it_is_closed(world: World) -> None:
    first = world.between(SENDER, RECIPIENT)
    await first.open()
    await first.agree(**SHARING)
    other = await accepted(world, OUTSIDER, UNBOUND)
    draft = world.between(OUTSIDER, UNBOUND)
    await draft.open()
    await joined(world, first, other, draft)
    await first.walk("propose")
    assert await outline(first.recipient, first) == await outline(first.sender, first) == []
    await first.walk("r.accept")
    # A draft is its sender's alone, whoever joins it.
    assert len(await outline(first.recipient, first)) == 1
    await first.walk("r.release")
    assert await outline(first.recipient, first) == []


@pytest.mark.parametrize(("sender", "recipient"), [(SANCTIONING, RECIPIENT), (SENDER, SANCTIONING)])
async def test_whoever_may_sanction_reads_none_on_either_side(
    world: World, sender: Structure, recipient: Structure
) -> None:
    first = await accepted(world, sender, recipient, **SHARING)
    other = await accepted(world, OUTSIDER, UNBOUND)
    by = first.recipient if sender is SANCTIONING else first.sender
    hers = await card(first, by=by)
    she = await herself(world, other)
    ok(await she.post("/v1/person/referrals/link", json=hers.shown()))
    sanctioning, plain = (first.sender, first.recipient) if sender is SANCTIONING else (first.recipient, first.sender)
    assert await outline(sanctioning, first) == []
    assert len(await outline(plain, first)) == 1
