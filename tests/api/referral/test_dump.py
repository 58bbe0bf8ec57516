"""Nothing of hers can be read in the files of the database, its log, or a dump of it, without the keys."""

import asyncio
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from api.referral.her import herself
from api.referral.world import BEN, RECIPIENT, SENDER, Handover, World, if_match, key

from relais_local import programs
from relais_referral.criteria import Criteria

pytestmark = pytest.mark.anyio

NAME, WORDS = "Zyrqueline", "vobrantïe"
"""Stand in every name and in every text of hers; whatever is found of them says which."""
CODE = WORDS.replace("ï", "i")
"""Stands in what was noted of her hand-over."""
PHONE, BORN = "0470 98 76 54", "1913-02-07"
ALL = ("identity", "contact", "needs", "situation", "notes", "documents")
PARTS = {
    *("identity", "contact", "needs", "goal_words", "resources", "concerned", "situation", "notes", "constraints"),
    *("external_ids.sender", "external_ids.recipient", "meeting", "meeting_options", "decline", "outcome", "basis"),
    *("reflection.sender", "reflection.recipient"),
}
"""Every sealed part that a hand-over can have."""
PICTURE = b"\x89PNG\r\n\x1a\n" + f"{WORDS} image".encode() + b"\x00\x00\x00\x00IEND\xaeB`\x82"


def of(field: str) -> str:
    """Answer the words of a field."""
    return f"{WORDS} {field}"


def forms(word: str) -> Iterator[bytes]:
    """Answer every form in which a word could stand in bytes and be read by anybody."""
    for text in {word, word.lower(), word.replace("ï", "i")}:
        for written in (text.encode(), text.encode("utf-16-le"), text.encode("latin-1")):
            yield written
            yield written.hex().encode()
        yield ascii(text)[1:-1].replace("\\x", "\\u00").encode()
        # Base64 at each of its three places; the signs at both ends depend on what stands beside.
        for before in range(3):
            yield b64encode(bytes(before) + text.encode())[4:-4]


NEEDLES = sorted({form for word in (NAME, WORDS, PHONE, "470987654", BORN) for form in forms(word)})


def found(content: bytes) -> list[bytes]:
    """Answer what of hers stands in bytes, with what stands around it."""
    places = [(content.find(needle), needle) for needle in NEEDLES]
    return [content[max(0, at - 40) : at + len(needle) + 40] for at, needle in places if at >= 0]


def written_since(folder: Path, began: float) -> dict[str, bytes]:
    """Answer the files below a folder that were written since: what came since stands in those."""
    files = {}
    for file in folder.rglob("*"):
        try:
            if file.is_file() and file.stat().st_mtime >= began:
                files[str(file.relative_to(folder))] = file.read_bytes()
        except FileNotFoundError:
            continue  # The server goes on meanwhile, and takes a file away.
    return files


async def everything(world: World) -> list[Handover]:
    """Hand her over with every field that there is: declined once, then taken over, met, closed and stopped."""
    first = world.between(SENDER, RECIPIENT)
    await first.open(
        person={
            "identity": {"called": NAME, "given_name": NAME, "family_name": f"de {NAME}", "birth_date": BORN},
            "contact": {
                "phone": PHONE,
                "email": f"{NAME}@canari.example",
                "address": of("address"),
                "preferred": "phone",
                "safety": {"voicemail": True, "times": of("times")},
            },
            "area": {"municipality": "be:52011", "postcode": "6000"},
            "languages": ["fr"],
        },
        needs=[{"theme": "childcare", "words": of("need")}],
        goal_words=of("goal"),
        resources=[of("resource")],
        concerned=[{"relation": of("relation"), "age_band": "3-5"}],
        constraints=[of("constraint")],
        notes=f"{NAME}, {of('note')}",
        situation={of("question"): of("answer")},
        external_ids={"logiciel": of("reference")},
    )
    title = {"Content-Type": "image/png", "Content-Disposition": f'attachment; filename="{NAME}.png"'}
    good(await first.sender.post(f"{first.place}/documents", headers=title, content=PICTURE))
    await first.agree(*ALL)
    await first.walk("propose")
    good(await first.recipient.post(f"{first.place}/messages", json={"words": of("early message")}))
    good(await first.step(first.recipient, "decline", words=of("decline")))

    to = {"organisation_id": str(RECIPIENT.id), "service_id": str(RECIPIENT.service_id)}
    head = if_match(await first.sender.get(first.place))
    again = good(await first.sender.post(f"{first.place}/redirect", headers={**head, **key()}, json={"recipient": to}))
    second = Handover(first.sender, first.recipient, RECIPIENT, id=again["id"])
    await second.agree(*ALL, purposes=["referral", "statistics"])
    await second.walk("propose")
    option = {"starts_at": "2027-01-04T09:00:00Z", "place": of("offered place")}
    good(await second.step(second.recipient, "accept", **BEN, meeting_options=[option]))
    meeting = {"place": of("place"), "agreed": of("agreed"), "attendees": [{"name": NAME, "role": of("role")}]}
    good(await second.step(second.recipient, "plan_meeting", **meeting))
    ids = {"dossier": of("their reference")}
    good(await second.recipient.put(f"{second.place}/external_ids", json=ids))
    good(await second.sender.post(f"{second.place}/messages", json={"words": f"{NAME}, {of('message')}"}))
    good(await second.recipient.post(f"{second.place}/documents", headers=title, content=PICTURE))

    she = await herself(world, second)
    hers = f"/v1/person/referrals/{second.id}"
    good(await she.post(f"{hers}/messages", json={"words": of("her message")}))
    good(await she.post(f"{hers}/needs", json={"theme": "childcare", "words": of("her words")}))
    good(await she.put(f"{hers}/hidden", json={"theme": "childcare", "words": of("her words")}))
    good(await she.patch(hers, json={"identity": {"called": f"{NAME} corrected", "birth_date": BORN}}))
    await second.walk("confirm_handover", "r.confirm_handover")
    good(await second.step(second.recipient, "close", words=of("outcome")))
    told = {"code": CODE, "text": dict.fromkeys(("fr", "nl", "de", "en"), "Cela a tenu.")}
    world.app.state.criteria = Criteria.model_validate({"version": "essai", "criteria": [told]})
    for side in (second.sender, second.recipient):
        note = {"criteria": "essai", "held": [CODE]}
        good(await side.put(f"{second.place}/reflection", headers={"If-Match": '"0"'}, json=note))
    good(await second.step(second.sender, "withdraw"))
    tasks = good(await second.recipient.get(f"{second.place}/tasks"))["items"]
    [copy] = [task["id"] for task in tasks if task["kind"] == "local_copy"]
    kept = {"local_copy": "kept", "basis": of("basis")}
    assert good(await second.recipient.post(f"/v1/tasks/{copy}/done", json=kept))["answer"]["basis"] == of("basis")
    return [first, second]


def good(answer: httpx.Response) -> Any:
    """Answer the document of an answer that must be a good one."""
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


async def test_nothing_of_hers_is_read_without_the_keys(fresh: World, home: Path, databases: Any) -> None:
    began = time.time() - 1
    code = good(await (await everything(fresh))[0].sender.get("/v1/referrals"))["items"][0]["short_code"]
    name = fresh.database.dsn.rpartition("/")[2]
    dsn = f"{databases.admin_dsn.rpartition('/')[0]}/{name}"
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("select distinct split_part(part, '.', 1) as kind, part from sealed_part")
        assert {row["kind"] if row["kind"] == "basis" else row["part"] for row in rows} == PARTS
        for table in ("message", "document", "task", "disclosure", "person_session", "idempotency"):
            assert await connection.fetchval(f"select count(*) from {table}"), table  # noqa: S608 - a name of ours
        await connection.execute("checkpoint")
    finally:
        await connection.close()
    tool = programs.find(databases.files).bin / "pg_dump"
    dump = await asyncio.to_thread(subprocess.run, [tool, dsn], capture_output=True, check=True)
    places = await asyncio.to_thread(written_since, databases.files, began)
    places |= await asyncio.to_thread(written_since, home / "logs", began)
    places["the dump"] = dump.stdout
    # What is searched for would be found: the code that both sides say stands in the clear.
    telling = [place for place, content in places.items() if code.encode() in content]
    assert "the dump" in telling
    assert any(place.startswith("base/") for place in telling)
    assert any(place.startswith("pg_wal/") for place in telling)
    shown = {place: what for place, content in places.items() if (what := found(content))}
    assert not shown


def test_what_is_searched_for_would_be_found_in_any_form() -> None:
    text = f"Mme {NAME.upper()}, dite {NAME}, {of('address')}, née le {BORN}"
    written = [text.encode(), text.encode("utf-16-le"), text.encode("latin-1"), text.encode().hex().encode()]
    written.append(ascii(text).replace("\\x", "\\u00").encode())
    written += [b64encode(bytes(before) + text.encode()) for before in range(3)]
    for content in written:
        assert found(b"\x00\x01" + content + b"\xff")
    assert not found(b"nothing of hers")
