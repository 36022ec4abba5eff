# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that makes a machine busy, which the tests are tried beside."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.waiting import eventually

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "beside-load.sh"
# Prints how many of its parent's other children there are.
COUNT = 'grep -l "^PPid:.$PPID$" /proc/[0-9]*/status 2>/dev/null | wc -l; exit 7'


def test_the_command_runs_beside_the_compilers_and_its_exit_code_is_theirs(tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path), "LOADS": "2"}
    ended = subprocess.run(
        [SCRIPT, "sh", "-c", COUNT],
        env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 7
    assert int(ended.stdout) == 3  # itself, too
    assert "beside 2 compilers" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_signal_ends_the_compilers_too(tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen([SCRIPT, "sleep", "1"], env=environment) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        begun = eventually(lambda: len(children.read_text().split()) == 4 and children.read_text())
        process.terminate()
    assert process.returncode == 143
    assert not [pid for pid in begun.split() if is_compiler(pid)]
    assert list(tmp_path.iterdir()) == []


def is_compiler(pid: str) -> bool:
    try:
        return b"compileall" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_without_a_command_it_says_how_to_use_it():
    ended = subprocess.run([SCRIPT], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("usage: ")
