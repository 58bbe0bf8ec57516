"""What the other side would read of a draft, tried out by its sender while she decides."""

import pytest
from api.referral.her import bare
from api.referral.test_person import steady
from api.referral.world import FAMILY, NOTE, PHONE, RECIPIENT, SENDER, WORDS, Handover, World, problem

from relais_referral.domain.visibility import Category

pytestmark = pytest.mark.anyio


async def test_what_is_tried_out_is_what_they_then_read(world: World) -> None:
    for chosen in ({"needs"}, {"needs", "identity", "contact"}, {"identity", "notes"}):
        handover = world.between(SENDER, RECIPIENT)
        await handover.open(notes=NOTE)
        answer = await handover.sender.get(f"{handover.place}/preview", params={"data_categories": sorted(chosen)})
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        tried = answer.json()["items"]
        assert [(one["stage"], one["now"]) for one in tried] == [("proposed", False), ("accepted", False)]
        assert not [word for word in (FAMILY, PHONE, NOTE) if word in str(tried[0])]
        await handover.agree(*sorted(chosen))
        for place, step in enumerate(("propose", "r.accept")):
            await handover.walk(step)
            read = (await handover.recipient.get(handover.place)).json()
            assert steady(tried[place]["reads"]) == steady(read), chosen


async def test_a_no_shows_nothing_of_hers(handover: Handover) -> None:
    await handover.open(notes=NOTE)
    tried = (await handover.sender.get(f"{handover.place}/preview")).json()["items"]
    assert not [word for word in (FAMILY, PHONE, NOTE, WORDS) if word in str(bare(tried))]


async def test_not_seen_alone_on_a_sensitive_theme_keeps_contact_closed(handover: Handover) -> None:
    await handover.open(needs=[{"theme": "support--health", "words": WORDS}])
    everything = [str(one) for one in Category]
    for alone, shown in (("no", False), ("yes", True)):
        params = {"data_categories": everything, "seen_alone": alone}
        late = (await handover.sender.get(f"{handover.place}/preview", params=params)).json()["items"][1]
        assert ("contact" in late["reads"]["person"]) is shown


async def test_only_its_sender_tries_out_a_draft_and_only_a_draft(handover: Handover) -> None:
    await handover.open()
    assert problem(await handover.recipient.get(f"{handover.place}/preview"))[0] in {403, 404}
    before = (await handover.sender.get(f"{handover.place}/disclosures")).json()["items"]
    await handover.sender.get(f"{handover.place}/preview", params={"data_categories": ["identity"]})
    # Its own words were shown to it: nothing was disclosed.
    assert (await handover.sender.get(f"{handover.place}/disclosures")).json()["items"] == before
    await handover.agree("needs")
    await handover.walk("propose")
    assert problem(await handover.sender.get(f"{handover.place}/preview")) == (409, "transition-not-allowed")
