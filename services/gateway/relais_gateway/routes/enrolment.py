"""For whoever runs the platform: enrol organisations, change them, record what they signed and when it ends."""

from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import orjson
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from relais_gateway import organisation_actions, organisation_store, repeating, store
from relais_gateway.actions import By
from relais_gateway.domain.refusals import LastAdministrator
from relais_gateway.domain.scopes import Agreement
from relais_gateway.problems import TABLE
from relais_gateway.routes.admin import NO_SUCH, Operator, OrganisationRow, enrolled
from relais_gateway.routes.dependencies import transaction
from relais_shared import problems
from relais_shared.clock import Now
from relais_shared.http import IfMatch, etag
from relais_shared.idempotency import OptionalKey
from relais_shared.refusals import (
    Fault,
    InvalidInput,
    MalformedRequest,
    NotFound,
    ScopeMissing,
    StaleVersion,
    Unauthenticated,
    Unavailable,
    VersionRequired,
)
from relais_shared.service import Router

router = Router(prefix="/v1/organisations", tags=["platform"])

_MAKES = problems.responses(Unauthenticated, ScopeMissing, InvalidInput, *repeating.REFUSALS, Unavailable, table=TABLE)
_SIGNS = problems.responses(
    Unauthenticated, ScopeMissing, NotFound, InvalidInput, *repeating.REFUSALS, Unavailable, table=TABLE
)
_ONE = problems.responses(Unauthenticated, ScopeMissing, NotFound, InvalidInput, Unavailable)
_CHANGES = problems.responses(
    MalformedRequest,
    Unauthenticated,
    ScopeMissing,
    NotFound,
    LastAdministrator,
    StaleVersion,
    InvalidInput,
    VersionRequired,
    Unavailable,
    table={**problems.COMMON, **TABLE},
)

Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A text of one line."""
Kind = Annotated[str, StringConstraints(pattern="^[a-z][a-z_]{1,39}$")]
Municipality = Annotated[str, StringConstraints(pattern="^[a-z]{2}:[0-9A-Z]{2,10}$")]
LaunchBase = Annotated[str, StringConstraints(max_length=500, pattern=r"^https?://[^?#\s\x00-\x1f\x7f]+$")]
WorkingDays = Annotated[int, Field(ge=1, le=30)]

OWN_KIND = "platform"
"""The organisation that runs this Relais; it is there from the beginning."""


class Controller(BaseModel):
    """Who answers for the data of an organisation: it stands on every receipt."""

    model_config = ConfigDict(extra="forbid")

    name: Line = Field(description="As it stands in its statutes.")
    address: Line
    contact: Line = Field(description="Where one asks: a page, an address, a function.")
    email: Line | None = None
    phone: Line | None = None
    dpo: Line = Field(description="How the data protection officer is reached.")

    def kept(self) -> dict[str, Any]:
        """Answer it as it is kept: what was not told is absent."""
        return self.model_dump(exclude_none=True)


class OrganisationWanted(BaseModel):
    """An organisation to enrol. What it declares in signing comes with its agreement."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"name": "Maison des familles", "kind": "association", "municipality": "be:52011"}
        },
    )

    name: Line
    kind: Kind = Field(description="As `association`, `public_service`, `cooperative`.", examples=["association"])
    municipality: Municipality | None = None
    control_unit: StrictBool = Field(
        default=False, description="Its only mission is control: it never holds `referral:*`."
    )
    practice: StrictBool = Field(
        default=False, description="It rehearses: its hand-overs go to others that do. It stays so."
    )
    answer_within_days: WorkingDays = Field(default=2, description="Working days that it usually takes to answer.")
    launch_base: LaunchBase | None = Field(default=None, description="Where its own tool opens.")


class OrganisationChange(BaseModel):
    """What changes; what is absent stays. What was declared in signing changes by a new agreement."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"active": False}})

    name: Line = ""
    kind: Kind = ""
    municipality: Municipality | None = None
    active: StrictBool = Field(
        default=True, description="A closed one does nothing any more; its sessions and tokens end."
    )
    control_unit: StrictBool = False
    answer_within_days: WorkingDays = 2
    launch_base: LaunchBase | None = None


class AgreementWanted(BaseModel):
    """What an organisation signed, and what it declared in doing so."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "text_version": "2026-1",
                "signed_on": "2026-01-15",
                "ends_on": None,
                "parties": ["Maison des familles", "Plateforme Relais"],
                "secrecy": "professional",
                "may_sanction": False,
                "controller": {
                    "name": "Maison des familles ASBL",
                    "address": "1 rue du Pont, 6000 Charleroi",
                    "contact": "accueil@maison.example",
                    "dpo": "dpo@maison.example",
                },
            }
        },
    )

    text_version: Annotated[str, StringConstraints(pattern="^[0-9A-Za-z][0-9A-Za-z._-]{0,39}$")]
    signed_on: date = Field(description="It counts from that day on.")
    ends_on: date | None = Field(default=None, description="The last day; none: until it is ended.")
    parties: list[Line] = Field(min_length=2, max_length=20)
    secrecy: Literal["professional", "discretion", "none"] = Field(description="By what its staff is bound.")
    may_sanction: StrictBool = Field(description="It can sanction the people it accompanies.")
    controller: Controller

    def signed(self) -> organisation_store.Signed:
        """Answer it as it is kept."""
        told = self.model_dump(exclude={"controller"})
        return organisation_store.Signed(**told, controller=self.controller.kept())


class AgreementRecord(BaseModel):
    """A signed agreement on record, which never changes but for its end."""

    id: UUID
    text_version: str
    signed_on: date
    ends_on: date | None
    ended_at: datetime | None = Field(description="Ended before its term, or by the next one.")
    in_force: bool = Field(description="It counts today: `referral:*` scopes hold.")
    parties: list[str]
    secrecy: str
    may_sanction: bool
    controller: dict[str, Any]
    recorded_at: datetime

    @classmethod
    def of(cls, row: store.Row, today: date) -> Self:
        """Answer an agreement as the database keeps it."""
        facts = {name: row[name] for name in cls.model_fields if name not in {"in_force", "controller"}}
        holds = row["ended_at"] is None and Agreement(row["signed_on"], row["ends_on"]).holds(today)
        return cls(**facts, in_force=holds, controller=orjson.loads(row["controller"]))


class AgreementList(BaseModel):
    """The agreements that an organisation signed, the latest first."""

    items: list[AgreementRecord]


class AgreementEnd(BaseModel):
    """When an agreement ends."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"ends_on": "2027-12-31"}})

    ends_on: date | None = Field(default=None, description="The last day; none: now, within a second.")


@router.post("", status_code=201, responses=_MAKES)
async def enrol_organisation(
    request: Request, response: Response, actor: Operator, body: OrganisationWanted, key: OptionalKey, now: Now
) -> OrganisationRow:
    """Enrol an organisation. It can do nothing yet: grant it scopes, record its agreement, invite its administrator."""
    if body.kind == OWN_KIND:
        raise _one_platform()
    async with transaction(request) as connection:
        call = await repeating.begin(connection, key, actor, 201, now)
        if not call.repeated:
            await organisation_actions.create(connection, By(actor.id, call.id, now), body.model_dump())
        made, version = await enrolled(connection, call.id, now.date())
    response.headers["Location"] = f"/v1/organisations/{call.id}"
    response.headers["ETag"] = etag(version)
    return made


@router.patch("/{organisation_id}", responses=_CHANGES)
async def change_enrolled_organisation(
    request: Request,
    response: Response,
    actor: Operator,
    organisation_id: UUID,
    body: OrganisationChange,
    version: IfMatch,
    now: Now,
) -> OrganisationRow:
    """Change an organisation, close it or open it again; it counts within a second, tokens already issued included."""
    if body.kind == OWN_KIND:
        raise _one_platform()
    async with transaction(request) as connection:
        by = By(actor.id, organisation_id, now)
        await organisation_actions.change(connection, by, body.model_dump(exclude_unset=True), version)
        changed, version = await enrolled(connection, organisation_id, now.date())
    response.headers["ETag"] = etag(version)
    return changed


@router.get("/{organisation_id}/agreements", responses=_ONE)
async def list_agreements(request: Request, _actor: Operator, organisation_id: UUID, now: Now) -> AgreementList:
    """List what an organisation signed, the ended ones too."""
    async with transaction(request) as connection:
        if not await organisation_store.enrolled(connection, organisation_id):
            raise NotFound(NO_SUCH)
        rows = await organisation_store.agreements(connection, organisation_id)
    return AgreementList(items=[AgreementRecord.of(row, now.date()) for row in rows])


@router.post("/{organisation_id}/agreements", status_code=201, responses=_SIGNS)
async def record_agreement(
    request: Request, actor: Operator, organisation_id: UUID, body: AgreementWanted, key: OptionalKey, now: Now
) -> AgreementRecord:
    """Put a signed agreement on record; it takes the place of the one that is in force.

    `referral:*` scopes can be granted from then on, and the organisation is what it declared: its secrecy, whether it
    may sanction, who answers for its data.
    """
    async with transaction(request) as connection:
        by = By(actor.id, organisation_id, now)
        call = await repeating.begin(connection, key, actor, 201, now)
        if not call.repeated:
            await organisation_actions.record_agreement(connection, by, call.id, body.signed())
        row = await organisation_store.agreement(connection, call.id, organisation_id)
    assert row is not None  # noqa: S101 - written just now
    return AgreementRecord.of(row, now.date())


@router.post("/{organisation_id}/agreements/{agreement_id}/end", responses=_SIGNS)
async def end_agreement(
    request: Request,
    actor: Operator,
    organisation_id: UUID,
    agreement_id: UUID,
    body: AgreementEnd,
    key: OptionalKey,
    now: Now,
) -> AgreementRecord:
    """Let an agreement end, now or on a day; the scopes of hand-overs end with it, tokens already issued included."""
    async with transaction(request) as connection:
        by = By(actor.id, organisation_id, now)
        call = await repeating.begin(connection, key, actor, 200, now)
        if not call.repeated:
            await organisation_actions.end_agreement(connection, by, agreement_id, body.ends_on)
        row = await organisation_store.agreement(connection, agreement_id, organisation_id)
    assert row is not None  # noqa: S101 - found just now
    return AgreementRecord.of(row, now.date())


def _one_platform() -> InvalidInput:
    return InvalidInput("There is one platform.", [Fault("/kind", "Only the organisation that runs Relais is that.")])
