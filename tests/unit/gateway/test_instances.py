"""Several instances of a service on real sockets: who is asked, who is left alone, what is asked again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.stack import free_ports

from relais_gateway import exchange, upstream
from relais_gateway.domain import circuit
from relais_gateway.exchange import UpstreamDown
from relais_gateway.onward import CallerLeft, Onward, TooLarge
from relais_gateway.upstream import Busy, CircuitOpen, Instance, Upstream

pytestmark = pytest.mark.anyio

Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LARGEST = 1 << 20


@dataclass
class Process:
    """A service's instance of a few bytes; it counts what reached it."""

    url: str
    asked: list[bytes] = field(default_factory=list)
    ready: bool = True
    left: asyncio.Event = field(default_factory=asyncio.Event)
    behave: Behave | None = None
    serving: set[asyncio.Task[Any]] = field(default_factory=set)

    async def taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection."""
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET /readyz"):
                    writer.write(b"HTTP/1.1 %d x\r\ncontent-length: 0\r\n\r\n" % (200 if self.ready else 503))
                    continue
                self.asked.append(head)
                if self.behave is not None:
                    await self.behave(reader, writer)
                else:
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.set()
        finally:
            writer.close()


@asynccontextmanager
async def serving(*behaviours: Behave | None) -> AsyncIterator[tuple[Upstream, list[Process]]]:
    """Run an instance for each behaviour (None: it answers `ok`)."""
    processes = [Process(f"http://127.0.0.1:{port}") for port in free_ports(len(behaviours))]
    async with AsyncExitStack() as stack:
        for process, behave in zip(processes, behaviours, strict=True):
            process.behave = behave
            port = int(process.url.rpartition(":")[2])
            await stack.enter_async_context(await asyncio.start_server(process.taken, "127.0.0.1", port))
        found = Upstream("directory", [each.url for each in processes])
        yield found, processes
        found.close()
        # Whoever hangs, or waits for more, would wait beyond the end of the test.
        tasks = [task for process in processes for task in process.serving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


def scope(method: str, **headers: str) -> dict[str, Any]:
    """Answer what uvicorn would tell of a request."""
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "raw_path": b"/v1/x", "query_string": b"", "headers": named}


async def nobody() -> dict[str, Any]:
    """Be a caller that waits and sends nothing."""
    await asyncio.Event().wait()
    raise AssertionError


async def ask(upstream_: Upstream, method: str = "GET") -> bytes:
    """Ask, and answer the body."""
    answer = await Onward(scope(method), nobody, LARGEST, []).asked(upstream_)
    try:
        return answer.whole if answer.whole is not None else b"".join([one async for one in answer.exchange.body()])
    finally:
        answer.end()


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def half(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    await writer.drain()
    writer.transport.abort()


async def read_on(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(1 << 30)


async def take_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    reader._transport.pause_reading()  # type: ignore[attr-defined]  # noqa: SLF001 - a process that hangs
    await asyncio.Event().wait()


async def test_requests_spread_over_the_instances() -> None:
    async with serving(None, None, None) as (directory, processes):
        for _ in range(9):
            assert await ask(directory) == b"ok"
    assert [len(each.asked) for each in processes] == [3, 3, 3]


@pytest.mark.parametrize("breaks", [hang_up, half])
async def test_a_get_that_breaks_off_is_asked_of_another_instance(breaks: Behave) -> None:
    async with serving(breaks, None) as (directory, (broken, whole)):
        for _ in range(4):
            assert await ask(directory) == b"ok"
    assert broken.asked
    assert len(whole.asked) == 4


async def test_nothing_that_changes_something_is_sent_twice() -> None:
    async with serving(hang_up, hang_up) as (directory, processes):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            with pytest.raises(UpstreamDown):
                await ask(directory, method)
        assert sum(len(each.asked) for each in processes) == 4


async def test_a_get_with_a_body_is_not_sent_twice() -> None:
    async def body() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x", "more_body": False}

    async with serving(hang_up, hang_up) as (directory, processes):
        with pytest.raises(UpstreamDown):
            await Onward(scope("GET", content_length="1"), body, LARGEST, []).asked(directory)
        assert sum(len(each.asked) for each in processes) == 1


async def test_one_that_takes_no_connection_is_passed_over() -> None:
    """Nothing was sent, so this holds for what changes something too."""
    (nowhere,) = free_ports(1)
    async with serving(None) as (_, (there,)):
        directory = Upstream("directory", [f"http://127.0.0.1:{nowhere}", there.url])
        for _ in range(3):
            assert await ask(directory, "POST") == b"ok"
        directory.close()


async def test_a_circuit_opens_answers_at_once_and_closes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(hang_up) as (directory, (process,)):
        for _ in range(circuit.OPENS_AFTER):
            with pytest.raises(UpstreamDown, match="broke off"):
                await ask(directory)
        assert len(process.asked) == circuit.OPENS_AFTER
        with pytest.raises(CircuitOpen) as refused:
            await ask(directory)
        assert refused.value.wait_s == 1
        assert len(process.asked) == circuit.OPENS_AFTER
        # Its pause over, one request tries it.
        monkeypatch.setattr(circuit, "OPEN_S", 0.0)
        with pytest.raises(UpstreamDown, match="broke off"):
            await ask(directory)
        process.behave = None
        assert await ask(directory) == b"ok"
        monkeypatch.undo()
        assert await ask(directory) == b"ok"


async def test_while_one_request_tries_an_instance_others_are_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(hang_up) as (directory, (process,)):
        for _ in range(circuit.OPENS_AFTER):
            with pytest.raises(UpstreamDown):
                await ask(directory)
        monkeypatch.setattr(circuit, "OPEN_S", 0.0)
        goes_on = asyncio.Event()

        async def wait(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await goes_on.wait()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

        process.behave = wait
        trial = asyncio.create_task(ask(directory))
        while len(process.asked) == circuit.OPENS_AFTER:  # noqa: ASYNC110 - a process tells nobody
            await asyncio.sleep(0.01)
        with pytest.raises(CircuitOpen):
            await ask(directory)
        goes_on.set()
        assert await trial == b"ok"
        assert await ask(directory) == b"ok"


async def test_one_that_is_not_ready_is_ejected_and_let_in_again() -> None:
    async with serving(None, None) as (directory, (first, second)):
        first.ready = False
        for _ in range(upstream.EJECTED_AFTER):
            assert directory.instances[0].ready
            await asyncio.gather(*(one.check() for one in directory.instances))
        for _ in range(4):
            await ask(directory)
        assert (len(first.asked), len(second.asked)) == (0, 4)
        # Where none is ready, one that can say why is better than none.
        second.ready = False
        for _ in range(upstream.EJECTED_AFTER):
            await directory.instances[1].check()
        assert await ask(directory) == b"ok"
        first.ready = True
        await directory.instances[0].check()
        asked = len(first.asked)
        for _ in range(4):
            await ask(directory)
        assert len(first.asked) == asked + 4


async def test_an_instance_that_comes_back_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "CHECK_EVERY_S", 0.01)
    async with serving(None) as (directory, (process,)):
        process.ready = False
        checking = asyncio.create_task(directory.keep_checking())
        while directory.instances[0].ready:  # noqa: ASYNC110 - it tells only its return
            await asyncio.sleep(0.01)
        assert not directory.changed.is_set()
        process.ready = True
        await directory.changed.wait()
        checking.cancel()


async def test_kept_connections_are_few_and_do_not_grow_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "IDLE_AT_MOST", 2)
    async with serving(None) as (directory, _):
        (instance,) = directory.instances
        await asyncio.gather(*(ask(directory) for _ in range(5)))
        assert (instance.idle, instance.under_way) == (2, 0)
        monkeypatch.setattr(upstream, "LIFE_S", 0.0)
        await ask(directory)
        assert instance.idle == 1
        instance.sweep()
        assert instance.idle == 1
        monkeypatch.setattr(upstream, "IDLE_S", 0.0)
        instance.sweep()
        assert instance.idle == 0


async def twice(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" + b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno")


async def test_what_nobody_asked_for_is_no_answer() -> None:
    """Neither behind an answer nor while nobody waits: it would be taken for the answer to somebody else."""
    async with serving(twice) as (directory, _):
        for _ in range(2):
            assert await ask(directory) == b"ok"
            assert directory.instances[0].idle == 0

    writers: list[asyncio.StreamWriter] = []

    async def kept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        writers.append(writer)

    async with serving(kept) as (directory, (process,)):
        assert await ask(directory) == b"ok"
        writers[0].write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno")
        async with asyncio.timeout(10):
            await process.left.wait()
        assert await ask(directory) == b"ok"


async def test_a_connection_whose_answer_was_not_read_is_not_kept() -> None:
    """As where HEAD asked for it: what waits would keep the next answer from being read."""

    async def in_pieces(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pieces = b"1\r\nx\r\n" * (2 * exchange.WAITING)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n")

    async with serving(in_pieces) as (directory, _):
        answer = await Onward(scope("GET"), nobody, LARGEST, []).asked(directory)
        answer.end()
        assert directory.instances[0].idle == 0
        assert await ask(directory) == b"x" * (2 * exchange.WAITING)


async def test_a_service_that_takes_no_more_of_a_body_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "STALLED_S", 0.2)

    async def body() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * (1 << 16), "more_body": True}

    async with serving(take_nothing) as (directory, _):
        with pytest.raises(UpstreamDown, match="takes no more"):
            await Onward(scope("POST", transfer_encoding="chunked"), body, 1 << 30, []).asked(directory)
        assert directory.instances[0].under_way == 0


async def test_a_service_that_answers_early_gets_no_more_of_the_body() -> None:
    sent = 0

    async def body() -> dict[str, Any]:
        nonlocal sent
        sent += 1
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"x" * (1 << 16), "more_body": True}

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # noqa: SLF001 - it reads no more
        writer.write(b"HTTP/1.1 413 no\r\ncontent-length: 2\r\n\r\nno")
        await asyncio.Event().wait()

    async with serving(refuse) as (directory, _):
        answer = await Onward(scope("POST", transfer_encoding="chunked"), body, 1 << 30, []).asked(directory)
        rest = b"".join([one async for one in answer.exchange.body()])
        assert (answer.exchange.status, (answer.whole or b"") + rest) == (413, b"no")
        answer.end()
        # What it did not read stands in its way: another request gets another connection.
        assert directory.instances[0].idle == 0
    assert sent < 1 << 14


async def test_a_body_beyond_what_an_operation_takes_is_cut_off() -> None:
    async def body() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * LARGEST, "more_body": True}

    async with serving(read_on) as (directory, (process,)):
        with pytest.raises(TooLarge):
            await Onward(scope("POST", transfer_encoding="chunked"), body, LARGEST, []).asked(directory)
        await process.left.wait()
        with pytest.raises(TooLarge):
            Onward(scope("POST", content_length=str(LARGEST + 1)), body, LARGEST, [])


async def test_when_the_caller_leaves_the_instance_is_left_and_not_blamed() -> None:
    async def leaves() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async with serving(read_on) as (directory, (process,)):
        for _ in range(circuit.OPENS_AFTER + 1):
            process.left.clear()
            with pytest.raises(CallerLeft):
                await Onward(scope("GET"), leaves, LARGEST, []).asked(directory)
            await process.left.wait()
        assert directory.instances[0].circuit == circuit.Circuit()


async def test_an_address_without_a_listener_is_no_connection() -> None:
    (nowhere,) = free_ports(1)
    with pytest.raises(UpstreamDown) as down:
        await Instance("directory", f"http://127.0.0.1:{nowhere}").take()
    assert not down.value.sent


async def test_beyond_what_it_works_on_nobody_waits_in_line() -> None:
    go_on = asyncio.Event()

    async def slowly(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    async with serving(slowly, slowly) as (_, processes):
        directory = Upstream("directory", [one.url for one in processes], at_once=2)
        waiting = [asyncio.create_task(ask(directory)) for _ in range(4)]
        while sum(len(one.asked) for one in processes) < len(waiting):  # noqa: ASYNC110 - they tell nobody
            await asyncio.sleep(0.01)
        with pytest.raises(Busy):
            await ask(directory)
        go_on.set()
        assert await asyncio.gather(*waiting, ask_when_free(directory, waiting[0])) == [b"ok"] * 5
        assert directory.working == 0
        assert sum(len(one.asked) for one in processes) == 5
        directory.close()


async def test_room_is_for_as_many_as_are_answered_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slower it answers, the fewer it is given at once; whoever has few under way is not kept out by the others."""
    many = upstream.AT_LEAST + 8

    async def answered(upstream_: Upstream, calls: int) -> None:
        for _ in range(calls):
            await ask(upstream_)

    def room(upstream_: Upstream, running: int) -> int:
        """Answer how many it would work on at once for somebody with so many under way."""
        places = 0
        for upstream_.working in range(2 * many):
            places += upstream_.busy(running) is None
        upstream_.working = 0
        return places

    async with serving(None) as (_, (process,)):
        directory = Upstream("directory", [process.url], at_once=many)
        noisy = upstream.AT_LEAST + 1
        assert room(directory, noisy) == many
        monkeypatch.setattr(upstream, "SLOW_S", -1.0)
        await answered(directory, 3)
        assert room(directory, noisy) == many - 3
        await answered(directory, 2 * many)
        assert (room(directory, noisy), room(directory, upstream.AT_LEAST)) == (upstream.AT_LEAST, many)
        monkeypatch.setattr(upstream, "SLOW_S", 60.0)
        await answered(directory, round(2 / upstream.QUICK))
        assert room(directory, noisy) == upstream.AT_LEAST + 2
        await answered(directory, round(many / upstream.QUICK))
        assert room(directory, noisy) == many
        directory.close()


async def ask_when_free(upstream_: Upstream, before: "asyncio.Task[bytes]") -> bytes:
    """Ask as soon as another has its answer."""
    await asyncio.wait([before])
    return await ask(upstream_)


async def test_a_body_on_its_way_a_stream_and_whoever_left_keep_no_place() -> None:
    async def leaves() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def stream(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: up\n")

    async with serving(read_on) as (_, (process,)):
        directory = Upstream("directory", [process.url], at_once=1)
        trickling = asyncio.create_task(Onward(scope("POST", content_length="9"), nobody, 9, []).asked(directory))
        while not process.asked:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        with pytest.raises(CallerLeft):
            await Onward(scope("GET"), leaves, LARGEST, []).asked(directory)
        process.behave = stream
        following = [await Onward(scope("GET"), nobody, LARGEST, []).asked(directory) for _ in range(2)]
        assert directory.working == 0
        for one in following:
            one.end()
        trickling.cancel()
        await asyncio.gather(trickling, return_exceptions=True)
        directory.close()
