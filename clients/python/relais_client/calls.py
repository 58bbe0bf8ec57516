"""Every operation, written once: what it takes, and the call that it makes. `/docs` of your Relais tells the rest.

A call that creates or changes bears an `Idempotency-Key`: a new one, unless you give `key` because you kept it from
before a crash. A step bears the version of the referral that you give it, as you read it.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx
from pydantic import BaseModel

from relais_client.exchange import Call
from relais_client.models import (
    Agreement,
    Category,
    Consent,
    Counsellor,
    Delivery,
    Disclosure,
    Draft,
    Endpoint,
    EventPage,
    Meeting,
    MeetingOption,
    Message,
    Mode,
    Notice,
    Outcome,
    Page,
    Purpose,
    Reason,
    Referral,
    SearchPage,
    Versioned,
)

M = TypeVar("M", bound=BaseModel)


def request(  # noqa: PLR0913 - everything that a request is made of
    method: str,
    path: str,
    *,
    query: dict[str, Any] | None = None,
    body: Any = None,  # noqa: ANN401 - any JSON
    key: str | None = None,
    etag: str | None = None,
) -> Call[Any]:
    """Ask for an operation that has no name here; answers its JSON.

    Args:
        method: As `GET`.
        path: As `/v1/tasks`.
        query: Parameters.
        body: Anything that JSON can say.
        key: The Idempotency-Key, where the operation takes one; it is not repeated without.
        etag: The version that you read, where it asks for one.
    """
    return Call(method, path, _json, query=query or {}, body=body, headers=_headers(key=key, etag=etag))


# The directory.


def search_page(  # noqa: PLR0913 - the filters of the search
    *,
    near: tuple[float, float] | None = None,
    postcode: str | None = None,
    municipality: str | None = None,
    place: str | None = None,
    radius_km: float | None = None,
    theme: Sequence[str] = (),
    q: str | None = None,
    has_capacity: bool = False,
    organisation_id: UUID | str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
    **filters: Any,  # noqa: ANN401 - of many kinds
) -> Call[SearchPage]:
    """Find services near a place, for a need: one page, with how many there are.

    Args:
        near: Latitude and longitude; or else a postcode, a municipality (`be:52011`), a place in words, or none.
        postcode: As above.
        municipality: As above.
        place: As above.
        radius_km: 15 unless told, at most 100.
        theme: As `childcare`; a parent takes its children.
        q: What people say.
        has_capacity: Only where an open place was told lately.
        organisation_id: Only of this organisation.
        limit: Of one page, at most 100.
        cursor: `next_cursor` of the page before.
        filters: The others, as in the documentation of the API.
    """
    query = {
        "near": f"{near[0]},{near[1]}" if near else None,
        "postcode": postcode,
        "municipality": municipality,
        "place": place,
        "radius_km": radius_km,
        "theme": list(theme),
        "q": q,
        "has_capacity": "true" if has_capacity else None,
        "organisation_id": str(organisation_id) if organisation_id else None,
        "limit": limit,
        "cursor": cursor,
    }
    return Call("GET", "/v1/directory/search", _into(SearchPage), query=query | filters)


def read_service(service_id: UUID | str) -> Call[Any]:
    """Read all that is known of a service."""
    return request("GET", f"/v1/directory/services/{service_id}")


# Referrals.


def create_referral(draft: Draft, *, key: str | None = None) -> Call[Referral]:
    """Open a referral as a draft, which you alone can see; `launch_url` opens it on the screen."""
    return _post("/v1/referrals", Referral, draft, key=key)


def list_referrals(  # noqa: PLR0913 - the filters of the list
    *,
    role: str | None = None,
    state: Sequence[str] = (),
    theme: Sequence[str] = (),
    overdue: bool | None = None,
    updated_since: datetime | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[Page[Referral]]:
    """List yours, as `sender` or `recipient`; a list opens nothing of hers, and holds no version to change."""
    query = {
        "role": role,
        "state": list(state),
        "theme": list(theme),
        "overdue": None if overdue is None else str(overdue).lower(),
        "updated_since": updated_since.isoformat() if updated_since else None,
        "limit": limit,
        "cursor": cursor,
    }
    return Call("GET", "/v1/referrals", _into(Page[Referral]), query=query)


def read_referral(referral_id: UUID | str) -> Call[Referral]:
    """Read a referral as you may see it now; what is opened of hers is recorded, and she sees that."""
    return Call("GET", f"/v1/referrals/{referral_id}", _into(Referral))


def propose_referral(
    referral: Referral, *, counsellor: Counsellor | None = None, key: str | None = None
) -> Call[Referral]:
    """Propose the person: the other side then reads the need, without name or contact."""
    return _step(referral, "propose", key, counsellor=counsellor)


def receive_referral(referral: Referral, counsellor: Counsellor, *, key: str | None = None) -> Call[Referral]:
    """Take a proposal in hand: a named counsellor looks at it."""
    return _step(referral, "receive", key, counsellor=counsellor)


def accept_referral(
    referral: Referral,
    counsellor: Counsellor,
    *,
    meeting_options: Sequence[MeetingOption] = (),
    key: str | None = None,
) -> Call[Referral]:
    """Take her over: a named counsellor answers for it, and reads what she consented to."""
    return _step(referral, "accept", key, counsellor=counsellor, meeting_options=meeting_options or None)


def decline_referral(
    referral: Referral,
    reason: Reason,
    *,
    words: str | None = None,
    suggested_service_ids: Sequence[UUID] = (),
    key: str | None = None,
) -> Call[Referral]:
    """Decline a proposal, with a reason that judges nobody."""
    return _step(
        referral, "decline", key, reason=reason, words=words, suggested_service_ids=suggested_service_ids or None
    )


def release_referral(
    referral: Referral,
    reason: Reason,
    *,
    words: str | None = None,
    suggested_service_ids: Sequence[UUID] = (),
    key: str | None = None,
) -> Call[Referral]:
    """Give an accepted referral back, with a reason that judges nobody."""
    return _step(
        referral, "release", key, reason=reason, words=words, suggested_service_ids=suggested_service_ids or None
    )


def plan_meeting(referral: Referral, meeting: Meeting, *, key: str | None = None) -> Call[Referral]:
    """Say how and when she will be met, as agreed with her."""
    return _post(_step_path(referral, "plan_meeting"), Referral, meeting, key=key, etag=_version(referral))


def replan_meeting(referral: Referral, meeting: Meeting, *, key: str | None = None) -> Call[Referral]:
    """Put another meeting in the place of the planned one."""
    return _post(_step_path(referral, "replan"), Referral, meeting, key=key, etag=_version(referral))


def confirm_handover(
    referral: Referral, *, on: date | None = None, mode: Mode | None = None, key: str | None = None
) -> Call[Referral]:
    """Say that she was met, today unless told; the second side's word makes it handed over."""
    return _step(referral, "confirm_handover", key, on=on, mode=mode)


def close_referral(
    referral: Referral, outcome: Outcome, *, words: str | None = None, key: str | None = None
) -> Call[Referral]:
    """End the work, with an outcome that judges nobody."""
    return _step(referral, "close", key, outcome=outcome, words=words)


def cancel_referral(referral: Referral, *, key: str | None = None) -> Call[Referral]:
    """Stop a referral of yours before it is closed."""
    return _step(referral, "cancel", key)


def take_step(
    referral: Referral,
    action: str,
    body: dict[str, Any] | None = None,
    *,
    key: str | None = None,
) -> Call[Referral]:
    """Take any other of the `allowed_actions`: undo, reopen, pause, resume, agree_by_phone."""
    return _step(referral, action, key, **(body or {}))


def withdraw_referral(referral_id: UUID | str, *, method: str = "counsellor", key: str | None = None) -> Call[Referral]:
    """Stop everything at her word, in every state; it needs no reading first."""
    return _post(f"/v1/referrals/{referral_id}/withdraw", Referral, {"method": method}, key=key)


# What she agreed to, who looked, and what is said.


def read_notice(version: str, language: str) -> Call[Notice]:
    """Read the text that is read aloud before she answers."""
    return Call("GET", f"/v1/notices/{version}/{language}", _into(Notice))


def record_consent(referral_id: UUID | str, agreement: Agreement, *, key: str | None = None) -> Call[Consent]:
    """Record what she agreed to. It moves the referral's version: read that again before the next step."""
    return _post(f"/v1/referrals/{referral_id}/consents", Consent, agreement, key=key)


def list_consents(referral_id: UUID | str) -> Call[Page[Consent]]:
    """List the consents of a referral, the newest first."""
    return Call("GET", f"/v1/referrals/{referral_id}/consents", _into(Page[Consent]))


def withdraw_consent(
    consent_id: UUID | str,
    *,
    method: str = "counsellor",
    purposes: Sequence[Purpose] = (),
    data_categories: Sequence[Category] = (),
) -> Call[Consent]:
    """Stop the sharing at her word: all of it, or these purposes or categories alone. Twice is no fault."""
    body = {"method": method, "purposes": list(purposes), "data_categories": list(data_categories)}
    return Call("POST", f"/v1/consents/{consent_id}/withdraw", _into(Consent), body=body, idempotent=True)


def list_disclosures(referral_id: UUID | str) -> Call[Page[Disclosure]]:
    """List who looked at what is hers, the newest first."""
    return Call("GET", f"/v1/referrals/{referral_id}/disclosures", _into(Page[Disclosure]))


def list_messages(referral_id: UUID | str) -> Call[Page[Message]]:
    """List the thread of a referral, the oldest first."""
    return Call("GET", f"/v1/referrals/{referral_id}/messages", _into(Page[Message]))


def write_message(referral_id: UUID | str, words: str) -> Call[Message]:
    """Write to the other side; not repeated by itself, since that would say it twice."""
    return Call("POST", f"/v1/referrals/{referral_id}/messages", _into(Message), body={"words": words})


# What happens.


def event_page(
    *,
    cursor: str | None = None,
    types: Sequence[str] = (),
    practice: bool = False,
    limit: int | None = None,
) -> Call[EventPage]:
    """Read what happened after a cursor, in one order: nothing is left out, and nothing comes twice."""
    query = {"cursor": cursor, "type": list(types), "practice": "true" if practice else None, "limit": limit}
    return Call("GET", "/v1/events", _into(EventPage), query=query)


def create_webhook(
    url: str,
    *,
    types: Sequence[str] | None = None,
    description: str | None = None,
    practice: bool = False,
    key: str | None = None,
) -> Call[Endpoint]:
    """Register where your events are sent; keep its `secret`, shown this once."""
    body = _told(url=url, types=types, description=description, practice=practice)
    return _post("/v1/webhooks", Endpoint, body, key=key)


def list_webhooks() -> Call[Page[Endpoint]]:
    """List your endpoints with how they do."""
    return Call("GET", "/v1/webhooks", _into(Page[Endpoint]))


def read_webhook(webhook_id: UUID | str) -> Call[Endpoint]:
    """Read an endpoint with how it does."""
    return Call("GET", f"/v1/webhooks/{webhook_id}", _into(Endpoint))


def enable_webhook(endpoint: Endpoint, *, enabled: bool = True) -> Call[Endpoint]:
    """Switch an endpoint on again after a repair, or off."""
    headers = _headers(etag=_version(endpoint))
    return Call("PATCH", f"/v1/webhooks/{endpoint.id}", _into(Endpoint), body={"enabled": enabled}, headers=headers)


def remove_webhook(webhook_id: UUID | str) -> Call[None]:
    """Remove an endpoint; what waits is not sent."""
    return Call("DELETE", f"/v1/webhooks/{webhook_id}", _nothing, idempotent=True)


def rotate_webhook(webhook_id: UUID | str, *, overlap_hours: int = 24) -> Call[Endpoint]:
    """Change the secrets: until the overlap ends the old and the new ones sign."""
    return Call("POST", f"/v1/webhooks/{webhook_id}/rotate", _into(Endpoint), body={"overlap_hours": overlap_hours})


def send_test(webhook_id: UUID | str) -> Call[Delivery]:
    """Send a `webhook.test` at once, one time."""
    return Call("POST", f"/v1/webhooks/{webhook_id}/test", _into(Delivery))


def list_deliveries(
    webhook_id: UUID | str, *, state: Sequence[str] = (), limit: int | None = None, cursor: str | None = None
) -> Call[Page[Delivery]]:
    """List what was sent to an endpoint and what waits, the newest first; `set_aside` is what needs you."""
    query = {"state": list(state), "limit": limit, "cursor": cursor}
    return Call("GET", f"/v1/webhooks/{webhook_id}/deliveries", _into(Page[Delivery]), query=query)


def replay_deliveries(
    webhook_id: UUID | str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    states: Sequence[str] = ("set_aside",),
) -> Call[Any]:
    """Send a range again, in its order; answers how many as `count`."""
    body = _told(since=since, until=until, states=states)
    return Call("POST", f"/v1/webhooks/{webhook_id}/replay", _json, body=body)


# How calls are made.


def _headers(*, key: str | None = None, etag: str | None = None) -> dict[str, str]:
    return ({"Idempotency-Key": f'"{key}"'} if key else {}) | ({"If-Match": etag} if etag else {})


def _post(
    path: str, model: type[M], body: BaseModel | dict[str, Any], *, key: str | None, etag: str | None = None
) -> Call[M]:
    told = body.model_dump(mode="json", exclude_unset=True) if isinstance(body, BaseModel) else body
    return Call("POST", path, _into(model), body=told, headers=_headers(key=key or str(uuid4()), etag=etag))


def _step(referral: Referral, action: str, key: str | None, **told: Any) -> Call[Referral]:  # noqa: ANN401 - any JSON
    return _post(_step_path(referral, action), Referral, _told(**told), key=key, etag=_version(referral))


def _step_path(referral: Referral, action: str) -> str:
    return f"/v1/referrals/{referral.id}/{action}"


def _version(read: Versioned) -> str:
    if read.etag is None:
        raise ValueError("Read it alone first: a list holds no version, and a change says which one it is of.")
    return read.etag


def _told(**given: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """Answer the parts of a body that were given, as JSON takes them."""
    return {name: _plain(value) for name, value in given.items() if value is not None}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _into(model: type[M]) -> Callable[[httpx.Response], M]:
    def read(answer: httpx.Response) -> M:
        found = model.model_validate_json(answer.content)
        return found.model_copy(update={"etag": answer.headers.get("etag")}) if isinstance(found, Versioned) else found

    return read


def _json(answer: httpx.Response) -> Any:  # noqa: ANN401 - any JSON
    return answer.json() if answer.content else None


def _nothing(_answer: httpx.Response) -> None:
    return None
