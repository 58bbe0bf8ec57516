"""She herself in these tests: her card, her session, and the client that shows it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from api.referral.world import NOTE, SEND, SENDER, Asserted, Handover, World, a_consent

from relais_referral.actions.common import Asked
from relais_referral.actions.consenting import asking
from relais_referral.schemas.consents import ConsentRequest
from relais_referral.store.callers import Caller
from relais_shared.auth import ANONYMOUS, Actor
from relais_shared.client import Client
from relais_shared.clock import utc_now

PICTURES = {"kind": "pictures", "value": [3, 0, 11, 7]}
DIGITS = {"kind": "digits", "value": "482910"}
OTHER = {"kind": "pictures", "value": [3, 0, 11, 8]}
ANA = Actor("client", "client:depart", SENDER.id, SENDER.name, frozenset({SEND}))
"""Her counsellor's client."""
HEADER = "Relais-Person-Session"
NISS = "93.05.18-223.61"
FULL: dict[str, Any] = {
    "situation": {"logement": "chez une amie"},
    "notes": NOTE,
    "goal_words": "reprendre la formation",
    "resources": ["une cousine"],
    "concerned": [{"relation": "sa fille", "age_band": "3-5"}],
}


@dataclass
class Card:
    """Her card: the link as it was shown once, and the code that she keeps in mind."""

    link: str
    code: dict[str, Any]

    def shown(self, **changes: Any) -> dict[str, Any]:
        """Answer what she shows."""
        return {"link": self.link, "code": self.code, **changes}


def mine(handover: Handover) -> str:
    """Answer where a hand-over is for her."""
    return f"/v1/person/referrals/{handover.id}"


def at_the_door(world: World) -> Client:
    """Answer a client that shows nothing but what the gateway vouches for: that it came through it."""
    return world.anonymous(Asserted(world.gateway, ANONYMOUS))


async def card(handover: Handover, by: Client | None = None, **changes: Any) -> Card:
    """Have her card made by her counsellor."""
    body = {"code": PICTURES, "level": "full", **changes}
    answer = await (by or handover.sender).post(f"{handover.place}/access", json=body)
    assert answer.status_code == 201, answer.text
    return Card(answer.json()["link"], body["code"])


async def opened(world: World, hers: Card, counter: Client | None = None) -> Client:
    """Open her session, at a counter where one is named, and answer her client."""
    if counter is not None:
        answer = await counter.post("/v1/assisted_sessions", json=hers.shown())
    else:
        answer = await at_the_door(world).post("/v1/person/session", json=hers.shown())
    assert answer.status_code == 201, answer.text
    return showing(world, answer.json()["session"])


def showing(world: World, session: str) -> Client:
    """Answer a client that shows a session."""
    client = at_the_door(world)
    client.headers[HEADER] = session
    return client


async def herself(world: World, handover: Handover, **changes: Any) -> Client:
    """Have her card made, and open her session with it."""
    return await opened(world, await card(handover, **changes))


async def asked_by_link(world: World, handover: Handover, actor: Actor, *categories: str) -> str:
    """Ask for her agreement by her own link, as her counsellor does; answer the request's id."""
    body = a_consent(*categories)
    wanted = ConsentRequest.model_validate({name: body[name] for name in body if name in ConsentRequest.model_fields})
    async with world.app.state.database.write() as tx:
        asked = Asked(Caller(actor), utc_now(), world.app.state.sealer)
        view = await asking.request_consent(tx, asked, UUID(handover.id), wanted)
    return str(view.id)


def bare(value: Any) -> Any:
    """Answer a document without what is null: to its reader it is absent either way."""
    if isinstance(value, dict):
        return {name: bare(one) for name, one in value.items() if one is not None}
    return [bare(one) for one in value] if isinstance(value, list) else value


def ok(answer: httpx.Response) -> Any:
    """Answer the document of an answer that must be a good one."""
    assert answer.is_success, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json() if answer.content else None
