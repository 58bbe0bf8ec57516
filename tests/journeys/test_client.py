"""One person is handed over with the Python client, by a program that waits and by one that does much at once.

Ana finds childcare, opens a referral, records the mother's agreement and proposes. Ben takes it over, they plan a
meeting, both confirm, Ben closes; then the mother stops the sharing. The page for partners tells the same, and runs.
"""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import pytest
from journeys.test_events import WITHIN_S, Called, _receiver  # noqa: F401 - a fixture, by its own name
from support.stack import Stack

from relais_client import (
    Agreement,
    Area,
    AsyncRelais,
    Card,
    Contact,
    Counsellor,
    Draft,
    Event,
    FileBookmark,
    Identity,
    Meeting,
    Need,
    NotFromRelais,
    Person,
    Problem,
    Relais,
    verify,
)

ROOT = Path(__file__).parents[2]
GIVEN, WORDS = "Amina-Client", "une place avant lundi"
BEN = Counsellor(name="Ben Noël")
AGREED = Agreement(
    purposes=["referral", "feedback"],
    data_categories=["identity", "contact", "needs"],
    method="in_person_oral",
    language="fr",
    notice_version="2026-1",
    collected_by="Ana Lopes",
    given_at=datetime.now(UTC),
)


def a_draft(card: Card) -> Draft:
    return Draft(
        recipient=card.to,
        counsellor=Counsellor(name="Ana Lopes"),
        person=Person(
            identity=Identity(given_name=GIVEN),
            contact=Contact(phone="0470 11 22 33"),
            area=Area(municipality="be:52011", postcode="6000"),
            languages=["fr"],
        ),
        needs=[Need(theme="childcare", words=WORDS)],
    )


def a_meeting() -> Meeting:
    return Meeting(starts_at=datetime.now(UTC) + timedelta(days=1), place="à la crèche", attendees=["person", "sender"])


@pytest.fixture(name="parties", scope="module")
def _parties(stack: Stack) -> list[tuple[str, str, str]]:
    found = stack.clients("directory:read", "referral:send", "referral:receive")[:2]
    return [(stack.base_url, one["client_id"], one["client_secret"]) for one in found]


def test_a_person_is_handed_over_by_a_program_that_waits(stack: Stack, parties: list[tuple[str, str, str]]) -> None:
    organisation = stack.clients("directory:read", "referral:send", "referral:receive")[1]["organisation_id"]
    with Relais(*parties[0]) as ana, Relais(*parties[1]) as ben:
        assert ana.search_page(postcode="6000", theme=["childcare"], limit=1).total > 1
        cards = list(ana.search(organisation_id=organisation, limit=2))
        assert len({card.id for card in cards}) == len(cards) > 2

        # The same key twice opens one draft; a crash between asking and noting does no harm.
        draft = a_draft(next(card for card in cards if card.can_receive == "relais"))
        referral = ana.create_referral(draft, key="our-case-17")
        assert ana.create_referral(draft, key="our-case-17").id == referral.id
        with pytest.raises(Problem) as no:
            ana.propose_referral(referral)
        assert (no.value.status, no.value.slug, no.value.allowed_actions) == (409, "consent-missing", ["cancel"])
        assert no.value.trace_id

        notice = ana.read_notice("2026-1", "fr")
        consent = ana.record_consent(referral.id, AGREED)
        assert (consent.status, notice.version) == ("given", "2026-1")
        with pytest.raises(Problem) as stale:
            ana.propose_referral(referral)
        assert (stale.value.status, stale.value.slug) == (412, "stale-version")
        assert ana.propose_referral(ana.read_referral(referral.id)).state == "proposed"

        waiting = [one.id for one in ben.list_referrals(role="recipient", state=["proposed"], limit=1)]
        assert referral.id in waiting
        before = ben.acting_for("agent-7").read_referral(referral.id)
        assert before.needs
        assert before.needs[0]["words"] == WORDS
        assert GIVEN not in before.model_dump_json()
        received = ben.receive_referral(before, BEN)
        accepted = ben.accept_referral(received, BEN)
        assert accepted.person
        assert accepted.person["identity"]["given_name"] == GIVEN
        planned = ben.plan_meeting(accepted, a_meeting())
        assert planned.state == "meeting_planned"
        ana.write_message(referral.id, "Elle vient avec son fils.")
        assert [one.words for one in ben.list_messages(referral.id)] == ["Elle vient avec son fils."]
        assert ana.confirm_handover(ana.read_referral(referral.id)).state == "meeting_planned"
        both = ben.confirm_handover(ben.read_referral(referral.id))
        assert (both.state, ben.close_referral(both, "under_way").state) == ("handed_over", "closed")

        assert any(look.on_behalf_of == "agent-7" for look in ana.list_disclosures(referral.id))
        assert ana.withdraw_consent(consent.id).status == "withdrawn"
        assert ana.withdraw_consent(consent.id).status == "withdrawn"
        assert GIVEN not in ben.read_referral(referral.id).model_dump_json()

        with pytest.raises(Problem) as invalid:
            ana.request("GET", "/v1/referrals", query={"role": "nobody", "limit": 0})
        assert {fault.pointer for fault in invalid.value.errors} == {"?role", "?limit"}


def test_what_happens_is_told(
    stack: Stack, parties: list[tuple[str, str, str]], receiver: tuple[str, Queue[Called]], tmp_path: Path
) -> None:
    """Ben's tool is called and checks by whom; the feed then tells the same, from where the tool was."""
    url, called = receiver
    organisation = stack.clients("directory:read", "referral:send", "referral:receive")[1]["organisation_id"]
    with Relais(*parties[0]) as ana, Relais(*parties[1]) as ben:
        bookmark, told = FileBookmark(tmp_path / "cursor"), list[Event]()
        ben.consume(bookmark, told.append)
        endpoint = ben.create_webhook(url, types=["referral.proposed", "referral.cancelled"])
        assert endpoint.secret
        assert endpoint.secret not in repr(endpoint)

        card = next(one for one in ana.search(organisation_id=organisation) if one.can_receive == "relais")
        referral = ana.create_referral(a_draft(card))
        ana.record_consent(referral.id, AGREED)
        ana.cancel_referral(ana.propose_referral(ana.read_referral(referral.id)))
        heard: list[Event] = []
        while len(heard) < 2:
            headers, body = called.get(timeout=WITHIN_S)
            with pytest.raises(NotFromRelais):
                verify(body + b" ", headers, endpoint.secret)
            event = verify(body, headers, endpoint.secret)
            assert verify(body, headers, endpoint.public_keys) == event
            # The end of what other tests did may still come.
            heard += [event] if event.subject_id == referral.id else []
        assert [one.type for one in heard] == ["referral.proposed", "referral.cancelled"]

        # What was delivered stands in the feed by then.
        ben.consume(bookmark, told.append)
        assert [one for one in told if one.subject_id == referral.id] == heard
        assert len({one.id for one in told}) == len(told)

        renewed = ben.rotate_webhook(endpoint.id)
        assert renewed.secret
        ben.send_test(endpoint.id)
        headers, body = called.get(timeout=WITHIN_S)
        assert {verify(body, headers, key).type for key in (renewed.secret, endpoint.secret)} == {"webhook.test"}
        assert not ben.enable_webhook(ben.read_webhook(endpoint.id), enabled=False).enabled
        log = {one.event_id for one in ben.list_deliveries(endpoint.id, limit=1)}
        assert log > {one.id for one in heard}
        ben.remove_webhook(endpoint.id)
        assert endpoint.id not in [one.id for one in ben.list_webhooks()]


@pytest.mark.anyio
async def test_a_person_is_handed_over_by_a_program_that_does_much_at_once(
    stack: Stack, parties: list[tuple[str, str, str]]
) -> None:
    organisation = stack.clients("directory:read", "referral:send", "referral:receive")[1]["organisation_id"]
    async with AsyncRelais(*parties[0]) as ana, AsyncRelais(*parties[1]) as ben:
        found = [card async for card in ana.search(organisation_id=organisation) if card.can_receive == "relais"]
        referral = await ana.create_referral(a_draft(found[0]))
        consent = await ana.record_consent(referral.id, AGREED)
        await ana.propose_referral(await ana.read_referral(referral.id))
        accepted = await ben.accept_referral(await ben.read_referral(referral.id), BEN)
        assert accepted.person
        assert accepted.person["identity"]["given_name"] == GIVEN
        await ben.plan_meeting(accepted, a_meeting())
        await ana.confirm_handover(await ana.read_referral(referral.id))
        both = await ben.confirm_handover(await ben.read_referral(referral.id))
        assert (await ben.close_referral(both, "completed")).state == "closed"
        assert (await ana.withdraw_consent(consent.id)).status == "withdrawn"
        assert GIVEN not in (await ben.read_referral(referral.id)).model_dump_json()


def examples(page: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_the_example_of_the_documents_runs(stack: Stack) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", examples("client.md")[0]],
        cwd=ROOT,
        env={**os.environ, "RELAIS_HOME": str(stack.home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said: list[Any] = done.stdout.splitlines()
    assert said[0] == "409 consent-missing ['cancel']"
    assert WORDS in said[1]
    assert said[1].endswith(" None")
    assert said[2:] == ["Prénom", "closed", "withdrawn None", "True"]


def test_the_description_is_good_enough_for_generators(stack: Stack) -> None:
    """Names are given once, and what is answered is described: `make check-generated-clients` tries the generators."""
    document = httpx.get(f"{stack.base_url}/openapi.json").raise_for_status().json()
    schemas = document["components"]["schemas"]
    assert [name for name, schema in schemas.items() if schema.get("title", name) != name] == []
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    ids = [one["operationId"] for one in operations]
    assert len(ids) == len(set(ids))
    pointed = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert pointed - set(schemas) == set()
    silent = [
        (one["operationId"], status)
        for one in operations
        for status, answer in one["responses"].items()
        for kind, said in answer.get("content", {}).items()
        if kind.endswith("json") and "schema" not in said
    ]
    assert silent == []
