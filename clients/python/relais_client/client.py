"""The two clients. Every operation is written once, in `calls.py`; here it becomes a method of both."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator, Mapping
from copy import copy
from functools import wraps
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, Self, TypeVar, overload

import httpx

from relais_client import calls
from relais_client.bookmarks import Bookmark
from relais_client.exchange import PASSING, Ask, Call, Session, Told
from relais_client.models import Event, EventPage, Page
from relais_client.problems import problem_of
from relais_client.streams import EventLines

P = ParamSpec("P")
T = TypeVar("T")

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Operation(Generic[P, T]):
    """A call as a method: `relais.x(...)` answers a T, and `await relais.x(...)` does on the async client."""

    def __init__(self, make: Callable[P, Call[T]]) -> None:
        self._make = make

    @overload
    def __get__(self, client: "Relais", owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: "AsyncRelais", owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, client: "Relais | AsyncRelais", owner: type) -> Callable[P, Any]:
        @wraps(self._make)
        def operation(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401 - as the overloads say
            return client.send(self._make(*args, **kwargs))

        return operation


class Listing(Generic[P, T]):
    """A call for a page as a method that walks all pages: `for` on one client, `async for` on the other."""

    def __init__(self, make: Callable[P, Call[Page[T]]]) -> None:
        self._make = make

    @overload
    def __get__(self, client: "Relais", owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, client: "AsyncRelais", owner: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, client: "Relais | AsyncRelais", owner: type) -> Callable[P, Any]:
        @wraps(self._make)
        def items(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401 - as the overloads say
            return client.items(self._make(*args, **kwargs))

        return items


class Operations:
    """What both clients can do."""

    request = Operation(calls.request)

    search_page = Operation(calls.search_page)
    search = Listing(calls.search_page)
    read_service = Operation(calls.read_service)

    create_referral = Operation(calls.create_referral)
    list_referrals = Listing(calls.list_referrals)
    read_referral = Operation(calls.read_referral)
    propose_referral = Operation(calls.propose_referral)
    receive_referral = Operation(calls.receive_referral)
    accept_referral = Operation(calls.accept_referral)
    decline_referral = Operation(calls.decline_referral)
    release_referral = Operation(calls.release_referral)
    plan_meeting = Operation(calls.plan_meeting)
    replan_meeting = Operation(calls.replan_meeting)
    confirm_handover = Operation(calls.confirm_handover)
    close_referral = Operation(calls.close_referral)
    cancel_referral = Operation(calls.cancel_referral)
    withdraw_referral = Operation(calls.withdraw_referral)
    take_step = Operation(calls.take_step)

    read_notice = Operation(calls.read_notice)
    record_consent = Operation(calls.record_consent)
    list_consents = Listing(calls.list_consents)
    withdraw_consent = Operation(calls.withdraw_consent)
    list_disclosures = Listing(calls.list_disclosures)
    list_messages = Listing(calls.list_messages)
    write_message = Operation(calls.write_message)

    event_page = Operation(calls.event_page)
    create_webhook = Operation(calls.create_webhook)
    list_webhooks = Listing(calls.list_webhooks)
    read_webhook = Operation(calls.read_webhook)
    enable_webhook = Operation(calls.enable_webhook)
    remove_webhook = Operation(calls.remove_webhook)
    rotate_webhook = Operation(calls.rotate_webhook)
    send_test = Operation(calls.send_test)
    list_deliveries = Listing(calls.list_deliveries)
    replay_deliveries = Operation(calls.replay_deliveries)

    def __init__(  # noqa: PLR0913 - each has its use, and a default
        self,
        base_url: str,
        client_id: str,
        client_secret: str,
        *,
        scope: str | None = None,
        tries: int = 4,
        patience_s: float = 60.0,
        timeout_s: float = 30.0,
    ) -> None:
        """Say where Relais is and who you are.

        Args:
            base_url: As `https://relais.example.org`; http only to this machine, since the secret travels.
            client_id: As your administrator gave it.
            client_secret: The same.
            scope: Ask for less than you may: scopes parted by blanks.
            tries: How often a request is sent at most, where repeating is safe.
            patience_s: A `Retry-After` that is longer is yours to wait for.
            timeout_s: For connecting, each read and each write.
        """
        url = httpx.URL(base_url)
        if url.scheme != "https" and not (url.scheme == "http" and url.host in LOOPBACK):
            raise ValueError("Relais is reached by https; http only on this machine.")
        self._session = Session(base_url.rstrip("/"), client_id, client_secret, scope, tries, patience_s, timeout_s)
        self._headers: Mapping[str, str] = {}

    def acting_for(self, user: str) -> Self:
        """Answer this client acting for one of your users: what is opened is then recorded as theirs.

        It shares connections and token with this one, which closes them.

        Args:
            user: Your own reference of the user, as an account number; no name.
        """
        one = copy(self)
        one._headers = {"Relais-On-Behalf-Of": user}  # noqa: SLF001 - our own copy
        return one

    def _stream_of(
        self, lines: EventLines, query: Mapping[str, Any]
    ) -> tuple[str, Mapping[str, Any], Mapping[str, str]]:
        # After an event was read, the cursor of the beginning says nothing any more.
        after = {"Last-Event-ID": lines.last_id} if lines.last_id else {}
        more = {name: value for name, value in query.items() if name != "cursor" or not after}
        return "/v1/events/stream", more, {**self._headers, **after}

    def _refused(self, answer: httpx.Response) -> None:
        """Raise what will not pass; a token that ended, and whoever restarts or is busy, is asked again."""
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._session.forget_token()
        elif answer.status_code not in {429, *PASSING}:
            raise problem_of(answer)

    def _steps(self, call: Call[T]) -> Generator[Ask, Told, T]:
        return self._session.exchange(call, self._headers)


class Relais(Operations):
    """Relais for a program that waits. Close it when done, or use it in a `with`.

    Args:
        transport: Another way to reach Relais: a proxy, a certificate of your own, a test.
    """

    def __init__(
        self,
        base_url: str,
        client_id: str,
        client_secret: str,
        *,
        transport: httpx.BaseTransport | None = None,
        **more: Any,  # noqa: ANN401 - those of Operations
    ) -> None:
        super().__init__(base_url, client_id, client_secret, **more)
        self._http = httpx.Client(transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _fault: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, call: Call[T]) -> T:
        """Carry out a call.

        Raises:
            RelaisError: See `exchange`.
        """
        steps = self._steps(call)
        told: Told = None
        while True:
            try:
                ask = steps.send(told)
            except StopIteration as done:
                answer: T = done.value
                return answer
            told = self._do(ask)

    def _do(self, ask: Ask) -> Told:
        if isinstance(ask, float):
            time.sleep(ask)
            return None
        try:
            return self._http.send(ask)
        except httpx.TransportError as fault:
            return fault

    def items(self, call: Call[Page[T]]) -> Iterator[T]:
        """Walk every page of a call, fetching the next one when it is needed."""
        while True:
            page = self.send(call)
            yield from page.items
            if page.next_cursor is None:
                return
            call = call.after(page.next_cursor)

    def event_pages(self, **query: Any) -> Iterator[EventPage]:  # noqa: ANN401 - those of event_page
        """Walk the events after `cursor` until there is no more, page by page: store each page's `next_cursor`."""
        call = calls.event_page(**query)
        while (page := self.send(call)).items:
            yield page
            if not page.more:
                return
            call = call.after(page.next_cursor)

    def follow(self, after: str | None = None, **query: Any) -> Iterator[Event]:  # noqa: ANN401 - type, practice
        """Follow events as they happen, for as long as you iterate; a cut stream is opened again where it was.

        Args:
            after: The id of the last event that you took; from now on where None.
            query: `type` (a list), `practice`, `cursor`.

        Raises:
            Problem: Relais refuses it: the right has gone, or it was away for too long.
        """
        lines = EventLines(after)
        while True:
            try:
                yield from self._stream(lines, query)
            except httpx.TransportError:
                lines.cut()
            time.sleep(lines.wait_s)

    def _stream(self, lines: EventLines, query: Mapping[str, Any]) -> Iterator[Event]:
        steps, told = self._session.opening(*self._stream_of(lines, query)), None
        while True:
            try:
                told = self._do(steps.send(told))
            except StopIteration as done:
                request: httpx.Request = done.value
                break
        answer = self._http.send(request, stream=True)
        try:
            if not answer.is_success:
                answer.read()
                self._refused(answer)
                return
            for line in answer.iter_lines():
                if (event := lines.read(line)) is not None:
                    yield event
        finally:
            answer.close()
            lines.cut()

    def consume(self, bookmark: Bookmark, take: Callable[[Event], object], **query: Any) -> int:  # noqa: ANN401 - as above
        """Take every event after a stored cursor, in order, and store how far that came; answer how many.

        An event is taken at least once: what stops between taking and storing is taken again. Call it every minute, or
        when a webhook came.

        Raises:
            Problem: 422 with `?cursor`: it was away for so long that the feed begins later. Begin anew without a
                cursor, and read how your referrals stand.
        """
        number = 0
        for page in self.event_pages(cursor=bookmark.load(), **query):
            for event in page.items:
                take(event)
                number += 1
            bookmark.save(page.next_cursor)
        return number


class AsyncRelais(Operations):
    """Relais for a program that does much at once (asyncio). Close it when done, or use it in an `async with`.

    Args:
        transport: Another way to reach Relais: a proxy, a certificate of your own, a test.
    """

    def __init__(
        self,
        base_url: str,
        client_id: str,
        client_secret: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        **more: Any,  # noqa: ANN401 - those of Operations
    ) -> None:
        super().__init__(base_url, client_id, client_secret, **more)
        self._http = httpx.AsyncClient(transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _fault: BaseException | None, _at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, call: Call[T]) -> T:
        """Carry out a call.

        Raises:
            RelaisError: See `exchange`.
        """
        steps = self._steps(call)
        told: Told = None
        while True:
            try:
                ask = steps.send(told)
            except StopIteration as done:
                answer: T = done.value
                return answer
            told = await self._do(ask)

    async def _do(self, ask: Ask) -> Told:
        if isinstance(ask, float):
            await asyncio.sleep(ask)
            return None
        try:
            return await self._http.send(ask)
        except httpx.TransportError as fault:
            return fault

    async def items(self, call: Call[Page[T]]) -> AsyncIterator[T]:
        """Walk every page of a call, fetching the next one when it is needed."""
        while True:
            page = await self.send(call)
            for item in page.items:
                yield item
            if page.next_cursor is None:
                return
            call = call.after(page.next_cursor)

    async def event_pages(self, **query: Any) -> AsyncIterator[EventPage]:  # noqa: ANN401 - those of event_page
        """Walk the events after `cursor` until there is no more, page by page: store each page's `next_cursor`."""
        call = calls.event_page(**query)
        while (page := await self.send(call)).items:
            yield page
            if not page.more:
                return
            call = call.after(page.next_cursor)

    async def follow(self, after: str | None = None, **query: Any) -> AsyncIterator[Event]:  # noqa: ANN401 - as above
        """Follow events as they happen; as `Relais.follow`, with `async for`."""
        lines = EventLines(after)
        while True:
            try:
                async for event in self._stream(lines, query):
                    yield event
            except httpx.TransportError:
                lines.cut()
            await asyncio.sleep(lines.wait_s)

    async def _stream(self, lines: EventLines, query: Mapping[str, Any]) -> AsyncIterator[Event]:
        steps, told = self._session.opening(*self._stream_of(lines, query)), None
        while True:
            try:
                told = await self._do(steps.send(told))
            except StopIteration as done:
                request: httpx.Request = done.value
                break
        answer = await self._http.send(request, stream=True)
        try:
            if not answer.is_success:
                await answer.aread()
                self._refused(answer)
                return
            async for line in answer.aiter_lines():
                if (event := lines.read(line)) is not None:
                    yield event
        finally:
            await answer.aclose()
            lines.cut()

    async def consume(self, bookmark: Bookmark, take: Callable[[Event], Awaitable[object]], **query: Any) -> int:  # noqa: ANN401 - as above
        """Take every event after a stored cursor; as `Relais.consume`, with a `take` that is awaited."""
        number = 0
        async for page in self.event_pages(cursor=bookmark.load(), **query):
            for event in page.items:
                await take(event)
                number += 1
            bookmark.save(page.next_cursor)
        return number
