"""Refusal → problem: one table."""

from collections.abc import Mapping
from typing import Final

from relais_referral.domain import refusals
from relais_shared import idempotency
from relais_shared.problems import Problem
from relais_shared.refusals import Refusal

TABLE: Final[Mapping[type[Refusal], Problem]] = {
    **idempotency.PROBLEMS,
    refusals.IllegalAction: Problem("transition-not-allowed", 409, "The referral's state has no such action."),
    refusals.NotYourTurn: Problem("not-your-turn", 409, "This action belongs to the other side."),
    refusals.ConsentMissing: Problem("consent-missing", 409, "Her agreement is missing."),
    refusals.RecipientNotBound: Problem("recipient-not-bound", 409, "The recipient is bound by no secrecy."),
    refusals.SensitiveBasisMissing: Problem("sensitive-basis-missing", 409, "A sensitive theme needs its legal basis."),
    refusals.AgreementMissing: Problem("no-agreement", 403, "The organisation has no agreement on record."),
    refusals.TooManyStreams: Problem("too-many-streams", 429, "The organisation follows in as many places as it may."),
    refusals.PersonalDataDetected: Problem("personal-data-detected", 422, "A text tells more than it may."),
}
"""The referral app's own refusals, beside the common ones."""
