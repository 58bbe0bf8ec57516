"""A right is taken away while a stream is open and deliveries run: a second later nothing of referrals leaves."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import Empty, Queue
from typing import Any

import httpx
from journeys.test_events import Called, receiving
from journeys.test_one_handover import a_service_of, consented, opened
from support.stack import Stack, if_match

WITHIN_S = 1.0
"""What is promised."""
STILL_S = 0.2
"""Where the machine stood still for so long, its watch says nothing about a second."""
GOES = 3
"""So often at most is it tried, and only where the machine stood still."""
SCOPES = ("referral:receive", "referral:send")


@dataclass
class Rush:
    """Messages are written on and on, and the other side hears of them by a stream and by a webhook."""

    ana: httpx.Client
    ben: httpx.Client
    id: str
    called: Queue[Called]
    streamed: list[float] = field(default_factory=list)
    delivered: list[float] = field(default_factory=list)
    written: list[float] = field(default_factory=list)
    still_s: float = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Note how long the machine stood still at most: whoever sleeps for a moment wakes late then."""
        while not self.stop.is_set():
            before = time.monotonic()
            time.sleep(0.02)
            self.still_s = max(self.still_s, time.monotonic() - before - 0.02)

    def follow(self) -> None:
        """Note when each event comes in the stream; it ends when it is cut."""
        with suppress(httpx.HTTPError), self.ben.stream("GET", "/v1/events/stream", timeout=30) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: ") and self.id in line:
                    self.streamed.append(time.monotonic())
                if self.stop.is_set():
                    return

    def take(self) -> None:
        """Note when each webhook comes."""
        while not self.stop.is_set():
            with suppress(Empty):
                _, body = self.called.get(timeout=0.1)
                if self.id.encode() in body:
                    self.delivered.append(time.monotonic())

    def write(self) -> None:
        """Write a message, again and again."""
        while not self.stop.is_set():
            self.ana.post(f"/v1/referrals/{self.id}/messages", json={"words": "Elle vient lundi."})
            self.written.append(time.monotonic())
            time.sleep(0.05)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Do all of it beside."""
        beside = (self.follow, self.take, self.write, self.watch)
        threads = [threading.Thread(target=work, daemon=True) for work in beside]
        for one in threads:
            one.start()
        try:
            yield
        finally:
            self.stop.set()
            for one in threads:
                one.join(timeout=60)


def test_a_second_after_a_right_was_taken_away_nothing_of_referrals_leaves(stack: Stack) -> None:
    ben_client = stack.clients("referral:receive", "webhook:manage")[0]
    ana_client = next(one for one in stack.clients("referral:send", "directory:read") if one != ben_client)
    with (
        stack.api(ana_client) as ana,
        stack.api(ben_client) as ben,
        stack.api(stack.clients("platform:admin")[0]) as operator,
        receiving() as (url, called),
    ):
        id_ = opened(ana, a_service_of(ana, ben_client["organisation_id"])).json()["id"]
        place = f"/v1/referrals/{id_}"
        assert consented(ana, id_, "identity", "contact", "needs").status_code == 201
        ana.post(f"{place}/propose", headers=if_match(ana.get(place)), json={})
        accepted = ben.post(f"{place}/accept", headers=if_match(ben.get(place)), json={"counsellor": {"name": "Ben"}})
        assert accepted.status_code == 200, accepted.text
        endpoint = ben.post("/v1/webhooks", json={"url": url, "types": ["referral.message"]}).json()["id"]
        try:
            for _ in range(GOES):
                rush = Rush(ana, ben, id_, called)
                late = _removed_and_given_back(stack, operator, ben_client, rush)
                if not late or rush.still_s < STILL_S:
                    break
        finally:
            ben.delete(f"/v1/webhooks/{endpoint}")
    assert late == []


def _removed_and_given_back(stack: Stack, operator: httpx.Client, client: dict[str, Any], rush: Rush) -> list[float]:
    """Take the right away amid a rush, give it back; answer how long after the removal what came too late did."""
    grants = f"/v1/organisations/{client['organisation_id']}/grants"
    try:
        with rush.running():
            until = time.monotonic() + 60
            while time.monotonic() < until and not (len(rush.streamed) > 2 and len(rush.delivered) > 2):
                time.sleep(0.05)
            for scope in SCOPES:
                assert operator.delete(f"{grants}/{scope}").status_code == 204
            removed, rush.still_s = time.monotonic(), 0
            # Longer than is promised: whatever leaves in it leaves too late.
            time.sleep(4 * WITHIN_S)
    finally:
        for scope in SCOPES:
            assert operator.put(f"{grants}/{scope}", json={}).status_code == 204
        stack.wait_until_granted(client, *SCOPES)
    assert sum(at > removed + WITHIN_S for at in rush.written) > 2
    assert len(rush.streamed) > 2
    assert len(rush.delivered) > 2
    return [at - removed for at in rush.streamed + rush.delivered if at > removed + WITHIN_S]
