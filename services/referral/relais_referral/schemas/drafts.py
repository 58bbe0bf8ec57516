"""What travels of a draft: who is accompanied, what she needs, and to whom."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, EmailStr, Field, StrictBool, StringConstraints, model_validator

from relais_referral.schemas.common import Input, Language, Line, Phone, Slug, Text, shown


class Reach(StrEnum):
    """How she is reached; the first two need no phone and no surname."""

    VIA_SENDER = "via_sender"
    SHE_COMES = "she_comes"
    PHONE = "phone"
    ADDRESS = "address"


class Counsellor(Input):
    """The named colleague who answers for the person on one side."""

    name: Line
    function: Line | None = None
    email: EmailStr | None = None
    phone: Phone | None = None


class Identity(Input):
    """Who she is; it may be just what she wishes to be called."""

    called: Line | None = Field(default=None, description="What she wishes to be called.")
    given_name: Line | None = None
    family_name: Line | None = None
    birth_date: date | None = None

    @model_validator(mode="after")
    def _some_name(self) -> Self:
        if not (self.called or self.given_name or self.family_name):
            raise ValueError("Give one name at least: what she wishes to be called is enough.")
        return self

    def names(self) -> list[str]:
        """Answer every name that stands here."""
        return [name for name in (self.called, self.given_name, self.family_name) if name]


class Safety(Input):
    """What may be done to reach her; every answer is no until she says yes."""

    shared_phone: StrictBool = Field(default=False, description="She knows that others answer this phone, and agrees.")
    voicemail: StrictBool = Field(default=False, description="A message may be left.")
    sms: StrictBool = Field(default=False, description="A text may be sent.")
    may_say_who: StrictBool = Field(default=False, description="The caller may say who they are.")
    times: Line | None = Field(default=None, description="When she can be called.")


class Contact(Input):
    """How she is reached safely."""

    reach: Reach | None = Field(default=None, description="From the contact given, where absent.")
    safety: Safety = Field(default_factory=Safety)
    phone: Phone | None = None
    email: EmailStr | None = None
    address: Line | None = None
    preferred: Literal["phone", "email", "address"] | None = None

    @model_validator(mode="after")
    def _reached(self) -> Self:
        missing = {Reach.PHONE: self.phone, Reach.ADDRESS: self.address}
        if self.reach in missing and not missing[self.reach]:
            raise ValueError(f"To reach her by {self.reach}, give it.")
        if self.preferred and not getattr(self, self.preferred):
            raise ValueError(f"She prefers {self.preferred}: give it.")
        if self.reach is None:
            self.reach = Reach.PHONE if self.phone else Reach.ADDRESS if self.address else Reach.VIA_SENDER
        return self


class Area(Input):
    """Roughly where she lives; never an address."""

    municipality: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}:[0-9A-Z]{4,6}$")] = Field(
        description="Country and official code, as `be:52011`."
    )
    postcode: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z -]{3,10}$")] | None = None
    name: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        default=None,
        description="The municipality's, as the directory knows it: read alone; sent back, it says nothing.",
        json_schema_extra={"readOnly": True},
    )


class Person(Input):
    """Who is accompanied."""

    identity: Identity
    contact: Contact
    area: Area
    languages: list[Language] = Field(min_length=1, max_length=10)


class Need(Input):
    """One need: its theme opens the matching search, its words are hers first."""

    theme: Slug
    words: Text | None = None
    said_by: Literal["person", "counsellor"] = "person"
    hidden_from: list[Literal["recipient"]] = Field(default=[], description="Who does not read this line.")


class Concerned(Input):
    """Somebody besides her whom the need concerns; never a birth date."""

    relation: Line
    age_band: Literal["0-2", "3-5", "6-11", "12-17", "18-25", "26-64", "65+"]


class To(Input):
    """To whom she is handed over."""

    organisation_id: UUID
    service_id: UUID
    relay_contact_id: UUID | None = None


Short = Annotated[list[Line], Field(max_length=20)]
ExternalIds = Annotated[dict[Slug, Line], Field(max_length=10)]
"""References of one side's own software, by system; sealed, and read by that side alone."""


class Draft(Input):
    """A new referral."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "recipient": {
                        "organisation_id": "5b0c7a4e-0000-4000-8000-000000000001",
                        "service_id": "5b0c7a4e-0000-4000-8000-000000000002",
                    },
                    "counsellor": {"name": "Ana Lopes", "email": "ana@depart.example"},
                    "person": {
                        "identity": {"called": "Mme B."},
                        "contact": {"reach": "via_sender"},
                        "area": {"municipality": "be:52011", "postcode": "6000"},
                        "languages": ["fr"],
                    },
                    "needs": [{"theme": "childcare", "words": "une place avant lundi"}],
                }
            ]
        }
    )

    recipient: To
    counsellor: Counsellor
    person: Person
    needs: list[Need] = Field(min_length=1, max_length=10)
    goal_words: Text | None = None
    resources: Short = Field(default=[])
    concerned: list[Concerned] = Field(default=[], max_length=20)
    situation: dict[Slug | Line, Text | bool | int | float | None] | None = Field(default=None, max_length=30)
    notes: Text | None = None
    constraints: Short = Field(default=[])
    urgency: Literal["today", "days", "none"] = "days"
    external_ids: ExternalIds = Field(default={}, description="Your own references; the other side never reads them.")


class Redirection(Input):
    """Opening a new draft toward another service, after the first said no."""

    model_config = shown(
        recipient={
            "organisation_id": "5b0c7a4e-0000-4000-8000-000000000003",
            "service_id": "5b0c7a4e-0000-4000-8000-000000000004",
        }
    )

    recipient: To
    counsellor: Counsellor | None = None


class DraftChange(Input):
    """What changes in a draft; a part that is given takes the place of the whole part."""

    counsellor: Counsellor | None = None
    person: Person | None = None
    needs: list[Need] | None = Field(default=None, min_length=1, max_length=20, description="Hers too.")
    goal_words: Text | None = None
    resources: Short | None = None
    concerned: list[Concerned] | None = Field(default=None, max_length=20)
    situation: dict[Slug | Line, Text | bool | int | float | None] | None = Field(default=None, max_length=30)
    notes: Text | None = None
    constraints: Short | None = None
    urgency: Literal["today", "days", "none"] | None = None

    @model_validator(mode="after")
    def _stays(self) -> Self:
        kept = ("counsellor", "person", "needs", "urgency")
        if found := [name for name in kept if name in self.model_fields_set and getattr(self, name) is None]:
            raise ValueError(f"A draft is never without {' and '.join(found)}: leave out what does not change.")
        return self
