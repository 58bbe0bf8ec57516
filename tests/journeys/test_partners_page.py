"""docs/partners.md, followed to the letter: every command of it, in its order, by a shell that knows nothing else."""

import os
import re
import subprocess
from pathlib import Path

from support.stack import Stack

ROOT = Path(__file__).parents[2]
FIVE_MINUTES_S = 300
"""What the page promises."""


def test_from_nothing_to_a_verified_webhook_and_a_hand_over(stack: Stack, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "partners.md").read_text(encoding="utf-8")
    commands = "\n".join(re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", commands],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "RELAIS_HOME": str(stack.home), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=FIVE_MINUTES_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [kept] = tmp_path.glob("*/verified")
    [promised] = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert [line.split()[0] for line in kept.read_text().splitlines()] == promised.split()
