"""What travels between her and us: her card, her session, what she reads and what she changes."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StrictBool, StringConstraints

from relais_referral.domain.access import Level, Way
from relais_referral.domain.consent import Purpose
from relais_referral.domain.visibility import Category
from relais_referral.schemas.common import Input, Language, OrganisationView, Slug, Text, View
from relais_referral.schemas.conferences import ConferenceView
from relais_referral.schemas.consents import ConsentView
from relais_referral.schemas.conversation import DocumentView, MessageView
from relais_referral.schemas.drafts import Contact, Identity
from relais_referral.schemas.referrals import RecipientView, ReferralView


class PictureCode(Input):
    """Four pictures of twelve, in order."""

    kind: Literal["pictures"]
    value: list[Annotated[int, Field(ge=0, le=11)]] = Field(min_length=4, max_length=4)


class DigitCode(Input):
    """Six digits."""

    kind: Literal["digits"]
    value: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]


Code = Annotated[PictureCode | DigitCode, Field(discriminator="kind")]
"""The code that she picks and keeps in mind; it stands on no card."""


class NewAccess(Input):
    """A link for her, as she chooses it."""

    code: Code
    level: Level = Field(description="What her link shows; nothing where others answer her telephone.")
    discreet: StrictBool = Field(default=False, description="Neither structure nor theme on her page and her receipts.")
    language: Language = "fr"


class Card(Input):
    """What she shows to come in: her link, whole or what stands behind its `#`, and her code."""

    link: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    code: Code


class AccessMade(View):
    """Her link, shown this once."""

    id: UUID
    link: str
    level: Level
    forced: bool = Field(description="She chose more, and it would not be safe for her.")
    discreet: bool
    language: str
    made_at: datetime


class CardToPrint(Input):
    """Her link as it was just answered, to print her card."""

    link: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    language: Language = "fr"


class OpeningView(View):
    """One opening of her link."""

    at: datetime
    way: Way
    organisation: str | None = Field(default=None, description="The counter where she was assisted.")


class AccessView(View):
    """A link of hers; neither it nor its code can be read again."""

    id: UUID
    level: Level
    discreet: bool
    language: str
    made_at: datetime
    ended_at: datetime | None = None
    openings: list[OpeningView] | None = None


class AccessPage(View):
    """Her links of one hand-over, the newest first."""

    items: list[AccessView]


class SessionView(View):
    """Her session: send it as `Relais-Person-Session`."""

    session: str
    expires_at: datetime
    level: Level
    discreet: bool
    language: str


class Erased(View):
    """All that is left to see of what she had erased."""

    erased_at: datetime
    restore_until: datetime = Field(description="Until when she can take it back, in person, at a counter.")


class StepView(View):
    """One step, in a plain code, and which side took it."""

    at: datetime
    type: str
    by: Literal["person", "sender", "recipient", "participant", "system"] = Field(
        description="`participant`: who takes part in a case conference alone."
    )


class Sharing(View):
    """What is shared with whom, until when."""

    consent_id: UUID
    organisation: str
    service: str | None = None
    categories: list[str]
    held_back: list[str] = Field(description="Agreed to, and closed until she confirms it alone.")
    purposes: list[str]
    since: datetime | None = None
    until: datetime | None = None


class Waiting(View):
    """Something that waits for her answer; nothing happens where she gives none."""

    kind: Literal["consent_requested", "confirm_alone", "confirm_handover"]
    consent_id: UUID | None = None


class HandoverView(View):
    """Where one hand-over stands, for her; at level `steps` the steps and the meeting alone."""

    id: UUID
    erased: Erased | None = None
    state: str | None = None
    short_code: str | None = None
    practice: bool | None = None
    created_at: datetime | None = None
    sender: OrganisationView | None = None
    recipient: RecipientView | None = None
    counsellor: dict[str, Any] | None = None
    recipient_counsellor: dict[str, Any] | None = None
    steps: list[StepView] | None = None
    meeting: dict[str, Any] | None = None
    meeting_options: list[dict[str, Any]] | None = None
    paused: dict[str, Any] | None = None
    confirmations: dict[str, Any] | None = None
    shared: list[Sharing] | None = None
    waits: list[Waiting] | None = None
    allowed_actions: list[str] | None = None
    joined: bool | None = Field(default=None, description="She joined it from another card, and can part it again.")


class PathwayView(View):
    """Her hand-overs in order, and the session that she reads them in."""

    items: list[HandoverView]
    level: Level
    discreet: bool
    language: str
    expires_at: datetime
    assisted_by: str | None = None


class StopView(View):
    """A stop of public transport near a place."""

    name: str
    kind: str | None = Field(default=None, description="bus, tram, metro, train; absent where nobody told it.")
    walk_m: int
    latitude: float | None = None
    longitude: float | None = None


class PlaceView(View):
    """A place where she is received, and how to get there."""

    name: str | None = None
    street: str | None = None
    postcode: str | None = None
    municipality: str | None = None
    latitude: float | None = Field(default=None, description="Absent where only the municipality is known.")
    longitude: float | None = None
    stops: list[StopView]


class PlacesPage(View):
    """The places of the service, none where they are confidential or her card is discreet."""

    items: list[PlaceView]


class Preview(View):
    """Exactly what the other side reads at one stage."""

    stage: Literal["proposed", "accepted", "ended"] = Field(
        description="Until somebody takes over, from then on, or once it has ended."
    )
    now: bool = Field(description="This is what they read now.")
    reads: ReferralView
    documents: list[DocumentView] = Field(default=[])


class PreviewPage(View):
    """What the other side reads, stage by stage."""

    items: list[Preview]


class LocalCopy(View):
    """What became of the other side's own copy, after she stopped the sharing."""

    asked_at: datetime
    answered_at: datetime | None = None
    answer: Literal["erased", "kept"] | None = None
    basis: str | None = None


class WholeView(View):
    """A hand-over whole, as only she reads it."""

    stands: HandoverView
    referral: ReferralView
    consents: list[ConsentView]
    messages: list[MessageView]
    documents: list[DocumentView]
    conferences: list[ConferenceView]
    local_copies: list[LocalCopy]
    previews: list[Preview] = Field(description="Under what she agreed to; under what she is asked, where nothing is.")


class Reading(View):
    """Who read what of hers: one line for each structure and day."""

    day: date
    organisation: str
    function: str | None = None
    name: str | None = Field(default=None, description="Of her named counsellor only.")
    categories: list[str]
    copied_into: str | None = Field(default=None, description="Whose software took it over, for no named reader.")


class ReadingPage(View):
    """Who read what, the newest day first."""

    items: list[Reading]


class WholeCopy(View):
    """One hand-over in her copy of everything, with who read it."""

    whole: WholeView | None = None
    erased: Erased | None = None
    readings: list[Reading] = Field(default=[])


class CopyView(View):
    """A copy of everything."""

    made_at: datetime
    access: AccessView
    items: list[WholeCopy]


class Correction(Input):
    """What she corrects; a part that is given takes the place of the whole part."""

    identity: Identity | None = None
    contact: Contact | None = None


class AddedWords(Input):
    """Words of hers for one of the needs."""

    theme: Slug
    words: Text


class HiddenLine(Input):
    """A line of the needs, named by what it says, and whether the other side reads it."""

    theme: Slug
    words: Text | None = None
    hidden: StrictBool = True


class PartialWithdrawal(Input):
    """What she stops; everything where nothing is named."""

    purposes: list[Purpose] = Field(default=[])
    data_categories: list[Category] = Field(default=[])
