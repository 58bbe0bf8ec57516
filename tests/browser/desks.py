"""Who sits before a browser, and who plays which part."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from journeys.test_one_handover import consented
from playwright.sync_api import Locator, Page
from support.stack import if_match, key

WAIT_MS = 20_000
"""For a busy two-core machine; normally a page takes a tenth of a second."""


@dataclass
class Desk:
    """A counsellor's browser.

    Attributes:
        page: What she looks at.
        account: Of the demonstration: email, password, organisation_id.
        sent: Every address that the browser asked for.
        faults: What the browser complained about: a script that failed, something that the policy forbade.
    """

    page: Page
    account: dict[str, Any]
    base_url: str
    sent: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def sign_in(self) -> None:
        """Sign in as this counsellor, from wherever the first page leads."""
        self.page.goto(self.base_url)
        self.page.get_by_label("Adresse e-mail").fill(self.account["email"])
        self.page.get_by_label("Mot de passe").fill(self.account["password"])
        self.page.get_by_role("button", name="Se connecter").click()
        self.page.get_by_role("button", name="Se déconnecter").wait_for()


def turn(page: Page, control: Locator) -> None:
    """Turn the page: press what leads to another, and be there; a click does not wait for it."""
    with page.expect_navigation():
        control.click()


Open = Callable[..., Desk]
Hire = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Cast:
    """Who plays: the one who hands over, the one who takes, somebody else; and what is handed to."""

    sender: dict[str, Any]
    recipient: dict[str, Any]
    stranger: dict[str, Any]
    service: dict[str, Any]


CALLED, PHONE, WORDS = "Ondine-Fil", "0478 44 55 66", "une place tout près"
"""Of whoever is handed over between two structures that act by their software."""


@dataclass
class Sides:
    """Two structures, each by its software, and how one opens threads between them."""

    sender: httpx.Client
    recipient: httpx.Client
    to: dict[str, str]

    def opened(self, **more: Any) -> str:
        """Open and propose a hand-over; answer its id."""
        made = self.sender.post(
            "/v1/referrals",
            headers=key(),
            json={
                "recipient": self.to,
                "counsellor": {"name": "Ana Lopes"},
                "person": {
                    "identity": {"called": CALLED},
                    "contact": {"phone": PHONE},
                    "area": {"municipality": "be:52011", "postcode": "6000"},
                    "languages": ["fr"],
                },
                "needs": [{"theme": "childcare", "words": WORDS}],
                **more,
            },
        )
        assert made.status_code == 201, made.text
        id_ = str(made.json()["id"])
        assert consented(self.sender, id_, "identity", "contact", "needs", "documents").status_code == 201
        self.step(self.sender, id_, "propose")
        return id_

    def step(self, by: httpx.Client, id_: str, action: str, **body: Any) -> None:
        """Take a step as a side."""
        place = f"/v1/referrals/{id_}"
        answer = by.post(f"{place}/{action}", headers=if_match(by.get(place)), json=body)
        assert answer.status_code == 200, answer.text
