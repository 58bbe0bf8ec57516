"""The inbox: what waits for me, for my team, for others; what is to be done; who is away."""

import asyncio
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from relais_gateway.web import phrases, waiting
from relais_gateway.web.api import Api, ApiProblem, Json
from relais_gateway.web.languages import _
from relais_gateway.web.live import TYPES
from relais_gateway.web.session import AsVisitor, OurForm, SignedIn, Visitor, Watching, door, text
from relais_gateway.web.site import PageRoute, go, show
from relais_gateway.web.steps import WAITING
from relais_shared.clock import Now

router = APIRouter(route_class=PageRoute, include_in_schema=False)

LIST: Final = 100
"""Threads under way of each side: what a team holds; more is told as a number."""
ENDED: Final = 20
"""Threads that have ended, of each side."""
UNDER_WAY: Final = ["draft", "proposed", "received", "accepted", "meeting_planned", "handed_over"]
OVER: Final = ["closed", "declined", "cancelled", "withdrawn"]
INVALID: Final = 422


@router.get("/relais")
async def inbox(request: Request, api: AsVisitor, visitor: SignedIn, now: Now, pour: str = "") -> Response:
    """Show what waits for us, what is with us, what we passed on, and what is to be done."""
    return await show_inbox(request, api, visitor, now, pour)


@router.get("/relais/liste")
async def lists(request: Request, visitor: Watching, pour: str = "") -> Response:
    """Answer the inbox's lists alone, for a page that learnt that something happened; 401 once nobody is signed in."""
    if visitor is None:
        return Response(status_code=401)
    facts = await _facts(Api(door(request), visitor.token), visitor, pour)
    return show(request, "inbox_lists.html", **facts)


@router.post("/relais/absence")
async def go_away(request: Request, api: AsVisitor, visitor: SignedIn, form: OurForm, now: Now) -> Response:
    """Note one's own absence, and who stands for one meanwhile."""
    typed = {name: text(form, name) for name in ("deputy", "from", "until")}
    body: Json = {"deputy_id": typed["deputy"], "from": typed["from"]} | (
        {"until": typed["until"]} if typed["until"] else {}
    )
    fault = "" if _is_absence(typed) else _("Choisissez qui vous remplace, et écrivez des jours qui se suivent.")
    if not fault:
        try:
            await api.put("/v1/me/absence", body)
        except ApiProblem as problem:
            if problem.status != INVALID:
                raise
            fault = _("Cette absence ne peut pas être notée. Vérifiez les jours et la personne qui vous remplace.")
        else:
            return go("/relais", fait="absence")
    return await show_inbox(request, api, visitor, now, "", typed | {"fault": fault})


@router.post("/relais/retour")
async def come_back(api: AsVisitor, _form: OurForm) -> Response:
    """Forget one's own absence."""
    await api.delete("/v1/me/absence")
    return go("/relais", fait="back")


def _is_absence(typed: Mapping[str, str]) -> bool:
    try:
        UUID(typed["deputy"])
        begins = date.fromisoformat(typed["from"])
        return not typed["until"] or date.fromisoformat(typed["until"]) >= begins
    except ValueError:
        return False


async def show_inbox(  # noqa: PLR0913 - what the page is made of
    request: Request, api: Api, visitor: Visitor, now: datetime, who: str, typed: Mapping[str, str] | None = None
) -> Response:
    """Show the inbox, with what was typed where an absence could not be noted."""
    facts = await _facts(api, visitor, who)
    return show(
        request,
        "inbox.html",
        INVALID if typed else 200,
        **facts,
        typed=typed or {},
        today=now.astimezone(phrases.ZONE).date().isoformat(),
        news=TYPES,
    )


async def _facts(api: Api, visitor: Visitor, who: str) -> Json:
    """Answer all that the inbox shows, cut to whom it waits for where that was asked."""
    under_way, answers = await asyncio.gather(
        asyncio.gather(_listed(api, "recipient", UNDER_WAY), _listed(api, "sender", UNDER_WAY)),
        asyncio.gather(
            api.get("/v1/referrals", {"role": "recipient", "state": OVER, "limit": ENDED}),
            api.get("/v1/referrals", {"role": "sender", "state": OVER, "limit": ENDED}),
            api.get("/v1/tasks", {"limit": LIST}),
            api.get("/v1/organisation/accounts"),
            api.get("/v1/referrals/counts"),
        ),
    )
    (received, more_received), (sent, more_sent) = under_way
    here, there, asked, colleagues, counts = (answer.body for answer in answers)
    accounts = {str(each["id"]): each for each in colleagues["items"]}
    mine = str(visitor.account_id)
    away = frozenset(id_ for id_, each in accounts.items() if each["absent"] and str(each["deputy"]) == mine)
    reader = waiting.Colleague(visitor.account_id, away)
    parts = waiting.parts(received, sent, reader)
    ended = [
        waiting.line(each, side, reader)
        for side, part in (("recipient", here), ("sender", there))
        for each in part["items"]
    ]
    known = {str(one.item["id"]): one for one in [*ended, *(one for part in parts.values() for one in part)]}
    tasks = [(each, waiting.task_waits_for(each, known, reader)) for each in asked["items"]]
    numbers = waiting.counted([one for part in parts.values() for one in part], [whose for _task, whose in tasks])
    chosen = who if who in numbers else ""
    return {
        "parts": {name: [one for one in part if chosen in {"", one.waits_for}] for name, part in parts.items()},
        "totals": {} if chosen else _totals(counts),
        "tasks": [task for task, whose in tasks if chosen in {"", whose}],
        "ended": sorted(ended, key=lambda one: str(one.item["updated_at"]), reverse=True)[:ENDED],
        "numbers": numbers,
        "chosen": chosen,
        "longer": more_received or more_sent,
        "accounts": accounts,
        "me": accounts.get(mine),
        "standing_for": [accounts[id_] for id_ in away],
    }


async def _listed(api: Api, role: str, states: list[str]) -> tuple[list[Json], bool]:
    """Answer the threads of a side that changed last, with every overdue one, and whether there are more."""
    asked: dict[str, str | int | float | list[str]] = {"role": role, "state": states, "limit": LIST}
    page = (await api.get("/v1/referrals", asked)).body
    items: list[Json] = page["items"]
    if not page.get("next_cursor"):
        return items, False
    late = (await api.get("/v1/referrals", {**asked, "overdue": "true"})).body["items"]
    there = {each["id"] for each in items}
    return items + [each for each in late if each["id"] not in there], True


def _totals(counts: Mapping[str, Any]) -> dict[str, int]:
    """Answer how many there are of each part, those beyond the list included."""
    ours, theirs = counts.get("recipient") or {}, counts.get("sender") or {}
    return {
        "to_take": sum(number for state, number in ours.items() if state in WAITING),
        "with_us": sum(number for state, number in ours.items() if state in waiting.WITH_US),
        "passed": sum(number for state, number in theirs.items() if state != "overdue"),
    }
