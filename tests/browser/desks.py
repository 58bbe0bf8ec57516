"""Who sits before a browser, and who plays which part."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Page

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


Open = Callable[..., Desk]
Hire = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Cast:
    """Who plays: the one who hands over, the one who takes, somebody else; and what is handed to."""

    sender: dict[str, Any]
    recipient: dict[str, Any]
    stranger: dict[str, Any]
    service: dict[str, Any]
