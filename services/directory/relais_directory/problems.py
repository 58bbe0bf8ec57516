"""Refusal → problem: the directory's own, beside the common ones."""

from collections.abc import Mapping
from typing import Final

from relais_directory.domain.refusals import NotNow, PersonalDataDetected
from relais_shared.problems import Problem
from relais_shared.refusals import Refusal

TABLE: Final[Mapping[type[Refusal], Problem]] = {
    NotNow: Problem("not-now", 409, "This does not fit its state."),
    PersonalDataDetected: Problem("personal-data-detected", 422, "This text tells who somebody is."),
}
"""The directory's own refusals."""
