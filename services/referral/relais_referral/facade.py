"""A referral in FHIR R4: Task with ServiceRequest and Consent, made of what the JSON API shows its reader.

The profiles leant on are those of the SDOH Clinical Care guide (Task for referral management, Consent); where they
have no word for ours, Relais's own state stands in `businessStatus`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from relais_referral.domain.handshake import State
from relais_referral.schemas.common import OrganisationView
from relais_referral.schemas.consents import ConsentView
from relais_referral.schemas.referrals import ReferralView
from relais_shared.fhir import without_empty

Json = dict[str, Any]

STATUS: Final[Mapping[str, str]] = {
    State.DRAFT: "draft",
    State.PROPOSED: "requested",
    # FHIR has `received` too; the guide leaves it out, and so partners' systems do.
    State.RECEIVED: "requested",
    State.ACCEPTED: "accepted",
    State.MEETING_PLANNED: "in-progress",
    State.HANDED_OVER: "in-progress",
    State.CLOSED: "completed",
    State.DECLINED: "rejected",
    State.CANCELLED: "cancelled",
    State.WITHDRAWN: "cancelled",
    # What a sender that may sanction reads of every ending.
    "ended": "completed",
}
"""The status of a Task for each state that is shown."""

HOLDABLE: Final = frozenset({"accepted", "in-progress"})
"""The statuses that a pause turns into on-hold: FHIR knows none before acceptance."""

REQUEST: Final[Mapping[str, str]] = {
    "draft": "draft",
    "requested": "active",
    "accepted": "active",
    "in-progress": "active",
    "on-hold": "on-hold",
    "completed": "completed",
    "rejected": "revoked",
    "cancelled": "revoked",
}
"""The status of the ServiceRequest for each of the Task's."""

CONSENT: Final[Mapping[str, str]] = {
    "requested": "proposed",
    "given": "active",
    "refused": "rejected",
    "withdrawn": "inactive",
    "expired": "inactive",
    "superseded": "inactive",
}
"""The status of a Consent for each of ours."""

PRIORITY: Final[Mapping[str, str]] = {"today": "urgent", "days": "routine", "none": "routine"}

TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"
PERSON: Final = "person"
"""The id of the contained Patient: she has no resource of her own."""


def states_of(status: str) -> list[State]:
    """Answer the states that a Task's status may stand for; none where it is no status of ours."""
    if status == "on-hold":
        return [State(state) for state, one in STATUS.items() if one in HOLDABLE]
    return [State(state) for state, one in STATUS.items() if one == status and state in set(State)]


def status_of(view: ReferralView) -> str:
    """Answer the status of a referral's Task."""
    status = STATUS[view.state]
    return "on-hold" if view.paused and status in HOLDABLE else status


def task(view: ReferralView, base: str) -> Json:
    """Answer a referral as a Task; of her only what the reader sees.

    Args:
        view: As the JSON API shows it to the same reader.
        base: Our public address, without a slash at its end.
    """
    no = view.decline or {}
    external = view.external_ids or {}
    return _made(
        {
            "resourceType": "Task",
            "id": str(view.id),
            "meta": {"lastUpdated": view.updated_at, **_rehearsed(view)},
            "contained": _contained(view, base),
            "identifier": [
                {"system": f"{base}/short_code", "value": view.short_code} if view.short_code else None,
                *({"system": f"{base}/external_ids/{name}", "value": value} for name, value in external.items()),
            ],
            "status": status_of(view),
            "statusReason": {"text": _words(no)},
            "businessStatus": {"coding": [{"system": f"{base}/fhir/CodeSystem/state", "code": view.state}]},
            "intent": "order",
            "priority": PRIORITY.get(view.urgency or ""),
            "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
            "focus": {"reference": f"ServiceRequest/{view.id}", "type": "ServiceRequest"},
            "for": _her(view, base),
            "authoredOn": view.created_at,
            "lastModified": view.updated_at,
            "requester": _organisation(view.sender, base),
            "owner": _organisation(view.recipient, base),
            "restriction": {"period": {"end": view.due_at}},
        }
    )


def service_request(view: ReferralView, base: str) -> Json:
    """Answer what a referral asks for as a ServiceRequest."""
    needs = view.needs or []
    recipient = view.recipient
    service = (
        {"reference": f"HealthcareService/{recipient.service_id}", "display": recipient.service_name}
        if recipient and recipient.service_id
        else None
    )
    status = REQUEST[status_of(view)]
    return _made(
        {
            "resourceType": "ServiceRequest",
            "id": str(view.id),
            "meta": {"lastUpdated": view.updated_at, **_rehearsed(view)},
            "contained": _contained(view, base),
            "status": status,
            "intent": "order",
            "priority": PRIORITY.get(view.urgency or ""),
            "subject": _her(view, base),
            "authoredOn": view.created_at,
            "requester": _organisation(view.sender, base),
            "performer": [_organisation(recipient, base), service],
            "reasonCode": [
                {
                    "coding": [{"system": f"{base}/v1/directory/themes", "code": need["theme"]}]
                    if need.get("theme")
                    else [],
                    "text": need.get("words"),
                }
                for need in needs
            ],
            "note": [{"text": text} for text in (view.goal_words, view.notes, *(view.constraints or ())) if text],
        }
    )


def consent(given: ConsentView, referral: ReferralView, base: str) -> Json:
    """Answer an agreement as a Consent: what was given stands in it, never what it opens."""
    recipient = referral.recipient
    return _made(
        {
            "resourceType": "Consent",
            "id": str(given.id),
            "meta": _rehearsed(referral),
            # A sender that may sanction reads what it recorded: that it was given then, or asked for.
            "status": CONSENT[given.status or ("given" if given.given_at else "requested")],
            "scope": {"coding": [{"system": f"{TERMINOLOGY}/consentscope", "code": "patient-privacy"}]},
            "category": [{"coding": [{"system": f"{TERMINOLOGY}/v3-ActCode", "code": "IDSCL"}]}],
            "patient": _her(referral, base),
            "dateTime": given.given_at,
            "organization": [_organisation(referral.sender, base)],
            "sourceAttachment": {
                "contentType": "application/pdf",
                "url": f"{base}/v1/consents/{given.id}/receipt?form=pdf",
                "language": given.language,
            },
            "policyRule": {"coding": [{"system": f"{TERMINOLOGY}/v3-ActCode", "code": "OPTIN"}]},
            "provision": {
                "type": "permit",
                "period": {"start": given.given_at, "end": given.valid_until},
                "actor": [
                    {
                        "role": {"coding": [{"system": f"{TERMINOLOGY}/v3-ParticipationType", "code": "IRCP"}]},
                        "reference": _organisation(recipient, base),
                    }
                ]
                if recipient
                else [],
                "purpose": [{"system": f"{base}/fhir/CodeSystem/purpose", "code": one} for one in given.purposes],
                "class": [{"system": f"{base}/fhir/CodeSystem/category", "code": one} for one in given.data_categories],
                "data": [{"meaning": "related", "reference": {"reference": f"Task/{referral.id}"}}],
            },
        }
    )


def _made(resource: Json) -> Json:
    found: Json = without_empty(resource)
    return found


def _words(no: Mapping[str, Any]) -> str | None:
    said = [str(no[name]) for name in ("reason", "words") if no.get(name)]
    return ": ".join(said) or None


def _rehearsed(view: ReferralView) -> Json:
    """Answer the mark of a rehearsal, as the health side marks what is tried out."""
    mark = {"system": f"{TERMINOLOGY}/v3-ActReason", "code": "HTEST", "display": "test health data"}
    return {"security": [mark]} if view.practice else {}


def _contained(view: ReferralView, base: str) -> Sequence[Json]:
    """Answer her as the reader sees her; nothing where he sees nothing."""
    person = view.person
    if person is None:
        return []
    identity, contact, area = person.identity or {}, person.contact or {}, person.area or {}
    name = {
        "family": identity.get("family_name"),
        "given": [identity.get("given_name")],
        "text": identity.get("called"),
    }
    safety = [_answer(name, value) for name, value in (contact.get("safety") or {}).items()]
    # What may be done with the number goes wherever the number goes.
    safely = [{"url": f"{base}/fhir/StructureDefinition/contact-safety", "extension": safety}] if safety else []
    reach = [("phone", contact.get("phone"), safely), ("email", contact.get("email"), [])]
    return [
        {
            "resourceType": "Patient",
            "id": PERSON,
            "name": [name],
            "telecom": [
                {"extension": more, "system": system, "value": value} for system, value, more in reach if value
            ],
            "birthDate": identity.get("birth_date"),
            "address": [
                {
                    "text": contact.get("address"),
                    "city": area.get("name") if area.get("municipality") else None,
                    "state": None if area.get("municipality") else area.get("name"),
                    "postalCode": area.get("postcode"),
                }
            ],
            "communication": [
                {"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": code}]}}
                for code in person.languages or ()
            ],
        }
    ]


def _answer(name: str, value: object) -> Json:
    return {"url": name, ("valueBoolean" if isinstance(value, bool) else "valueString"): value}


def _her(view: ReferralView, base: str) -> Json:
    """Answer a reference to her: contained where something of her is seen, else by the referral alone."""
    if view.person is not None and isinstance(view.id, UUID):
        return {"reference": f"#{PERSON}", "type": "Patient"}
    return {"type": "Patient", "identifier": {"system": f"{base}/v1/referrals", "value": str(view.id)}}


def _organisation(one: OrganisationView | None, base: str) -> Json | None:
    """Answer a logical reference: organisations are the registry's, and no resource of theirs is served here."""
    if one is None:
        return None
    return {
        "type": "Organization",
        "identifier": {"system": f"{base}/organisations", "value": str(one.organisation_id)},
        "display": one.name,
    }
