"""What an agreement may be: purposes, categories, texts, time and basis, each fault named."""

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncSession

from relais_referral.actions.common import Asked, open_pieces, refuse_numbers, refuse_texts
from relais_referral.domain.consent import Purpose, Secrecy, given_in_time
from relais_referral.domain.handshake import Via
from relais_referral.domain.refusals import SensitiveBasisMissing
from relais_referral.models.consents import ConsentRecord
from relais_referral.models.referrals import Referral
from relais_referral.notices import notice
from relais_referral.schemas.consents import ConsentInput, ConsentTerms
from relais_referral.schemas.drafts import Identity
from relais_shared import texts
from relais_shared.refusals import Fault, InvalidInput
from relais_shared.registry import Organisation


async def judge_terms(
    tx: AsyncSession, referral: Referral, terms: ConsentTerms, asked: Asked, more: Iterable[Fault]
) -> dict[str, str]:
    """Answer the notice that was read, or refuse what cannot be.

    Args:
        tx: The hand-over locked.
        referral: The hand-over.
        terms: To what she is asked to agree.
        asked: Who asks, when.
        more: What was found wrong already.

    Raises:
        InvalidInput: Every fault is named.
        PersonalDataDetected: A text of the record tells who she is.
    """
    await _judge_texts(tx, referral, terms, asked)
    found = []
    text = notice(terms.notice_version, terms.language)
    if text is None and isinstance(terms, ConsentInput) and terms.interpreter != "none":
        # A person may decide in a language that we have no text in; then an interpreter read ours.
        text = notice(terms.notice_version, "fr")
    if text is None:
        found.append(Fault("/notice_version", "No such notice in that language: name an interpreter, or another."))
    found += more
    if terms.valid_until is not None and terms.valid_until <= asked.now:
        found.append(Fault("/valid_until", "This is past already."))
    if found or text is None:
        raise InvalidInput("This agreement cannot be recorded so.", found)
    return {"version": text.version, "language": text.language, "sha256": text.sha256}


async def _judge_texts(tx: AsyncSession, referral: Referral, terms: ConsentTerms, asked: Asked) -> None:
    """Refuse what tells who she is in texts of the record: it is no sealed part, and outlives what is erased."""
    written = {f"/legal_basis/{purpose}": text for purpose, text in terms.legal_basis.items()}
    if terms.article_9_basis:
        written["/article_9_basis"] = terms.article_9_basis
    refuse_numbers({"/collected_by": terms.collected_by})
    if written:
        identity = (await open_pieces(tx, referral, ["identity"], asked)).get("identity")
        names = Identity.model_validate(identity).names() if identity else []
        refuse_texts(
            [
                Fault(pointer, f"This stays as proof when all else is erased, and holds {what}: leave it out.")
                for pointer, text in written.items()
                if (what := texts.telling(text, names))
            ]
        )


def purpose_faults(referral: Referral, terms: ConsentTerms) -> list[Fault]:
    """Answer what is wrong with the purposes of a hand-over's agreement."""
    found = []
    if Purpose.REFERRAL not in terms.purposes:
        found.append(Fault("/purposes", "Without the purpose referral nothing can be handed over."))
    if referral.sender_may_sanction and Purpose.FEEDBACK in terms.purposes:
        found.append(Fault("/purposes", "An organisation that may sanction is not offered feedback."))
    return found


def judge_less(record: ConsentRecord, purposes: Iterable[str], categories: Iterable[str]) -> None:
    """Refuse an answer that is more than was asked for, or too little to be an agreement.

    Raises:
        InvalidInput: Every fault is named.
    """
    found = []
    # A conference may be agreed to without anything of the hand-over: then its thread alone is read.
    conference = record.conference_id is not None
    needed = Purpose.CASE_CONFERENCE if conference else Purpose.REFERRAL
    if not set(purposes) <= set(record.purposes) or needed not in purposes:
        found.append(Fault("/purposes", f"Choose among what was asked for; without {needed}, refuse instead."))
    if not set(categories) <= set(record.data_categories) or not (categories or conference):
        found.append(Fault("/data_categories", "Choose among what was asked for, one at least."))
    if found:
        raise InvalidInput("This cannot be agreed to so.", found)


def judge_basis(referral: Referral, terms: ConsentTerms) -> None:
    """Refuse an agreement about a sensitive theme without its basis.

    Raises:
        SensitiveBasisMissing: It names none.
    """
    if referral.sensitive and not terms.article_9_basis:
        raise SensitiveBasisMissing("This theme is sensitive: say on which basis, in article_9_basis.")


def judge_time(given: ConsentInput, asked: Asked) -> None:
    """Refuse an agreement that was not given just now.

    Raises:
        InvalidInput: It is of the future, or older than may be recorded.
    """
    if not given_in_time(given.given_at, asked.now, written=given.method == "in_person_written"):
        fault = Fault("/given_at", "Not in the future, and unless written at most 24 hours ago: ask her again.")
        raise InvalidInput("This agreement cannot be recorded so.", [fault])


def bound(referral: Referral, recipient: Organisation | None) -> bool:
    """Answer whether the recipient's staff keeps secrets: a guest undertakes to before anything is opened."""
    if referral.via == Via.GUEST:
        return True
    if referral.via == Via.PHONE_ONLY or recipient is None:
        return False
    return Secrecy(recipient.secrecy) is not Secrecy.NONE
