"""`kill -9` of a service in the middle of a hand-over: the step is whole or did not happen; it can be repeated."""

import os
import signal
import threading
import time
from pathlib import Path

import httpx
import pytest
from journeys.test_one_handover import a_service_of, consented, opened
from support.stack import Stack, if_match

AFTER_S = (0.0, 0.002, 0.006, 0.015)
"""Moments of the step at which its service is killed: from before it arrives to after its commit."""

BACK_WITHIN_S = 120
"""It takes some three seconds; a busy machine gets two minutes."""


@pytest.fixture(name="own", scope="module")
def _own(tmp_path_factory: pytest.TempPathFactory):  # noqa: ANN202 - a generator fixture
    """Run a Relais of our own: the journeys' one shall not be killed under them."""
    running = Stack.start(tmp_path_factory.mktemp("killed") / "home")
    yield running
    assert running.stop() == 0


@pytest.mark.parametrize("service", ["referral", "gateway", "directory"])
@pytest.mark.parametrize("after_s", AFTER_S)
def test_a_step_is_whole_or_did_not_happen(own: Stack, service: str, after_s: float) -> None:
    one, two = own.clients("directory:read", "referral:send", "referral:receive")[:2]
    with own.api(one) as ana, own.api(two) as ben:
        draft = opened(ana, a_service_of(ana, two["organisation_id"]))
        place = f"/v1/referrals/{draft.json()['id']}"
        assert consented(ana, draft.json()["id"], "identity", "contact", "needs").status_code == 201
        ana.post(f"{place}/propose", headers=if_match(ana.get(place)), json={})
        seen = ben.get(place)
        body = {"counsellor": {"name": "Ben Noël"}}

        (victim,) = own.pids_of(service)
        killer = threading.Timer(after_s, os.kill, (victim, signal.SIGKILL))
        killer.start()
        try:
            said: int | None = ben.post(f"{place}/accept", headers=if_match(seen), json=body).status_code
        except httpx.HTTPError:
            said = None
        killer.join()
        back(own, service, victim)

        found = ben.get(place)
        assert found.status_code == 200, found.text
        state = found.json()["state"]
        assert state in {"proposed", "accepted"}
        if said == 200:
            assert state == "accepted"
        # The step is repeated as a careful client does it: with what it read, then with what it finds.
        again = ben.post(f"{place}/accept", headers=if_match(seen), json=body)
        assert again.status_code == (200 if state == "proposed" else 412), again.text
        assert ben.get(place).json()["state"] == "accepted"
        events = [event["type"] for event in ben.get(f"{place}/events").json()["items"]]
        assert events.count("referral.accepted") == 1
        assert events.count("referral.proposed") == 1


def back(stack: Stack, service: str, victim: int) -> None:
    """Wait until the supervisor has brought a killed service back and the gateway reaches it."""
    until = time.monotonic() + BACK_WITHIN_S
    while time.monotonic() < until:
        if stack.pids_of(service) not in ([], [victim]):
            try:
                if httpx.get(f"{stack.base_url}/readyz", timeout=5).is_success:
                    return
            except httpx.HTTPError:
                pass
        time.sleep(0.05)
    pytest.fail(f"{service} did not come back:\n{Path(stack.home / 'up.out').read_text()[-2000:]}")
