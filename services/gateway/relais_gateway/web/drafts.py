"""The draft behind the relay page: kept and sealed by the API, what the other side would read of it, what ends it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from relais_gateway.web import relay
from relais_gateway.web.api import Answer, Api, ApiProblem, Json, segment
from relais_gateway.web.phrases import area_said
from relais_gateway.web.relay import RelayForm

DRAFT: Final = "draft"
GONE, CONFLICT, STALE = 404, 409, 412


class Unfinished(Exception):  # noqa: N818 - the form is shown again
    """The API said no on the way; the form as it now stands comes back with it."""

    def __init__(self, problem: ApiProblem, written: RelayForm) -> None:
        super().__init__(problem.slug)
        self.problem = problem
        self.written = written


@dataclass(frozen=True, slots=True)
class Writing:
    """What is written into a draft beside the form.

    Attributes:
        recipient: The organisation's and the service's id.
        counsellor: Who answers for the person here.
        area: Her municipality's code, and a postcode where one is known.
    """

    recipient: Mapping[str, str]
    counsellor: Mapping[str, str]
    area: Mapping[str, str]


def path_of(referral: str) -> str:
    """Answer where the API has a referral."""
    return f"/v1/referrals/{segment(referral)}"


async def keep(api: Api, written: RelayForm, beside: Writing) -> tuple[RelayForm, Answer]:
    """Keep what stands in the form as a draft; one that has left meanwhile is answered as it is.

    Raises:
        Unfinished: The API said no; the form remembers what exists by then.
    """
    try:
        if written.referral:
            return written, await _changed(api, written, beside)
        body = {name: value for name, value in written.draft(beside.counsellor, beside.area).items() if value}
        made = await api.post("/v1/referrals", {"recipient": dict(beside.recipient), **body}, key=written.key)
    except ApiProblem as problem:
        if problem.slug == "idempotency-key-reused":
            # The browser went back to a form that had left already, and something in it was changed.
            written = replace(written, key=str(uuid4()), referral="")
        raise Unfinished(problem, written) from None
    # From here on the draft exists: a fault below changes it instead of making another.
    return replace(written, referral=made.body["id"]), made


async def _changed(api: Api, written: RelayForm, beside: Writing) -> Answer:
    path = path_of(written.referral)
    there = await api.get(path)
    if there.body["state"] != DRAFT:
        return there
    # To whom it goes was said when it was opened.
    body = written.draft(beside.counsellor, beside.area, there.body)
    before = _bare({name: there.body.get(name) for name in body})
    before["person"]["area"].pop("name", None)  # The directory's, not the form's.
    if before == _bare(body):
        # What she agrees to is no part of the draft: ticking it changes nothing there.
        return there
    try:
        return await api.patch(path, body, version=there.version)
    except ApiProblem as problem:
        if problem.status != STALE:
            raise
        # The page kept it by itself a moment ago: what came last is what stands.
        return await api.patch(path, body, version=(await api.get(path)).version)


def _bare(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Answer JSON without what says nothing: null, false, empty."""
    if isinstance(value, Mapping):
        return {name: bare for name, each in value.items() if (bare := _bare(each))}
    return [_bare(each) for each in value] if isinstance(value, list) else value


async def propose(api: Api, written: RelayForm, beside: Writing, collected_by: str, now: datetime) -> Answer:
    """Walk from the form to the proposed referral; a second press, or one after a fault, goes on where it stands.

    Where she answers by her own link it stays a draft, with her agreement asked for.

    Raises:
        Unfinished: The API said no; what exists by then is remembered in the form.
    """
    written, there = await keep(api, written, beside)
    if there.body["state"] != DRAFT:
        return there
    path = path_of(written.referral)
    try:
        if written.answer == relay.BY_LINK:
            await api.post(f"{path}/consents/request", written.request(collected_by), key=str(uuid4()))
            return await api.get(path)
        if written.answer != relay.GIVEN:
            await api.post(f"{path}/consents", written.consent(collected_by, now), key=str(uuid4()))
            there = await api.get(path)
        there = await api.post(f"{path}/propose", {}, version=there.version)
    except ApiProblem as problem:
        raise Unfinished(problem, written) from None
    if written.colleague and "agree_by_phone" in there.body["allowed_actions"]:
        said = {"colleague": written.colleague, "at": now.isoformat()}
        # It is proposed: a mark that cannot be set is no reason to say that it is not.
        with suppress(ApiProblem):
            there = await api.post(f"{path}/agree_by_phone", said, version=there.version)
    return there


async def throw_away(api: Api, referral: str) -> None:
    """End a draft to which she said no: what stood in it goes at once.

    Raises:
        ApiProblem: The API said no, or did not answer.
    """
    try:
        there = await api.get(path_of(referral))
        if there.body["state"] == DRAFT:
            await api.post(f"{path_of(referral)}/cancel", {}, version=there.version)
    except ApiProblem as problem:
        if problem.status not in {GONE, CONFLICT}:
            raise


async def previews(api: Api, written: RelayForm) -> list[dict[str, Any]]:
    """Answer what the other side would read, before somebody takes over and after; nothing where nothing is kept.

    It is asked of the API, which will judge then by the same rules.
    """
    if not written.referral:
        return []
    asked: dict[str, str | int | float | list[str]] = {"data_categories": list(written.categories)}
    if written.seen_alone != "unknown":
        asked["seen_alone"] = written.seen_alone
    try:
        found: list[Json] = (await api.get(f"{path_of(written.referral)}/preview", asked)).body["items"]
    except ApiProblem as problem:
        if problem.status not in {GONE, CONFLICT}:
            raise
        return []
    return [{**each, "area": area_said(each["reads"].get("person"))} for each in found]
