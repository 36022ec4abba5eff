# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program of PostgreSQL's ends with the run that started it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.waiting import LIMIT_S, eventually

# The child signals its parent after the fork, while Python still waits there for the exec.
_CANCELLED_DURING_THE_START = """
import os, signal
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.cancellation import (
    cancellable)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import Cancelled
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.server import child

be_a_bound_leader = child._be_a_bound_leader
def signalling(parent):
    prepare = be_a_bound_leader(parent)
    def prepare_and_signal():
        prepare()
        os.kill(parent, signal.SIGTERM)
    return prepare_and_signal
child._be_a_bound_leader = signalling

try:
    with cancellable(), child.running(["sleep", "600"], dict(os.environ)):
        print("started", flush=True)
except Cancelled:
    print("cancelled", flush=True)
input()  # lives on, since its death would end the child too
"""


def test_a_signal_during_its_start_ends_it() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _CANCELLED_DURING_THE_START],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline().strip() == "cancelled"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        eventually(lambda: not children.read_text().split())
    finally:
        process.communicate("\n", timeout=LIMIT_S)
    assert process.returncode == 0


def test_a_signal_reaches_the_program_itself() -> None:
    """What is held back while it starts is not held back in it."""
    code = f"""
import os, signal
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.server import child
with child.running(["sleep", "600"], dict(os.environ)) as program:
    os.kill(program.pid, signal.SIGTERM)
    print(program.wait({LIMIT_S}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=LIMIT_S
    )
    assert done.stdout.strip() == "-15"
