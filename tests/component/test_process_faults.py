# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with processes: a clear end, nothing half done, and the next run repairs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.process import (
    processes,
)
from ansible_collections.optiinfra.cost_agent.tests.component.process_platform import (
    ProcessPlatform,
)

LISTENER = """
import socket, sys, time
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", int(sys.argv[1])))
server.listen()
print("up", flush=True)
time.sleep(60)
"""
# A run of the agent module in a process of its own, to be killed.
CONTROLLER = """
import json, sys
from pathlib import Path
from ansible_collections.optiinfra.cost_agent.tests.component.process_platform import (
    ProcessPlatform,
)
platform = ProcessPlatform(Path(sys.argv[1]))
platform.port = int(sys.argv[2])
print(json.dumps(platform.agent(sys.argv[3])))
"""


@pytest.fixture
def agent(tmp_path):
    platform = ProcessPlatform(tmp_path)
    platform.deploy("1.4.1")
    yield platform
    platform.close()


@pytest.fixture
def started(agent):
    succeeded(agent.agent())
    return agent


@pytest.fixture
def children():
    """Processes that a test starts; the fixture ends them, by pid."""
    started = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def succeeded(outcome):
    assert not outcome.get("failed"), outcome
    return outcome


def listen(children, port):
    arguments = [sys.executable, "-c", LISTENER, str(port)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE)
    children.append(process)
    process.stdout.readline()
    return process


def controller(children, platform, state="started"):
    arguments = [sys.executable, "-c", CONTROLLER]
    arguments += [str(platform.home.parent), str(platform.port), state]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE)
    children.append(process)
    return process


def running_replicas(platform):
    """Every process that was started as a replica of this agent, recorded or not."""
    marked = processes.marked(platform.home)
    return {process.pid for family in marked.values() for process in family}


# --- ports ------------------------------------------------------------------------------------


def test_a_port_held_by_another_is_named_before_anything_is_touched(started, children):
    stranger = listen(children, started.port + 3)
    before, pids = started.tree(), started.pids()
    started.deploy("1.4.2")
    outcome = started.agent(replicas=4)
    assert outcome["reason"] == "precondition"
    assert f"pid {stranger.pid} (" in outcome["msg"]
    assert f"port {started.port + 3}" in outcome["msg"]
    assert started.pids() == pids
    assert stranger.poll() is None
    after = started.tree()
    assert {path: after[path] for path in before if "/run/" in path or "/intent/" in path} == {
        path: text for path, text in before.items() if "/run/" in path or "/intent/" in path
    }


def test_check_mode_tells_of_a_held_port_too(agent, children):
    stranger = listen(children, agent.port)
    outcome = agent.agent(check=True)
    assert outcome["reason"] == "precondition"
    assert str(stranger.pid) in outcome["msg"]


def test_preflight_lists_everything_that_is_missing_at_once(agent, children, tmp_path):
    stranger = listen(children, agent.port + 1)
    (tmp_path / "source").mkdir()
    outcome = agent.preflight(
        replicas=3, disk_mb=10**9, source=str(tmp_path / "source"), home="/dev/null/agent"
    )
    assert outcome["reason"] == "precondition"
    failed = [check["name"] for check in outcome["state"]["checks"] if not check["ok"]]
    assert failed == ["home", "disk", "ports", "source"]
    assert str(stranger.pid) in outcome["msg"]
    assert "/dev/null is not a folder" in outcome["msg"]
