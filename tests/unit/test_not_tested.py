# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of the tests says of those that it skips."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
TESTS = """
import pytest

@pytest.mark.parametrize("number", range(3))
def test_moon(number):
    pytest.skip("needs a moon")

def test_sun(): pass

@pytest.mark.root("moves the sun")
def test_move(): pass
"""


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(("uid", "moved"), [(0, True), (1000, False)])
def test_each_reason_is_told_at_once_and_counted_at_the_end(tmp_path, workers, uid, moved):
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "as_user.py").write_text(f"import os\nos.geteuid = lambda: {uid}\n")
    command = [sys.executable, "-m", "pytest", "-c", "/dev/null", "-p", "as_user"]
    ended = subprocess.run(
        [*command, "-p", "tests.conftest", "-n", workers, str(tmp_path / "test_it.py")],
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{CHECKOUT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = ended.stdout.splitlines()
    at_once, at_the_end = (
        lines.index("not tested: needs a moon"),
        "not tested:    3 tests, needs a moon",
    )
    assert at_once < lines.index(at_the_end)
    assert ("not tested:    1 test, needs root: moves the sun" in lines) is not moved
    assert f"{2 if moved else 1} passed, {3 if moved else 4} skipped" in lines[-1]
