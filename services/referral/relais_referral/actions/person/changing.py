"""What she puts right: who she is, how she is reached, what is said of her need."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral import store
from relais_referral.actions import conversing, drafting
from relais_referral.actions.accessing import Session
from relais_referral.actions.common import Asked, open_pieces, plain, read, refuse_numbers, seal_of, texts_of
from relais_referral.actions.person.opening import changed, tell, whole_only
from relais_referral.domain.handshake import WAITING, State
from relais_referral.schemas.conversation import MessageView
from relais_referral.schemas.drafts import DraftChange, Need
from relais_referral.schemas.person import AddedWords, Correction, HiddenLine
from relais_referral.schemas.referrals import ReferralView
from relais_shared.refusals import Fault, InvalidInput

MOST_LINES: Final = 20
"""Lines of need in all: the ten that a counsellor may write, and as many of hers."""

CHANGED_NEEDS: Final = "person.changed_needs"
"""Adding a line, hiding one and showing it again are told alike: the other side must not learn that one is hidden."""


async def correct(tx: AsyncSession, asked: Asked, session: Session, id_: UUID, body: Correction) -> ReferralView:
    """Correct who she is and how she is reached; both sides are told that it changed, not what.

    Raises:
        NotFound: Absent, not hers, or erased.
        ScopeMissing: Her link shows steps alone.
        PersonalDataDetected: A national number; or a text that is read before acceptance holds her new name.
    """
    referral = await changed(tx, asked, session, id_)
    seal = seal_of(referral, asked)
    if body.identity is not None:
        refuse_numbers(texts_of(body.identity.model_dump(), "/identity"))
        if State(referral.state) in WAITING | {State.DRAFT}:
            written = await open_pieces(tx, referral, DraftChange.model_fields.keys(), asked)
            # A line that she hid is not read: hiding it is how she gives a name that somebody wrote there.
            written["needs"] = [{**one, "words": None} if _hidden(one) else one for one in written["needs"]]
            drafting.judge_texts(body.identity, DraftChange.model_validate(written))
    if body.contact is not None:
        refuse_numbers(texts_of(body.contact.model_dump(), "/contact"))
    before = await open_pieces(tx, referral, ("identity", "contact"), asked)
    after = {name: plain(part) for name in ("identity", "contact") if (part := getattr(body, name)) is not None}
    if any(before.get(name) != value for name, value in after.items()):
        for name, value in after.items():
            await store.sealed.seal(tx, id_, name, seal.close(name, value))
        tell(tx, referral, asked, "person.corrected")
    return (await read(tx, asked, id_)).view


async def add_words(tx: AsyncSession, asked: Asked, session: Session, id_: UUID, body: AddedWords) -> ReferralView:
    """Add words of hers to a need; the same words twice stand there once.

    They are judged as text that is read before acceptance, whenever she writes them: what was taken over may be given
    back, and then others read it again without knowing who she is.

    Raises:
        NotFound: Absent, not hers, or erased.
        ScopeMissing: Her link shows steps alone.
        InvalidInput: A theme that this hand-over is not about, or too many lines.
        PersonalDataDetected: They tell who she is.
    """
    referral = await changed(tx, asked, session, id_)
    if body.theme not in referral.themes:
        fault = Fault("/theme", "This hand-over is not about that theme.")
        raise InvalidInput("These words cannot be added.", [fault])
    await conversing.judge_words(tx, asked, referral, body.words, early=True)
    pieces = await open_pieces(tx, referral, ("needs",), asked)
    lines = pieces.get("needs") or []
    line = plain(Need(theme=body.theme, words=body.words, said_by="person"))
    if not any(_same(one, body.theme, body.words) for one in lines):
        if len(lines) >= MOST_LINES:
            raise InvalidInput("These words cannot be added.", [Fault("/words", "There are too many lines already.")])
        await store.sealed.seal(tx, id_, "needs", seal_of(referral, asked).close("needs", [*lines, line]))
        tell(tx, referral, asked, CHANGED_NEEDS)
    return (await read(tx, asked, id_)).view


def _hidden(line: Mapping[str, Any]) -> bool:
    return "recipient" in line.get("hidden_from", ())


def _same(line: Mapping[str, Any], theme: str, words: str | None) -> bool:
    return (line.get("theme"), line.get("words")) == (theme, words)


async def hide_line(tx: AsyncSession, asked: Asked, session: Session, id_: UUID, body: HiddenLine) -> ReferralView:
    """Hide a line of the needs from the other side, or show it again.

    The line is named by what it says: a number would mean another one as soon as somebody changes the list.

    Raises:
        NotFound: Absent, not hers, or erased.
        ScopeMissing: Her link shows steps alone.
        InvalidInput: There is no such line.
        PersonalDataDetected: It tells who she is, and would be read again.
    """
    referral = await changed(tx, asked, session, id_)
    lines = (await open_pieces(tx, referral, ("needs",), asked)).get("needs") or []
    if not any(_same(one, body.theme, body.words) for one in lines):
        raise InvalidInput("There is no such line.", [Fault("/words", "Write the line as it stands there.")])
    if not body.hidden and body.words is not None:
        await conversing.judge_words(tx, asked, referral, body.words, early=True)
    hidden = ["recipient"] if body.hidden else []
    after = [{**one, "hidden_from": hidden} if _same(one, body.theme, body.words) else one for one in lines]
    if after != lines:
        await store.sealed.seal(tx, id_, "needs", seal_of(referral, asked).close("needs", after))
        tell(tx, referral, asked, CHANGED_NEEDS)
    return (await read(tx, asked, id_)).view


async def write_message(tx: AsyncSession, asked: Asked, session: Session, id_: UUID, words: str) -> MessageView:
    """Write to both sides, in their thread.

    Raises:
        ScopeMissing: Her link shows steps alone.
        NotFound, IllegalAction, PersonalDataDetected: As everybody's messages.
    """
    whole_only(session)
    return await conversing.write_message(tx, asked, id_, words)
