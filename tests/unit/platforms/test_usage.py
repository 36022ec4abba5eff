# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of a replica's memory, from the control groups of both kinds."""

from __future__ import annotations

import os

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.process_identity import (
    identify,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.process.usage import (
    cgroup_limits,
    usage_of,
)


@pytest.fixture
def groups(tmp_path):
    def write(membership, limits):
        for path, limit in limits.items():
            file = tmp_path / "cgroup" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{limit}\n")
        (tmp_path / "membership").write_text(membership)
        return cgroup_limits(tmp_path / "membership", tmp_path / "cgroup")

    return write


@pytest.mark.parametrize(
    ("membership", "limits", "found"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": 500}, [500]),
        ("0::/a/b\n", {"a/b/memory.max": 200, "a/memory.max": 500}, [200, 500]),
        ("0::/\n", {"memory.max": 300}, [300]),
        ("0::/only/on/the/host\n", {"memory.max": 300}, [300]),
        ("4:memory:/a\n0::/\n", {"memory/a/memory.limit_in_bytes": 100}, [100]),
        ("4:cpu,memory:/\n", {"memory/memory.limit_in_bytes": 9223372036854771712}, []),
        ("5:cpu:/a\n", {"memory/a/memory.limit_in_bytes": 100}, []),
        ("", {}, []),
    ],
)
def test_limits_of_control_groups(groups, membership, limits, found):
    assert groups(membership, limits) == found


def test_a_process_that_has_gone_has_no_limits(tmp_path):
    assert cgroup_limits(tmp_path / "none", tmp_path) == []


def test_usage_of_this_process():
    me = identify(os.getpid())
    usage = usage_of(me, [me], 512)
    assert usage.memory_limit_bytes == 512 * 1024 * 1024
    assert usage.memory_bytes > 1_000_000
    assert usage.cpu_seconds > 0
    assert usage.uptime_s > 0
    assert usage_of(me, [me], None).memory_limit_bytes > usage.memory_bytes
