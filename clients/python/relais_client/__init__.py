"""Connect a partner's software to Relais: `Relais` waits, `AsyncRelais` does much at once; `docs/client.md` begins.

Read `calls.py` for what there is, `models.py` for what travels, `problems.py` for what can go wrong.
"""

from relais_client.bookmarks import Bookmark, FileBookmark
from relais_client.client import AsyncRelais, Relais
from relais_client.exchange import Call
from relais_client.models import (
    Agreement,
    Area,
    Attendee,
    Card,
    Concerned,
    Consent,
    Contact,
    Counsellor,
    Disclosure,
    Draft,
    Event,
    Identity,
    Meeting,
    MeetingOption,
    Need,
    Page,
    Person,
    Referral,
    Safety,
    To,
)
from relais_client.problems import Fault, NotFromRelais, Problem, RelaisError, TokenRefused, Unreachable
from relais_client.webhooks import verify

__all__ = [
    "Agreement",
    "Area",
    "AsyncRelais",
    "Attendee",
    "Bookmark",
    "Call",
    "Card",
    "Concerned",
    "Consent",
    "Contact",
    "Counsellor",
    "Disclosure",
    "Draft",
    "Event",
    "Fault",
    "FileBookmark",
    "Identity",
    "Meeting",
    "MeetingOption",
    "Need",
    "NotFromRelais",
    "Page",
    "Person",
    "Problem",
    "Referral",
    "Relais",
    "RelaisError",
    "Safety",
    "To",
    "TokenRefused",
    "Unreachable",
    "verify",
]
