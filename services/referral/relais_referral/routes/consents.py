"""Consents: recorded at her word, read, withdrawn; and the notice that is read aloud before."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store, views
from relais_referral.actions.common import Asked
from relais_referral.actions.consenting import asking, reading, withdrawing
from relais_referral.domain import refusals
from relais_referral.notices import notice
from relais_referral.papers.receipt import kantara, receipt, receipt_paper
from relais_referral.problems import TABLE
from relais_referral.routes import files
from relais_referral.routes.dependencies import Either, MaySend, asked, keep_nothing, once, versioned
from relais_referral.routes.files import Form, WantedForm
from relais_referral.schemas.consents import ConsentInput, ConsentPage, ConsentRequest, ConsentView, NoticeView
from relais_referral.schemas.steps import Withdrawal
from relais_shared import idempotency, problems
from relais_shared.clock import Now
from relais_shared.db import WriteTx
from relais_shared.http import etag
from relais_shared.idempotency import Keyed, RequiredKey
from relais_shared.refusals import InvalidInput, NotFound, ScopeMissing, Unauthenticated
from relais_shared.service import Router

router = Router(prefix="/v1", tags=["consents"])

_RECORDING: Any = problems.responses(
    idempotency.KeyMissing,
    Unauthenticated,
    ScopeMissing,
    NotFound,
    refusals.IllegalAction,
    refusals.NotYourTurn,
    refusals.RecipientNotBound,
    refusals.SensitiveBasisMissing,
    refusals.PersonalDataDetected,
    idempotency.StillRunning,
    InvalidInput,
    idempotency.KeyReused,
    table=TABLE,
)
_READING = problems.responses(Unauthenticated, ScopeMissing, NotFound, InvalidInput, table=TABLE)


async def _recorded(
    response: Response,
    tx: AsyncSession,
    who: Asked,
    key: Keyed,
    referral_id: UUID,
    make: Callable[[], Awaitable[ConsentView]],
) -> ConsentView:
    """Keep a consent once for each key, and answer it with the referral's new version."""

    async def again(id_: UUID) -> ConsentView:
        return next(one for one in await reading.read_consents(tx, who, referral_id) if one.id == id_)

    view = await once(tx, who, key, again, make)
    await versioned(response, tx, who, referral_id)
    keep_nothing(response)
    return view


@router.post(
    "/referrals/{referral_id}/consents",
    status_code=201,
    response_model=ConsentView,
    response_model_exclude_unset=True,
    responses=_RECORDING,
)
async def record_consent(
    request: Request,
    response: Response,
    referral_id: UUID,
    given: ConsentInput,
    actor: MaySend,
    key: RequiredKey,
    tx: WriteTx,
    now: Now,
) -> ConsentView:
    """Record what she agreed to, for this recipient alone; what was in force before is superseded.

    A consent by private link is not recorded here: only her own session can give it.
    """
    who = asked(request, actor, now)
    return await _recorded(
        response, tx, who, key, referral_id, lambda: asking.record_consent(tx, who, referral_id, given)
    )


@router.post(
    "/referrals/{referral_id}/consents/request",
    status_code=201,
    response_model=ConsentView,
    response_model_exclude_unset=True,
    responses=_RECORDING,
)
async def request_consent(
    request: Request,
    response: Response,
    referral_id: UUID,
    wanted: ConsentRequest,
    actor: MaySend,
    key: RequiredKey,
    tx: WriteTx,
    now: Now,
) -> ConsentView:
    """Ask for her agreement by her own link: only her own session turns it into given or refused.

    Make her link first (`POST /v1/referrals/{id}/access`), or let her use the one that she has.
    """
    who = asked(request, actor, now)
    return await _recorded(
        response, tx, who, key, referral_id, lambda: asking.request_consent(tx, who, referral_id, wanted)
    )


@router.get(
    "/referrals/{referral_id}/consents",
    response_model=ConsentPage,
    response_model_exclude_unset=True,
    responses=_READING,
)
async def list_consents(
    request: Request, response: Response, referral_id: UUID, actor: Either, tx: WriteTx, now: Now
) -> ConsentPage:
    """List the consents of a referral, the newest first."""
    response.headers["Cache-Control"] = "no-store"
    return ConsentPage(items=await reading.read_consents(tx, asked(request, actor, now), referral_id))


@router.post(
    "/consents/{consent_id}/withdraw",
    response_model=ConsentView,
    response_model_exclude_unset=True,
    responses=_READING,
)
async def withdraw_consent(
    request: Request,
    response: Response,
    consent_id: UUID,
    actor: Either,
    tx: WriteTx,
    now: Now,
    body: Withdrawal | None = None,
) -> ConsentView:
    """Stop the sharing at her word: the next reading shows nothing, and the referral is withdrawn.

    Of a case conference: that structure leaves it.

    It needs no `If-Match`: stopping is never too late.
    """
    who = asked(request, actor, now)
    view = await withdrawing.withdraw_consent(tx, who, consent_id, body or Withdrawal())
    response.headers["Cache-Control"] = "no-store"
    if view.referral_id is None or view.conference_id is not None:
        # A conference has no version; and whoever only takes part in one has no referral to read.
        return view
    referral, parties = await store.referrals.lock(tx, view.referral_id, who.caller, reading=True)
    response.headers["ETag"] = etag(views.version(referral, parties))
    return view


@router.get(
    "/consents/{consent_id}/receipt",
    response_class=Response,
    responses={**_READING, **files.papers(files.JSON_LD)},
)
async def read_receipt(
    request: Request,
    consent_id: UUID,
    actor: Either,
    tx: WriteTx,
    now: Now,
    form: WantedForm = None,
    discreet: Annotated[bool, Query(description="On page and PDF: neither structure nor service.")] = False,  # noqa: FBT002 - a query parameter
) -> Response:
    """Take the receipt of a consent: ISO/IEC TS 27560 as JSON-LD with W3C DPV terms, or to print in her language.

    `?form=json` (default), `page` or `pdf`, or as `Accept` says. It holds neither her name nor her link; Kantara's
    consent receipt stands in the JSON as `kantara`.
    """
    facts = await reading.receipt_of(tx, asked(request, actor, now), consent_id)
    if form in {None, Form.JSON}:
        return Response(
            orjson.dumps({**receipt(facts), "kantara": kantara(facts)}),
            media_type=files.JSON_LD,
            headers=files.PRIVATE,
        )
    return await files.printed(receipt_paper(facts, discreet=discreet), form)


@router.get("/notices/{version}/{language}", response_model=NoticeView, responses=_READING)
async def read_notice(response: Response, version: str, language: str, actor: Either) -> NoticeView:
    """Answer the text that is read aloud before she answers, with its fingerprint."""
    del actor
    found = notice(version, language)
    if found is None:
        raise NotFound("There is no such notice in that language.")
    response.headers["ETag"] = etag(found.sha256[:16])
    return NoticeView(
        version=found.version,
        language=found.language,
        title=found.title,
        text=found.text,
        sha256=found.sha256,
    )
