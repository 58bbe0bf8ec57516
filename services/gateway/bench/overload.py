"""A search at the rates that are promised, and at five times what the door can bear: who waits, who is told to.

Calls arrive at fixed instants, whether the ones before are answered or not, and a call's time runs from the instant at
which it should have begun: a server that stalls is not spared the calls that it kept from being made.
"""

import asyncio
import gc
import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import httpx
from joserfc.jwk import OKPKey
from support.measuring import Result, rate
from support.stack import Stack

from relais_gateway.exchange import Header, UpstreamDown, request_head
from relais_gateway.upstream import Instance
from relais_shared.auth import Actor, Keyring

OK = 200
REFUSED = frozenset({429, 503})

DIRECT_PER_S, DIRECT_MS = 100, 100.0
THROUGH_PER_S, THROUGH_MS = 60, 250.0
REFUSED_MS = 100.0
TIMES = 5
"""How much more comes than it can bear."""
BACK_WITHIN_S = 10
QUIET_PER_S = 20
"""What another organisation calls meanwhile."""
BOUND = {"per_second": 100, "burst": 200, "at_once": 32}
"""What an organisation may where nothing is said: the rest of the bench is bound by nothing."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call: when it should have begun (seconds), how late it was, how long it took, what came back (0: nothing)."""

    at_s: float
    late_ms: float
    took_ms: float
    status: int
    says_when: bool


async def arriving(
    url: str, targets: Sequence[bytes], headers: Sequence[Header], per_s: float, seconds: float
) -> list[Call]:
    """Call at fixed instants; answer what came back, in the order of the instants."""
    server = Instance("bench", url)
    loop = asyncio.get_running_loop()
    began = loop.time() + 0.1

    async def call(number: int) -> Call:
        at_s = number / per_s
        late_ms = (loop.time() - began - at_s) * 1000
        exchange = None
        status, says_when = 0, False
        try:
            exchange = await server.take()
            target = targets[number % len(targets)]
            exchange.begin(request_head("GET", target, [(b"host", server.authority), *headers]))
            await exchange.head()
            status, says_when = exchange.status, any(name == b"retry-after" for name, _ in exchange.headers)
            async for _ in exchange.body():
                pass
        except UpstreamDown:
            status = 0
        finally:
            if exchange is not None:
                server.give_back(exchange)
        return Call(at_s, late_ms, (loop.time() - began - at_s) * 1000, status, says_when)

    calls = []
    for number in range(round(per_s * seconds)):
        early_s = began + number / per_s - loop.time()
        if early_s > 0:
            await asyncio.sleep(early_s)
        calls.append(asyncio.create_task(call(number)))
    found = await asyncio.gather(*calls)
    server.close()
    return found


def percentile(calls: Sequence[Call], share: float) -> float:
    """Answer what a share of the calls took at most, in milliseconds; nothing took no time."""
    took = sorted(one.took_ms for one in calls)
    return took[min(len(took) - 1, ceil(share * len(took)) - 1)] if took else 0.0


def back_s(calls: Sequence[Call], usual: Sequence[Call]) -> int:
    """Answer the second from which on all is as usual: nobody refused, the median not twice as long."""
    bound_ms = 2 * percentile(usual, 0.5)
    seconds: dict[int, list[Call]] = {}
    for one in calls:
        seconds.setdefault(int(one.at_s), []).append(one)
    unusual = [
        second
        for second, those in seconds.items()
        if any(one.status != OK for one in those) or percentile(those, 0.5) > bound_ms
    ]
    return max(unusual) + 1 if unusual else 0


# ── the parts ──────────────────────────────────────────────────────────────────────────────────────────────────


def _most(  # noqa: PLR0913 - the parts of a row
    name: str, ours: float, theirs: float, times: float, unit: str, calls: int, *, holds: bool = True
) -> Result:
    """Answer a row of a bound: ours is at most so many times theirs, and whatever else was asked for is so."""
    ratio = ours / theirs if theirs else float(ours > 0)
    return Result(name, round(ours, 1), round(theirs, 1), round(ratio, 2), times, holds and ratio <= times, unit, calls)


def _told(name: str, calls: Sequence[Call]) -> None:
    counts = {status: sum(one.status == status for one in calls) for status in sorted({one.status for one in calls})}
    let_in = [one for one in calls if one.status == OK]
    shares = ", ".join(f"p{share * 100:.0f} {percentile(let_in, share):.0f} ms" for share in (0.5, 0.95, 0.99))
    late_ms = sorted(one.late_ms for one in calls)[int(0.95 * len(calls))]
    print(f"{name}: {counts}; let in: {shares}; the bench itself was late by {late_ms:.0f} ms (p95)")


async def measured(stack: Stack, targets: Sequence[bytes], seconds: float) -> list[Result]:
    """Measure a whole Relais: the promised rates, five times its capacity, the time after, one noisy organisation."""
    # Thousands of tasks are nothing to collect: a pass over all of them would be waited for by every call.
    gc.disable()
    ours, other = _two_organisations(stack)
    outside = [(b"authorization", f"Bearer {stack.token(ours)}".encode())]
    beside = [(b"authorization", f"Bearer {stack.token(other)}".encode())]
    direct = f"http://127.0.0.1:{stack.ports['directory']}"
    await rate(stack.base_url, targets, outside, 2)
    results = []

    calls = await arriving(direct, targets, _inside(stack), DIRECT_PER_S, seconds)
    _told(f"direct, {DIRECT_PER_S} a second", calls)
    results.append(_promised(f"direct, {DIRECT_PER_S} a second, p99 / {DIRECT_MS:.0f} ms", calls, DIRECT_MS))

    usual = await arriving(stack.base_url, targets, outside, THROUGH_PER_S, seconds)
    _told(f"through the gateway, {THROUGH_PER_S} a second", usual)
    name = f"through the gateway, {THROUGH_PER_S} a second, p99 / {THROUGH_MS:.0f} ms"
    results.append(_promised(name, usual, THROUGH_MS))

    capacity = await rate(stack.base_url, targets, outside)
    print(f"capacity: {capacity:.0f} a second")
    flood = await arriving(stack.base_url, targets, outside, TIMES * capacity, seconds)
    after = await arriving(stack.base_url, targets, outside, THROUGH_PER_S, BACK_WITHIN_S + 2)
    _told(f"{TIMES} times its capacity", flood)
    results += _borne(flood, usual, capacity, seconds)
    results.append(_most("overload: as before after / 10 s", back_s(after, usual), BACK_WITHIN_S, 1.0, "s", len(after)))

    await _bind(stack, ours)
    noisy, quiet = await asyncio.gather(
        arriving(stack.base_url, targets, outside, TIMES * capacity, seconds),
        arriving(stack.base_url, targets, beside, QUIET_PER_S, seconds),
    )
    _told("one organisation alone calls as much", noisy)
    _told(f"another meanwhile, {QUIET_PER_S} a second", quiet)
    refused = [one for one in noisy if one.status in REFUSED]
    results += [
        _refusals("a noisy organisation's refusals, p95 / 100 ms", noisy, refused),
        _promised(f"another meanwhile, p99 / {2 * THROUGH_MS:.0f} ms", quiet, 2 * THROUGH_MS),
    ]
    gc.enable()
    return results


def _two_organisations(stack: Stack) -> tuple[dict[str, Any], dict[str, Any]]:
    ours, *others = stack.clients("directory:read")
    return ours, next(one for one in others if one["organisation_id"] != ours["organisation_id"])


def _inside(stack: Stack) -> list[Header]:
    """Answer what the directory is shown by the gateway; it lives a minute."""
    key = OKPKey.import_key(json.loads((stack.home / "keys" / "gateway.jwk").read_text()))
    actor = Actor("client", "client:bench", scopes=frozenset({"directory:read"}))
    return [(b"authorization", f"Bearer {Keyring('gateway', key, {}).sign('directory', actor)}".encode())]


def _promised(name: str, calls: Sequence[Call], most_ms: float) -> Result:
    """Answer the row of a rate that is borne: everybody is answered, in time."""
    wrong = sum(one.status != OK for one in calls)
    return _most(name, percentile(calls, 0.99), most_ms, 1.0, "ms", len(calls), holds=not wrong)


def _refusals(name: str, calls: Sequence[Call], refused: Sequence[Call]) -> Result:
    """Answer the row of refusals: quick, each says when to come back, and nobody is left without an answer."""
    whole = all(one.status == OK or (one.status in REFUSED and one.says_when) for one in calls)
    return _most(name, percentile(refused, 0.95), REFUSED_MS, 1.0, "ms", len(refused), holds=whole and bool(refused))


def _borne(flood: Sequence[Call], usual: Sequence[Call], capacity: float, seconds: float) -> list[Result]:
    let_in = [one for one in flood if one.status == OK]
    refused = [one for one in flood if one.status in REFUSED]
    p99_ms = percentile(let_in, 0.99)
    done = len(let_in) / seconds
    return [
        _refusals("overload: refusals, p95 / 100 ms", flood, refused),
        _most("overload: let in, p99 / twice 250 ms", p99_ms, 2 * THROUGH_MS, 1.0, "ms", len(let_in)),
        _most("overload: let in, p99 / usual p99", p99_ms, percentile(usual, 0.99), 2.0, "ms", len(let_in)),
        Result("overload: let in / capacity", round(done), round(capacity), round(done / capacity, 2), None, True,
               "req/s", len(let_in)),
    ]  # fmt: skip


async def _bind(stack: Stack, client: dict[str, Any]) -> None:
    """Give an organisation the bounds that count where nothing is said, and wait until they do."""
    headers = {"Authorization": f"Bearer {stack.token(stack.clients('platform:admin')[0])}"}
    own = {"Authorization": f"Bearer {stack.token(client)}"}
    async with httpx.AsyncClient(base_url=stack.base_url) as asking, asyncio.timeout(10):
        path = f"/v1/organisations/{client['organisation_id']}/limits"
        answer = await asking.put(path, json=BOUND, headers=headers)
        assert answer.is_success, answer.text
        policy = ""
        while f"q={BOUND['burst']};" not in policy:
            policy = (await asking.get("/v1/directory/themes", headers=own)).headers["ratelimit-policy"]
            await asyncio.sleep(0.1)
