"""A machine is lost. What was backed up while people worked comes back elsewhere, with the keys that were kept apart.

An operator backs up a running Relais. On a new machine the keys and secrets are put back from where they are kept, then
the backup: the counsellor finds her hand-over with the person's name in it, goes on with it, and the proof still holds.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from journeys.test_one_handover import FAMILY, a_service_of, opened
from support.stack import Stack, if_match

from relais_local.backups import backup
from relais_local.home import CannotRun, Home


def relais(home: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RELAIS_")}
    return subprocess.run(
        [Path(sys.executable).with_name("relais"), *words],
        env=environment | {"RELAIS_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(name="elsewhere")
def _elsewhere(stack: Stack, tmp_path: Path) -> Path:
    """Answer a new home with the keys, secrets and accounts that were kept apart."""
    home = tmp_path / "new machine"
    for kept in ("keys", "secrets"):
        shutil.copytree(stack.home / kept, home / kept)
    shutil.copy(stack.home / "demo.json", home)
    return home


def test_a_backup_and_the_keys_bring_everything_back(stack: Stack, elsewhere: Path, tmp_path: Path) -> None:
    first, second, *_ = stack.clients("directory:read", "referral:send", "referral:receive")
    with stack.api(first) as sender:
        made = opened(sender, a_service_of(sender, second["organisation_id"]))
        assert made.status_code == 201
    kept = tmp_path / "backups"
    old, foreign = kept / "20260101T000000Z", kept / "20260101T000001Z"
    for folder in (old, foreign):
        folder.mkdir(parents=True)
    (old / "manifest.json").write_text("{}")
    # An hour ago: one that began in this very second would be in the way.
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    killed, running = kept / "20260101T000002Z.part", kept / f"{an_hour_ago:%Y%m%dT%H%M%SZ}.part"
    for folder in (killed, running):
        folder.mkdir()
        (folder / "referral.dump").write_bytes(b"what is to be forgotten")

    backed_up = relais(stack.home, "backup", kept)
    assert backed_up.returncode == 0, backed_up.stderr
    assert f"removed {old.name}" in backed_up.stdout
    assert foreign.exists(), "what is no backup of ours is not ours to remove"
    assert f"removed {killed.name}" in backed_up.stdout
    assert running.exists(), "another may be under way"
    (backup,) = [one for one in kept.iterdir() if one not in {foreign, running}]
    assert {one.stat().st_mode & 0o077 for one in backup.iterdir()} == {0}

    restored = relais(elsewhere, "restore", backup)
    assert restored.returncode == 0, restored.stderr
    twice = relais(elsewhere, "restore", backup)
    assert (twice.returncode, "--replace" in twice.stderr) == (1, True)
    changed = tmp_path / "changed"
    shutil.copytree(backup, changed)
    with (changed / "gateway.dump").open("ab") as dump:
        dump.write(b"x")
    refused = relais(elsewhere, "restore", changed, "--replace")
    assert (refused.returncode, "not as it was written" in refused.stderr) == (1, True)
    assert relais(elsewhere, "restore", backup, "--replace").returncode == 0

    # What the territory's own themes are stands in a file beside: services bear them.
    back = Stack.start(elsewhere, RELAIS_DIRECTORY_THEMES=str(stack.home.parent / "themes.json"))
    try:
        running = relais(elsewhere, "restore", backup, "--replace")
        assert (running.returncode, "already running" in running.stderr) == (1, True)
        with back.api(first) as sender:
            found = sender.get(f"/v1/referrals/{made.json()['id']}")
            assert found.json()["person"]["identity"]["family_name"] == FAMILY
            gone_on = sender.post(f"/v1/referrals/{made.json()['id']}/cancel", headers=if_match(found), json={})
            assert gone_on.json()["state"] == "cancelled"
        proof = relais(elsewhere, "audit", "verify")
        assert proof.returncode == 0, proof.stdout
    finally:
        assert back.stop() == 0


def test_what_is_no_backup_changes_nothing(elsewhere: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"databases": {"referral": {}}}))
    for made in (tmp_path, tmp_path / "nowhere"):
        refused = relais(elsewhere, "restore", made)
        assert (refused.returncode, "is no backup" in refused.stderr) == (1, True)
    assert not (elsewhere / "postgres").exists()


def test_two_that_begin_in_one_second_leave_each_other_alone(tmp_path: Path) -> None:
    now = datetime(2026, 11, 28, 2, tzinfo=UTC)
    others = tmp_path / "backups" / "20261128T020000Z.part"
    others.mkdir(parents=True)
    (others / "referral.dump").write_bytes(b"under way")
    with pytest.raises(CannotRun, match="same second"):
        asyncio.run(backup(Home(tmp_path / "home"), others.parent, now, keep_days=30, say=print))
    assert (others / "referral.dump").exists()


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(CannotRun, match="a file cannot be used: File exists"):
        asyncio.run(backup(Home(tmp_path / "home"), tmp_path / "a file", datetime.now(UTC), keep_days=30, say=print))
