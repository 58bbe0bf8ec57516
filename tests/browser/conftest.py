"""A real browser on the real stack: Chromium, two counsellors, and an eye on everything that leaves it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from browser.desks import WAIT_MS, Cast, Desk, Hire, Open, Sides
from playwright.sync_api import Browser, BrowserContext, Request, expect, sync_playwright
from support.stack import Stack

from relais_local.territory.generate import organisations

# A context's own patience does not count here: it would be five seconds.
expect.set_options(timeout=WAIT_MS)

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


@pytest.fixture(name="chromium", scope="module")
def _chromium() -> Iterator[Browser]:
    """Run a browser; it ends with its module, because its event loop holds this thread as long as it lives."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("There is no Chromium here (Debian: apt-get install chromium).")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(name="open_desk")
def _open_desk(chromium: Browser, stack: Stack) -> Iterator[Open]:
    """Answer a factory of browsers, each with its own cookies; keyword options are Playwright's."""
    contexts: list[BrowserContext] = []

    def opened(account: dict[str, Any], **options: Any) -> Desk:
        context = chromium.new_context(**{"locale": "fr-BE", "timezone_id": "Europe/Brussels", **options})
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        desk = Desk(context.new_page(), account, stack.base_url)

        def asked(request: Request) -> None:
            desk.sent.append(request.url)

        context.on("request", asked)
        desk.page.on("pageerror", lambda error: desk.faults.append(str(error)))
        desk.page.on(
            "console",
            lambda said: desk.faults.append(said.text) if "Content Security Policy" in said.text else None,
        )
        return desk

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(name="hire", scope="session")
def _hire(stack: Stack) -> Hire:
    """Answer a factory of accounts that no other test knows, made by the operator's own command."""
    organisation = stack.demo["counsellors"][0]["organisation_id"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RELAIS_", "OTEL_"))}

    def hired(organisation: str = organisation) -> dict[str, Any]:
        email = f"dina-{token_hex(4)}@essai.example"
        done = subprocess.run(
            [str(Path(sys.executable).with_name("relais")), "users", "add", email, "--name", "Dina Peeters",
             "--organisation", organisation],
            env={**environment, "RELAIS_HOME": str(stack.home), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return {"email": email, "password": done.stdout.strip().split(": ")[1]}

    return hired


@pytest.fixture(name="cast", scope="session")
def _cast(stack: Stack) -> Cast:
    """Choose counsellors of three structures that sanction nobody; the second offers childcare near 6000."""
    plain = {each["id"] for each in organisations() if not (each["may_sanction"] or each["control_unit"])}
    first_of = {
        each["organisation_id"]: each
        for each in reversed(stack.demo["counsellors"])
        if each["organisation_id"] in plain
    }
    with stack.api(stack.clients("directory:read")[0]) as api:
        for organisation_id, recipient in first_of.items():
            found = api.get(
                "/v1/directory/search",
                params={"postcode": "6000", "theme": "childcare", "organisation_id": organisation_id, "limit": 50},
            ).json()["items"]
            service = next((one for one in found if one["can_receive"] == "relais" and one["distance_m"]), None)
            if service is not None:
                others = [each for each in first_of.values() if each is not recipient]
                return Cast(others[0], recipient, others[1], service)
    pytest.fail("The demonstration has no structure with childcare near 6000 whose counsellors sign in.")


@pytest.fixture(name="sides", scope="module")
def _sides(stack: Stack, cast: Cast) -> Iterator[Sides]:
    """Let the software of both structures act."""
    clients = {one["organisation_id"]: one for one in stack.clients("referral:send", "referral:receive")}
    to = {
        "organisation_id": cast.recipient["organisation_id"],
        "service_id": cast.service["service"]["id"],
    }
    with ExitStack() as held:
        one, two = (
            held.enter_context(stack.api(clients[each["organisation_id"]])) for each in (cast.sender, cast.recipient)
        )
        yield Sides(one, two, to)
