"""Every page: sound in both schemes for whoever may see it, and not there for anybody else."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from browser.desks import WAIT_MS, Hire
from browser.every_page import ELSEWHERE, EVERYBODY, NOES, PAGES, POSTS, forms, routes
from browser.sound import faults_of
from browser.world import SECRETS, World, everything
from playwright.sync_api import Browser
from playwright.sync_api import Page as Shown
from support.rows import let_sign_ins_be_new, owner_dsn
from support.stack import Stack

from relais_gateway.web.site import POLICY

REFUSED = {204, 303, 401, 403, 404}
"""What a page says no with: leading to the door, or saying that it is not there; 204 ends a stream."""


@pytest.fixture(name="world", scope="module")
def _world(stack: Stack, hire: Hire) -> Iterator[World]:
    with everything(stack, hire()) as world:
        yield world


def test_each_page_is_listed() -> None:
    """A page that is new stands in the list, and with it in the tests below, or fails here."""
    found = set(routes())
    assert {path for method, path in found if method == "GET"} == {page.template for page in PAGES} | ELSEWHERE.keys()
    assert {path for method, path in found if method == "POST" and "{" in path} == POSTS.keys()


# As who may see them --------------------------------------------------------------------------------


@contextmanager
def looking(chromium: Browser, world: World, who: str) -> Iterator[tuple[Shown, list[str]]]:
    """Answer a browser of somebody who is in, and what it complains about."""
    context = chromium.new_context(locale="fr-BE", timezone_id="Europe/Brussels")
    context.set_default_timeout(WAIT_MS)
    complaints: list[str] = []
    try:
        if who in world.cookies:
            name, value = world.cookies[who]
            context.add_cookies([{"name": name, "value": value, "url": world.base_url}])
        page = context.new_page()
        page.on("dialog", lambda asked: complaints.append(f"a dialog: {asked.message}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
        yield page, complaints
    finally:
        context.close()


def found_on(page: Shown, address: str, status: int = 200) -> list[str]:
    """Answer what is wrong with a page."""
    answer = page.goto(address)
    assert answer is not None
    policy = answer.header_value("content-security-policy")
    found = [] if (answer.status, answer.url) == (status, address) else [f"{answer.status} {answer.url}"]
    found += [] if policy == POLICY else [f"policy: {policy}"]
    return [f"{address}: {each}" for each in found + faults_of(page, answer.text())]


@pytest.mark.parametrize("who", sorted({who for page in PAGES for who in page.looks}))
def test_no_page_breaks_a_rule_that_a_machine_can_check(chromium: Browser, world: World, who: str) -> None:
    """In light and in dark, on a desk and on a telephone, everything unfolded."""
    with looking(chromium, world, who) as (page, complaints):
        addresses = [world.base_url + path for each in PAGES if who in each.looks for path in each.places(world.ids)]
        wrong = [fault for address in addresses for fault in found_on(page, address)]
    assert not wrong + complaints, "\n".join(wrong + complaints)


def test_no_page_that_says_no_breaks_one_either(chromium: Browser, world: World) -> None:
    wrong: list[str] = []
    for who, path, status in NOES:
        with looking(chromium, world, who) as (page, complaints):
            wrong += found_on(page, world.base_url + path, status)
            wrong += [each for each in complaints if f"with a status of {status}" not in each]
    assert not wrong, "\n".join(wrong)


# As everybody else ----------------------------------------------------------------------------------


def read(asking: httpx.Client, path: str, sent: dict[str, str] | None = None) -> tuple[int, str]:
    """Answer the status of a page, and where it leads or what it says; a stream says nothing yet."""
    method = "GET" if sent is None else "POST"
    # Where a file is sent, it is there: nothing that is missing hides who sends it.
    field = {"bloc": "block", "document": "document"}.get(path.rpartition("/")[2], "") if sent else ""
    files = {field: ("a.pdf", b"%PDF-1.4\n%%EOF\n", "application/pdf")} if field else None
    with asking.stream(method, path, data=sent, files=files) as answer:
        if "event-stream" in answer.headers.get("content-type", ""):
            return answer.status_code, ""
        said = answer.read().decode(errors="replace")
    return answer.status_code, answer.headers.get("location", "") + said


def bare(text: str, world: World) -> str:
    """Answer what a page says, whichever ids it was asked for."""
    for value in (*world.ids.values(), *world.unknown.values()):
        text = text.replace(value, "")
    # A script's part of a page is told the code of the trace as well.
    return re.sub(r'"[0-9a-f]{32}"', "", text)


def compared(asking: httpx.Client, world: World, paths: tuple[str, str], forms: Any = (None, None)) -> list[str]:
    """Answer how a refusal of what is there differs from one of what is not, and what of another's it tells."""
    (status, text), (other, said) = (read(asking, path, sent) for path, sent in zip(paths, forms, strict=True))
    alike = (status, bare(text, world)) == (other, bare(said, world)) and status in REFUSED
    found = [] if alike else [f"{paths[0]}: {status}, where nothing is {other}\n{text[:300]}\n{said[:300]}"]
    return found + [f"{paths[0]}: tells {secret}" for secret in SECRETS if secret in text]


@pytest.mark.parametrize("who", sorted(EVERYBODY))
def test_a_page_opens_to_whom_it_is_for_and_to_nobody_else(stack: Stack, world: World, who: str) -> None:
    """What is another's reads as what is not there: the same status, the same words, nothing of it."""
    # However long the browsers of the tests above took.
    let_sign_ins_be_new(owner_dsn(stack.home, "gateway"))
    wrong = []
    with world.as_(who) as asking:
        for page in PAGES:
            path, nowhere = page.places(world.ids)[-1], page.places(world.unknown)[-1]
            if who in page.looks:
                continue  # Opened above, in a browser.
            if who in page.to:
                status, text = read(asking, path)
                wrong += [] if status == 200 else [f"{path}: {status} {text[:300]}"]
            else:
                wrong += compared(asking, world, (path, nowhere))
    assert not wrong, "\n".join(wrong)


def test_what_head_asks_of_a_page_that_goes_on_ends_with_its_head(world: World) -> None:
    """The connection takes the next request at once."""
    with world.as_("counsellor") as asking:
        news = asking.head("/relais/nouvelles")
        assert (news.status_code, news.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
        assert asking.get("/compte", timeout=15).status_code == 200


@pytest.mark.parametrize("who", sorted(EVERYBODY))
def test_no_form_does_anything_to_what_is_anothers(world: World, who: str) -> None:
    """Each form, sent from a page of one's own about a thing of others; afterwards everything is as it was."""
    before, wrong = world.now(), []
    with world.as_(who) as asking:
        proof = world.proof(asking, who)
        for template, to in forms():
            if who not in to:
                paths = (template.format(**world.ids), template.format(**world.unknown))
                wrong += compared(
                    asking, world, paths, [filled(world, ids, proof) for ids in (world.ids, world.unknown)]
                )
    assert not wrong, "\n".join(wrong)
    assert world.now() == before


def filled(world: World, ids: Mapping[str, str], proof: str) -> dict[str, str]:
    """Answer whatever some form holds: nothing that is missing hides who sends it."""
    return {
        "proof": proof, "version": world.version, "noted": world.version, "words": "Bonjour.", "how": "done",
        "local_copy": "erased", "reason": "mission", "outcome": "completed", "colleague": "Ben Noël",
        "place": "6000 Charleroi", "on": "2026-11-27", "at": "09:30", "parts": "contact", "data_categories": "contact",
        "consent": ids["consent_id"], "service": world.ids["service_id"], "to": f"account:{ids['account_id']}",
        "available": "7", "etat": "retired", "field": "hours", "report": "Fermé le lundi.", "tip": "Sonnez.",
        "corrige": "oui", "text": "Merci.", "keep": ids["service_id"], "verb": "fermer", "scope": "directory:write",
        "ends_on": "2030-01-01", "digits": "482910", "level": "full", "language": "fr", "criteria": "1",
        "theme": "childcare", "called": "Ondine", "offset": "0",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("who", "path", "field", "thing"),
    [
        *(("neighbour", f"/p/ici/{{neighbour_id}}/{deed}", "consent", "consent_id") for deed in ("yes", "no", "part")),
        ("elsewhere", "/relais/nouveau", "referral", "draft_id"),
        ("manager-elsewhere", "/relais/nouveau", "service", "unpublished_id"),
    ],
)
def test_an_id_that_a_form_carries_is_looked_at_too(world: World, who: str, path: str, field: str, thing: str) -> None:
    before = world.now()
    with world.as_(who) as asking:
        form = filled(world, world.ids, world.proof(asking, who)) | {"do": "keep-1"}
        sent = [form | {field: ids[thing]} for ids in (world.ids, world.unknown)]
        here = path.format(**world.ids)
        assert compared(asking, world, (here, here), sent) == []
    assert world.now() == before
