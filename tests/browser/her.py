"""Her hand-over, her card and her page, for the tests that act on it in a browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from browser.desks import Desk, Open
from journeys.test_one_handover import a_service_of, consented
from support.stack import Stack, if_match, key

DIGITS = {"kind": "digits", "value": "482910"}
PICTURES = {"kind": "pictures", "value": [4, 9, 2, 2]}
GIVEN, FAMILY, PHONE, PLACE = "Yasmina-Page", "Vandamme-Page", "0476 91 82 73", "rue des Tilleuls 7"
WORDS, SECOND = "une place près du canal", "sans voiture le matin"
HERS = (GIVEN, FAMILY, PHONE, PLACE, WORDS, SECOND)


@dataclass
class Hers:
    """Her hand-over between two structures, each acting through its client."""

    sender: httpx.Client
    recipient: httpx.Client
    id: str
    recipient_name: str

    @property
    def sides(self) -> set[str]:
        """The ids of the two structures."""
        seen = self.sender.get(self.place).json()
        return {seen[side]["organisation_id"] for side in ("sender", "recipient")}

    @property
    def place(self) -> str:
        """Where it is for the two structures."""
        return f"/v1/referrals/{self.id}"

    def step(self, by: httpx.Client, action: str, **body: Any) -> None:
        """Take a step as a side."""
        answer = by.post(f"{self.place}/{action}", headers=if_match(by.get(self.place)), json=body)
        assert answer.status_code == 200, answer.text

    def card(self, **chosen: Any) -> str:
        """Make her card; answer its link."""
        answer = self.sender.post(f"{self.place}/access", json={"code": DIGITS, "level": "full", **chosen})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["link"])

    def ask(self, *categories: str) -> None:
        """Ask for her agreement by her own link."""
        body = {"purposes": ["referral"], "data_categories": list(categories), "language": "fr"}
        more = {"notice_version": "2026-1", "collected_by": "Ana Lopes"}
        answer = self.sender.post(f"{self.place}/consents/request", headers=key(), json={**body, **more})
        assert answer.status_code == 201, answer.text


@contextmanager
def hers(stack: Stack, *, met: bool = True) -> Iterator[Hers]:
    """Open her hand-over; taken over, with a meeting yesterday, where `met`."""
    one, two = stack.clients("directory:read", "referral:send", "referral:receive")[:2]
    with stack.api(one) as ana, stack.api(two) as ben:
        service = a_service_of(ana, two["organisation_id"])
        opened = ana.post(
            "/v1/referrals",
            headers=key(),
            json={
                "recipient": {"organisation_id": two["organisation_id"], "service_id": service["service"]["id"]},
                "counsellor": {"name": "Ana Lopes"},
                "person": {
                    "identity": {"given_name": GIVEN, "family_name": FAMILY},
                    "contact": {"phone": PHONE},
                    "area": {"municipality": "be:52011", "postcode": "6000"},
                    "languages": ["fr"],
                },
                "needs": [{"theme": "childcare", "words": WORDS}, {"theme": "mobility", "words": SECOND}],
            },
        )
        assert opened.status_code == 201, opened.text
        made = Hers(ana, ben, opened.json()["id"], two["organisation"])
        if met:
            assert consented(ana, made.id, "identity", "contact", "needs").status_code == 201
            made.step(ana, "propose")
            made.step(ben, "accept", counsellor={"name": "Ben Noël"})
            yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
            made.step(ben, "plan_meeting", starts_at=yesterday, place=PLACE)
        yield made


def come_in(
    open_desk: Open, link: str, code: str = DIGITS["value"], button: str = "Ouvrir ma page", **options: Any
) -> Desk:
    """Open her page with her card and six digits, as she does at home."""
    desk = open_desk({}, **options)
    desk.page.goto(link)
    desk.page.locator("#digits").fill(code)
    desk.page.get_by_role("button", name=button).click()
    desk.page.wait_for_url("**/p/ici")
    return desk
