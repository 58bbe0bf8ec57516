"""A person nobody knows goes through every step; then every trace, log, metric and table is searched for her."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from queue import Empty
from typing import Any

import httpx
import pytest
from api.referral.test_mail import Post, posting
from journeys.test_events import Called, receiving
from journeys.test_one_handover import a_service_of, consented
from support.rows import owner_dsn, tables
from support.stack import Stack, if_match, key

GIVEN, FAMILY, PHONE, DIGITS = "Zoécanari", "Quetzalcoatl", "0499 87 65 43", "499876543"
MAIL, WORDS, NOTE = "zoe@canari.example", "berceau pour jumeaux gribouillants", "attend le facteur zinzolin"
Journey = tuple[str, list[str], list[httpx.Response], datetime]
CANARIES = (GIVEN, FAMILY, PHONE, DIGITS, MAIL, WORDS, NOTE, "gribouillants", "zinzolin")


def walked(stack: Stack) -> Journey:
    """Hand her over, with mistakes on the way; answer the referral, secrets used, refusals, and when it began."""
    began = datetime.now(UTC)
    one, two = stack.clients("directory:read", "referral:send", "referral:receive")[:2]
    said: list[httpx.Response] = []
    with stack.api(one) as ana, stack.api(two) as ben:
        service = a_service_of(ana, two["organisation_id"])
        body: dict[str, Any] = {
            "recipient": {"organisation_id": two["organisation_id"], "service_id": service["service"]["id"]},
            "counsellor": {"name": "Ana Lopes", "email": "ana@depart.example"},
            "person": {
                "identity": {"given_name": GIVEN, "family_name": FAMILY},
                "contact": {"phone": PHONE, "email": MAIL},
                "area": {"municipality": "be:52011", "postcode": "6000"},
                "languages": ["fr"],
            },
            "needs": [{"theme": "childcare", "words": WORDS}],
            "notes": NOTE,
        }
        wrong = {**body, "needs": [{"theme": "childcare", "words": f"appelez {GIVEN} au {PHONE}"}], "extra": NOTE}
        said.append(ana.post("/v1/referrals", headers=key(), json=wrong))
        said.append(ana.post("/v1/referrals", headers=key(), content=json.dumps(body)[:-1]))
        draft = ana.post("/v1/referrals", headers=key(), json=body)
        assert draft.status_code == 201, draft.text
        place = f"/v1/referrals/{draft.json()['id']}"
        agreed = consented(ana, draft.json()["id"], "identity", "contact", "needs", "notes")
        assert agreed.status_code == 201, agreed.text
        proposed = ana.post(f"{place}/propose", headers=if_match(ana.get(place)), json={})
        assert proposed.status_code == 200, proposed.text
        said.append(ben.post(f"{place}/accept", headers={"If-Match": '"0"'}, json={"counsellor": {"name": GIVEN}}))
        seen = ben.get(place)
        accepted = ben.post(f"{place}/accept", headers=if_match(seen), json={"counsellor": {"name": "Ben Noël"}})
        assert GIVEN in accepted.text
        planned = ben.post(
            f"{place}/plan_meeting",
            headers=if_match(accepted),
            json={"to_be_agreed": True, "mode": "call", "attendees": ["person"]},
        )
        assert planned.status_code == 200, planned.text
        # She is in an address that nobody should have written: it may go nowhere either.
        said.append(ben.get(f"{place}/{GIVEN}", params={"q": WORDS}))
        said.append(ana.get("/v1/directory/search", params={"q": WORDS, "sort": NOTE}))
        for api in (ana, ben):
            api.post(f"{place}/confirm_handover", headers=if_match(api.get(place)), json={})
        closed = ben.post(f"{place}/close", headers=if_match(ben.get(place)), json={"outcome": "completed"})
        assert closed.json()["state"] == "closed"
        secrets = [one["client_secret"], two["client_secret"]]
        secrets += [api.headers["authorization"].split()[1] for api in (ana, ben)]
    return draft.json()["id"], secrets, said, began


@dataclass
class Outside:
    """What left while she was handed over: letters, calls of webhooks with their headers."""

    letters: list[tuple[str, EmailMessage]] = field(default_factory=list)
    calls: list[Called] = field(default_factory=list)


def tell_by_mail(stack: Stack, post: Post) -> None:
    """Let a worker of its own do one round of everything, with a mail server where it is noon."""
    noon = datetime.now(UTC).hour - 12
    own = {
        "RELAIS_HOME": str(stack.home),
        "RELAIS_REFERRAL_GATEWAY_URL": f"http://127.0.0.1:{stack.ports['gateway']}",
        "RELAIS_REFERRAL_DIRECTORY_URL": f"http://127.0.0.1:{stack.ports['directory']}",
        "RELAIS_REFERRAL_WEBHOOK_LOOPBACK": "true",
        "RELAIS_REFERRAL_SMTP_HOST": "127.0.0.1",
        "RELAIS_REFERRAL_SMTP_PORT": str(post.port),
        "RELAIS_REFERRAL_SMTP_SECURITY": "none",
        "RELAIS_REFERRAL_SMTP_TIMEZONE": f"Etc/GMT{noon:+d}",
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RELAIS_", "OTEL_"))}
    done = subprocess.run(
        [sys.executable, "-m", "relais_referral", "work", "--once"],
        env=environment | own,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not [word for word in CANARIES if word in done.stdout + done.stderr]


@pytest.fixture(name="outside", scope="module")
def _outside() -> Outside:
    return Outside()


@pytest.fixture(name="journey", scope="module")
def _journey(stack: Stack, outside: Outside) -> Iterator[Journey]:
    managers = stack.clients("directory:read", "referral:send", "referral:receive", "webhook:manage")
    sides = [one for one in stack.clients("directory:read", "referral:send", "referral:receive")[:2] if one in managers]
    assert sides
    with posting() as post, receiving() as (url, called):
        tell_by_mail(stack, post)  # What was before her is nobody's news.
        made = []
        for side in sides:
            with stack.api(side) as api:
                made.append((side, api.post("/v1/webhooks", json={"url": url}).json()["id"]))
        journey = walked(stack)
        tell_by_mail(stack, post)
        outside.letters = post.letters()
        until = time.monotonic() + ARRIVED_WITHIN_S
        while time.monotonic() < until and sum(b"referral.closed" in body for _, body in outside.calls) < len(sides):
            with suppress(Empty):
                outside.calls.append(called.get(timeout=1))
        yield journey
        for side, id_ in made:
            with stack.api(side) as api:
                api.delete(f"/v1/webhooks/{id_}")


ARRIVED_WITHIN_S = 120
"""Spans leave once a second; a busy machine may take far longer."""


def orphans(trace: dict[str, Any]) -> list[str]:
    """Answer the names of the spans whose parent is not in the trace.

    The span at the door may have its parent outside: a caller who traces too says its own in `traceparent`, as this
    process does once a test has made a service in it. Only her own traces are asked: in another test's, a service
    may have been killed before its spans left.
    """
    ids = {span["span_id"] for span in trace["spans"]}
    return [
        span["name"]
        for span in trace["spans"]
        if (span["parent_span_id"] or "") not in {"", *ids} and (span["service"], span["kind"]) != ("gateway", "server")
    ]


def since(traces: list[dict[str, Any]], began: datetime) -> list[dict[str, Any]]:
    """Answer the traces that began at an instant or later."""
    return [one for one in traces if min(datetime.fromisoformat(span["started_at"]) for span in one["spans"]) >= began]


def every_trace(stack: Stack, began: datetime) -> list[dict[str, Any]]:
    """Answer every trace since an instant, as the administrator reads them, once the last spans have arrived.

    Reading one leaves one: those are not read again, or each look would have twice as many to read as the last.
    """
    with stack.api(stack.clients("trace:read")[0]) as api:
        before, until = -1, time.monotonic() + ARRIVED_WITHIN_S
        while True:
            listed: list[dict[str, Any]] = []
            params: dict[str, str | int] = {"limit": 100}
            while True:
                page = api.get("/v1/traces", params=params).json()
                recent = [one for one in page["items"] if datetime.fromisoformat(one["started_at"]) >= began]
                listed += [one for one in recent if "traces" not in one["root"]]
                # The newest come first.
                if len(recent) < len(page["items"]) or not page.get("next_cursor"):
                    break
                params["cursor"] = page["next_cursor"]
            whole = [api.get(f"/v1/traces/{one['trace_id']}").json() for one in listed]
            # What the services do of themselves, again and again, never stands still.
            called = [one for one in whole if any(span["service"] == "gateway" for span in one["spans"])]
            spans = sum(len(one["spans"]) for one in called)
            # A busy service sends its spans a little later than another: a parent that is missing is on its way.
            if time.monotonic() > until or (spans == before and not any(map(orphans, since(whole, began)))):
                return whole
            before = spans
            # Spans leave once a second; the count stands still once all have arrived.
            time.sleep(1.5)


def test_no_answer_of_refusal_repeats_her(journey: Journey) -> None:
    for answer in journey[2]:
        assert answer.status_code >= 400
        assert not [word for word in CANARIES if word in answer.text], answer.text


def test_no_letter_webhook_header_event_or_figure_holds_her(stack: Stack, journey: Journey, outside: Outside) -> None:
    words = [*CANARIES, *journey[1]]
    assert {"ana@depart.example"} < {to for to, _ in outside.letters}
    for _, letter in outside.letters:
        whole = letter.as_string() + letter.get_content()
        assert not [word for word in words if word in whole]
        assert "childcare" not in whole
    assert any(b"referral.closed" in body for _, body in outside.calls)
    for headers, body in outside.calls:
        assert not [word for word in words if word in str(headers) + body.decode()]
    for one in stack.clients("referral:send"):
        with stack.api(one) as api:
            told = api.get("/v1/events", params={"limit": 1_000}).text
            told += api.get("/v1/figures").text
        assert not [word for word in words if word in told]


def test_a_trace_shows_every_service_and_nothing_of_her(stack: Stack, journey: Journey) -> None:
    referral_id, secrets, _, began = journey
    traces = every_trace(stack, began)
    text = json.dumps(traces, ensure_ascii=False)
    assert not [word for word in (*CANARIES, *secrets) if word in text]
    # The table itself, not only what the API shows of it.
    kept = "\n".join(row for rows in tables(owner_dsn(stack.home, "gateway")).values() for row in rows)
    assert not [word for word in (*CANARIES, *secrets) if word in kept]

    def services(trace: dict[str, Any]) -> set[str]:
        return {span["service"] for span in trace["spans"]}

    def roots(trace: dict[str, Any]) -> str:
        return " ".join(span["name"] for span in trace["spans"])

    searches = [trace for trace in traces if "/v1/directory/search" in roots(trace)]
    creations = [trace for trace in traces if "POST /v1/referrals" in roots(trace)]
    assert any({"gateway", "directory"} <= services(one) and has_database(one) for one in searches)
    assert any({"gateway", "referral", "directory"} <= services(one) and has_database(one) for one in creations)
    for trace in since([*searches, *creations], began):
        assert not orphans(trace)
    assert referral_id  # Ids may travel; she may not.


def test_what_services_do_by_themselves_leaves_no_trace(stack: Stack, journey: Journey) -> None:
    """They look for jobs, changes and each other each second: an administrator would find nothing else."""
    assert httpx.get(f"{stack.base_url}/internal/registry").status_code == 401  # Each asks for it once a minute.
    spans = [span for trace in since(every_trace(stack, journey[3]), journey[3]) for span in trace["spans"]]
    first = [span for span in spans if span["parent_span_id"] is None]
    assert first
    assert not [span for span in first if span["kind"] != "server"]
    by_themselves = {"/v1/directory/changes", "/internal/registry"}
    assert not [span for span in first if span["attributes"].get("http.route") in by_themselves]


def has_database(trace: dict[str, Any]) -> bool:
    """Say whether a span of the trace is PostgreSQL's."""
    return any(span["attributes"].get("db.system.name") == "postgresql" for span in trace["spans"])


def test_no_log_line_holds_her(stack: Stack, journey: Journey) -> None:
    files = [*(stack.home / "logs").iterdir(), stack.home / "up.out"]
    assert len(files) > 4
    for file in files:
        text = file.read_text(errors="replace")
        assert not [word for word in (*CANARIES, *journey[1]) if word in text], file.name


def test_no_metric_holds_her(stack: Stack, journey: Journey) -> None:
    for name in ("directory", "referral", "gateway_otlp"):
        answer = httpx.get(f"http://127.0.0.1:{stack.ports[name]}/metrics")
        assert answer.status_code == 200
        assert "http_server_request_duration" in answer.text
        assert not [word for word in (*CANARIES, *journey[1]) if word in answer.text], name


def test_no_table_holds_her_in_clear(stack: Stack, journey: Journey) -> None:
    assert journey[0]
    for service in ("referral", "directory", "gateway"):
        for name, rows in tables(owner_dsn(stack.home, service)).items():
            text = "\n".join(rows)
            # PostgreSQL writes bytes as hex: what is not sealed would stand there so.
            shown = [word for word in CANARIES if word in text or word.encode().hex() in text]
            assert not shown, f"{service}.{name}"
