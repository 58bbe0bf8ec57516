"""A case conference in these tests: opened, agreed to, joined."""

from dataclasses import dataclass, field
from typing import Any

import httpx
from api.referral.world import NOTE, RECIPIENT, SENDER, THIRD, Handover, Structure, World, a_consent, a_draft, key

from relais_shared.client import Client

EVA = {"counsellor": {"name": "Eva Petit"}}
SAID, DECIDED, ROOM = "elle craint le zinzolin", "un essai au garage Outremer", "salle Quetsche"


def agreement(structure: Structure, *categories: str, **changes: Any) -> dict[str, Any]:
    """Answer the body of an agreement for one structure in a conference."""
    body = a_consent() | {"purposes": ["case_conference"], "data_categories": list(categories)}
    return body | {"organisation_id": str(structure.id), **changes}


@dataclass
class Table:
    """A conference about a hand-over that was accepted, opened by its sender."""

    world: World
    handover: Handover
    id: str = ""
    consents: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where it is."""
        return f"/v1/conferences/{self.id}"

    async def open(self) -> "Table":
        """Open it."""
        body = {"counsellor": {"name": "Ana Lopes"}}
        answer = await self.handover.sender.post(f"{self.handover.place}/conferences", headers=key(), json=body)
        assert answer.status_code == 201, answer.text
        self.id = answer.json()["id"]
        return self

    async def agree(self, structure: Structure, *categories: str, **changes: Any) -> httpx.Response:
        """Record her agreement for a structure."""
        body = agreement(structure, *categories, **changes)
        answer = await self.handover.sender.post(f"{self.place}/consents", headers=key(), json=body)
        if answer.status_code == 201:
            self.consents[structure.name] = answer.json()["id"]
        return answer

    async def seat(self, structure: Structure, *categories: str) -> Client:
        """Record her agreement for a structure, and let a colleague of it join."""
        assert (await self.agree(structure, *categories)).status_code == 201
        client = self.world.as_(structure)
        if structure is not SENDER:
            answer = await client.post(f"{self.place}/join", json=EVA)
            assert answer.status_code == 200, answer.text
        return client


async def accepted(world: World, recipient: Structure = RECIPIENT, **terms: Any) -> Handover:
    """Walk a hand-over to where somebody took her over."""
    handover = world.between(SENDER, recipient)
    await handover.open(notes=NOTE, situation={"housing": "chez une cousine"})
    await handover.agree("identity", "contact", "needs", "situation", "notes", **terms)
    await handover.walk("propose", "r.accept")
    return handover


def operations(
    referral_id: str, conference_id: str, decision_id: str, consent_id: str
) -> dict[str, tuple[str, str, dict[str, Any] | None]]:
    """Answer every operation of a conference: method, path, body."""
    place = f"/v1/conferences/{conference_id}"
    return {
        "open": ("POST", f"/v1/referrals/{referral_id}/conferences", EVA),
        "pathway": ("GET", f"/v1/referrals/{referral_id}/pathway", None),
        "read": ("GET", place, None),
        "record": ("POST", f"{place}/consents", agreement(THIRD)),
        "request": ("POST", f"{place}/consents/request", asked_for(THIRD)),
        "join": ("POST", f"{place}/join", EVA),
        "leave": ("POST", f"{place}/leave", None),
        "write": ("POST", f"{place}/messages", {"words": SAID}),
        "plan": ("PUT", f"{place}/meeting", {"to_be_agreed": True}),
        "calendar": ("GET", f"{place}/meeting.ics", None),
        "decide": ("POST", f"{place}/decisions", {"words": DECIDED}),
        "draft": ("POST", f"{place}/decisions/{decision_id}/draft", a_draft(RECIPIENT)),
        "withdraw": ("POST", f"/v1/consents/{consent_id}/withdraw", {}),
        "end": ("POST", f"{place}/end", None),
    }


def asked_for(structure: Structure, *categories: str) -> dict[str, Any]:
    """Answer the body of a request for her agreement."""
    body = agreement(structure, *categories)
    return {name: body[name] for name in body if name not in {"method", "given_at"}}


async def called(client: Client, operation: tuple[str, str, dict[str, Any] | None]) -> httpx.Response:
    """Call an operation."""
    method, path, body = operation
    return await client.request(method, path, json=body, headers=key())
