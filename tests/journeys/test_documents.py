"""What the documents tell people to type works as it stands."""

import os
import re
import subprocess
from pathlib import Path

from support.stack import Stack

ROOT = Path(__file__).parents[2]


def said_by(page: str, stack: Stack) -> str:
    """Type what a page tells, in its order; answer what was said."""
    return typed((ROOT / "docs" / page).read_text(encoding="utf-8"), stack)


def typed(text: str, stack: Stack) -> str:
    """Type the commands of a text; answer what was said."""
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    done = subprocess.run(
        ["/bin/bash", "-c", script],
        cwd=ROOT,
        env={**os.environ, "RELAIS_HOME": str(stack.home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_hand_over_of_the_documents_runs(stack: Stack) -> None:
    whole = said_by("handover.md", stack)
    said = whole.splitlines()
    states = ["proposed", "received", "accepted", "meeting_planned", "meeting_planned", "handed_over", "closed"]
    assert [line for line in said if line in set(states)] == states
    assert "'given_name': 'Prénom'" in whole
    assert said[-2] == "withdrawn and of her: None"


def test_the_guest_of_the_documents_comes_in(stack: Stack) -> None:
    said = said_by("receiving.md", stack).splitlines()
    assert said == [
        "proposed via guest",
        "who it is, before she takes over: None",
        "accepted and who it is: {'called': 'Mina'}",
        "meeting_planned",
        "meeting_planned",
        "handed_over",
        "closed",
        "0 tasks wait for her",
    ]


def test_the_case_conference_of_the_documents_runs(stack: Stack) -> None:
    pages = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("handover.md", "conference.md")]
    begun = pages[0].partition("## Meet, confirm on both sides, close")[0]
    said = typed(begun + pages[1], stack).splitlines()
    told = said[said.index("accepted") + 2 :]
    assert told[:2] == ["given", "given"]
    assert told[3:6] == ["{'given_name': 'Prénom', 'family_name': 'Exemple'}", "Eva Petit", "2030-01-08T09:00:00Z"]
    assert "BEGIN:VCALENDAR" in told
    assert told[-3:] == ["['Nous avons une place le mardi.']", "draft", "[]"]


def test_an_organisation_is_enrolled_as_the_documents_say(stack: Stack) -> None:
    said = said_by("administration.md", stack).splitlines()
    held, *rest = said
    assert held == "['directory:write', 'org:admin', 'referral:receive']"
    assert rest == ["welcome to Maison des familles", "in force: False", "open: False"]


def test_every_address_inside_the_documents_is_there() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        for address in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in address:
                assert (page.parent / address).exists(), f"{page.name}: {address}"


def test_every_test_that_the_promises_name_is_there() -> None:
    page = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+/[\w/]+\.py)`", page)
    assert named
    assert [name for name in named if not (ROOT / "tests" / name).exists()] == []
