"""The thread and the documents of a hand-over: who reads them when, what may stand in them, and what is recorded."""

import re

import asyncpg
import httpx
import pytest
from api.referral.world import (
    FAMILY,
    OUTSIDER,
    PHONE,
    RECIPIENT,
    SANCTIONING,
    UNBOUND,
    Handover,
    World,
    problem,
)
from hypothesis import given
from hypothesis import strategies as st

from relais_referral.domain.documents import KINDS, LARGEST, fault
from relais_shared.client import Client

pytestmark = pytest.mark.anyio

PDF = b"%PDF-1.7\n1 0 obj << /Type /Catalog >> endobj\ntrailer\n%%EOF\n"
PNG = b"\x89PNG\r\n\x1a\n" + b"canari-dans-une-image" + b"\x00\x00\x00\x00IEND\xaeB`\x82"


async def write(client: Client, handover: Handover, words: str) -> httpx.Response:
    """Write a message."""
    return await client.post(f"{handover.place}/messages", json={"words": words})


async def words(client: Client, handover: Handover) -> list[str]:
    """Read the thread."""
    answer = await client.get(f"{handover.place}/messages")
    assert answer.headers["cache-control"] == "no-store"
    return [one["words"] for one in answer.json()["items"]]


async def add(
    client: Client, handover: Handover, content: bytes = PDF, kind: str = "application/pdf"
) -> httpx.Response:
    """Add a document."""
    headers = {"Content-Type": kind, "Content-Disposition": "attachment; filename*=UTF-8''Bilan%20de%20sant%C3%A9.pdf"}
    return await client.post(f"{handover.place}/documents", headers=headers, content=content)


async def test_both_sides_write_and_read_in_order(handover: Handover) -> None:
    await handover.proposed()
    said = await write(handover.recipient, handover, "A-t-elle une voiture ?")
    assert said.status_code == 201, said.text
    assert (said.json()["party"], said.json()["author"]) == ("recipient", "recipient")
    await write(handover.sender, handover, "Non, le bus 71.")
    thread = ["A-t-elle une voiture ?", "Non, le bus 71."]
    assert await words(handover.sender, handover) == thread == await words(handover.recipient, handover)
    looks = (await handover.sender.get(f"{handover.place}/disclosures")).json()["items"]
    by_recipient = [look for look in looks if look["organisation_id"] == str(RECIPIENT.id)]
    assert ["messages"] in [look["categories"] for look in by_recipient]
    assert all(look["consent_id"] == handover.consent_id for look in by_recipient)


@pytest.mark.parametrize(
    "told", [f"Rappelez au {PHONE}", f"C'est Mme {FAMILY}", "85.07.30-033 28", "ana@depart.example"]
)
async def test_before_acceptance_no_message_tells_who_she_is(handover: Handover, told: str) -> None:
    await handover.proposed()
    for client in (handover.sender, handover.recipient):
        refused = await write(client, handover, told)
        assert problem(refused) == (422, "personal-data-detected")
        assert told not in refused.text
    await handover.walk("r.accept")
    national = told.startswith("85")
    assert (await write(handover.sender, handover, told)).status_code == (422 if national else 201)


async def test_what_was_written_after_acceptance_closes_when_it_is_taken_back(handover: Handover) -> None:
    await handover.proposed()
    await write(handover.sender, handover, "Elle vient en bus.")
    await handover.walk("r.accept")
    await write(handover.sender, handover, f"Son numéro : {PHONE}")
    assert len(await words(handover.recipient, handover)) == 2
    await handover.walk("r.undo")
    assert await words(handover.recipient, handover) == ["Elle vient en bus."]
    assert len(await words(handover.sender, handover)) == 2


@pytest.mark.parametrize("end", ["r.decline", "cancel", "withdraw"])
async def test_what_has_ended_is_read_and_written_by_the_recipient_no_more(handover: Handover, end: str) -> None:
    await handover.proposed()
    await write(handover.sender, handover, "Elle vient en bus.")
    await handover.walk(end)
    assert await words(handover.recipient, handover) == []
    assert await words(handover.sender, handover) == ["Elle vient en bus."]
    for client in (handover.sender, handover.recipient):
        assert problem(await write(client, handover, "Encore ?"))[0] == 409


async def test_every_answer_to_a_change_carries_the_version_that_it_left(handover: Handover) -> None:
    await handover.proposed("identity", "documents")
    await handover.walk("r.accept")
    ben, seen = handover.recipient, (await handover.recipient.get(handover.place)).headers["etag"]
    said = await write(ben, handover, "Entendu.")
    added = await add(ben, handover)
    removed = await ben.delete(f"{handover.place}/documents/{added.json()['id']}")
    given = await ben.post(f"{handover.place}/assign", json={"team_id": "equipe"})
    told = [answer.headers["etag"] for answer in (said, added, removed, given)]
    assert len({seen, *told}) == 5
    assert (await ben.get(handover.place)).headers["etag"] == told[-1]


async def test_a_draft_has_no_thread(handover: Handover) -> None:
    await handover.open()
    assert problem(await write(handover.sender, handover, "Bonjour"))[0] == 409


async def test_a_sender_that_may_sanction_has_no_thread(world: World) -> None:
    handover = world.between(SANCTIONING, RECIPIENT)
    await handover.proposed()
    assert problem(await write(handover.sender, handover, "Est-elle venue ?"))[0] == 409
    assert (await write(handover.recipient, handover, "Merci.")).status_code == 201
    assert await words(handover.sender, handover) == []


async def test_documents_open_under_their_own_category_after_acceptance(handover: Handover) -> None:
    await handover.open()
    added = await add(handover.sender, handover)
    assert added.status_code == 201, added.text
    assert (added.json()["title"], added.json()["size"]) == ("Bilan de santé.pdf", len(PDF))
    await handover.agree("identity", "needs", "documents")
    place = f"{handover.place}/documents/{added.json()['id']}"
    await handover.walk("propose")
    assert (await handover.recipient.get(f"{handover.place}/documents")).json()["items"] == []
    assert problem(await handover.recipient.get(place))[0] == 404
    await handover.walk("r.accept")
    listed = (await handover.recipient.get(f"{handover.place}/documents")).json()["items"]
    assert [one["id"] for one in listed] == [added.json()["id"]]
    fetched = await handover.recipient.get(place)
    assert fetched.content == PDF
    assert fetched.headers["content-type"] == "application/pdf"
    assert fetched.headers["content-disposition"].startswith("attachment")
    assert fetched.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in fetched.headers["content-security-policy"]
    looks = (await handover.sender.get(f"{handover.place}/disclosures")).json()["items"]
    assert ["documents"] in [look["categories"] for look in looks if look["consent_id"]]
    answer = await handover.sender.post(
        f"/v1/consents/{handover.consent_id}/withdraw", json={"data_categories": ["documents"]}
    )
    assert answer.status_code == 200
    assert problem(await handover.recipient.get(place))[0] == 404


async def test_only_who_added_a_document_removes_it(world: World, handover: Handover) -> None:
    await handover.open()
    added = (await add(handover.sender, handover, PNG, "image/png")).json()
    await handover.agree("identity", "needs", "documents")
    await handover.walk("propose", "r.accept")
    place = f"{handover.place}/documents/{added['id']}"
    assert problem(await handover.recipient.delete(place))[0] == 404
    assert problem(await world.as_(OUTSIDER).delete(place))[0] == 404
    assert (await handover.sender.delete(place)).status_code == 204
    assert problem(await handover.recipient.get(place))[0] == 404


async def test_what_is_sealed_stands_nowhere_in_the_clear(world: World, handover: Handover) -> None:
    await handover.open()
    await add(handover.sender, handover, PNG, "image/png")
    await handover.agree("documents", "needs")
    await handover.walk("propose")
    await write(handover.sender, handover, "le platane zinzolin")
    connection = await asyncpg.connect(world.database.owner_dsn)
    try:
        for table in ("message", "document", "event", "sealed_part"):
            rows = await connection.fetch(f"select * from {table} where referral_id = $1", handover.id)  # noqa: S608 - a name of ours
            assert rows
            for value in (value for row in rows for value in row.values()):
                raw = value if isinstance(value, bytes) else str(value).encode()
                assert not re.search(rb"zinzolin|canari-dans|Bilan", raw)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "application/pdf"),
        (PDF, "text/html"),
        (b"<html><script>alert(1)</script>", "application/pdf"),
        (PDF[:-8], "application/pdf"),
        (PDF.replace(b"/Catalog", b"/Catalog /OpenAction << /JS (x) >>"), "application/pdf"),
        (PNG, "image/jpeg"),
        (PNG + b"<script>" * 400, "image/png"),
    ],
)
async def test_what_is_not_what_it_says_is_refused(handover: Handover, content: bytes, kind: str) -> None:
    await handover.open()
    assert problem(await add(handover.sender, handover, content, kind)) == (422, "invalid-input")


async def test_a_large_document_is_refused(handover: Handover) -> None:
    await handover.open()
    content = PDF[:-7] + b" " * LARGEST + PDF[-7:]
    assert problem(await add(handover.sender, handover, content))[0] in {413, 422}


async def test_a_recipient_that_may_not_read_documents_adds_none(world: World) -> None:
    handover = world.between(UNBOUND, RECIPIENT)
    await handover.proposed()
    await handover.walk("r.accept")
    assert problem(await add(handover.recipient, handover)) == (409, "consent-missing")


@given(st.binary(max_size=200), st.sampled_from([*KINDS, "text/plain"]))
def test_no_bytes_pass_for_what_they_do_not_begin_as(content: bytes, kind: str) -> None:
    if fault(kind, content) is None:
        assert content.startswith(KINDS[kind])


@pytest.mark.parametrize("name", ["a%0Ab", "%00", "utf-7''%2B2AA-"])
async def test_a_name_that_is_no_line_of_text_is_refused(handover: Handover, name: str) -> None:
    await handover.open()
    charset, _, text = name.rpartition("''")
    given = f"attachment; filename*={charset or 'utf-8'}''{text}"
    headers = {"Content-Type": "application/pdf", "Content-Disposition": given}
    answer = await handover.sender.post(f"{handover.place}/documents", headers=headers, content=PDF)
    assert problem(answer) == (422, "invalid-input")
