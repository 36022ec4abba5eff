# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a replica uses and may use, from the control groups of both kinds."""

from __future__ import annotations

import os

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.process_identity import (
    identify,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.host import cgroup
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.host.usage import (
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
        return cgroup.memory_limits(tmp_path / "membership", tmp_path / "cgroup")

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
    assert cgroup.memory_limits(tmp_path / "none", tmp_path) == []


def test_usage_of_this_process():
    me = identify(os.getpid())
    usage = usage_of(me, [me], 512)
    assert usage.memory_limit_bytes == 512 * 1024 * 1024
    assert usage.memory_bytes > 1_000_000
    assert usage.cpu_seconds > 0
    assert usage.uptime_s > 0
    assert usage_of(me, [me], None).memory_limit_bytes > usage.memory_bytes


@pytest.fixture
def group_of_a_unit(tmp_path):
    """Writes the files of `cost-agent@8001.service`; returns membership and root."""

    def write(membership, files):
        for path, text in files.items():
            file = tmp_path / "cgroup" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (tmp_path / "membership").write_text(membership)
        return tmp_path / "membership", tmp_path / "cgroup"

    return write


UNIT = "cost-agent@8001.service"
V2 = (
    f"0::/system.slice/{UNIT}\n",
    {
        f"system.slice/{UNIT}/memory.current": "5000\n",
        f"system.slice/{UNIT}/memory.stat": "anon 3500\ninactive_file 1000\n",
        f"system.slice/{UNIT}/cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
        f"system.slice/{UNIT}/cgroup.procs": "12\n34\n",
    },
)
V1 = (
    f"9:name=systemd:/x/{UNIT}\n4:memory:/x/{UNIT}\n3:cpu,cpuacct:/x/{UNIT}\n0::/x/{UNIT}\n",
    {
        f"memory/x/{UNIT}/memory.usage_in_bytes": "5000\n",
        f"memory/x/{UNIT}/memory.stat": "rss 3500\ntotal_inactive_file 1000\n",
        f"cpuacct/x/{UNIT}/cpuacct.usage": "2500000000\n",
        f"systemd/x/{UNIT}/cgroup.procs": "12\n34\n",
        f"unified/x/{UNIT}/cgroup.procs": "12\n34\n",
    },
)


@pytest.mark.parametrize("kind", [V1, V2], ids=["v1", "v2"])
def test_the_group_of_a_unit_tells_its_usage(group_of_a_unit, kind):
    membership, root = group_of_a_unit(*kind)
    assert cgroup.memory_bytes(membership, root, UNIT) == 4000
    assert cgroup.cpu_seconds(membership, root, UNIT) == 2.5
    assert cgroup.processes(membership, root, UNIT) == [12, 34]


def test_a_group_that_others_share_is_not_the_units_usage(group_of_a_unit):
    files = {"memory/x/memory.usage_in_bytes": "5000\n", "cpuacct/x/cpuacct.usage": "1\n"}
    membership, root = group_of_a_unit("4:memory:/x\n3:cpuacct:/x\n", files)
    assert cgroup.memory_bytes(membership, root, UNIT) is None
    assert cgroup.cpu_seconds(membership, root, UNIT) is None
    assert cgroup.processes(membership, root, UNIT) == []
