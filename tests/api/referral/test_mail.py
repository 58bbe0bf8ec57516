"""E-mail to counsellors, taken by a real server: a link, nothing of hers, once, when and to whom it may."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from api.referral.world import (
    BOTH,
    HERS,
    RECIPIENT,
    SENDER,
    SENSITIVE,
    Asserted,
    World,
    problem,
)
from sqlalchemy import text
from starlette.types import Receive, Scope, Send
from support.stack import free_ports

from relais_referral import store
from relais_referral.actions.mailing import Mailer, bounce
from relais_referral.colleagues import Colleagues
from relais_referral.rewrapping import WORKER
from relais_shared.auth import Actor
from relais_shared.client import ASGITransport, open_client

pytestmark = pytest.mark.anyio

LEA, BEN = "lea@creche.example", "ben@creche.example"


@dataclass
class Post:
    """A mail server, with what it took; it may refuse."""

    port: int = 0
    taken: list[Envelope] = field(default_factory=list)
    answer: str = "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take or refuse an addressee."""
        if self.answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.answer

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - the same
        """Take a message."""
        self.taken.append(envelope)
        return "250 OK"

    def letters(self) -> list[tuple[str, EmailMessage]]:
        """Answer what came since the last look: to whom, and the message."""
        found, self.taken = self.taken, []
        parsed = [message_from_bytes(bytes(one.content or b""), policy=policy.default) for one in found]
        return [(one.rcpt_tos[0], message) for one, message in zip(found, parsed, strict=True)]  # type: ignore[misc]  # policy.default makes EmailMessage


@contextmanager
def posting() -> Iterator[Post]:
    """Run a mail server."""
    post = Post()
    post.port = free_ports(1)[0]  # aiosmtpd asks itself at the port that it was given: 0 is none.
    server = Controller(post, hostname="127.0.0.1", port=post.port)
    server.start()
    yield post
    server.stop()


@pytest.fixture(name="post")
def _post() -> Iterator[Post]:
    with posting() as post:
        yield post


@dataclass
class Desk:
    """A mailer at work on a world, its clock ours, and the colleagues that the gateway knows."""

    world: World
    post: Post
    mailer: Mailer
    colleagues: list[dict[str, Any]]
    now: datetime = datetime(2026, 11, 30, 10, 0, tzinfo=UTC)

    async def told(self, *, after: timedelta = timedelta(0)) -> list[tuple[str, EmailMessage]]:
        """Let the worker tell; answer the letters that came."""
        self.now += after
        await self.world.sequenced()
        await self.mailer.round()
        return self.post.letters()


def colleague(email: str, *, leads: bool = False, **more: Any) -> dict[str, Any]:
    """Answer a colleague of the recipient as the gateway tells of her."""
    usual = {"id": str(uuid4()), "organisation_id": str(RECIPIENT.id), "email": email, "receives": True}
    return {**usual, "teams": ["t"], "leads": ["t"] if leads else [], **more}


@pytest.fixture(name="desk")
async def _desk(fresh: World, post: Post) -> AsyncIterator[Desk]:
    state = fresh.app.state
    colleagues = [colleague(LEA, leads=True), colleague(BEN)]

    async def gateway(scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        assert scope["path"] == "/internal/colleagues"
        body = json.dumps({"items": colleagues}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})

    settings = state.settings.model_copy(
        update={"smtp_host": "127.0.0.1", "smtp_port": post.port, "smtp_security": "none"}
    )
    client = open_client("http://gateway", transport=ASGITransport(gateway))
    asked = Colleagues(client, state.keyring)
    state.colleagues = asked
    desk = Desk(fresh, post, Mailer(state.database, settings, asked, lambda: desk.now), colleagues)
    assert await desk.told() == []  # From here on: what was before is nobody's news.
    yield desk
    await client.aclose()


async def kept(world: World) -> list[tuple[Any, ...]]:
    """Answer what the table of notices holds."""
    async with world.app.state.database.write() as tx:
        await store.callers.begin(tx, WORKER)
        rows = await tx.execute(text("select party, state, attempts from mail order by at, party"))
        return [tuple(row) for row in rows]


def hers_in(message: EmailMessage) -> list[str]:
    """Answer what of hers, of the theme or of the service stands in a message, its headers included."""
    whole = message.as_string() + message.get_content()
    return [word for word in (*HERS, "childcare", "Accueil", "support--health", "Abri") if word in whole]


async def test_each_side_is_told_of_the_others_steps_by_a_link_and_nothing_of_hers(desk: Desk) -> None:
    handover = await desk.world.between(SENDER, RECIPIENT).proposed()
    [(to, letter)] = await desk.told()
    assert to == LEA  # The desk: who leads a team there.
    assert hers_in(letter) == []
    assert f"/relais/{handover.id}" in letter.get_content()
    assert letter["Auto-Submitted"] == "auto-generated"
    assert (letter["Subject"], letter["Content-Language"]) == ("Relais : du nouveau", "fr")

    await handover.walk("r.accept", "r.plan_meeting")
    [(to, letter)] = await desk.told()
    assert to == "ana@depart.example"  # Whom the sender's software named; both steps in one letter.
    assert letter.get_content().count(f"/relais/{handover.id}") == 2
    assert hers_in(letter) == []
    assert await desk.told() == []

    await desk.world.tell_registry(2, **{SENDER.name: {"launch_base": "https://outil.example/ouvrir"}})
    await handover.walk("r.replan")
    [(_, letter)] = await desk.told()
    assert f"https://outil.example/ouvrir?referral={handover.id}" in letter.get_content()


async def test_of_a_sensitive_service_no_word_more_is_said(desk: Desk) -> None:
    handover = desk.world.between(SENDER, SENSITIVE)
    await handover.open(needs=[{"theme": "support--health", "words": "des soins"}])
    await handover.agree(article_9_basis="explicit consent (art. 9.2.a)", seen_alone="yes")
    await handover.walk("propose")
    desk.colleagues.append(colleague("x@abri.example", organisation_id=str(SENSITIVE.id)))
    desk.now += timedelta(minutes=2)
    letters = await desk.told()
    assert [to for to, _ in letters] == ["x@abri.example"]
    assert hers_in(letters[0][1]) == []


async def test_an_absence_is_respected_and_quiet_hours_and_digests(desk: Desk) -> None:
    lea, ben = desk.colleagues
    ben |= {"language": "nl"}
    lea |= {"deputy_id": ben["id"], "begins_on": "2026-11-30", "ends_on": "2026-11-30"}
    desk.now += timedelta(minutes=2)
    await desk.world.between(SENDER, RECIPIENT).proposed()
    [(to, letter)] = await desk.told()
    assert to == BEN
    # In the language that she reads; nobody knows of Léa's, nor of one whom a partner's software named.
    assert (letter["Subject"], letter["Content-Language"]) == ("Relais: nieuws", "nl")
    assert "wordt u voorgesteld" in letter.get_content()
    assert hers_in(letter) == []

    evening = timedelta(hours=9)  # 20:00 there: she is back tomorrow, and nothing leaves before 7.
    await desk.world.between(SENDER, RECIPIENT).proposed()
    assert await desk.told(after=evening) == []
    await desk.world.between(SENDER, RECIPIENT).proposed()
    assert await desk.told() == []
    assert len(await desk.told(after=timedelta(hours=12))) == 1


def as_user(world: World, colleague: dict[str, Any]) -> Any:
    """Answer a client of somebody who signs in."""
    id_ = UUID(colleague["id"])
    return world.anonymous(
        Asserted(world.gateway, Actor("user", f"user:{id_}", RECIPIENT.id, RECIPIENT.name, BOTH, user_id=id_))
    )


async def test_she_chooses_herself_and_every_letter_can_end_it(desk: Desk) -> None:
    lea = as_user(desk.world, desk.colleagues[0])
    assert (await lea.get("/v1/mailboxes/mine")).json()["mode"] == "at_once"
    assert problem(await desk.world.as_(RECIPIENT).get("/v1/mailboxes/mine")) == (404, "not-found")
    offset = await lea.put("/v1/mailboxes/mine", json={"quiet_from": "19:00:00+02:00"})
    assert problem(offset) == (422, "invalid-input")
    chosen = await lea.put("/v1/mailboxes/mine", json={"mode": "daily"})
    assert chosen.status_code == 200, chosen.text

    for _ in range(2):
        await desk.world.between(SENDER, RECIPIENT).proposed()
    desk.now = datetime.now(UTC)
    assert await desk.told() == []
    [(to, letter)] = await desk.told(after=timedelta(days=1))
    assert to == LEA
    assert letter.get_content().count("/relais/") == 2

    link = letter["List-Unsubscribe"].strip("<>").partition("/v1/")[2]
    nobody = desk.world.anonymous()
    for spoken, button in {"nl-BE,nl;q=0.9,fr;q=0.5": "Ja, stoppen", "it": "Oui, arrêter"}.items():
        asked = await nobody.get(f"/v1/{link}", headers={"Accept-Language": spoken})
        assert (asked.status_code, button in asked.text) == (200, True)
    assert (await lea.get("/v1/mailboxes/mine")).json()["mode"] == "daily"  # Reading it changes nothing.
    assert (await nobody.post(f"/v1/{link}")).status_code == 204
    assert (await lea.get("/v1/mailboxes/mine")).json()["mode"] == "never"
    assert problem(await nobody.post(f"/v1/{link[:-3]}abc"))[0] == 422
    await desk.world.between(SENDER, RECIPIENT).proposed()
    assert await desk.told(after=timedelta(days=2)) == []
    assert (await kept(desk.world))[-1][1] == "dropped"


async def test_a_server_that_is_away_is_tried_again_and_a_mailbox_that_is_gone_is_not(desk: Desk) -> None:
    await desk.world.between(SENDER, RECIPIENT).proposed()
    desk.post.answer = "451 later"
    assert await desk.told() == []
    assert await kept(desk.world) == [("recipient", "waiting", 1)]
    desk.post.answer = "250 OK"
    assert await desk.told() == []  # Not at once.
    assert len(await desk.told(after=timedelta(minutes=6))) == 1

    desk.post.answer = "550 nobody here"
    await desk.world.between(SENDER, RECIPIENT).proposed()
    assert await desk.told() == []
    assert (await kept(desk.world))[-1] == ("recipient", "bounced", 1)
    desk.post.answer = "250 OK"
    await desk.world.between(SENDER, RECIPIENT).proposed()
    assert await desk.told() == []
    lea = as_user(desk.world, desk.colleagues[0])
    assert (await lea.get("/v1/mailboxes/mine")).json()["bouncing"] is True
    await lea.put("/v1/mailboxes/mine", json={"mode": "at_once"})
    await desk.world.between(SENDER, RECIPIENT).proposed()
    assert len(await desk.told()) == 1


async def test_what_comes_back_later_names_its_letter_and_cannot_be_made_up(desk: Desk) -> None:
    await desk.world.between(SENDER, RECIPIENT).proposed()
    await desk.world.sequenced()
    await desk.mailer.round()
    [envelope] = desk.post.taken
    state = desk.world.app.state
    came_back_to = str(envelope.mail_from)
    assert came_back_to.startswith("relais-bounce+")
    forged = came_back_to.replace("-", "-0", 2)
    assert not await bounce(state.database, state.settings, forged, desk.now)
    assert await bounce(state.database, state.settings, came_back_to, desk.now)
    assert [state for _, state, _ in await kept(desk.world)] == ["bounced"]


async def test_no_header_can_be_slipped_in_and_no_right_means_no_letter(desk: Desk) -> None:
    desk.colleagues[0]["email"] = "lea@creche.example\r\nBcc: all@evil.example"
    desk.now += timedelta(minutes=2)
    await desk.world.between(SENDER, RECIPIENT).proposed()
    assert await desk.told() == []
    assert (await kept(desk.world))[-1][1] == "bounced"

    desk.colleagues[0]["email"] = LEA
    desk.now += timedelta(minutes=2)
    await desk.world.between(SENDER, RECIPIENT).proposed()
    await desk.world.tell_registry(2, **{RECIPIENT.name: {"scopes": ["referral:send"]}})
    assert await desk.told() == []
    assert (await kept(desk.world))[-1][1] == "dropped"
