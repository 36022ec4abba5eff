# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with processes: a clear end, nothing half done, and the next run repairs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_release import (
    AGENT_RELEASE,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.process import (
    processes,
)
from ansible_collections.optiinfra.cost_agent.tests.component.process_platform import (
    ProcessPlatform,
    as_ordinary_user,
    is_running,
    wait_until,
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


def test_preflight_of_no_replicas_needs_no_port(agent, children):
    listen(children, agent.port)
    assert succeeded(agent.preflight(replicas=0))["summary"].endswith("no port needed")


def test_an_address_longer_than_dns_allows_is_refused(agent):
    for outcome in (agent.preflight(host="x" * 300), agent.agent(host="x" * 300)):
        assert outcome["reason"] == "precondition"
        assert "is no host name" in outcome["msg"]


def test_an_address_of_another_machine_is_refused(agent):
    outcome = agent.agent(host="192.0.2.1")
    assert outcome["reason"] == "precondition"
    assert "192.0.2.1" in outcome["msg"]


# --- pid files --------------------------------------------------------------------------------


def test_a_stale_pid_file_does_not_get_in_the_way(started):
    for name in started.names():
        started.kill(name)
    info = started.info()
    assert info["summary"] == "0 of 3 ready, release 1.4.1"
    assert "without being asked" in info["state"]["replicas"][0]["note"]
    assert succeeded(started.agent())["summary"] == "3 of 3 ready, release 1.4.1"


def test_a_stop_clears_stale_pid_files_away(started):
    started.kill(started.names()[0])
    outcome = succeeded(started.agent("stopped"))
    assert f"Cleared away what was left of {started.names()[0]}" in outcome["actions"]
    assert started.pids() == {}


def test_a_pid_that_is_a_strangers_now_is_never_signalled(agent, children):
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    children.append(stranger)
    succeeded(agent.agent(replicas=1))
    name = agent.names()[0]
    record = json.loads(agent.pid_file(name).read_text().splitlines()[1])
    agent.kill(name)
    agent.pid_file(name).write_text(
        f"{stranger.pid}\n{json.dumps({**record, 'pid': stranger.pid})}\n"
    )
    succeeded(agent.agent("restarted", replicas=1))
    succeeded(agent.agent("stopped"))
    assert stranger.poll() is None


def test_a_pid_file_of_another_boot_names_nobody(started):
    name = started.names()[0]
    pid_file = started.pid_file(name)
    _pid, record = pid_file.read_text().splitlines()
    elsewhere = {**json.loads(record), "machine": "other/boot/ns"}
    started.kill(name)
    pid_file.write_text(f"{os.getpid()}\n{json.dumps({**elsewhere, 'pid': os.getpid()})}\n")
    assert started.info()["state"]["replicas"][0]["status"] == "stopped"
    succeeded(started.agent())


@pytest.mark.parametrize("text", ["", "4711\n", "4711\n{half", "4711\n[]\n", "no pid\n\0\n"])
def test_an_unreadable_pid_file_is_replaced(agent, text):
    agent.pid_file(agent.names()[0]).parent.mkdir()
    agent.pid_file(agent.names()[0]).write_text(text)
    succeeded(agent.info() if text else {})
    succeeded(agent.agent())
    assert agent.serving() == agent.names()


def test_a_replica_whose_pid_file_was_removed_is_found_by_its_mark(started):
    name = started.names()[1]
    lost = started.pids()[name]
    started.pid_file(name).unlink()
    succeeded(started.agent())
    assert not is_running(lost)
    assert running_replicas(started) == set(started.pids().values())


def test_workers_that_outlive_their_first_process_are_cleared_away(agent):
    succeeded(agent.agent(replicas=1, workers=2))
    name = agent.names()[0]
    family = running_replicas(agent)
    assert len(family) == 3
    agent.kill(name)
    orphans = family - {agent.pids()[name]}
    assert all(map(is_running, orphans))
    assert "its first one is gone" in agent.info()["state"]["replicas"][0]["note"]
    succeeded(agent.agent(replicas=1, workers=2))
    assert not any(map(is_running, orphans))
    succeeded(agent.agent("stopped"))
    assert not running_replicas(agent)


# --- agents that misbehave --------------------------------------------------------------------


def test_an_agent_that_dies_at_import_fails_at_once(agent):
    agent.deploy("1.4.2", source="import a_module_that_is_not_there\n")
    outcome = agent.agent(timeout_s=30)
    assert outcome["reason"] == "failed_state"
    assert "exited with code 1" in outcome["msg"]
    assert "a_module_that_is_not_there" in outcome["msg"]
    assert any("Traceback" in line for line in outcome["log_tail"])
    assert outcome["duration"] < 5


def test_the_log_tail_is_of_this_start_only(agent):
    agent.deploy("1.4.2", source="raise RuntimeError('first')\n")
    agent.agent(replicas=1)
    agent.deploy("1.4.3", source="raise RuntimeError('second')\n")
    tail = "\n".join(agent.agent(replicas=1)["log_tail"])
    assert "second" in tail
    assert "first" not in tail


def test_an_agent_without_its_interpreter_fails_at_once(agent):
    agent.home.joinpath("releases/1.4.1/venv/bin/python").unlink()
    outcome = agent.agent(replicas=1)
    assert outcome["reason"] == "failed_state"
    assert "venv/bin/python" in "\n".join(outcome["log_tail"])


def test_an_agent_that_is_never_ready_times_out_with_its_log(started):
    started.deploy("1.4.2", ready_after_s=None)
    outcome = started.agent(timeout_s=2, stop_grace_s=1)
    assert outcome["reason"] == "timeout"
    assert "HTTP 503" in outcome["msg"]
    assert any("listening" in line for line in outcome["log_tail"])
    assert 2 <= outcome["duration"] < 3.5
    assert [r["status"] for r in outcome["state"]["replicas"]] == ["running", "ready", "ready"]
    started.deploy("1.4.3")
    assert succeeded(started.agent())["summary"].startswith("3 of 3")


def test_an_agent_that_dies_just_after_it_was_ready_does_not_count(agent):
    agent.deploy("1.4.2", dies_after_s=0.3)
    outcome = agent.agent(replicas=1, stable_s=1)
    assert outcome["reason"] == "failed_state"
    assert "exited with code 3" in outcome["msg"]


def test_an_agent_that_ignores_sigterm_is_killed_after_its_grace_and_it_is_said(agent):
    agent.deploy("1.4.2", ignores_sigterm=True)
    succeeded(agent.agent(replicas=2))
    pids = agent.pids().values()
    outcome = succeeded(agent.agent("stopped", stop_grace_s=0.5))
    assert sum("SIGKILL" in action for action in outcome["actions"]) == 2
    assert 0.5 <= outcome["duration"] < 2  # both at once
    assert not any(map(is_running, pids))


def test_an_agent_that_still_drains_at_the_deadline_is_not_killed(agent):
    agent.deploy("1.4.2", drains_for_s=1)
    succeeded(agent.agent(replicas=2))
    second = agent.pids()[agent.names()[1]]
    outcome = agent.agent("restarted", replicas=2, timeout_s=1.6, stop_grace_s=1.5, stable_s=0)
    assert outcome["reason"] == "timeout"
    assert "SIGTERM was sent" in outcome["msg"]
    assert "SIGKILL" not in str(outcome["actions"])
    wait_until(lambda: not is_running(second))
    log = (agent.home / "log" / f"{agent.names()[1]}.log").read_text()
    assert "finished its requests" in log
    assert succeeded(agent.agent(replicas=2))["summary"].startswith("2 of 2")


# --- permissions ------------------------------------------------------------------------------


def test_a_run_folder_that_is_no_folder_is_named(agent):
    (agent.home / "run").write_text("")
    outcome = agent.agent()
    assert outcome["reason"] == "precondition"
    assert str(agent.home / "run") in outcome["msg"]


@pytest.mark.parametrize("folder", ["run", "log"])
def test_a_folder_without_the_right_to_write_is_named(folder):
    # Not in tmp_path, whose parents are closed to other users.
    with tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o755)
        agent = ProcessPlatform(Path(home))
        agent.deploy("1.4.1")
        (agent.home / folder).mkdir(mode=0o555)
        outcome = as_ordinary_user(agent.home, agent.agent)
        assert outcome["reason"] == "precondition"
        assert f"{agent.home / folder} is not writable" in outcome["msg"]
        assert not running_replicas(agent)
        agent.close()


@pytest.mark.parametrize("unreadable", ["source", "source/src", "source/src/main.py"])
def test_a_source_without_the_right_to_read_is_named(unreadable):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        agent = ProcessPlatform(Path(folder))
        (Path(folder) / "source" / "src").mkdir(parents=True)
        (Path(folder) / "source" / "src" / "main.py").write_text("app = 1\n")
        (Path(folder) / unreadable).chmod(0)
        agent.home.mkdir(mode=0o755)
        source = str(Path(folder) / "source")
        for look in (
            lambda: agent.preflight(source=source),
            lambda: agent.run(AGENT_RELEASE, release="1.0", source=source),
        ):
            outcome = as_ordinary_user(agent.home, look)
            assert outcome["reason"] == "precondition"
            assert f"{Path(folder) / unreadable}: permission denied" in outcome["msg"]
            assert not (agent.home / "releases").exists()
        (Path(folder) / unreadable).chmod(0o755)
        agent.close()


def test_an_environment_file_that_was_broken_by_hand_is_named(started):
    (started.home / "environment").write_text("A='open\n")
    outcome = started.agent()
    assert outcome["reason"] == "precondition"
    assert str(started.home / "environment") in outcome["msg"]
    assert started.serving() == started.names()


def test_the_environment_file_is_for_its_user_only(started):
    succeeded(started.agent(environment_secrets={"API_TOKEN": "s3cr3t-words"}))
    assert (started.home / "environment").stat().st_mode & 0o777 == 0o600
    for path, text in started.tree().items():
        if not path.endswith(("/environment", ".log")):
            assert "s3cr3t-words" not in text, path


# --- controllers that collide or die ----------------------------------------------------------


def test_of_two_starts_at_once_one_starts_and_the_other_finds_it_running(agent, children):
    agent.deploy("1.4.2", ready_after_s=0.3)
    outcomes = [
        json.loads(process.communicate(timeout=30)[0])
        for process in [controller(children, agent), controller(children, agent)]
    ]
    assert not any(outcome.get("failed") for outcome in outcomes)
    assert sorted(outcome["changed"] for outcome in outcomes) == [False, True]
    assert len(running_replicas(agent)) == 3


@pytest.mark.parametrize("state", ["started", "restarted"])
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.1, 0.4])
def test_a_killed_controller_leaves_nothing_that_the_next_run_does_not_repair(
    agent, children, state, delay
):
    agent.deploy("1.4.2", ready_after_s=0.2)
    if state == "restarted":
        succeeded(agent.agent())
    lock = agent.home / "state/locks/cost-agent"
    process = controller(children, agent, state)
    wait_until(lock.exists)
    time.sleep(delay)
    process.kill()
    process.wait()
    succeeded(agent.agent())
    assert agent.serving() == agent.names()
    assert running_replicas(agent) == set(agent.pids().values())
    assert not succeeded(agent.agent())["changed"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_cancelled_run_says_so_and_the_next_one_goes_on(agent, children, number):
    agent.deploy("1.4.2", ready_after_s=1)
    process = controller(children, agent)
    wait_until(lambda: len(agent.pids()) == 3)
    process.send_signal(number)
    outcome = json.loads(process.communicate(timeout=10)[0])
    assert outcome["reason"] == "cancelled"
    pids = agent.pids()
    outcome = succeeded(agent.agent())
    assert agent.pids() == pids
    assert not outcome["changed"], outcome


def test_a_starters_end_does_not_end_what_it_started(agent, children):
    process = controller(children, agent)
    succeeded(json.loads(process.communicate(timeout=20)[0]))
    assert agent.serving() == agent.names()
    for pid in agent.pids().values():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        assert int(fields[3]) == pid  # its own session
        handles = [os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)]
        assert handles[0] == "/dev/null"
        assert handles[1] == handles[2]
        assert handles[1].endswith(".log")
