# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a CI run makes of its steps: one that fails is tried again, and only then fails the run."""

from __future__ import annotations

import subprocess
from pathlib import Path

STEPS = Path(__file__).resolve().parents[2] / ".ci" / "steps.sh"
COMMANDS = """
works() { echo "$1"; }
breaks() { echo "E   it is broken"; return 1; }
breaks_once() { [ -n "$second_try" ] || { echo "FAILED tests/a.py::test_b - too slow"; return 1; }; }
"""


def run(script: str, folder: Path) -> tuple[int, str]:
    whole = (
        f"set -uo pipefail\nexport TMPDIR={folder}\nsource {STEPS}\n{COMMANDS}\n{script}\nfinish"
    )
    ended = subprocess.run(
        ["bash", "-c", whole], capture_output=True, text=True, check=False, timeout=300
    )
    assert ended.stderr == ""
    assert list(folder.iterdir()) == []
    return ended.returncode, ended.stdout


def summary(output: str) -> dict[str, str]:
    lines = output.partition("=== summary\n")[2].splitlines()[:-1]
    return {line.split()[0]: line.split()[1] for line in lines}


def test_a_run_whose_steps_pass_has_nothing_flaky(tmp_path):
    code, output = run("begin one works 'a b'\nstep two works c\ncollect one", tmp_path)
    assert (code, summary(output)) == (0, {"one": "passed", "two": "passed"})
    assert "\na b\n" in output
    assert "flaky" not in output


def test_what_passes_the_second_time_is_listed_with_what_it_said_and_fails_nothing(tmp_path):
    code, output = run("step one breaks_once\nstep two works c", tmp_path)
    assert (code, summary(output)) == (0, {"one": "flaky", "two": "passed"})
    said = output.partition("=== flaky")[2].partition("=== summary")[0]
    assert "FAILED tests/a.py::test_b - too slow" in said
    assert output.index("=== two") < output.index("=== once more: one")


def test_what_fails_twice_fails_the_run_and_says_why(tmp_path):
    code, output = run("begin one breaks\nstep two breaks_once\ncollect one", tmp_path)
    assert (code, summary(output)) == (1, {"one": "FAILED", "two": "flaky"})
    assert "E   it is broken" in output.partition("=== why")[2].partition("=== summary")[0]
