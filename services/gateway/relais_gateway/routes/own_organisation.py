"""An organisation about itself: what is on record of it, what it may change of that, what was changed in it."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from relais_gateway import organisation_actions, organisation_store
from relais_gateway.routes.accounts import Administrator
from relais_gateway.routes.admin import About, AuditPage, OrganisationRow, audit_page, enrolled
from relais_gateway.routes.dependencies import transaction
from relais_gateway.routes.enrolment import (
    AgreementList,
    AgreementRecord,
    LaunchBase,
    Line,
    Municipality,
    WorkingDays,
)
from relais_gateway.routes.organisation import by
from relais_shared import problems
from relais_shared.clock import Now
from relais_shared.http import IfMatch, etag
from relais_shared.refusals import (
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

router = Router(prefix="/v1/organisation", tags=["organisation"])

_READS = problems.responses(Unauthenticated, ScopeMissing, NotFound, InvalidInput, Unavailable)
_CHANGES = problems.responses(
    MalformedRequest,
    Unauthenticated,
    ScopeMissing,
    NotFound,
    StaleVersion,
    InvalidInput,
    VersionRequired,
    Unavailable,
)


class ControllerReach(BaseModel):
    """How who answers for the data is reached; what is absent stays."""

    model_config = ConfigDict(extra="forbid")

    address: Line = ""
    contact: Line = ""
    email: Line | None = None
    phone: Line | None = None
    dpo: Line = Field(default="", description="How the data protection officer is reached.")


class OwnChange(BaseModel):
    """What an organisation changes of itself; what is absent stays. The rest is the platform's to change."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"answer_within_days": 3, "controller": {"dpo": "dpo@maison.example"}}},
    )

    municipality: Municipality | None = None
    answer_within_days: WorkingDays = 2
    launch_base: LaunchBase | None = None
    controller: ControllerReach = ControllerReach()


@router.get("", responses=_READS)
async def read_organisation_of_caller(
    request: Request, response: Response, actor: Administrator, now: Now
) -> OrganisationRow:
    """Read what is on record of your organisation: what it is granted, its agreement, what it declared in signing."""
    async with transaction(request) as connection:
        found, version = await enrolled(connection, _id(actor, now), now.date())
    response.headers["ETag"] = etag(version)
    return found


@router.patch("", responses=_CHANGES)
async def change_own_organisation(
    request: Request, response: Response, actor: Administrator, body: OwnChange, version: IfMatch, now: Now
) -> OrganisationRow:
    """Change what your organisation may change of itself: where it is, how it is reached, how soon it answers."""
    whose = by(actor, now)
    changes = body.model_dump(exclude_unset=True)
    async with transaction(request) as connection:
        found, _version = await enrolled(connection, whose.organisation_id, now.date())
        if "controller" in changes:
            told = found.controller | changes["controller"]
            changes["controller"] = {name: value for name, value in told.items() if value is not None}
        await organisation_actions.change(connection, whose, changes, version)
        found, version = await enrolled(connection, whose.organisation_id, now.date())
    response.headers["ETag"] = etag(version)
    return found


@router.get("/agreements", responses=_READS)
async def list_own_agreements(request: Request, actor: Administrator, now: Now) -> AgreementList:
    """List what your organisation signed, the ended ones too."""
    async with transaction(request) as connection:
        rows = await organisation_store.agreements(connection, _id(actor, now))
    return AgreementList(items=[AgreementRecord.of(row, now.date()) for row in rows])


@router.get("/audit", responses=_READS)
async def read_own_audit(
    request: Request,
    actor: Administrator,
    now: Now,
    subject: About = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    cursor: str | None = None,
) -> AuditPage:
    """Read who changed what in your organisation, the latest first, whether one of yours or the platform."""
    return await audit_page(request, subject, _id(actor, now), limit, cursor)


def _id(actor: Administrator, now: Now) -> UUID:
    return by(actor, now).organisation_id
