"""Any order, doubling, delay and loss of deliveries: who consumes with `relais_client` ends where the referrals are.

The producer walks referrals at random while its receiver fails at random; what the receiver took reaches the consumer
in any order, twice, late or never. `RELAIS_EXAMPLES=500` walks longer than a submission does.
"""

import asyncio
import os
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
from api.referral.receiver import Message, Moment, receiving
from api.referral.test_webhooks import Desk
from api.referral.world import BODIES, BOTH, RECIPIENT, Asserted, Handover, if_match, opened
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from relais_client import AsyncRelais, Event, verify
from relais_local.databases import Access
from relais_shared.auth import Actor
from relais_shared.client import ASGITransport

EXAMPLES = int(os.environ.get("RELAIS_EXAMPLES", "5"))
CHOSEN = "RELAIS_EXAMPLES" not in os.environ
"""The same examples each time; a longer walk takes others. Asked here: the tests' home empties the environment."""
EXAMPLE_S = 20
"""An example takes two seconds; ten times as long on the busiest machine."""

pytestmark = pytest.mark.timeout(600 + EXAMPLES * EXAMPLE_S)

STEPS = 6
"""Steps of the producer in one example."""

ANSWERS = (204, 204, 204, 500, 503, 302, "reset")
"""What the receiver says; the first ones more often than each of the others."""


class Door(httpx.AsyncBaseTransport):
    """Stands for the gateway toward the client: gives any token, and vouches for the recipient."""

    def __init__(self, desk: Desk) -> None:
        self._inner = ASGITransport(desk.world.app)
        self._auth = Asserted(desk.world.gateway, Actor("client", "client:tool", RECIPIENT.id, RECIPIENT.name, BOTH))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request of the client."""
        if request.url.path == "/oauth2/token":
            return httpx.Response(200, json={"access_token": "any", "expires_in": 600})
        return await self._inner.handle_async_request(next(self._auth.auth_flow(request)))


@dataclass
class Cursor:
    """A bookmark in memory."""

    at: str | None = None

    def load(self) -> str | None:
        """Answer the cursor."""
        return self.at

    def save(self, cursor: str) -> None:
        """Keep the cursor."""
        self.at = cursor


@dataclass
class Consumer:
    """A partner's copy of its referrals, kept as docs/client.md says."""

    relais: AsyncRelais
    secret: str
    states: dict[str, str] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    cursor: Cursor = field(default_factory=Cursor)

    async def called(self, message: Message) -> None:
        """Take a webhook, which may have come before."""
        event = verify(message.body, message.headers, self.secret, now=float(message.headers["webhook-timestamp"]))
        if str(event.id) not in self.known:
            await self.take(event)
            self.known.add(str(event.id))

    async def take(self, event: Event) -> None:
        """Read the subject for how it stands now."""
        if event.type.startswith(("referral.", "consent.")):
            self.states[str(event.subject_id)] = (await self.relais.read_referral(event.subject_id)).state

    async def catch_up(self) -> None:
        """Ask the feed for what no webhook told."""
        await self.relais.consume(self.cursor, self.take)


async def a_step(handover: Handover, chance: random.Random) -> None:
    """Take a step that either side may take now, if there is one."""
    side = chance.choice([handover.sender, handover.recipient])
    seen = await side.get(handover.place)
    actions = [one for one in seen.json().get("allowed_actions", ()) if one not in {"redirect", "agree_by_phone"}]
    if not actions:
        return
    action = chance.choice(actions)
    answer = await side.post(f"{handover.place}/{action}", headers=if_match(seen), json=BODIES[action])
    assert answer.status_code == 200, (action, answer.text)


async def walked(desk: Desk, consumer: Consumer, seed: int, *, lossy: bool) -> None:
    """Walk one example.

    Args:
        desk: The producer, its receiver and the clock.
        consumer: New.
        seed: Decides everything.
        lossy: Deliveries may never reach the consumer, which then asks the feed in the end; else all do, some day.
    """
    chance = random.Random(seed)  # noqa: S311 - examples, not secrets
    handovers = [await desk.proposed() for _ in range(2)]
    bag: list[Message] = []
    for _ in range(STEPS):
        await a_step(chance.choice(handovers), chance)
        desk.receiver.answers = [chance.choice(ANSWERS) for _ in range(3)]
        await desk.send()
        desk.moment.now += timedelta(seconds=chance.choice([0, 6, 400]))
        bag += _taken(desk)
        chance.shuffle(bag)
        for message in [bag.pop() for _ in range(chance.randrange(len(bag) + 1))]:
            if not lossy or chance.random() < 0.7:
                await consumer.called(message)
            if chance.random() < 0.3:
                bag.append(message)
    desk.receiver.answers = []
    await desk.until(desk.moment.now + timedelta(days=1))
    bag += _taken(desk)
    chance.shuffle(bag)
    for message in bag[: chance.randrange(len(bag) + 1)] if lossy else bag:
        await consumer.called(message)
    if lossy:
        await consumer.catch_up()
    for one in handovers:
        there = (await one.recipient.get(one.place)).json()["state"]
        assert consumer.states[one.id] == there, seed


def _taken(desk: Desk) -> list[Message]:
    """Answer what the receiver took since the last look; what it answered with an error came all the same."""
    found, desk.receiver.asked = desk.receiver.asked, []
    return found


def test_whatever_becomes_of_deliveries_the_consumer_ends_where_the_producer_is(
    home: Any, fresh_database: Callable[[str], Access]
) -> None:
    del home
    with asyncio.Runner() as runner:
        held = AsyncExitStack()

        async def begin() -> Desk:
            moment = Moment()
            world = await held.enter_async_context(opened(fresh_database("referral")))
            receiver = await held.enter_async_context(receiving(moment))
            world.app.state.clock = moment
            return Desk(world, moment, receiver)

        desk = runner.run(begin())
        endpoint = runner.run(desk.register(RECIPIENT))
        # It checks the signature itself, with the client; the receiver's own library would refuse old messages.
        desk.receiver.secrets = []
        relais = AsyncRelais("http://localhost", "id", "secret", transport=Door(desk))
        consumers: list[Consumer] = []

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=CHOSEN,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),
            print_blob=True,
        )
        @given(st.integers(0, 2**32), st.booleans())
        def one_example(seed: int, lossy: bool) -> None:  # noqa: FBT001 - drawn
            cursor = Cursor(consumers[-1].cursor.at if consumers else None)
            consumers.append(Consumer(relais, endpoint["secret"], cursor=cursor))
            runner.run(walked(desk, consumers[-1], seed, lossy=lossy))

        try:
            one_example()
        finally:
            runner.run(relais.close())
            runner.run(desk.outside.close())
            runner.run(held.aclose())
    assert len(consumers) >= EXAMPLES
