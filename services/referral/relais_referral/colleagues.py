"""What the referral app asks the gateway: who signs in where, and who is away."""

from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from pydantic import BaseModel

from relais_referral.domain.mail import Colleague
from relais_shared.auth import Keyring, system
from relais_shared.client import Client, TransportError
from relais_shared.refusals import Unavailable

KEPT_FOR: Final = timedelta(minutes=1)
"""An absence that is noted now holds for the letters of the next minute."""


class _Row(BaseModel):
    id: UUID
    organisation_id: UUID
    email: str
    receives: bool
    teams: list[str] = []
    leads: list[str] = []
    deputy_id: UUID | None = None
    begins_on: date | None = None
    ends_on: date | None = None
    language: str | None = None


class _Rows(BaseModel):
    items: list[_Row]


class Colleagues:
    """The gateway's accounts, asked as the referral app itself.

    Args:
        client: Toward the gateway.
        keyring: Signs our assertions.
    """

    def __init__(self, client: Client, keyring: Keyring) -> None:
        self.client = client
        self._keyring = keyring
        self._known: list[Colleague] = []
        self._until: datetime | None = None

    async def now(self, now: datetime) -> list[Colleague]:
        """Answer everybody who signs in, as of a minute ago at most.

        Raises:
            Unavailable: The gateway does not answer.
        """
        if self._until is None or now >= self._until or now < self._until - KEPT_FOR:
            token = self._keyring.sign("gateway", system("referral"))
            try:
                answer = await self.client.get("/internal/colleagues", headers={"Authorization": f"Bearer {token}"})
            except TransportError as fault:
                raise Unavailable("The gateway does not answer.") from fault
            if not answer.is_success:
                raise Unavailable("The gateway cannot answer now.")
            self._known = [
                Colleague(
                    row.id,
                    row.organisation_id,
                    row.email,
                    row.receives,
                    frozenset(row.teams),
                    frozenset(row.leads),
                    row.deputy_id,
                    row.begins_on,
                    row.ends_on,
                    row.language,
                )
                for row in _Rows.model_validate_json(answer.content).items
            ]
            self._until = now + KEPT_FOR
        return self._known
