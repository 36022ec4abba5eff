# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with services: a clear end, nothing half done, and the next run repairs."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent import AGENT
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_info import (
    AGENT_INFO,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_logs import (
    AGENT_LOGS_INFO,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_release import (
    AGENT_RELEASE,
    AGENT_ROLLBACK,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.preflight_info import (
    PREFLIGHT_INFO,
)

from tests.component.operated_platform import TIMEOUT_S
from tests.platforms.systemd_platform import (
    HOME,
    Run,
    SystemdPlatform,
    agent_machine,
    foreign_machine,
    install_units,
)
from tests.waiting import eventually

SERVICES = [f"cost-agent@{port}.service" for port in (8001, 8002, 8003)]
FIRST = SERVICES[0]


@pytest.fixture(scope="module")
def machine(docker_engine, systemd_image, tmp_path_factory):
    with agent_machine(docker_engine, "cost-agent-faults") as running:
        install_units(running, tmp_path_factory.mktemp("units"))
        yield running


@pytest.fixture(scope="module")
def foreign(docker_engine, systemd_image):
    with foreign_machine(docker_engine, "cost-agent-foreign") as running:
        yield running


@pytest.fixture
def agent(machine):
    """One agent, on units as they are shipped."""
    machine.run(["rm", "-rf", HOME])
    platform = SystemdPlatform(machine, restarts=True)
    platform.deploy("1.4.1")
    yield platform
    platform.close()


@pytest.fixture
def started(agent):
    succeeded(agent.agent())
    return agent


def succeeded(outcome):
    assert not outcome.get("failed"), f"{outcome['msg']} {outcome.get('log_tail')}"
    return outcome


def statuses(outcome):
    return [replica["status"] for replica in outcome["state"]["replicas"]]


def note(outcome, name=FIRST):
    return next(each["note"] for each in outcome["state"]["replicas"] if each["name"] == name)


# --- what is missing --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        (AGENT, {"state": "started"}),
        (AGENT, {"state": "stopped"}),
        (AGENT, {"state": "restarted"}),
        (AGENT_INFO, {}),
        (AGENT_LOGS_INFO, {}),
        (AGENT_RELEASE, {"release": "1.4.1", "source": "/usr/local/src/agent"}),
        (AGENT_ROLLBACK, {}),
        (PREFLIGHT_INFO, {}),
    ],
    ids=lambda value: getattr(value, "name", "") or value.get("state", ""),
)
def test_a_target_without_systemd_is_refused(foreign, operation, arguments):
    outcome = Run(foreign, operation, False, arguments).result()
    assert outcome["reason"] == "precondition"
    assert "systemd does not run this machine: its first process is sleep" in outcome["msg"]
    assert foreign.container.exec_run(["ls", HOME]).exit_code != 0


def test_units_that_are_not_installed_are_asked_for(agent):
    agent.machine.run(["sh", "-c", "mkdir /aside; mv /etc/systemd/system/cost-agent@.* /aside"])
    try:
        agent.machine.run(["systemctl", "daemon-reload"])
        outcome = agent.agent()
    finally:
        agent.machine.run(["sh", "-c", "mv /aside/* /etc/systemd/system; rmdir /aside"])
        agent.machine.run(["systemctl", "daemon-reload"])
    assert outcome["reason"] == "precondition"
    assert "role deploy" in outcome["msg"]
    assert agent.pids() == {}


def test_a_masked_unit_is_named_before_anything_is_touched(started):
    pids = started.pids()
    started.machine.run(["systemctl", "mask", FIRST])
    started.deploy("1.4.2")
    outcome = started.agent()
    assert outcome["reason"] == "precondition"
    assert f"systemctl unmask {FIRST}" in outcome["msg"]
    assert started.pids() == pids
    started.machine.run(["systemctl", "unmask", FIRST])
    assert statuses(succeeded(started.agent())) == ["ready"] * 3


def test_a_port_that_another_holds_is_named_before_anything_is_touched(started):
    script = "import socket, time; s = socket.create_server(('0.0.0.0', 8004)); time.sleep(99)"
    started.machine.run(["systemd-run", "--unit=stranger", "python3", "-c", script])
    try:
        eventually(lambda: started.preflight(replicas=4).get("failed"))
        pids = started.pids()
        outcome = started.agent(replicas=4)
        checked = started.preflight(replicas=4)
    finally:
        started.machine.run(["systemctl", "stop", "stranger"])
    for each in (outcome, checked):
        assert each["reason"] == "precondition"
        assert "port 8004 is held by pid" in each["msg"]
    assert started.pids() == pids


# --- services that end ------------------------------------------------------------------------


@pytest.mark.parametrize("dies_after_s", [0.1, 0.5])
def test_a_restart_loop_ends_the_wait_at_once(agent, dies_after_s):
    """READY_AFTER_S None: it never is."""
    agent.deploy("1.4.2", dies_after_s=dies_after_s, ready_after_s=None)
    outcome = agent.agent(replicas=1)
    assert outcome["reason"] == "failed_state"
    assert "it exited with code 3" in outcome["msg"] or "started it again" in outcome["msg"]
    assert any("listening" in line for line in outcome["log_tail"])
    assert outcome["duration"] < TIMEOUT_S / 2
    agent.deploy("1.4.1")
    assert statuses(succeeded(agent.agent(replicas=1))) == ["ready"]


def test_a_crash_at_start_is_told_with_the_last_words_of_the_journal(agent):
    agent.deploy("1.4.2", source="raise RuntimeError('no such table: costs')\n")
    outcome = agent.agent(replicas=1)
    assert outcome["reason"] == "failed_state"
    assert "it exited with code 1" in outcome["msg"]
    assert "no such table: costs" in outcome["msg"]
    assert outcome["duration"] < TIMEOUT_S / 2


def test_a_program_that_cannot_be_run_is_told_as_such(agent):
    agent.machine.run(["rm", f"{HOME}/releases/1.4.1/venv/bin/python"])
    outcome = agent.agent(replicas=1)
    assert outcome["reason"] == "failed_state"
    assert "it exited with code 127" in outcome["msg"]
    assert "venv/bin/python" in outcome["msg"]
    assert "No such file or directory" in outcome["msg"]


def test_a_service_that_systemd_gave_up_is_told_and_started_again(agent):
    agent.deploy("1.4.2", dies_after_s=0, ready_after_s=None)
    agent.agent(replicas=1)
    eventually(lambda: agent.show(FIRST, "ActiveState") == "failed")
    info = agent.info()
    assert statuses(info) == ["stopped"]
    assert "gave it up (start-limit-hit)" in note(info)
    agent.deploy("1.4.1")
    assert statuses(succeeded(agent.agent(replicas=1))) == ["ready"]


def test_the_memory_limit_is_enforced(agent):
    agent.deploy("1.4.2", source="hoard = bytearray(200_000_000)\n")
    assert statuses(succeeded(agent.agent(replicas=1, memory_limit_mb=400))) == ["ready"]
    outcome = agent.agent(replicas=1, memory_limit_mb=100)
    assert outcome["reason"] == "failed_state"
    assert "SIGKILL" in outcome["msg"] or "want of memory" in outcome["msg"]


def test_a_replica_that_is_killed_comes_back_and_its_connections_wait(started):
    pid = started.pids()[FIRST]
    started.kill(FIRST)
    assert started.ask(FIRST, timeout_s=20)["pid"] > 0  # before it is back, by its socket
    assert started.pids()[FIRST] != pid
    outcome = succeeded(started.agent())
    assert not outcome["changed"]


# --- what others change -----------------------------------------------------------------------


def test_a_service_stopped_by_hand_is_told_and_started_again(started):
    started.machine.run(["systemctl", "stop", FIRST])
    info = started.info()
    assert statuses(info) == ["stopped", "ready", "ready"]
    assert note(info) == "its socket listens, and the next request starts it"
    assert statuses(succeeded(started.agent())) == ["ready"] * 3
    started.machine.run(["systemctl", "stop", FIRST.replace("service", "socket")])
    assert note(started.info()) == "it was stopped by hand"
    assert statuses(succeeded(started.agent())) == ["ready"] * 3


def test_a_drop_in_of_the_operator_is_honoured_and_replaces(started):
    folder = started.root / "etc/systemd/system/cost-agent@.service.d"
    (folder / "local.conf").write_text("[Service]\nEnvironment=LOCAL=yes\n")
    try:
        outcome = succeeded(started.agent())
        assert outcome["changed"]
        assert started.ask(FIRST)["environment"]["LOCAL"] == "yes"
        assert not succeeded(started.agent())["changed"]
    finally:
        (folder / "local.conf").unlink()


def test_another_host_moves_the_socket(agent):
    succeeded(agent.agent(replicas=1, host="127.0.0.1"))
    assert not agent.serving()
    outcome = succeeded(agent.agent(replicas=1, host="0.0.0.0"))
    assert outcome["changed"]
    assert agent.serving() == [FIRST]
    assert not succeeded(agent.agent(replicas=1, host="0.0.0.0"))["changed"]


def test_a_release_that_replicas_run_is_kept(started):
    for number in range(2, 9):
        started.deploy(f"1.4.{number}")
    outcome = started.run(AGENT_RELEASE, release="1.4.8", keep=1)
    kept = [release["id"] for release in succeeded(outcome)["state"]["releases"]]
    assert kept == ["1.4.8", "1.4.1"]


def test_replicas_are_back_after_a_boot_as_they_were(started):
    started.deploy("1.4.2")
    started.machine.container.restart(timeout=20)
    eventually(lambda: started.machine.state() == "running")
    again = SystemdPlatform(started.machine, restarts=True)
    eventually(lambda: again.serving() == SERVICES)
    assert [again.ask(name)["environment"]["RELEASE_ID"] for name in SERVICES] == ["1.4.1"] * 3
    assert {each["release"] for each in succeeded(again.agent())["state"]["replicas"]} == {"1.4.2"}


# --- a controller that is killed --------------------------------------------------------------


def test_a_controller_killed_in_a_start_leaves_what_the_next_run_finishes(agent):
    run = agent.begin("started")
    eventually(agent.pids)
    run.kill()
    outcome = succeeded(agent.agent())
    assert statuses(outcome) == ["ready"] * 3
    assert not succeeded(agent.agent())["changed"]


@pytest.mark.parametrize("state", ["started", "restarted"])
def test_a_controller_killed_in_a_replacement_leaves_what_the_next_run_finishes(agent, state):
    agent.deploy("1.4.1", drains_for_s=1)
    succeeded(agent.agent())
    before = agent.pids()
    agent.deploy("1.4.2", drains_for_s=1)
    run = agent.begin(state)
    eventually(lambda: agent.show(FIRST, "ActiveState") == "deactivating")
    run.kill()
    assert len(agent.serving()) >= 2
    outcome = succeeded(agent.agent())
    assert {each["release"] for each in outcome["state"]["replicas"]} == {"1.4.2"}
    assert [agent.ask(name)["environment"]["RELEASE_ID"] for name in SERVICES] == ["1.4.2"] * 3
    assert not set(agent.pids().values()) & set(before.values())
    assert not succeeded(agent.agent())["changed"]


def test_a_controller_killed_in_a_stop_leaves_what_the_next_run_finishes(agent):
    agent.deploy("1.4.1", drains_for_s=1)
    succeeded(agent.agent())
    run = agent.begin("stopped", replicas=None)
    eventually(lambda: agent.show(FIRST, "ActiveState") == "deactivating")
    run.kill()
    succeeded(agent.agent("stopped", replicas=None))
    assert agent.pids() == {}
    assert not list(agent.home.glob("run/*"))
    assert not succeeded(agent.agent("stopped", replicas=None))["changed"]


# --- grace, sandbox ---------------------------------------------------------------------------


def test_a_replica_that_outlives_its_grace_is_killed_and_reported(agent):
    agent.deploy("1.4.1", ignores_sigterm=True)
    succeeded(agent.agent(replicas=1))
    outcome = succeeded(agent.agent("stopped", stop_grace_s=1))
    assert any("by SIGKILL" in action for action in outcome["actions"])


def test_a_grace_is_not_cut_short_by_the_deadline(agent):
    agent.deploy("1.4.1", drains_for_s=4)
    succeeded(agent.agent(replicas=1))
    outcome = agent.agent("stopped", stop_grace_s=1.5, timeout_s=2, replicas=None)
    assert outcome.get("reason") in (None, "timeout")
    outcome = agent.agent("stopped", stop_grace_s=5, replicas=None)
    assert agent.pids() == {}


def test_the_units_are_hardened(machine):
    machine.run(["cp", "/etc/systemd/system/cost-agent@.service", "/tmp/cost-agent@8001.service"])
    score = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=30"]
    assessment = machine.run([*score, "/tmp/cost-agent@8001.service"])
    assert "Overall exposure level" in assessment.stdout


def test_replicas_run_as_the_agents_user_and_write_nowhere(started):
    pid = started.pids()[FIRST]
    status = (started.root.parent.parent / str(pid) / "status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status
    owner = started.machine.run(["id", "-u", "cost-agent"]).stdout.strip()
    assert f"Uid:\t{owner}\t" in status
