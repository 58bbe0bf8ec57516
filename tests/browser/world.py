"""One of everything that a page can be about, and everybody who might look at it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from browser.her import DIGITS, GIVEN, HERS, PHONE, WORDS
from journeys.test_matrix_of_others import ok
from journeys.test_one_handover import a_service_of, consented
from support.stack import Stack, if_match, key

STAFF: Final = frozenset(
    {"counsellor", "administrator", "manager", "recipient", "elsewhere", "manager-elsewhere", "sanctioning", "operator"}
)
"""Everybody with an account: three of the house that sends, one of the other side, two of a third house that holds all
the same scopes, one of a house that sanctions, and who runs the platform."""
HER, GUEST = ("relais_person", "/p/ici"), ("relais_guest", "/g/ici")
VISITORS: Final = {"she": HER, "neighbour": HER, "guest": GUEST, "other-guest": GUEST}
"""Who comes in without an account, with the cookie and the page of each: a person and another, a guest and another."""
OURS: Final = "Fiche-d'essai"
"""Begins the name of each thing that the house keeps to itself."""
SHARP: Final = """ </textarea></script>"'><img src=x onerror=alert(1)>{{7*7}}"""
"""Stands in whatever anybody may write: a page that took it for its own would end a field, show 49 or act."""
SECRETS: Final = (*HERS, OURS)
"""What stands on no page that is refused."""


@dataclass
class World:
    """What there is.

    Attributes:
        ids: One of each thing by the name that paths know it by, all of the house that sends, or hers.
        cookies: By who looks: the cookie of an open session. Nobody has none.
        accounts: Who signs in, by the same name.
        states: Hand-overs between the same two structures, by where they stand.
        unknown: Ids of nothing, by the same names as `ids`.
        watched: What is looked at before and after others tried something, each by its owner.
        version: Of the hand-over, as a form carries it.
    """

    base_url: str
    ids: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, tuple[str, str]] = field(default_factory=dict)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    watched: list[tuple[httpx.Client, str]] = field(default_factory=list)
    version: str = ""

    @contextmanager
    def as_(self, who: str) -> Iterator[httpx.Client]:
        """Answer a browser's requests, without the browser."""
        with httpx.Client(base_url=self.base_url, timeout=30, headers={"Accept": "text/html"}) as asking:
            if who in self.cookies:
                asking.cookies.set(*self.cookies[who])
            yield asking

    def proof(self, asking: httpx.Client, who: str) -> str:
        """Answer what a form carries that came from a page of whoever looks."""
        _cookie, page = VISITORS.get(who, ("", "/invitation"))
        return asking.get(page).text.partition('name="proof" value="')[2].partition('"')[0]

    def now(self) -> list[Any]:
        """Answer everything that the pages could have changed, as its owners read it."""
        return [_kept(ok(api.get(path))) for api, path in self.watched]


def _kept(told: Any) -> Any:
    """Leave out when an account was last here: being here at all moves that."""
    if isinstance(told, dict):
        return {name: _kept(value) for name, value in told.items() if name != "seen_at"}
    return [_kept(one) for one in told] if isinstance(told, list) else told


@contextmanager
def everything(stack: Stack, hired: dict[str, Any]) -> Iterator[World]:
    """Make one of everything, by walking real actions; answer it, and take back what would be in others' way.

    Args:
        stack: Running.
        hired: A counsellor of the house that sends with no other role.
    """
    world = World(stack.base_url)
    house = stack.demo["counsellors"][0]["organisation_id"]
    houses = [one for one in stack.clients("directory:write", "webhook:manage") if one["organisation_id"] != house]
    third = next(one for one in houses if "org:admin" in one["scopes"])
    other = next(one for one in houses if one is not third)
    _sign_in(world, stack, hired, house, other["organisation_id"], third["organisation_id"])
    with ExitStack() as held:
        ours = next(one for one in stack.clients("org:admin") if one["organisation_id"] == house)
        ana, ben = (held.enter_context(stack.api(each)) for each in (ours, other))
        operator = held.enter_context(stack.api(stack.clients("platform:admin")[0]))
        _hand_over(world, ana, ben, other["organisation_id"])
        _keep_house(world, ana, ben)
        world.ids["organisation_id"] = house
        world.ids["agreement_id"] = ok(operator.get(f"/v1/organisations/{house}/agreements"))["items"][0]["id"]
        campaign = {"name": f"{OURS} {uuid4()}{SHARP}", "older_than_days": 3_650, "due_on": "2199-01-01"}
        world.ids["campaign_id"] = ok(operator.post("/v1/directory/campaigns", json=campaign))["id"]
        traces = held.enter_context(stack.api(stack.clients("trace:read")[0]))
        while not (kept := ok(traces.get("/v1/traces", params={"service": "referral", "limit": 1}))["items"]):
            pass  # Spans arrive in their own time.
        world.ids["trace_id"] = kept[0]["trace_id"]
        place = f"/v1/referrals/{world.ids['referral_id']}"
        world.watched = [
            *((ana, f"{place}{below}") for below in ("", "/messages", "/documents", "/tasks", "/consents", "/events")),
            (ana, f"/v1/directory/services/{world.ids['service_id']}/record"),
            *((ana, f"/v1/{path}") for path in ("directory/own/reports", "directory/imports", "webhooks")),
            *((ana, f"/v1/organisation/{path}") for path in ("users", "invitations", "agreements")),
            (operator, "/v1/directory/campaigns"),
        ]
        world.version = ana.get(place).headers["etag"].strip('"')
        world.unknown = {name: str(uuid4()) for name in world.ids} | {"trace_id": uuid4().hex}
        yield world
        ok(ana.delete(f"/v1/directory/imports/{world.ids['import_id']}"))
        ok(ana.delete(f"/v1/webhooks/{world.ids['webhook_id']}"))
        ok(operator.post(f"/v1/directory/campaigns/{world.ids['campaign_id']}/end", json={}))


def _sign_in(world: World, stack: Stack, hired: dict[str, Any], house: str, other: str, third: str) -> None:
    """Let everybody with an account sign in."""
    people = stack.demo["counsellors"]
    administrator, manager = [one for one in people if one["organisation_id"] == house]
    elsewhere, manager_elsewhere = [one for one in people if one["organisation_id"] == third]
    writers = {one["organisation_id"] for one in stack.clients("directory:write")}
    world.accounts = {
        "counsellor": hired,
        "administrator": administrator,
        "manager": manager,
        "recipient": next(one for one in people if one["organisation_id"] == other),
        "elsewhere": elsewhere,
        "manager-elsewhere": manager_elsewhere,
        "sanctioning": next(one for one in people if one["organisation_id"] not in writers),
        "operator": stack.demo["administrator"],
    }
    for who, account in world.accounts.items():
        with httpx.Client(base_url=stack.base_url, timeout=30) as browser:
            told = {name: account[name] for name in ("email", "password")}
            proof = world.proof(browser, who)
            assert browser.post("/connexion", data=told | {"proof": proof}).status_code == 303
            world.cookies[who] = ("relais_session", browser.cookies["relais_session"])
    with world.as_("counsellor") as halfway:
        # The page of an app is there for whoever began to set one up.
        begun = halfway.post("/compte/application", data={"proof": world.proof(halfway, "counsellor")})
        assert begun.headers["location"] == "/compte/application"


def _opened(ana: httpx.Client, service: dict[str, Any]) -> str:
    """Open a draft; answer its id."""
    to = {"organisation_id": service["organisation"]["id"], "service_id": service["service"]["id"]}
    person = {
        "identity": {"given_name": GIVEN},
        "contact": {"phone": PHONE},
        "area": {"municipality": "be:52011", "postcode": "6000"},
        "languages": ["fr"],
    }
    need = {"theme": "childcare", "words": WORDS + SHARP}
    draft = {"recipient": to, "counsellor": {"name": f"Ana Lopes{SHARP}"}, "person": person, "needs": [need]}
    return str(ok(ana.post("/v1/referrals", headers=key(), json=draft))["id"])


def _received(ana: httpx.Client, how: str) -> dict[str, Any]:
    """Answer a service that hand-overs reach so."""
    near: dict[str, Any] = {"postcode": "6000", "radius_km": 40, "limit": 100}
    for theme in ("childcare", "mobility", "support", "training"):
        for one in ok(ana.get("/v1/directory/search", params={**near, "theme": theme}))["items"]:
            if one["can_receive"] == how:
                found: dict[str, Any] = one
                return found
    pytest.fail(f"No service of the demonstration is received as {how}.")


def _proposed(ana: httpx.Client, service: dict[str, Any]) -> str:
    """Hand somebody over; answer the id."""
    id_ = _opened(ana, service)
    # Whoever is only called is bound by no secrecy.
    papers = ("documents",) if service["can_receive"] != "phone_only" else ()
    ok(consented(ana, id_, "identity", "contact", "needs", *papers))
    _step(ana, id_, "propose")
    return id_


def _step(by: httpx.Client, id_: str, action: str, **body: Any) -> None:
    place = f"/v1/referrals/{id_}"
    ok(by.post(f"{place}/{action}", headers=key() | if_match(by.get(place)), json=body))


def _hand_over(world: World, ana: httpx.Client, ben: httpx.Client, to: str) -> None:
    """Let hand-overs stand in each state; one has everything that hangs on it, and her card."""
    service, by = a_service_of(ana, to), {"counsellor": {"name": f"Ben Noël{SHARP}"}}
    names = ("main", "draft", "proposed", "declined", "handed_over", "closed", "withdrawn", "neighbour")
    states = {name: (_opened if name == "draft" else _proposed)(ana, service) for name in names}
    for name in ("main", "handed_over", "closed", "withdrawn", "neighbour"):
        _step(ben, states[name], "accept", **by)
    for name in ("handed_over", "closed"):
        for side in (ana, ben):
            _step(side, states[name], "confirm_handover")
    _step(ben, states["declined"], "decline", reason="mission")
    _step(ben, states["closed"], "close", outcome="completed")
    ok(ana.post(f"/v1/referrals/{states['withdrawn']}/withdraw", json={}))
    main = f"/v1/referrals/{states['main']}"
    for side in (ana, ben):
        ok(side.post(f"{main}/messages", headers=key(), json={"words": f"{OURS} : bonjour.{SHARP}"}))
    _step(
        ben, states["main"], "plan_meeting", starts_at="2030-05-06T09:30:00+02:00", place=f"{OURS}, à l'accueil{SHARP}"
    )
    consents = ok(ana.get(f"{main}/consents"))["items"]
    world.ids |= {
        "referral_id": states["main"],
        "document_id": _attached(ana, states["main"]),
        "task_id": ok(ana.get(f"{main}/tasks"))["items"][0]["id"],
        "consent_id": consents[0]["id"],
    }
    for who, name in (("she", "main"), ("neighbour", "neighbour")):
        card = ok(ana.post(f"/v1/referrals/{states[name]}/access", json={"code": DIGITS, "level": "full"}))
        asked = {"purposes": ["referral"], "data_categories": ["identity", "notes"], "language": "fr"}
        more = {"notice_version": "2026-1", "collected_by": "Ana Lopes"}
        ok(ana.post(f"/v1/referrals/{states[name]}/consents/request", headers=key(), json={**asked, **more}))
        world.cookies[who] = (VISITORS[who][0], _came_in(world, "person", {"link": card["link"], "code": DIGITS}))
    world.states = states
    for who in ("guest", "other-guest", "waiting", "called"):
        id_ = _proposed(ana, _received(ana, "phone_only" if who == "called" else "guest"))
        world.states[who] = id_
        if who in VISITORS:
            invited = ok(ana.post(f"/v1/referrals/{id_}/guest"))
            said = {
                "name": f"Léa Petit{SHARP}",
                "function": f"animatrice{SHARP}",
                "secrecy": "discretion",
                "undertaking": "2026-1",
            }
            card = {"link": invited["link"], "code": invited["code"], **said}
            world.cookies[who] = (VISITORS[who][0], _came_in(world, "guest", card))
    world.ids |= {f"{name}_id": id_ for name, id_ in world.states.items() if name != "main"}
    with httpx.Client(base_url=world.base_url, timeout=30) as guest:
        guest.headers["Relais-Guest-Session"] = world.cookies["guest"][1]
        ok(guest.post("/v1/guest/referral/accept", headers=if_match(guest.get("/v1/guest/referral"))))
    world.ids["guests_document_id"] = _attached(ana, world.states["guest"])


def _attached(by: httpx.Client, id_: str) -> str:
    """Add a document to a hand-over; answer its id."""
    headers, name = key() | {"Content-Type": "application/pdf"}, f"{OURS}{SHARP}.pdf"
    place = f"/v1/referrals/{id_}/documents"
    return str(ok(by.post(place, headers=headers, params={"name": name}, content=b"%PDF-1.4\n%%EOF\n"))["id"])


def _came_in(world: World, door: str, card: dict[str, Any]) -> str:
    answer = httpx.post(f"{world.base_url}/v1/{door}/session", json=card, timeout=30)
    return str(ok(answer)["session"])


def _keep_house(world: World, ana: httpx.Client, ben: httpx.Client) -> None:
    """Let the house have one of each thing that it keeps."""
    own = ok(ana.get("/v1/directory/own/services", params={"status": "active", "limit": 1}))["items"][0]["id"]
    record = ok(ana.get(f"/v1/directory/services/{own}/record"))
    kept = {name: record[name] for name in ("themes", "modes", "locations") if name in record}
    draft = {**kept, "name": f"{OURS} en préparation{SHARP}", "status": "draft"}
    tip = ok(ana.post(f"/v1/directory/services/{own}/tips", json={"text": f"{OURS} : sonnez deux fois.{SHARP}"}))
    report = ok(ben.post(f"/v1/directory/services/{own}/reports", headers=key(), json={"field": "hours"}))
    colleague = {"email": f"lea-{uuid4()}@maison.example", "name": f"{OURS} Dupont{SHARP}"}
    made = ana.post("/v1/directory/services", headers=key(), json=draft)
    assert made.status_code == 201, made.text
    file = {"file": f"{OURS}{SHARP.replace('/', '')}.json", "size": 2}
    url = {"url": "http://127.0.0.1:9/hook", "types": ["capacity.changed"]}
    world.ids |= {
        "service_id": own,
        "unpublished_id": made.headers["location"].rpartition("/")[2],
        "tip_id": tip["id"],
        "report_id": report["id"],
        "invitation_id": ok(ana.post("/v1/organisation/invitations", headers=key(), json=colleague))["id"],
        "account_id": ok(ana.get("/v1/organisation/users"))["items"][0]["id"],
        "import_id": ok(ana.post("/v1/directory/imports", headers=key(), json=file))["id"],
        "duplicate_id": str(uuid4()),
        "client_id": ok(ana.get("/v1/organisation/clients"))["items"][0]["id"],
        "slug": "not-found",
        "webhook_id": ok(ana.post("/v1/webhooks", json=url))["id"],
    }
