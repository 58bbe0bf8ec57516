"""When e-mail may leave, to whom, and what a report of a bounce says."""

from dataclasses import replace
from datetime import UTC, date, datetime, time
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from relais_referral.domain.mail import Choice, Colleague, Mode, addressees, due
from relais_referral.mailing import undelivered

BRUSSELS = ZoneInfo("Europe/Brussels")
DAY = date(2026, 11, 30)


@pytest.mark.parametrize(
    ("choice", "at", "leaves"),
    [
        (Choice(), "2026-11-30T10:00", "2026-11-30T10:00"),
        (Choice(), "2026-11-30T18:30", "2026-12-01T06:00"),  # 19:30 there: quiet until 7
        (Choice(), "2026-11-30T04:00", "2026-11-30T06:00"),
        (Choice(Mode.DAILY), "2026-11-30T10:00", "2026-12-01T07:00"),
        (Choice(Mode.DAILY), "2026-11-30T05:00", "2026-11-30T07:00"),
        (Choice(quiet_from=time(12), quiet_until=time(14)), "2026-11-30T11:30", "2026-11-30T13:00"),
        (Choice(quiet_from=time(12), quiet_until=time(12)), "2026-11-30T11:30", "2026-11-30T11:30"),
        (Choice(), "2026-07-30T18:30", "2026-07-31T05:00"),  # summer time
    ],
)
def test_it_leaves_outside_quiet_hours_on_the_clocks_of_the_place(choice: Choice, at: str, leaves: str) -> None:
    found = due(choice, datetime.fromisoformat(at).replace(tzinfo=UTC), BRUSSELS)
    assert found == datetime.fromisoformat(leaves).replace(tzinfo=UTC)


def test_whose_it_is_is_told_else_who_leads_and_whoever_is_away_is_stood_for() -> None:
    organisation = uuid4()
    ana = Colleague(uuid4(), organisation, "ana@x.example", receives=True, teams=frozenset({"t"}))
    lea = Colleague(uuid4(), organisation, "lea@x.example", receives=True, teams=frozenset({"t"}), leads=frozenset("t"))
    max_ = Colleague(uuid4(), organisation, "max@x.example", receives=True)
    it = Colleague(uuid4(), organisation, "it@x.example", receives=False)
    away = replace(ana, deputy_id=max_.id, begins_on=DAY)
    everybody = [ana, lea, max_, it]

    assert addressees(everybody, ana.id, None, DAY) == [ana]
    assert addressees([away, lea, max_, it], ana.id, None, DAY) == [max_]
    assert addressees([replace(away, ends_on=DAY), lea, max_], ana.id, None, date(2026, 12, 1))[0].id == ana.id
    assert addressees(everybody, None, "t", DAY) == [lea]
    assert addressees(everybody, None, None, DAY) == [lea]
    assert addressees([ana, max_, it], None, None, DAY) == [ana, max_]


def report(action: str, status: str) -> bytes:
    """Answer a delivery status notification as mail servers write it (RFC 3464)."""
    return (
        "From: MAILER-DAEMON@mx.example\r\nTo: x@relais.example\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="B"\r\n\r\n'
        "--B\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
        "--B\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
        f"Final-Recipient: rfc822; ana@x.example\r\nAction: {action}\r\nStatus: {status}\r\n\r\n--B--\r\n"
    ).encode()


def test_only_a_final_failure_is_a_bounce() -> None:
    assert undelivered(report("failed", "5.1.1"))
    assert not undelivered(report("delayed", "4.4.1"))
    assert not undelivered(report("failed", "4.4.7"))
    assert not undelivered(b"Subject: away until Monday\r\n\r\nfailed 5.1.1")
