"""What travels between us and a guest: the invitation, the undertaking, the session."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from relais_referral.schemas.common import Input, Line, View


class Invitation(View):
    """What the sender passes on, shown this once."""

    id: UUID
    address: str = Field(description="The service's own address, as the directory knows it: send the link there.")
    link: str = Field(description="It opens once.")
    code: str = Field(description="Six digits, to be said on the telephone: never sent with the link.")
    expires_at: datetime = Field(description="Until when it must be opened the first time.")


class GuestCard(Input):
    """What a guest shows to come in; the first time also who she is, and that she keeps it secret."""

    link: Annotated[str, StringConstraints(min_length=1, max_length=300)] = Field(
        description="The link whole, or what stands behind its `#`."
    )
    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]
    name: Line | None = None
    function: Line | None = None
    secrecy: Literal["professional", "discretion"] | None = Field(
        default=None, description="How your staff is bound; whoever is bound by nothing receives no guest's link."
    )
    undertaking: Literal["2026-1"] | None = Field(
        default=None,
        description="The version of the text that you undertake to keep to: `GET /v1/guest/undertaking/2026-1/fr`.",
    )
    language: Literal["fr", "nl", "de", "en"] = Field(default="fr", description="In which you read that text.")


class GuestSessionView(View):
    """A guest's session: send it as `Relais-Guest-Session`."""

    session: str
    expires_at: datetime
    next_link: str = Field(description="The link that you came by opens no more; this one does, once, with your code.")
    name: str
    referral_id: UUID
