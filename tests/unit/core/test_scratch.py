# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scratch folder is private, and nobody's left-behind one stays."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.scratch import (
    scratch_folder,
)

DIE_IN_IT = """
import os, sys
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core import scratch
with scratch.scratch_folder(sys.argv[1]) as folder:
    (folder / "3412.dat").write_text("x")
    os.kill(os.getpid(), 9)
"""


def test_it_is_private_and_gone_after_the_block(tmp_path):
    with scratch_folder(str(tmp_path)) as folder:
        assert list(folder.iterdir()) == []
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "file").touch()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_goes_and_what_is_in_use_stays(tmp_path):
    subprocess.run([sys.executable, "-c", DIE_IN_IT, str(tmp_path)], check=False, timeout=300)
    (left,) = tmp_path.iterdir()
    with scratch_folder(str(tmp_path)) as first, scratch_folder(str(tmp_path)) as second:
        assert first.exists()
        assert second.exists()
        assert not left.exists()


def test_a_folder_that_cannot_be_written_is_a_precondition():
    with pytest.raises(OperationError) as failure, scratch_folder("/proc"):
        pass
    assert failure.value.reason is Reason.PRECONDITION
    assert "/proc" in str(failure.value)
