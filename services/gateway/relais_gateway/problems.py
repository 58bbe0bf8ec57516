"""What the gateway's own refusals are on the wire."""

from collections.abc import Mapping
from typing import Final

from relais_gateway.domain.refusals import AgreementMissing, LastAdministrator, LastKey
from relais_shared import idempotency
from relais_shared.problems import Problem
from relais_shared.refusals import Refusal

TABLE: Final[Mapping[type[Refusal], Problem]] = {
    **idempotency.PROBLEMS,
    AgreementMissing: Problem("no-agreement", 403, "The organisation has no agreement on record."),
    LastAdministrator: Problem("last-administrator", 409, "Nobody could administer any more."),
    LastKey: Problem("last-signing-key", 409, "Nothing else signs access tokens."),
}
"""Refusal → problem."""
