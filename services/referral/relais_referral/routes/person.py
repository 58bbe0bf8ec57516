"""Her own door: her card, her session, and what she reads and does in it."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Header, Query, Request, Response

from relais_referral import copying
from relais_referral.actions import accessing
from relais_referral.actions.accessing import Keys, Session
from relais_referral.actions.common import Asked
from relais_referral.actions.person import agreeing, changing, deciding, reading, standing
from relais_referral.domain import refusals
from relais_referral.domain.visibility import Category
from relais_referral.papers.calendar import calendar
from relais_referral.papers.card import card
from relais_referral.papers.receipt import receipt_paper
from relais_referral.problems import TABLE
from relais_referral.routes import files
from relais_referral.routes.dependencies import WRITING, Either, FromDirectory, asked
from relais_referral.routes.files import Form, WantedForm
from relais_referral.schemas.conferences import Attendance, ConferenceMessageView
from relais_referral.schemas.consents import ConsentAnswer, ConsentView
from relais_referral.schemas.conversation import MessageView, NewMessage
from relais_referral.schemas.person import (
    AccessMade,
    AccessPage,
    AccessView,
    AddedWords,
    Card,
    CardToPrint,
    CopyView,
    Correction,
    Erased,
    HandoverView,
    HiddenLine,
    NewAccess,
    PartialWithdrawal,
    PathwayView,
    PlacesPage,
    PreviewPage,
    ReadingPage,
    SessionView,
    WholeView,
)
from relais_referral.schemas.referrals import ReferralView
from relais_referral.schemas.steps import Confirmation, Pause
from relais_shared import problems
from relais_shared.auth import ANONYMOUS, Actor, Guard, actor_of, public
from relais_shared.clock import Now, clock_of, now_of
from relais_shared.db import WriteTx, apart
from relais_shared.refusals import (
    Fault,
    InvalidInput,
    MalformedRequest,
    NotFound,
    Refusal,
    ScopeMissing,
    Unauthenticated,
    Unavailable,
)
from relais_shared.service import GuardedRoute, Router

HEADER: Final = "Relais-Person-Session"
"""Where her session travels: never in an address, which others keep."""

NO_STORE: Final = {"Cache-Control": "no-store"}
"""Nothing of hers is anybody's to keep, not even that there was nothing."""


class Private(GuardedRoute):
    """A route whose answers nobody keeps, whatever they say."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Answer the guarded handler, with every answer marked."""
        handler = super().get_route_handler()

        async def marked(request: Request) -> Response:
            try:
                answer = await handler(request)
            except Refusal as refusal:
                told = refusal.facts.get("headers")
                refusal.facts["headers"] = {**(told if isinstance(told, dict) else {}), **NO_STORE}
                raise
            answer.headers.update(NO_STORE)
            return answer

        return marked


class Door(Guard):
    """Whoever the gateway lets through to what is open to all; nobody else reaches this service."""

    async def __call__(self, request: Request) -> Actor:
        """Answer whoever the gateway vouches for."""
        return actor_of(request)


class _Hers(Guard):
    """Her session, judged and prolonged before the body is read."""

    async def __call__(self, request: Request) -> Actor:
        actor_of(request)
        if "relais.person" not in request.scope:
            given = request.headers.getlist(HEADER)
            async with apart(request) as tx:
                request.scope["relais.person"] = await accessing.use_session(
                    tx, given[0] if len(given) == 1 else "", _keys(request), now_of(request)
                )
        return ANONYMOUS


def _keys(request: Request) -> Keys:
    return Keys(request.app.state.settings.secret_bytes())


async def _session(
    request: Request,
    _shown: Annotated[str | None, Header(alias=HEADER, description="From `POST /v1/person/session`.")] = None,
) -> Session:
    found: Session = request.scope["relais.person"]
    return found


Hers = Annotated[Session, Depends(_session)]
"""Her session."""


async def _as_her(request: Request, session: Hers, now: Now) -> Asked:
    return replace(session.asked(now, request.app.state.sealer), clock=clock_of(request))


AsHer = Annotated[Asked, Depends(_as_her)]
"""She herself, asking now."""

door = Router(prefix="/v1", tags=["person"])
door.route_class = Private
router = Router(prefix="/v1/person", tags=["person"], dependencies=[Depends(_Hers())])
router.route_class = Private

_OPEN: Any = {
    "openapi_extra": public("the person shows her own card and code"),
    "dependencies": [Depends(Door())],
    "responses": problems.responses(MalformedRequest, Unauthenticated, InvalidInput, table=TABLE),
}
_READ: Any = {
    "openapi_extra": public("the person shows her own session"),
    "response_model_exclude_none": True,
    "responses": problems.responses(Unauthenticated, ScopeMissing, NotFound, InvalidInput, table=TABLE),
}
_A_PAPER: Any = {
    "openapi_extra": public("the person shows her own session"),
    "responses": {**_READ["responses"], **files.papers()},
}
_CHANGE: Any = {
    "openapi_extra": public("the person shows her own session"),
    "response_model_exclude_none": True,
    "responses": problems.responses(
        MalformedRequest,
        Unauthenticated,
        ScopeMissing,
        NotFound,
        refusals.IllegalAction,
        refusals.NotYourTurn,
        refusals.ConsentMissing,
        InvalidInput,
        refusals.PersonalDataDetected,
        table=TABLE,
    ),
}


@door.post("/referrals/{referral_id}/access", status_code=201, response_model=AccessMade, responses=WRITING)
async def make_access(
    request: Request, referral_id: UUID, body: NewAccess, actor: Either, tx: WriteTx, now: Now
) -> AccessMade:
    """Make or renew her link, with the code that she picks; the link is shown this once, and the one before ends.

    A recipient makes, lists and ends one once it reads who she is. Where others answer her telephone the link shows
    nothing (`level: none`): her card then opens at a counter alone. So does the card of a sender that may sanction.
    """
    public_url = request.app.state.settings.public_url
    return await accessing.make_access(tx, asked(request, actor, now), referral_id, body, _keys(request), public_url)


@door.post(
    "/cards",
    response_class=Response,
    responses={
        **problems.responses(MalformedRequest, Unauthenticated, ScopeMissing, InvalidInput, table=TABLE),
        **files.papers(),
    },
)
async def print_card(request: Request, body: CardToPrint, actor: Either, form: WantedForm = None) -> Response:
    """Print her card, with her link as a drawing (QR code), right after it was made; nothing of it is kept.

    Neither a name nor a structure stands on it, and her code nowhere.
    """
    del actor
    if not body.link.startswith(accessing.hers_at(request.app.state.settings.public_url)):
        raise InvalidInput("This card cannot be printed.", [Fault("/link", "This is no link of hers here.")])
    return await files.printed(card(body.link, body.language), form)


@door.get(
    "/referrals/{referral_id}/access", response_model=AccessPage, response_model_exclude_none=True, responses=WRITING
)
async def list_accesses(request: Request, referral_id: UUID, actor: Either, tx: WriteTx, now: Now) -> AccessPage:
    """List her links of a hand-over with their openings; neither a link nor a code is read again."""
    return AccessPage(items=await accessing.list_accesses(tx, asked(request, actor, now), referral_id))


@door.post("/referrals/{referral_id}/access/end", status_code=204, responses=WRITING)
async def end_access(request: Request, referral_id: UUID, actor: Either, tx: WriteTx, now: Now) -> None:
    """End her links of a hand-over at once, with every session."""
    await accessing.end_access(tx, asked(request, actor, now), referral_id)


@door.post("/person/session", status_code=201, response_model=SessionView, **_OPEN)
async def open_session(request: Request, card: Card, now: Now) -> SessionView:
    """Open her session with link and code; it lives 20 minutes from its last use, two hours at most.

    A wrong link, a wrong code, a link that was ended, that rests after five wrong tries or that shows nothing: all
    answer alike.
    """
    # A wrong try stays counted though the request is refused.
    async with apart(request) as tx:
        found = await accessing.open_session(tx, card, _keys(request), request.app.state.sealer, now)
    if found is None:
        raise Unauthenticated(accessing.NOT_OPEN)
    return found


@door.delete("/person/session", status_code=204, **_OPEN)
async def end_session(request: Request, tx: WriteTx) -> None:
    """Leave at once; without a session, or with an old one, it answers the same."""
    for token in request.headers.getlist(HEADER):
        await accessing.end_session(tx, token, _keys(request))


@door.post(
    "/assisted_sessions",
    status_code=201,
    response_model=SessionView,
    responses=problems.responses(MalformedRequest, Unauthenticated, ScopeMissing, NotFound, InvalidInput, table=TABLE),
)
async def open_assisted_session(request: Request, card: Card, actor: Either, now: Now) -> SessionView:
    """Open her session at your counter, with her card and code: 15 minutes, apart from your own, and told to her.

    It shows everything, whatever her link shows on a telephone. A structure that may sanction opens none.
    """
    async with apart(request) as tx:
        found = await accessing.open_assisted(tx, asked(request, actor, now), card, _keys(request))
    if found is None:
        # Not 401: the counter's own session stands.
        raise NotFound(accessing.NOT_OPEN)
    return found


@router.get("/referrals", response_model=PathwayView, **_READ)
async def read_pathway(session: Hers, her: AsHer, tx: WriteTx) -> PathwayView:
    """Read where everything stands: with whom, what is shared until when, and what waits for your answer."""
    return await standing.pathway(tx, her, session)


@router.get("/access", response_model=AccessView, **_READ)
async def read_own_access(session: Hers, tx: WriteTx) -> AccessView:
    """See when your link was opened, and at which counters you were assisted."""
    return await reading.own_access(tx, session)


@router.post("/withdraw", response_model=PathwayView, **_CHANGE)
async def withdraw_all(session: Hers, her: AsHer, tx: WriteTx) -> PathwayView:
    """Stop everything that this card shows, at once. Nobody asks why."""
    await deciding.withdraw_all(tx, her, session)
    await tx.flush()
    return await standing.pathway(tx, her, session)


@router.post("/referrals/link", response_model=PathwayView, **_CHANGE)
async def join_referrals(request: Request, card: Card, session: Hers, her: AsHer, tx: WriteTx) -> PathwayView:
    """Join the hand-overs of another card of yours to this one; nobody else can, and nobody is told."""
    async with apart(request) as counting:
        joined = await deciding.join(counting, her, session, card, _keys(request))
    if not joined:
        raise NotFound(accessing.NOT_OPEN)
    return await standing.pathway(tx, her, session)


@router.get("/referrals/{referral_id}", response_model=WholeView, **_READ)
async def read_whole(referral_id: UUID, session: Hers, her: AsHer, tx: WriteTx) -> WholeView:
    """Read a hand-over whole, with exactly what the other side reads now and after it takes over."""
    return await reading.whole(tx, her, session, referral_id)


@router.get("/referrals/{referral_id}/preview", response_model=PreviewPage, **_READ)
async def preview(
    referral_id: UUID,
    session: Hers,
    her: AsHer,
    tx: WriteTx,
    data_categories: Annotated[
        list[Category] | None, Query(description="As if you agreed to these; repeat for several.")
    ] = None,
) -> PreviewPage:
    """See exactly what the other side would read."""
    chosen = frozenset(data_categories) if data_categories is not None else None
    return PreviewPage(items=await reading.previews(tx, her, session, referral_id, chosen))


@router.get("/referrals/{referral_id}/readers", response_model=ReadingPage, **_READ)
async def list_readings(referral_id: UUID, session: Hers, her: AsHer, tx: WriteTx) -> ReadingPage:
    """See who read what of yours: one line for each structure and day."""
    return ReadingPage(items=await reading.readings(tx, her, session, referral_id))


@router.get(
    "/referrals/{referral_id}/places",
    response_model=PlacesPage,
    **{
        **_READ,
        "responses": problems.responses(
            Unauthenticated, ScopeMissing, NotFound, InvalidInput, Unavailable, table=TABLE
        ),
    },
)
async def list_places(
    request: Request, referral_id: UUID, session: Hers, her: AsHer, directory: FromDirectory
) -> PlacesPage:
    """See where the service receives and the nearest stops; nothing of a confidential place, or on a discreet card."""
    # The directory is asked once the transaction is over: nothing waits for it with a lock in hand.
    async with apart(request) as tx:
        service_id = await reading.service_of(tx, her, session, referral_id)
    return PlacesPage(items=reading.places(await directory.service(service_id) if service_id else None))


@router.get(
    "/referrals/{referral_id}/meetings.ics",
    response_class=Response,
    **{
        **_READ,
        "responses": {**_READ["responses"], 200: {"description": "The meeting.", "content": {files.CALENDAR: {}}}},
    },
)
async def read_own_meeting_as_calendar(referral_id: UUID, session: Hers, her: AsHer, tx: WriteTx) -> Response:
    """Fetch your meeting for a calendar (iCalendar): when, and neither where nor with whom."""
    return files.dated(calendar(await reading.calendar_entries(tx, her, session, referral_id)))


@router.get("/referrals/{referral_id}/documents/{document_id}", response_class=Response, **_READ)
async def read_own_document(referral_id: UUID, document_id: UUID, session: Hers, her: AsHer, tx: WriteTx) -> Response:
    """Fetch a document to keep in a file; it is never shown in place."""
    return files.to_keep(document_id, *(await reading.read_document(tx, her, session, referral_id, document_id)))


@router.patch("/referrals/{referral_id}", response_model=ReferralView, **_CHANGE)
async def correct(referral_id: UUID, body: Correction, session: Hers, her: AsHer, tx: WriteTx) -> ReferralView:
    """Correct who you are and how you are reached; both sides are told that it changed."""
    return await changing.correct(tx, her, session, referral_id, body)


@router.post("/referrals/{referral_id}/needs", response_model=ReferralView, **_CHANGE)
async def add_words(referral_id: UUID, body: AddedWords, session: Hers, her: AsHer, tx: WriteTx) -> ReferralView:
    """Add your own words to a need; neither your name nor a number, since they are read before anybody takes over."""
    return await changing.add_words(tx, her, session, referral_id, body)


@router.put("/referrals/{referral_id}/hidden", response_model=ReferralView, **_CHANGE)
async def hide_line(referral_id: UUID, body: HiddenLine, session: Hers, her: AsHer, tx: WriteTx) -> ReferralView:
    """Hide a line of the needs from the other side, or show it again with `hidden: false`."""
    return await changing.hide_line(tx, her, session, referral_id, body)


@router.post("/referrals/{referral_id}/messages", status_code=201, response_model=MessageView, **_CHANGE)
async def write_own_message(referral_id: UUID, body: NewMessage, session: Hers, her: AsHer, tx: WriteTx) -> MessageView:
    """Write to both sides."""
    return await changing.write_message(tx, her, session, referral_id, body.words)


@router.post("/referrals/{referral_id}/pause", response_model=HandoverView, **_CHANGE)
async def pause(referral_id: UUID, session: Hers, her: AsHer, tx: WriteTx, body: Pause | None = None) -> HandoverView:
    """Let it rest, at your pace."""
    await deciding.pause(tx, her, referral_id, body or Pause())
    return await _now(tx, her, session, referral_id)


@router.post("/referrals/{referral_id}/resume", response_model=HandoverView, **_CHANGE)
async def resume(referral_id: UUID, session: Hers, her: AsHer, tx: WriteTx) -> HandoverView:
    """Go on."""
    await deciding.resume(tx, her, referral_id)
    return await _now(tx, her, session, referral_id)


@router.post("/referrals/{referral_id}/confirm_handover", response_model=HandoverView, **_CHANGE)
async def confirm_own_handover(
    referral_id: UUID, session: Hers, her: AsHer, tx: WriteTx, body: Confirmation | None = None
) -> HandoverView:
    """Say that you were met."""
    await deciding.confirm_handover(tx, her, referral_id, body or Confirmation())
    return await _now(tx, her, session, referral_id)


@router.post("/referrals/{referral_id}/withdraw", response_model=HandoverView, **_CHANGE)
async def withdraw_own(referral_id: UUID, session: Hers, her: AsHer, tx: WriteTx) -> HandoverView:
    """Stop it, in every state: from now on the other side reads nothing of it here. Nobody asks why."""
    await deciding.withdraw(tx, her, session, referral_id)
    return await _now(tx, her, session, referral_id)


@router.post("/referrals/{referral_id}/unlink", status_code=204, **_CHANGE)
async def part_referral(referral_id: UUID, session: Hers, her: AsHer, tx: WriteTx) -> None:
    """Take a joined hand-over from this card again."""
    await deciding.part(tx, her, session, referral_id)


@router.post("/referrals/{referral_id}/erase", response_model=Erased, **_CHANGE)
async def erase(referral_id: UUID, session: Hers, her: AsHer, tx: WriteTx) -> Erased:
    """Have it erased: nobody reads it from now on, and 72 hours later nothing can bring it back."""
    return await deciding.erase(tx, her, session, referral_id)


@router.post("/referrals/{referral_id}/restore", response_model=HandoverView, **_CHANGE)
async def restore(referral_id: UUID, session: Hers, her: AsHer, tx: WriteTx) -> HandoverView:
    """Take an erasure back within 72 hours, in person at a counter; what was shared stays stopped."""
    await deciding.restore(tx, her, session, referral_id)
    return await _now(tx, her, session, referral_id)


@router.post("/conferences/{conference_id}/attend", status_code=204, **_CHANGE)
async def attend_conference(conference_id: UUID, body: Attendance, her: AsHer, tx: WriteTx) -> None:
    """Say that you take part in a case conference about you, or not any more."""
    await agreeing.attend_conference(tx, her, conference_id, body.attends)


@router.post("/conferences/{conference_id}/messages", status_code=201, response_model=ConferenceMessageView, **_CHANGE)
async def write_own_in_conference(
    conference_id: UUID, body: NewMessage, session: Hers, her: AsHer, tx: WriteTx
) -> ConferenceMessageView:
    """Write to all who take part in a case conference about you."""
    return await agreeing.write_in_conference(tx, her, session, conference_id, body.words)


@router.post("/conferences/{conference_id}/end", status_code=204, **_CHANGE)
async def end_own_conference(conference_id: UUID, session: Hers, her: AsHer, tx: WriteTx) -> None:
    """End a case conference about you, at once: from now on nobody but you reads anything of it here."""
    await agreeing.end_conference(tx, her, session, conference_id)


@router.post("/conferences/{conference_id}/organisations/{organisation_id}/withdraw", status_code=204, **_CHANGE)
async def send_away(conference_id: UUID, organisation_id: UUID, session: Hers, her: AsHer, tx: WriteTx) -> None:
    """Send one structure away from a case conference about you: from now on it reads nothing of it here."""
    await agreeing.send_away(tx, her, session, conference_id, organisation_id)


@router.post("/consents/{consent_id}/answer", response_model=ConsentView, **_CHANGE)
async def answer_consent(consent_id: UUID, body: ConsentAnswer, session: Hers, her: AsHer, tx: WriteTx) -> ConsentView:
    """Say yes or no to what you were asked; you may agree to less, and refusing changes nothing in the help."""
    return await agreeing.answer(tx, her, session, consent_id, body)


@router.post("/consents/{consent_id}/confirm", response_model=ConsentView, **_CHANGE)
async def confirm_consent(consent_id: UUID, session: Hers, her: AsHer, tx: WriteTx) -> ConsentView:
    """Confirm, now that you are alone, what you said while somebody stood by."""
    return await agreeing.confirm_alone(tx, her, session, consent_id)


@router.post("/consents/{consent_id}/withdraw", response_model=ConsentView, **_CHANGE)
async def withdraw_own_consent(
    consent_id: UUID, session: Hers, her: AsHer, tx: WriteTx, body: PartialWithdrawal | None = None
) -> ConsentView:
    """Stop the sharing, all or only what you name, from now on."""
    return await agreeing.withdraw_consent(tx, her, session, consent_id, body or PartialWithdrawal())


@router.get("/copy", response_model=CopyView, **_READ)
async def read_copy(session: Hers, her: AsHer, tx: WriteTx) -> CopyView:
    """Take a copy of everything that stands here of you."""
    return await reading.copy(tx, her, session)


@router.get("/copy.pdf", response_class=Response, **_A_PAPER)
async def print_copy(session: Hers, her: AsHer, tx: WriteTx) -> Response:
    """Take the same copy as a PDF that can be read aloud, in your language."""
    return await files.printed(copying.paper(await reading.copy(tx, her, session)), Form.PDF)


@router.get("/consents/{consent_id}/receipt", response_class=Response, **_A_PAPER)
async def read_own_receipt(
    consent_id: UUID, session: Hers, her: AsHer, tx: WriteTx, form: WantedForm = None
) -> Response:
    """Take the receipt of what you agreed to, to print or as a PDF; discreet where your card is."""
    facts = await reading.receipt(tx, her, session, consent_id)
    return await files.printed(receipt_paper(facts, discreet=session.discreet), form)


async def _now(tx: WriteTx, her: Asked, session: Session, referral_id: UUID) -> HandoverView:
    await tx.flush()
    return await standing.stands(tx, her, session, referral_id)
