"""Refusal → problem: the directory answers the common ones alone."""

from collections.abc import Mapping
from typing import Final

from relais_shared.problems import Problem
from relais_shared.refusals import Refusal

TABLE: Final[Mapping[type[Refusal], Problem]] = {}
"""The directory's own refusals, beside the common ones: none yet."""
