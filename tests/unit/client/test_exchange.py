"""Tokens, refusals and retries, the same for both clients: what is sent, and what is not sent twice."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from uuid import UUID

import httpx
import pytest

from relais_client import (
    AsyncRelais,
    Counsellor,
    FileBookmark,
    Problem,
    Referral,
    Relais,
    TokenRefused,
    Unreachable,
    calls,
)
from relais_client import client as under_test

ID = "0d9c3a4e-6f0e-4f0e-9a53-4a1f0d1f8c11"
REFERRAL = {
    "id": ID,
    "state": "received",
    "allowed_actions": ["accept"],
    "created_at": "2026-11-03T09:12:44Z",
    "updated_at": "2026-11-03T09:12:44Z",
}
READ = httpx.Response(200, json=REFERRAL, headers={"ETag": '"3"'})
Answer = httpx.Response | httpx.TransportError


class Scripted:
    """Relais as a script: gives tokens, and answers each other request with the next line."""

    def __init__(self, *answers: Answer, expires_in: int = 600) -> None:
        self.answers = list(answers)
        self.expires_in = expires_in
        self.tokens: list[httpx.Request] = []
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer the next line."""
        if request.url.path == "/oauth2/token":
            self.tokens.append(request)
            return httpx.Response(
                200, json={"access_token": f"token-{len(self.tokens)}", "expires_in": self.expires_in}
            )
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, httpx.TransportError):
            raise answer
        # The same line may stand in several scripts: each reader gets a stream of its own.
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def a_problem(status: int, slug: str, headers: dict[str, str] | None = None, **members: Any) -> httpx.Response:
    document = {"type": f"/problems/{slug}", "title": "No.", "status": status, "trace_id": "4f2a", **members}
    return httpx.Response(status, json=document, headers=headers)


@pytest.fixture(name="waits")
def _waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let no time pass; answer how long was waited."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(under_test.time, "sleep", found.append)
    monkeypatch.setattr(under_test.asyncio, "sleep", sleep)
    return found


Act = Callable[[Scripted, Callable[[Any], Any]], Any]


def waiting(relais: Scripted, act: Callable[[Any], Any]) -> Any:
    with Relais("https://relais.example", "id", "secret", transport=httpx.MockTransport(relais)) as client:
        return act(client)


def at_once(relais: Scripted, act: Callable[[Any], Any]) -> Any:
    async def run() -> Any:
        async with AsyncRelais("https://relais.example", "id", "secret", transport=httpx.MockTransport(relais)) as one:
            return await act(one)

    return asyncio.run(run())


both = pytest.mark.parametrize("acting", [waiting, at_once])


def read(client: Any) -> Any:
    return client.read_referral(ID)


def accept(client: Any) -> Any:
    referral = Referral.model_validate(REFERRAL).model_copy(update={"etag": '"3"'})
    return client.accept_referral(referral, Counsellor(name="Ben Noël"))


def write(client: Any) -> Any:
    return client.write_message(ID, "Bonjour")


@both
def test_a_token_is_taken_once_and_borne(acting: Act) -> None:
    relais = Scripted(READ, READ)

    def twice(client: Any) -> Any:
        return (read(client), read(client)) if isinstance(client, Relais) else in_turn(client)

    async def in_turn(client: AsyncRelais) -> Any:
        return await client.read_referral(ID), await client.read_referral(ID)

    first, second = acting(relais, twice)
    assert (first.id, first.etag, second.state) == (UUID(ID), '"3"', "received")
    assert len(relais.tokens) == 1
    assert relais.tokens[0].headers["authorization"] == "Basic aWQ6c2VjcmV0"
    assert relais.tokens[0].content == b"grant_type=client_credentials"
    assert [one.headers["authorization"] for one in relais.asked] == ["Bearer token-1"] * 2


def test_a_token_is_renewed_before_it_ends() -> None:
    relais = Scripted(READ, READ, expires_in=20)
    waiting(relais, lambda client: [read(client), read(client)])
    assert [one.headers["authorization"] for one in relais.asked] == ["Bearer token-1", "Bearer token-2"]


@both
def test_a_token_that_is_not_taken_is_renewed_once(acting: Act) -> None:
    relais = Scripted(a_problem(401, "unauthenticated"), READ)
    assert acting(relais, accept).state == "received"
    assert len(relais.tokens) == 2
    relais = Scripted(a_problem(401, "unauthenticated"), a_problem(401, "unauthenticated"))
    with pytest.raises(Problem) as no:
        acting(relais, read)
    assert (no.value.status, len(relais.asked)) == (401, 2)


def test_a_refused_token_says_why() -> None:
    def refusing(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, json={"error": "invalid_scope", "trace_id": "4f2a"})

    client = Relais("https://relais.example", "id", "secret", transport=httpx.MockTransport(refusing))
    with pytest.raises(TokenRefused, match="invalid_scope") as no:
        client.read_referral(ID)
    assert (no.value.error, no.value.trace_id) == ("invalid_scope", "4f2a")
    client.close()


@both
@pytest.mark.parametrize("fault", [httpx.ReadTimeout("slow"), a_problem(503, "unavailable"), httpx.Response(502)])
def test_a_keyed_step_is_sent_again_as_it_was(acting: Act, fault: Answer, waits: list[float]) -> None:
    relais = Scripted(fault, READ)
    assert acting(relais, accept).state == "received"
    first, again = relais.asked
    assert first.headers["idempotency-key"] == again.headers["idempotency-key"]
    assert first.headers["if-match"] == again.headers["if-match"] == '"3"'
    assert json.loads(first.content) == json.loads(again.content) == {"counsellor": {"name": "Ben Noël"}}
    assert len(waits) == 1


def test_every_call_has_a_key_of_its_own() -> None:
    relais = Scripted(READ, READ)
    waiting(relais, lambda client: [accept(client), accept(client)])
    assert len({one.headers["idempotency-key"] for one in relais.asked}) == 2


@both
@pytest.mark.parametrize("fault", [httpx.ReadTimeout("slow"), a_problem(503, "unavailable"), httpx.Response(502)])
def test_what_bears_no_key_is_not_sent_twice(acting: Act, fault: Answer, waits: list[float]) -> None:
    relais = Scripted(fault)
    with pytest.raises((Problem, Unreachable)):
        acting(relais, write)
    assert (len(relais.asked), waits) == (1, [])


@both
@pytest.mark.parametrize("fault", [httpx.ConnectError("refused"), a_problem(429, "too-many-requests")])
def test_what_never_began_is_always_sent_again(acting: Act, fault: Answer, waits: list[float]) -> None:
    said = {"id": ID, "at": "2026-11-03T09:12:44Z", "party": "sender", "author": "Ana", "words": "Bonjour"}
    relais = Scripted(fault, httpx.Response(201, json=said))
    assert acting(relais, write).words == "Bonjour"
    assert len(waits) == 1


@both
def test_retry_after_is_honoured(acting: Act, waits: list[float]) -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True)
    relais = Scripted(
        a_problem(429, "too-many-requests", {"Retry-After": "7"}),
        a_problem(409, "request-in-progress", {"Retry-After": "3"}),
        a_problem(503, "unavailable", {"Retry-After": at}),
        READ,
    )
    acting(relais, accept)
    assert waits[:2] == [7, 3]
    assert 40 < waits[2] <= 50


@both
def test_a_long_retry_after_is_left_to_the_caller(acting: Act, waits: list[float]) -> None:
    relais = Scripted(a_problem(429, "too-many-requests", {"Retry-After": "3600"}))
    with pytest.raises(Problem) as no:
        acting(relais, read)
    assert (no.value.retry_after_s, waits) == (3600, [])


@both
def test_it_gives_up_in_the_end(acting: Act, waits: list[float]) -> None:
    relais = Scripted(*[httpx.ReadTimeout("slow")] * 4)
    with pytest.raises(Unreachable, match="ReadTimeout"):
        acting(relais, read)
    assert len(relais.asked) == 4
    assert all(longest / 2 <= waited <= longest for waited, longest in zip(waits, (0.5, 1, 2), strict=True))


@both
def test_a_refusal_is_told_whole(acting: Act, waits: list[float]) -> None:
    errors = [{"pointer": "/needs/0/theme", "detail": "No such theme."}]
    relais = Scripted(
        a_problem(409, "illegal-action", allowed_actions=["cancel"], errors=errors, detail="Not from here.")
    )
    with pytest.raises(
        Problem, match=r"/needs/0/theme No such theme\. \(409 /problems/illegal-action, trace 4f2a\)"
    ) as no:
        acting(relais, accept)
    assert (no.value.type, no.value.slug, no.value.status) == ("/problems/illegal-action", "illegal-action", 409)
    assert (no.value.allowed_actions, no.value.trace_id) == (["cancel"], "4f2a")
    assert [(fault.pointer, fault.detail) for fault in no.value.errors] == [("/needs/0/theme", "No such theme.")]
    assert waits == []


def test_what_stands_between_may_answer_without_a_document() -> None:
    relais = Scripted(httpx.Response(413, text="<html>"))
    with pytest.raises(Problem) as no:
        waiting(relais, write)
    assert (no.value.status, no.value.type, no.value.title) == (413, "about:blank", "Request Entity Too Large")


def test_pages_are_walked_when_they_are_needed() -> None:
    relais = Scripted(
        httpx.Response(200, json={"items": [REFERRAL], "next_cursor": "two"}),
        httpx.Response(200, json={"items": [REFERRAL]}),
    )
    with Relais("https://relais.example", "id", "secret", transport=httpx.MockTransport(relais)) as client:
        found = client.list_referrals(role="recipient", state=["proposed", "received"])
        next(found)
        assert str(relais.asked[0].url.query, "ascii") == "role=recipient&state=proposed&state=received"
        assert [one.etag for one in found] == [None]
    assert relais.asked[1].url.params["cursor"] == "two"
    assert relais.asked[1].url.params.get_list("state") == ["proposed", "received"]


def test_what_stood_in_a_list_is_read_before_it_is_changed() -> None:
    with pytest.raises(ValueError, match="Read it alone first"):
        waiting(Scripted(), lambda client: client.cancel_referral(Referral.model_validate(REFERRAL)))


def test_a_user_is_named_without_losing_the_token() -> None:
    relais = Scripted(READ, READ)
    waiting(relais, lambda client: [read(client.acting_for("agent-7")), read(client)])
    assert [one.headers.get("relais-on-behalf-of") for one in relais.asked] == ["agent-7", None]
    assert len(relais.tokens) == 1


@pytest.mark.parametrize("url", ["http://relais.example", "ftp://relais.example", "relais.example"])
def test_a_secret_does_not_travel_in_the_clear(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        Relais(url, "id", "secret")


def an_event(number: int) -> dict[str, Any]:
    return {
        "id": str(UUID(int=number)),
        "type": "referral.accepted",
        "time": "2026-11-03T09:12:44Z",
        "subject": f"https://relais.example/v1/referrals/{ID}",
        "subject_id": ID,
        "sequence": number,
        "practice": False,
    }


def a_feed(request: httpx.Request) -> httpx.Response:
    """Five events, two at a time."""
    if request.url.path == "/oauth2/token":
        return httpx.Response(200, json={"access_token": "token", "expires_in": 600})
    after = int(request.url.params.get("cursor", "0"))
    items = [an_event(number) for number in range(after + 1, min(after + 2, 5) + 1)]
    cursor = str(items[-1]["sequence"]) if items else request.url.params.get("cursor")
    return httpx.Response(200, json={"items": items, "more": after + 2 < 5, "next_cursor": cursor})


def test_events_are_taken_from_where_one_was(tmp_path: Any) -> None:
    taken: list[int | None] = []
    bookmark = FileBookmark(tmp_path / "cursor")

    def falling(event: Any) -> None:
        if event.sequence == 4 and 4 not in taken:
            taken.append(4)
            raise InterruptedError
        taken.append(event.sequence)

    with Relais("https://relais.example", "id", "secret", transport=httpx.MockTransport(a_feed)) as client:
        with pytest.raises(InterruptedError):
            client.consume(bookmark, falling)
        assert bookmark.load() == "2"
        # What was taken and not stored is taken again; nothing is left out.
        assert client.consume(bookmark, falling) == 3
        assert client.consume(bookmark, falling) == 0
    assert taken == [1, 2, 3, 4, 3, 4, 5]
    assert bookmark.load() == "5"


def test_events_are_taken_without_waiting_for_each_other(tmp_path: Any) -> None:
    taken: list[int | None] = []

    async def take(event: Any) -> None:
        taken.append(event.sequence)

    async def run() -> int:
        async with AsyncRelais("https://relais.example", "id", "secret", transport=httpx.MockTransport(a_feed)) as one:
            return await one.consume(FileBookmark(tmp_path / "cursor"), take)

    assert asyncio.run(run()) == 5
    assert taken == [1, 2, 3, 4, 5]


def test_a_traceback_shows_no_secret_and_nothing_of_hers() -> None:
    relais = Scripted(READ)
    with Relais("https://relais.example", "id", "the-secret", transport=httpx.MockTransport(relais)) as client:
        read(client)
        shown = repr(client._session) + repr(calls.write_message(ID, "Amina"))  # noqa: SLF001 - what a traceback shows
    assert not [word for word in ("the-secret", "token-1", "Amina") if word in shown]
