"""The one place where a referral becomes a representation, from the table of what each party reads."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from relais_referral.domain import deadlines, retention
from relais_referral.domain.consent import Consent, Purpose, Status
from relais_referral.domain.events import OF_SENDER
from relais_referral.domain.handshake import (
    EVENTS,
    UNDO_WITHIN,
    WAITING,
    Action,
    Party,
    Slip,
    Standing,
    State,
    Via,
    allowed_actions,
)
from relais_referral.domain.visibility import OF_CATEGORY, PERSONAL, Category, Part, shown_state, visible
from relais_referral.models.consents import ConsentRecord, ConsentState
from relais_referral.models.referrals import Referral
from relais_referral.models.trail import Disclosure, EventRow
from relais_referral.schemas.common import OrganisationView
from relais_referral.schemas.consents import ConsentView
from relais_referral.schemas.referrals import DisclosureView, EventView, PersonView, RecipientView, ReferralView

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


def pieces_of(parts: frozenset[Part], parties: frozenset[Party]) -> list[str]:
    """Answer the sealed pieces that these parts need, with the reader's own references."""
    return [name for part in parts for name in SEALED_UNDER.get(part, ())] + [
        f"external_ids.{party}" for party in parties if Part.PARTIES in parts
    ]


def slip(referral: Referral) -> Slip | None:
    """Answer the last step, where it is one that can be taken back."""
    if referral.undo is None:
        return None
    return Slip(
        Action(referral.undo["action"]),
        Party(referral.undo["by"]),
        State(referral.undo["source"]),
        datetime.fromisoformat(referral.undo["at"]),
    )


def standing(referral: Referral, consent: Consent | None, now: datetime) -> Standing:
    """Answer what the handshake's rules need of a referral."""
    last = slip(referral)
    return Standing(
        state=State(referral.state),
        consented=consent is not None and consent.covers(referral.recipient_id, referral.service_id, at=now),
        confirmed=frozenset(Party(name) for name in referral.confirmations),
        sender_may_sanction=referral.sender_may_sanction,
        via=Via(referral.via),
        slip=last if last and last.stands(now) else None,
        paused=referral.paused_at is not None,
        redirected=referral.redirected_to is not None,
        erased=referral.erased_at is not None,
    )


def neutral(referral: Referral, parties: frozenset[Party]) -> bool:
    """Say whether these parties get the neutral view: a sender that may sanction, once it has proposed."""
    return referral.sender_may_sanction and parties == {Party.SENDER} and referral.state != State.DRAFT


def past_term(referral: Referral, parties: frozenset[Party], now: datetime) -> bool:
    """Say whether what a sender that may sanction wrote has gone for it.

    It goes at one term, however it ended: of a closed one others read it longer, and longer it is kept.
    """
    ended = shown_state(State(referral.state), neutral=True) == "ended"
    return neutral(referral, parties) and ended and referral.noticed_at + retention.ENDED_FOR <= now


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
                erased=referral.erased_at is not None or past_term(referral, parties, now),
            )
            for party in parties
        )
    )


def seen(pieces: Mapping[str, Any], parties: frozenset[Party]) -> dict[str, Any]:
    """Answer opened pieces as a reader sees them: without the lines of the need that she hid from the recipient."""
    if parties != {Party.RECIPIENT} or "needs" not in pieces:
        return dict(pieces)
    lines = [
        {name: value for name, value in line.items() if name != "hidden_from"}
        for line in pieces["needs"]
        if "recipient" not in line.get("hidden_from", ())
    ]
    rest = {name: piece for name, piece in pieces.items() if name != "needs"}
    # Where every line is hidden nothing of the need is shown, and none of it is recorded as shown.
    return rest | ({"needs": lines} if lines else {})


_RECORDED_AS: Mapping[Part, str] = {
    **{part: str(category) for category, part in OF_CATEGORY.items()},
    Part.CONSTRAINTS: "constraints",
}
"""What a disclosure calls a part of hers."""


def categories(parts: frozenset[Part], pieces: Mapping[str, Any]) -> list[str]:
    """Answer the categories of what was opened of hers: what a disclosure records."""
    return sorted(
        _RECORDED_AS[part] for part in parts & PERSONAL if any(name in pieces for name in SEALED_UNDER.get(part, ()))
    )


def referral_view(  # noqa: PLR0913 - what a representation is made of
    referral: Referral,
    parties: frozenset[Party],
    parts: frozenset[Part],
    pieces: Mapping[str, Any],
    consent: Consent | None,
    now: datetime,
    *,
    listed: bool = False,
) -> ReferralView:
    """Represent a referral for its reader.

    Args:
        referral: The row.
        parties: What the reader is in it.
        parts: What it may read, from `parts_for`.
        pieces: The opened pieces of those parts, by name; an empty mapping in a list.
        consent: The consent in force, if any.
        now: The instant of reading.
        listed: In a list, which opens nothing.
    """
    plain = neutral(referral, parties)
    shown: dict[str, Any] = {
        "id": referral.id,
        "state": shown_state(State(referral.state), neutral=plain),
        "created_at": referral.created_at,
        "updated_at": referral.noticed_at if plain else referral.updated_at,
        "allowed_actions": allowed_actions(standing(referral, consent, now), parties),
    }
    # A sensitive theme or service stands in no list: it is read where the referral itself is opened.
    veiled = referral.sensitive and listed
    if Part.OUTLINE in parts:
        shown |= _outline(referral, now, plain=plain)
        if not veiled:
            needs = pieces.get("needs") if Part.NEEDS in parts else None
            shown["themes"] = referral.themes
            shown["needs"] = needs or [{"theme": theme} for theme in referral.themes]
    if Part.MARKS in parts:
        shown |= _marks(referral, parties, now)
    if Part.OUTLINE in parts or Part.IDENTITY in parts:
        # What is shredded is without these too (rewrapping.shred).
        gone = past_term(referral, parties, now)
        area = _area(referral, parties, gone=gone)
        hers = {name: pieces[name] for name in ("identity", "contact") if name in pieces}
        shown["person"] = PersonView(area=area, languages=[] if gone else referral.languages, **hers)
    if Part.PARTIES in parts:
        shown |= _sides(referral, veiled=veiled)
    shown |= _counsellors(referral, parties, parts, now)
    if Part.STEPS in parts:
        shown["confirmations"] = referral.confirmations
    if Part.REASON in parts and "decline" not in pieces and referral.decline_reason:
        shown["decline"] = {"reason": referral.decline_reason}
    own = {key: value for party in parties for key, value in pieces.get(f"external_ids.{party}", {}).items()}
    if own:
        shown["external_ids"] = own
    shown |= {name: piece for name, piece in pieces.items() if name in _SHOWN_AS_THEY_ARE}
    return ReferralView(**shown)


_SHOWN_AS_THEY_ARE = ReferralView.model_fields.keys() - {"needs"}
"""Pieces that stand in a representation under their own name."""


def _area(referral: Referral, parties: frozenset[Party], *, gone: bool) -> dict[str, str | None]:
    """Answer where she lives: until somebody takes over, the other side reads no postcode, and no small village."""
    if parties == {Party.RECIPIENT} and State(referral.state) in WAITING:
        if referral.wide_area:
            return {"name": referral.wide_area}
        return {"municipality": referral.municipality, "name": referral.area_name}
    postcode = None if gone else referral.postcode
    return {"municipality": referral.municipality, "name": referral.area_name, "postcode": postcode}


def _counsellors(
    referral: Referral, parties: frozenset[Party], parts: frozenset[Part], now: datetime
) -> dict[str, Any]:
    """Answer the named colleagues that a reader knows: its own from the start, the other side's as it opens."""
    found: dict[str, Any] = {}
    if Part.COUNSELLORS in parts or Party.SENDER in parties:
        found["counsellor"] = {} if past_term(referral, parties, now) else referral.sender_counsellor
    if Part.COUNSELLORS in parts or (Part.OUTLINE in parts and Party.RECIPIENT in parties):
        found["recipient_counsellor"] = referral.recipient_counsellor
    return found


def _sides(referral: Referral, *, veiled: bool) -> dict[str, Any]:
    """Answer the two structures, and the service unless a list veils it."""
    service = {} if veiled else {"service_id": referral.service_id, "service_name": referral.service_name}
    return {
        "sender": OrganisationView(organisation_id=referral.sender_id, name=referral.sender_name),
        "recipient": RecipientView(
            organisation_id=referral.recipient_id,
            name=referral.recipient_name,
            **service,
            relay_contact_id=referral.relay_contact_id,
        ),
    }


def _outline(referral: Referral, now: datetime, *, plain: bool) -> dict[str, Any]:
    """Answer what both sides read of a hand-over from the first day."""
    return {
        "short_code": referral.short_code,
        "practice": referral.practice,
        "urgency": referral.urgency,
        "via": referral.via,
        "due_at": referral.due_at,
        "overdue": deadlines.overdue(
            referral.due_at,
            now,
            waiting=State(referral.state) in WAITING,
            # Whether she paused is nothing that a sender that may sanction could read.
            paused=referral.paused_at is not None and not plain,
        ),
    }


def _marks(referral: Referral, parties: frozenset[Party], now: datetime) -> dict[str, Any]:
    """Answer the marks that stand beside the state; only those that do."""
    last = slip(referral)
    found: dict[str, Any] = {}
    if referral.paused_at is not None:
        found["paused"] = {"since": referral.paused_at, "until": referral.paused_until}
    if referral.phoned is not None and State(referral.state) in WAITING:
        found["agreed_by_phone"] = referral.phoned
    if Party.SENDER in parties:
        links = {name: getattr(referral, name) for name in ("redirected_from", "redirected_to", "conference_id")}
        found |= {name: value for name, value in links.items() if value is not None}
    if last is not None and last.by in parties and last.stands(now):
        found["undo_until"] = last.at + UNDO_WITHIN
    return found


def with_assigned(view: ReferralView, referral: Referral, parties: frozenset[Party]) -> ReferralView:
    """Answer a representation with whose it is inside the reader's own organisation.

    Apart from `referral_view`, which a preview asks what the other side would read: whose it is there is its own.
    """
    own = {
        Party.SENDER: (referral.sender_account_id, referral.sender_team_id),
        Party.RECIPIENT: (referral.recipient_account_id, referral.recipient_team_id),
    }
    found = next((ids for party, ids in own.items() if party in parties), None)
    # Of what has ended its reader keeps id and dates alone.
    if found is None or view.short_code is None:
        return view
    return view.model_copy(update={"assigned": {"account_id": found[0], "team_id": found[1]}})


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
    more: dict[str, Any] = (
        ({"status": told} if told else {})
        if plain
        else {
            "status": Status.EXPIRED if ran_out else state.status,
            "withdrawal_method": state.withdrawal_method,
            "status_history": state.history,
            "superseded_by": state.superseded_by,
        }
    )
    if record.conference_id is not None:
        more["conference_id"] = record.conference_id
    return ConsentView(
        id=record.id,
        referral_id=record.referral_id,
        purposes=record.purposes,
        data_categories=record.data_categories,
        given_at=record.given_at,
        valid_until=record.valid_until,
        **{name: value for name, value in record.record.items() if name in ConsentView.model_fields},
        **more,
    )


def disclosure_view(row: Disclosure) -> DisclosureView:
    """Represent one act of showing."""
    return DisclosureView.model_validate(row, from_attributes=True)


_ENDED_BEFORE = frozenset({"consent.withdrawn", "consent.narrowed"})
"""What a sender that may sanction stopped itself: that it was written tells whether it had been stopped before."""


def event_views(
    rows: list[EventRow], reader: UUID | None, parties: frozenset[Party], *, plain: bool
) -> list[EventView]:
    """Represent the events, as the feed tells them to the same side, with what stays inside.

    A recipient reads what happened from the proposal on; a sender that may sanction its own and when the neutral state
    changed. Nobody reads here that a case conference is about it: who takes part is for those to know whom she agreed
    to.
    """
    rows = [row for row in rows if not row.type.startswith("conference.")]
    if parties == {Party.RECIPIENT}:
        began = next((at for at, row in enumerate(rows) if row.type == EVENTS[Action.PROPOSE]), len(rows))
        rows = [row for row in rows[began:] if row.type not in OF_SENDER]
    if not plain:
        found = [EventView.model_validate(row, from_attributes=True) for row in rows]
        return [one.model_copy(update={"number": number}) for number, one in enumerate(found, start=1)]
    # Its own withdrawal reads the same whether somebody had withdrawn that consent before or not.
    own = [row for row in rows if row.organisation_id == reader and row.type not in _ENDED_BEFORE]
    found = [EventView(number=0, at=row.at, type=row.type) for row in own]
    state = "draft"
    for row in rows:
        after = row.data.get("state")
        if after and shown_state(State(after), neutral=True) != state and row.organisation_id != reader:
            found.append(EventView(number=0, at=row.at, type=f"referral.{shown_state(State(after), neutral=True)}"))
        state = shown_state(State(after), neutral=True) if after else state
    found.sort(key=lambda event: event.at)
    return [event.model_copy(update={"number": number}) for number, event in enumerate(found, start=1)]
