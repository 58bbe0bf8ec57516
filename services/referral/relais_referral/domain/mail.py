"""Who is told by e-mail, and when; what is said stands in `letters`."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

DIGEST_AT: Final = time(8)
"""When a digest leaves, on the clocks of the place: before the first appointment of the day."""


class Mode(StrEnum):
    """How somebody is told by e-mail."""

    AT_ONCE = "at_once"  # outside quiet hours as it happens
    DAILY = "daily"  # once a day, all of it
    NEVER = "never"


class MailState(StrEnum):
    """Where a notice by e-mail stands."""

    WAITING = "waiting"
    SENT = "sent"
    DROPPED = "dropped"  # nobody is to be told, or not any more
    FAILED = "failed"  # no server took it within three days
    BOUNCED = "bounced"  # taken, and given back


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody chose: how, and between which times nothing comes (over midnight where the first is the later)."""

    mode: Mode = Mode.AT_ONCE
    quiet_from: time = time(19)
    quiet_until: time = time(7)


def due(choice: Choice, now: datetime, zone: ZoneInfo) -> datetime:
    """Answer when a notice of this instant may leave.

    Args:
        choice: Of whom it is for; not `never`.
        now: Aware UTC.
        zone: Whose clocks people read.
    """
    here = now.astimezone(zone)
    if choice.mode is Mode.DAILY:
        return _next(here, DIGEST_AT)
    begin, end = choice.quiet_from, choice.quiet_until
    at = here.time().replace(tzinfo=None)
    quiet = begin <= at < end if begin <= end else at >= begin or at < end
    return _next(here, end) if quiet else now


def _next(here: datetime, at: time) -> datetime:
    found = here.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    return found if found > here else found + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody who signs in for an organisation, as the gateway knows her now.

    Attributes:
        deputy_id: Who stands for her, where she is away on these days.
        begins_on: First day of her absence.
        ends_on: Last day; none while nobody knows.
        language: In which she reads the pages; none while it is not known.
    """

    id: UUID
    organisation_id: UUID
    email: str = field(repr=False)
    receives: bool
    teams: frozenset[str] = frozenset()
    leads: frozenset[str] = frozenset()
    deputy_id: UUID | None = None
    begins_on: date | None = None
    ends_on: date | None = None
    language: str | None = None

    def away(self, day: date) -> bool:
        """Say whether she is away on a day."""
        begun = self.begins_on is not None and self.begins_on <= day
        return self.deputy_id is not None and begun and (self.ends_on is None or day <= self.ends_on)


def addressees(
    colleagues: Iterable[Colleague], account_id: UUID | None, team_id: str | None, day: date
) -> list[Colleague]:
    """Answer who is told of a referral of one side: whose it is, else who leads its team, else who leads any team.

    Whoever is away is stood for by her deputy; where nobody leads, everybody who works with hand-overs is told.
    """
    by_id = {one.id: one for one in colleagues if one.receives}
    if account_id in by_id:
        found = [by_id[account_id]]
    elif team_id is not None:
        found = [one for one in by_id.values() if team_id in one.leads] or [
            one for one in by_id.values() if team_id in one.teams
        ]
    else:
        found = [one for one in by_id.values() if one.leads] or list(by_id.values())
    present: dict[UUID, Colleague] = {}
    for one in found:
        here: Colleague | None = one
        if one.away(day) and one.deputy_id is not None:
            # The deputy of a deputy is nobody's choice: she is told herself, away or not.
            here = by_id.get(one.deputy_id)
        if here is not None:
            present[here.id] = here
    return list(present.values())
