"""A sender that can sanction the people it accompanies reads nothing of what became of her."""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from api.referral.world import (
    BODIES,
    RECIPIENT,
    SANCTIONING,
    SEND,
    Handover,
    World,
    a_consent,
    if_match,
    key,
)

pytestmark = pytest.mark.anyio

End = Callable[[Handover], Awaitable[object]]


async def _withdrew_early(handover: Handover) -> None:
    await handover.recipient.post(f"{handover.place}/withdraw", json={"method": "in_person"})


async def _withdrew_by_consent(handover: Handover) -> None:
    await handover.recipient.post(f"/v1/consents/{handover.consent_id}/withdraw", json={"method": "phone"})


async def _no_place(handover: Handover) -> None:
    await handover.step(handover.recipient, "receive")
    await handover.step(handover.recipient, "decline")


async def _no_place_after_all(handover: Handover) -> None:
    await handover.step(handover.recipient, "accept")
    await handover.step(handover.recipient, "release", words="Complet.")


async def _did_not_come(handover: Handover) -> None:
    await handover.step(handover.recipient, "accept")
    await handover.step(handover.recipient, "plan_meeting")
    await handover.step(handover.recipient, "replan")
    await handover.step(handover.recipient, "release", reason="other")


async def _withdrew_late(handover: Handover) -> None:
    await handover.step(handover.recipient, "receive")
    await handover.step(handover.recipient, "accept")
    await handover.step(handover.recipient, "confirm_handover")
    await handover.recipient.post(f"{handover.place}/withdraw", json={})


EARLY: dict[str, End] = {"withdrew": _withdrew_early, "stopped": _withdrew_by_consent, "no place": _no_place}
LATE: dict[str, End] = {
    "withdrew": _withdrew_late,
    "gave back": _no_place_after_all,
    "did not come": _did_not_come,
}


async def ended(world: World, end: End) -> Handover:
    """Propose as a sender that may sanction, and let it end."""
    handover = await world.between(SANCTIONING, RECIPIENT).proposed()
    handover.sender = world.as_(SANCTIONING, SEND)
    await end(handover)
    return handover


async def probed(handover: Handover) -> list[str]:
    """Answer all that the sender can find out, ids and times taken out: by reading, by filters, by trying."""
    ana, place = handover.sender, handover.place
    said = [await ana.get(f"{place}{path}") for path in ("", "/consents", "/disclosures", "/events")]
    seen = said[0]
    listed = []
    for state in ("proposed", "accepted", "handed_over", "closed", "declined", "cancelled", "withdrawn"):
        page = await ana.get("/v1/referrals", params={"state": state, "limit": 100})
        listed += [f"{state}: {json.dumps(one)}" for one in page.json()["items"] if one["id"] == handover.id]
    said += [
        await ana.post(f"{place}/{action}", headers=if_match(seen), json=BODIES[action])
        for action in ("propose", "plan_meeting", "replan", "confirm_handover")
    ]
    said.append(await ana.patch(place, headers=if_match(seen), json={"urgency": "none"}))
    said.append(await ana.post(f"{place}/consents", headers=key(), json=a_consent("identity")))
    said.append(await ana.post(f"{place}/cancel", headers=if_match(await ana.get(place)), json={}))
    # At last it stops everything itself, in each way, and reads again: that tells nothing either.
    said.append(await ana.post(f"/v1/consents/{handover.consent_id}/withdraw", json={}))
    said.append(await ana.post(f"{place}/withdraw", json={}))
    said += [await ana.get(f"{place}{path}") for path in ("", "/consents", "/disclosures", "/events")]
    return [_bare(f"{one.status_code} {_headers(one)} {one.text}", handover) for one in said] + [
        _bare(line, handover) for line in listed
    ]


def _headers(answer: httpx.Response) -> dict[str, str]:
    return {name: text for name, text in answer.headers.items() if name not in {"traceresponse", "content-length"}}


def _bare(text: str, handover: Handover) -> str:
    text = text.replace(handover.consent_id, "CONSENT").replace(handover.id, "REFERRAL")
    text = re.sub(r'"short_code": ?"\w+"', "CODE", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)", "TIME", text)
    text = re.sub(r'"trace_id":"[0-9a-f]{32}"', "TRACE", text)
    return re.sub(r'"id":"[0-9a-f-]{36}"', "ID", text)


@pytest.mark.parametrize("ends", [EARLY, LATE], ids=["early", "late"])
async def test_every_ending_reads_the_same(world: World, ends: dict[str, End]) -> None:
    found = {name: await probed(await ended(world, end)) for name, end in ends.items()}
    first, *others = found
    for other in others:
        assert found[other] == found[first], f"{other} reads otherwise than {first}"
    text = "\n".join(found[first])
    assert "Complet" not in text
    assert "no_place" not in text
    assert "Ben Noel" not in text
    assert not re.search(r"declined|handed_over|meeting_planned|received", text.replace("declined: ", ""))


async def test_what_it_may_not_notice_moves_nothing(world: World) -> None:
    """Neither version, nor date, nor place in the list moves while the recipient works with her."""
    handover = await world.between(SANCTIONING, RECIPIENT).proposed()
    other = await world.between(SANCTIONING, RECIPIENT).proposed()
    ana = handover.sender

    async def seen() -> tuple[Any, ...]:
        read = await ana.get(handover.place)
        listed = (await ana.get("/v1/referrals", params={"role": "sender", "limit": 100})).json()["items"]
        ids = [one["id"] for one in listed if one["id"] in {handover.id, other.id}]
        since = await ana.get("/v1/referrals", params={"updated_since": read.json()["updated_at"], "limit": 100})
        later = {one["id"] for one in since.json()["items"]}
        return read.headers["etag"], read.text, ids, handover.id in later, other.id in later

    before = await seen()
    assert before[2] == [other.id, handover.id]
    await handover.step(handover.recipient, "receive")
    assert await seen() == before
    await handover.step(handover.recipient, "accept")
    accepted = await seen()
    assert json.loads(accepted[1])["state"] == "accepted"
    for action in ("plan_meeting", "replan", "confirm_handover"):
        await handover.step(handover.recipient, action)
        assert await seen() == accepted, action


async def test_it_can_send_and_stop_and_nothing_else(world: World) -> None:
    handover = await world.between(SANCTIONING, RECIPIENT).proposed()
    for _ in range(2):
        read = await handover.sender.get(handover.place)
        assert read.json()["allowed_actions"] == ["cancel"]
        await handover.step(handover.recipient, "accept")
    read = await handover.sender.get(handover.place)
    assert not {"recipient_counsellor", "confirmations", "meeting", "decline", "outcome"} & set(read.json())
    stopped = await handover.walk("cancel")
    assert (stopped.json()["state"], stopped.json()["allowed_actions"]) == ("ended", [])
