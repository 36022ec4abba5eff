# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pid names a process only together with its start time and its machine."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.process_identity import (
    identify,
)


def test_this_process_is_alive():
    assert identify(os.getpid()).is_alive()


def test_a_reused_pid_is_another_process():
    assert not replace(identify(os.getpid()), start_time=1).is_alive()


def test_a_pid_of_another_boot_is_another_process():
    assert not replace(identify(os.getpid()), machine="before the boot").is_alive()


def test_a_zombie_has_ended():
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert identify(child.pid) is None
    child.wait()


def test_no_process_is_none():
    assert identify(2**22 + 1) is None
