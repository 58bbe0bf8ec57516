"""A partner's system is told what happens, in the three ways there are, by the whole of Relais.

Ben's case tool registers a receiver and opens a stream. Ana hands a person over to him; his tool is called and reads in
the stream the same events, and finds them in the feed afterwards. When a nursery tells its open places, that comes too.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Empty, Queue
from typing import Any

import httpx
import pytest
from journeys.test_one_handover import FAMILY, GIVEN, PHONE, WORDS, a_service_of, consented, opened
from standardwebhooks.webhooks import Webhook
from support.stack import Stack, if_match

WITHIN_S = 60
"""A busy machine; what is waited for takes well under a second on an idle one."""

Called = tuple[dict[str, str], bytes]


@contextmanager
def receiving() -> Iterator[tuple[str, Queue[Called]]]:
    """Run a partner's receiver on this machine; answer its address and what it was called with."""
    called: Queue[Called] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Take a message."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            called.put(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/in", called
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(name="receiver")
def _receiver() -> Iterator[tuple[str, Queue[Called]]]:
    with receiving() as found:
        yield found


def next_event(lines: Iterator[str], subject_id: str) -> dict[str, Any]:
    """Answer the next event of a subject out of a stream."""
    for line in lines:
        if line.startswith("data: "):
            told: dict[str, Any] = json.loads(line.removeprefix("data: "))
            if told["subject_id"] == subject_id:
                return told
    raise EOFError


def told_of_places(owner: httpx.Client, service_id: str, called: Queue[Called]) -> Called:
    """Tell open places until a receiver hears of it: what was told before the directory is followed is only learnt."""
    for available in range(WITHIN_S):
        answer = owner.put(f"/v1/directory/services/{service_id}/capacity", json={"available": available})
        assert answer.status_code == 200, answer.text
        with suppress(Empty):
            return called.get(timeout=5)
    raise EOFError


def test_a_partner_is_told_in_three_ways(stack: Stack, receiver: tuple[str, Queue[Called]]) -> None:
    url, called = receiver
    ben_client = stack.clients("referral:receive", "webhook:manage", "directory:capacity")[0]
    ana_client = next(one for one in stack.clients("referral:send", "directory:read") if one != ben_client)
    with stack.api(ana_client) as ana, stack.api(ben_client) as ben:
        wanted = {"url": url, "types": ["referral.proposed", "referral.accepted", "capacity.changed"]}
        made = ben.post("/v1/webhooks", json=wanted).json()
        service = a_service_of(ana, ben_client["organisation_id"])
        referral = opened(ana, service).json()["id"]
        assert consented(ana, referral, "identity", "contact", "needs").status_code == 201
        place = f"/v1/referrals/{referral}"
        with ben.stream("GET", "/v1/events/stream", timeout=httpx.Timeout(WITHIN_S)) as stream:
            assert stream.status_code == 200
            lines = stream.iter_lines()
            proposed = ana.post(f"{place}/propose", headers=if_match(ana.get(place)))
            streamed = [next_event(lines, referral)]
            accepted = ben.post(
                f"{place}/accept", headers=if_match(ben.get(place)), json={"counsellor": {"name": "Ben Noel"}}
            )
            assert accepted.status_code == 200, accepted.text
            streamed.append(next_event(lines, referral))
        taken = [called.get(timeout=WITHIN_S) for _ in range(2)]
        told = [Webhook(made["secret"]).verify(body, headers)["data"] for headers, body in taken]
        assert told == streamed
        # One trace, from the door through the step to the receiver.
        traces = [headers["traceparent"].split("-")[1] for headers, _ in taken]
        assert traces == [one.headers["traceresponse"].split("-")[1] for one in (proposed, accepted)]
        assert [one["type"] for one in told] == ["referral.proposed", "referral.accepted"]
        assert told[0]["subject"] == f"{stack.base_url}{place}"
        assert ben.get(told[0]["subject"]).json()["state"] == "accepted"
        feed = ben.get("/v1/events", params={"type": ["referral.proposed", "referral.accepted"], "limit": 1_000}).json()
        assert [one for one in feed["items"] if one["subject_id"] == referral] == told
        said = json.dumps(feed) + str(taken)
        assert not any(hers in said for hers in (GIVEN, FAMILY, PHONE, WORDS, "Ana Lopes", "Ben Noel"))

        service_id = service["service"]["id"]
        headers, body = told_of_places(ben, service_id, called)
        change = Webhook(made["secret"]).verify(body, headers)["data"]
        assert (change["type"], change["subject_id"]) == ("capacity.changed", service_id)
        assert ana.get(change["subject"]).status_code == 200
        assert ben.delete(f"/v1/webhooks/{made['id']}").status_code == 204
