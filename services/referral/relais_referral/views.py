"""The one place where a referral becomes a representation, from the table of what each party reads."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from relais_referral.domain.consent import Consent, Purpose, Status
from relais_referral.domain.handshake import Party, Standing, State, allowed_actions
from relais_referral.domain.visibility import OF_CATEGORY, PERSONAL, Category, Part, shown_state, visible
from relais_referral.models import ConsentRecord, ConsentState, Disclosure, EventRow, Referral
from relais_referral.schemas import (
    ConsentView,
    DisclosureView,
    EventView,
    OrganisationView,
    PersonView,
    RecipientView,
    ReferralView,
)

SEALED_UNDER: Mapping[Part, tuple[str, ...]] = {
    Part.IDENTITY: ("identity",),
    Part.CONTACT: ("contact",),
    Part.NEEDS: ("needs", "goal_words", "resources"),
    Part.SITUATION: ("situation",),
    Part.NOTES: ("notes",),
    Part.CONSTRAINTS: ("constraints", "concerned"),
    Part.MEETING: ("meeting", "meeting_options"),
    Part.REASON: ("decline",),
    Part.OUTCOME: ("outcome",),
}
"""Which sealed pieces a part needs."""


def standing(referral: Referral, consent: Consent | None, now: datetime) -> Standing:
    """Answer what the handshake's rules need of a referral."""
    return Standing(
        state=State(referral.state),
        consented=consent is not None and consent.covers(referral.recipient_id, referral.service_id, at=now),
        confirmed=frozenset(Party(name) for name in referral.confirmations),
        sender_may_sanction=referral.sender_may_sanction,
    )


def neutral(referral: Referral, parties: frozenset[Party]) -> bool:
    """Say whether these parties get the neutral view: a sender that may sanction, and nothing else here."""
    return referral.sender_may_sanction and parties == {Party.SENDER}


def version(referral: Referral, parties: frozenset[Party]) -> int:
    """Answer the version that these parties read in the ETag."""
    return referral.neutral_version if neutral(referral, parties) else referral.version


def parts_for(referral: Referral, parties: frozenset[Party], consent: Consent | None, now: datetime) -> frozenset[Part]:
    """Answer the parts that these parties read now: those of either side, where they are both."""
    covering = consent if consent and consent.active(now) else None
    opened = covering.opens(referral.recipient_id, referral.service_id, at=now) if covering else frozenset[Category]()
    feedback = covering is not None and Purpose.FEEDBACK in covering.purposes
    return frozenset[Part]().union(
        *(
            visible(
                party,
                State(referral.state),
                opened,
                feedback=feedback,
                may_sanction=referral.sender_may_sanction,
            )
            for party in parties
        )
    )


def categories(parts: frozenset[Part], pieces: Mapping[str, Any]) -> list[str]:
    """Answer the categories of what was opened of hers: what a disclosure records."""
    of_part = {part: str(category) for category, part in OF_CATEGORY.items()} | {Part.CONSTRAINTS: "constraints"}
    return sorted(
        of_part[part] for part in parts & PERSONAL if any(name in pieces for name in SEALED_UNDER.get(part, ()))
    )


def referral_view(  # noqa: PLR0913 - what a representation is made of
    referral: Referral,
    parties: frozenset[Party],
    parts: frozenset[Part],
    pieces: Mapping[str, Any],
    consent: Consent | None,
    now: datetime,
) -> ReferralView:
    """Represent a referral for its reader.

    Args:
        referral: The row.
        parties: What the reader is in it.
        parts: What it may read, from `parts_for`.
        pieces: The opened pieces of those parts, by name; an empty mapping in a list.
        consent: The consent in force, if any.
        now: The instant of reading.
    """
    plain = neutral(referral, parties)
    shown: dict[str, Any] = {
        "id": referral.id,
        "state": shown_state(State(referral.state), neutral=plain),
        "created_at": referral.created_at,
        "updated_at": referral.noticed_at if plain else referral.updated_at,
        "allowed_actions": allowed_actions(standing(referral, consent, now), parties),
    }
    if Part.OUTLINE in parts:
        shown |= {
            "short_code": referral.short_code,
            "practice": referral.practice,
            "urgency": referral.urgency,
            "themes": referral.themes,
        }
        needs = pieces.get("needs") if Part.NEEDS in parts else None
        shown["needs"] = needs or [{"theme": theme} for theme in referral.themes]
    if Part.OUTLINE in parts or Part.IDENTITY in parts:
        area = {"municipality": referral.municipality, "postcode": referral.postcode}
        hers = {name: pieces[name] for name in ("identity", "contact") if name in pieces}
        shown["person"] = PersonView(area=area, languages=referral.languages, **hers)
    if Part.PARTIES in parts:
        shown["sender"] = OrganisationView(organisation_id=referral.sender_id, name=referral.sender_name)
        shown["recipient"] = RecipientView(
            organisation_id=referral.recipient_id,
            name=referral.recipient_name,
            service_id=referral.service_id,
            service_name=referral.service_name,
            relay_contact_id=referral.relay_contact_id,
        )
    if Part.COUNSELLORS in parts or Party.SENDER in parties:
        shown["counsellor"] = referral.sender_counsellor
    if Part.COUNSELLORS in parts or (Part.OUTLINE in parts and Party.RECIPIENT in parties):
        shown["recipient_counsellor"] = referral.recipient_counsellor
    if Part.STEPS in parts:
        shown["confirmations"] = referral.confirmations
    shown |= {name: piece for name, piece in pieces.items() if name not in {"identity", "contact", "needs"}}
    return ReferralView(**shown)


def consent_view(
    record: ConsentRecord, state: ConsentState, now: datetime, *, plain: bool = False, told: Status | None = None
) -> ConsentView:
    """Represent a consent; a sender that may sanction reads what it recorded, not how it stands now.

    Args:
        record: What she agreed to.
        state: How it stands.
        now: The instant of reading: what has run out by then is expired.
        plain: For a sender that may sanction.
        told: What such a sender did itself just now, and may therefore read.
    """
    ran_out = state.status == Status.GIVEN and record.valid_until is not None and record.valid_until <= now
    more = (
        ({"status": told} if told else {})
        if plain
        else {
            "status": Status.EXPIRED if ran_out else state.status,
            "withdrawal_method": state.withdrawal_method,
            "status_history": state.history,
        }
    )
    return ConsentView(
        id=record.id,
        referral_id=record.referral_id,
        purposes=record.purposes,
        data_categories=record.data_categories,
        given_at=record.given_at,
        valid_until=record.valid_until,
        **record.record,
        **more,
    )


def disclosure_view(row: Disclosure) -> DisclosureView:
    """Represent one act of showing."""
    return DisclosureView.model_validate(row, from_attributes=True)


def event_views(rows: list[EventRow], reader: UUID | None, *, plain: bool) -> list[EventView]:
    """Represent the events; a sender that may sanction reads its own and when the neutral state changed."""
    if not plain:
        return [EventView.model_validate(row, from_attributes=True) for row in rows]
    # Its own withdrawal reads the same whether somebody had withdrawn that consent before or not.
    own = [row for row in rows if row.organisation_id == reader and row.type != "consent.withdrawn"]
    found = [EventView(number=0, at=row.at, type=row.type) for row in own]
    state = "draft"
    for row in rows:
        after = row.data.get("state")
        if after and shown_state(State(after), neutral=True) != state and row.organisation_id != reader:
            found.append(EventView(number=0, at=row.at, type=f"referral.{shown_state(State(after), neutral=True)}"))
        state = shown_state(State(after), neutral=True) if after else state
    found.sort(key=lambda event: event.at)
    return [event.model_copy(update={"number": number}) for number, event in enumerate(found, start=1)]
