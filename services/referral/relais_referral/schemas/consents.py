"""What travels of consents: what is asked of her, what she agreed to, and the text read to her."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, StrictBool

from relais_referral.domain.consent import Purpose
from relais_referral.domain.visibility import Category
from relais_referral.schemas.common import Input, Language, Line, View, shown


class ConsentTerms(Input):
    """To what she is asked to agree."""

    purposes: list[Purpose] = Field(min_length=1, description="`referral`, and each other purpose she said yes to.")
    data_categories: list[Category] = Field(min_length=1)
    language: Language
    notice_version: Line
    collected_by: Line
    given_by: Literal["person", "parent", "legal_guardian", "administrator", "trusted_person"] = Field(
        default="person", description="Who decides: she herself, or whoever represents her."
    )
    valid_until: AwareDatetime | None = None
    legal_basis: dict[Purpose, Line] = Field(
        default={}, description="The GDPR basis of each purpose, apart from her agreement."
    )
    article_9_basis: Line | None = None


class ConsentInput(ConsentTerms):
    """What she agreed to, as her counsellor records it."""

    model_config = shown(
        purposes=["referral", "feedback"],
        data_categories=["identity", "contact", "needs"],
        method="in_person_oral",
        language="fr",
        notice_version="2026-1",
        collected_by="Ana Lopes",
        given_at="2030-01-07T09:30:00+01:00",
    )

    method: Literal["in_person_oral", "in_person_written", "phone"]
    expressed_by: Literal["spoken", "spoken_before_second_professional", "her_tap", "picture_code", "signature"] = (
        "spoken"
    )
    seen_alone: Literal["yes", "no", "unknown"] = "unknown"
    interpreter: Literal["none", "professional", "relative"] = "none"
    given_at: AwareDatetime


class ConsentRequest(ConsentTerms):
    """What she will be asked by her own link."""

    model_config = shown(
        purposes=["referral"],
        data_categories=["needs"],
        language="nl",
        notice_version="2026-1",
        collected_by="Ana Lopes",
    )


class ConsentAnswer(Input):
    """Her own answer; she may agree to less than was asked."""

    model_config = shown(agreed=True, purposes=["referral"], data_categories=["needs"])

    agreed: StrictBool
    purposes: list[Purpose] | None = None
    data_categories: list[Category] | None = None
    valid_until: AwareDatetime | None = None


class ConsentView(View):
    """A consent as recorded, and how it stands."""

    id: UUID
    referral_id: UUID | None = Field(default=None, description="Not to whoever takes part in a case conference alone.")
    conference_id: UUID | None = Field(default=None, description="The case conference that it is for.")
    status: str | None = None
    purposes: list[str]
    data_categories: list[str]
    recipient: dict[str, Any]
    method: str
    expressed_by: str
    seen_alone: str
    interpreter: str
    language: str
    notice: dict[str, str]
    collected_by: str
    given_by: str
    given_at: datetime | None = None
    valid_until: datetime | None = None
    superseded_by: UUID | None = None
    legal_basis: dict[str, str]
    article_9_basis: str | None = None
    schema_version: str
    withdrawal_method: str | None = None
    status_history: list[dict[str, Any]] | None = None
    held_back: list[str] = Field(default=[], description="Categories that stay closed until she confirms alone.")


class ConsentPage(View):
    """The consents of a referral, the newest first."""

    items: list[ConsentView]


class NoticeView(View):
    """The text that is read aloud before she answers."""

    version: str
    language: str
    title: str
    text: str
    sha256: str = Field(description="Fingerprint of the exact text, kept in every consent.")
