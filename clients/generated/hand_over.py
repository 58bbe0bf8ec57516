"""One hand-over with the client that a generator made in Python; says each state that it reaches."""

import json
import os
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

from relais_api import AuthenticatedClient, Client, models
from relais_api.api.consents import record_consent, withdraw_consent
from relais_api.api.directory import search
from relais_api.api.handshake import (
    accept_referral,
    close_referral,
    confirm_handover,
    plan_meeting,
    propose_referral,
)
from relais_api.api.referrals import create_referral, read_referral
from relais_api.api.tokens import token
from relais_api.types import Response

T = TypeVar("T")

DEMO = json.loads(Path(os.environ["RELAIS_DEMO_FILE"]).read_text(encoding="utf-8"))
NEEDED = {"directory:read", "referral:send", "referral:receive"}
ONE, TWO, *_ = [client for client in DEMO["clients"] if set(client["scopes"]) >= NEEDED]
BEN = models.Counsellor(name="Ben Noel")


def opened(client: dict[str, Any]) -> AuthenticatedClient:
    """Answer a client with a token."""
    pair = b64encode(f"{client['client_id']}:{client['client_secret']}".encode()).decode()
    door = Client(base_url=DEMO["base_url"], headers={"Authorization": f"Basic {pair}"})
    given = right(
        token.sync(client=door, body=models.TokenBody(grant_type="client_credentials")), models.TokenResponse200
    )
    return AuthenticatedClient(base_url=DEMO["base_url"], token=given.access_token)


def right(answer: object, kind: type[T]) -> T:
    """Answer what was hoped for, or stop with what came."""
    if not isinstance(answer, kind):
        raise SystemExit(f"not {kind.__name__}: {answer}")
    return answer


def step(answer: Response[Any]) -> tuple[models.ReferralView, str]:
    """Answer a referral and its version; say its state."""
    referral = right(answer.parsed, models.ReferralView)
    print(referral.state)  # noqa: T201 - this is what the program is for
    return referral, answer.headers["etag"]


def version(client: AuthenticatedClient, referral_id: UUID) -> str:
    """Read a referral for its version."""
    found: str = read_referral.sync_detailed(referral_id, client=client).headers["etag"]
    return found


def main() -> None:
    """Hand one person over."""
    ana, ben = opened(ONE), opened(TWO)
    found = right(search.sync(client=ana, organisation_id=UUID(TWO["organisation_id"]), limit=100), models.SearchPage)
    card = next(one for one in found.items if one.can_receive == "relais")
    draft = models.Draft(
        recipient=models.To(UUID(TWO["organisation_id"]), UUID(card.service["id"])),
        counsellor=models.Counsellor(name="Ana Lopes"),
        person=models.Person(
            identity=models.Identity(called="Mina"),
            contact=models.Contact(phone="0470 00 00 00"),
            area=models.Area(municipality="be:52011"),
            languages=["fr"],
        ),
        needs=[models.Need(theme="childcare", words="une place avant lundi")],
    )
    referral, _ = step(create_referral.sync_detailed(client=ana, body=draft, idempotency_key=str(uuid4())))
    agreed = models.ConsentInput(
        purposes=[models.Purpose.REFERRAL, models.Purpose.FEEDBACK],
        data_categories=[models.Category.IDENTITY, models.Category.CONTACT, models.Category.NEEDS],
        language="fr",
        notice_version="2026-1",
        collected_by="Ana Lopes",
        method=models.ConsentInputMethod.IN_PERSON_ORAL,
        given_at=datetime.now(UTC),
    )
    consent = right(
        record_consent.sync(referral.id, client=ana, body=agreed, idempotency_key=str(uuid4())), models.ConsentView
    )
    at_ana = version(ana, referral.id)
    step(propose_referral.sync_detailed(referral.id, client=ana, body=models.Propose(), if_match=at_ana))
    taking = models.Acceptance(counsellor=BEN)
    accepted, at_ben = step(
        accept_referral.sync_detailed(referral.id, client=ben, body=taking, if_match=version(ben, referral.id))
    )
    person = right(accepted.person, models.PersonView)
    if right(person.identity, models.PersonViewIdentityType0)["called"] != "Mina":
        raise SystemExit("who she is does not open")
    meeting = models.Meeting(to_be_agreed=True)
    step(plan_meeting.sync_detailed(referral.id, client=ben, body=meeting, if_match=at_ben))
    for side in (ana, ben):
        said, seen = models.Confirmation(), version(side, referral.id)
        step(confirm_handover.sync_detailed(referral.id, client=side, body=said, if_match=seen))
    end = models.Closing(outcome=models.ClosingOutcome.UNDER_WAY)
    step(close_referral.sync_detailed(referral.id, client=ben, body=end, if_match=version(ben, referral.id)))
    withdraw_consent.sync(consent.id, client=ana, body=models.Withdrawal())
    step(read_referral.sync_detailed(referral.id, client=ben))


main()
