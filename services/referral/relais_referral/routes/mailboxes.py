"""How a colleague is told by e-mail: what she chose, and the link of every letter that ends it."""

from datetime import time
from typing import Annotated, Any, Final

from fastapi import Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from relais_referral import store
from relais_referral.actions import mailing
from relais_referral.domain.letters import first_of, words_of
from relais_referral.domain.mail import Choice, Mode
from relais_referral.rewrapping import WORKER
from relais_referral.routes.dependencies import Either
from relais_shared import problems
from relais_shared.auth import Actor, public
from relais_shared.clock import Now
from relais_shared.db import WriteTx
from relais_shared.refusals import InvalidInput, NotFound, ScopeMissing, Unauthenticated, Unavailable
from relais_shared.service import Router

router = Router(prefix="/v1/mailboxes", tags=["e-mail"])
door = Router(prefix="/v1/mailboxes", tags=["e-mail"])

_OWN: Final[Any] = problems.responses(Unauthenticated, ScopeMissing, NotFound, InvalidInput, Unavailable)


def _of_a_clock(at: time) -> time:
    if at.tzinfo is not None:
        raise ValueError("Leave out the offset: it is the time that the clocks of the place show.")
    return at


ClockTime = Annotated[
    time,
    AfterValidator(_of_a_clock),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"}),
]
"""A time as the clocks of a place show it; JSON Schema's own `time` asks for an offset."""


class MailChoice(BaseModel):
    """How somebody is told by e-mail of her hand-overs: a link and no personal data, never a theme or a service."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"mode": "daily", "quiet_from": "19:00:00", "quiet_until": "07:00:00"}]},
    )

    mode: Mode = Field(default=Mode.AT_ONCE, description="As it happens, once a day at 8, or never.")
    quiet_from: ClockTime = Field(default=time(19), description="From then on nothing comes, by the place's clocks.")
    quiet_until: ClockTime = Field(default=time(7), description="What waited comes then, in one message.")


class MailChoiceView(MailChoice):
    """What holds now."""

    bouncing: bool = Field(default=False, description="Her mailbox gave a message back: choose anew to be told again.")


async def _mailbox(request: Request, actor: Actor, now: Now) -> bytes:
    """Answer the mailbox of whoever is signed in.

    Raises:
        NotFound: A client's, which has none.
    """
    colleagues = await request.app.state.colleagues.now(now) if actor.user_id else []
    email = next((one.email for one in colleagues if one.id == actor.user_id), None)
    if email is None:
        raise NotFound("Only somebody who signs in has a mailbox here.")
    return mailing.mailbox_of(request.app.state.settings, email)


@router.get("/mine", response_model=MailChoiceView, responses=_OWN)
async def read_mail_choice(
    request: Request, response: Response, actor: Either, tx: WriteTx, now: Now
) -> MailChoiceView:
    """Read how you are told by e-mail."""
    hash_ = await _mailbox(request, actor, now)
    response.headers["Cache-Control"] = "no-store"
    await store.callers.begin(tx, WORKER)
    box = (await store.mail.mailboxes(tx, [hash_])).get(hash_)
    held = mailing.choice_of(box)
    return MailChoiceView(
        mode=held.mode,
        quiet_from=held.quiet_from,
        quiet_until=held.quiet_until,
        bouncing=box is not None and box.bounced_at is not None,
    )


@router.put("/mine", response_model=MailChoiceView, responses=_OWN)
async def choose_mail(
    request: Request, response: Response, wanted: MailChoice, actor: Either, tx: WriteTx, now: Now
) -> MailChoiceView:
    """Choose how you are told by e-mail; it holds for what waits already."""
    hash_ = await _mailbox(request, actor, now)
    response.headers["Cache-Control"] = "no-store"
    await store.callers.begin(tx, WORKER)
    await store.mail.choose(tx, hash_, Choice(wanted.mode, wanted.quiet_from, wanted.quiet_until))
    await store.mail.release(tx, hash_, now)
    return MailChoiceView(**wanted.model_dump())


_PAGE: Final = """<!doctype html><html lang="{language}"><meta charset="utf-8"><title>Relais</title>
<form method="post"><p>{sure}</p><button>{yes}</button></form>
"""


@door.get(
    "/stop",
    response_class=HTMLResponse,
    responses=problems.responses(InvalidInput),
    openapi_extra=public("the link of a letter opens a page that asks first: programs follow links by themselves"),
)
async def ask_to_stop_mail(
    request: Request, token: Annotated[str, Query(max_length=400, description="As the letter has it.")]
) -> HTMLResponse:
    """Ask whether a mailbox is to be told no more; nothing happens by reading it."""
    mailing.stop_codec(request.app.state.settings).decode(token)
    language = first_of(request.headers.get("accept-language", ""))
    words = words_of(language)
    page = _PAGE.format(language=language, sure=words.sure, yes=words.yes)
    return HTMLResponse(page, headers={"Cache-Control": "no-store", "Vary": "Accept-Language"})


@door.post(
    "/stop",
    status_code=204,
    responses=problems.responses(InvalidInput),
    openapi_extra=public("whoever holds a letter's link is told no more (RFC 8058, one click)"),
)
async def stop_mail(
    request: Request,
    token: Annotated[str, Query(max_length=400, description="As the letter has it.")],
    tx: WriteTx,
    now: Now,
) -> None:
    """Be told no more by e-mail: the link of a letter, asked with POST as mail programs do."""
    hash_ = bytes.fromhex(mailing.stop_codec(request.app.state.settings).decode(token))
    await mailing.stop(tx, hash_, now)
