# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks on a machine with systemd, as an operator runs them from a controller.

In the order of the tests: a bare machine in check mode, a first deploy, the next one, and so on.
"""

from __future__ import annotations

import pytest

from tests.platforms.systemd_platform import agent_machine
from tests.platforms.systemd_site import SystemdSite


@pytest.fixture(scope="module")
def site(docker_engine, systemd_image, stack, tmp_path_factory):
    with agent_machine(docker_engine, "cost-agent-playbooks") as machine:
        yield SystemdSite(machine, stack, tmp_path_factory.mktemp("site"))


@pytest.fixture
def deployed(site):
    run = site.deploy("1.4.1")
    assert run.code == 0, run.output
    return site


def replicas(run):
    seen = run.result_of("agent")["state"]["replicas"]
    return [(each["name"], each["status"], each["release"]) for each in seen]


def test_check_mode_on_a_bare_machine_tells_and_touches_nothing(site):
    before = site.machine.run(["find", "/etc", "/opt", "-newer", "/proc/1"]).stdout
    run = site.deploy("1.4.1", "--check", "--diff")
    assert run.code == 0, run.output
    assert run.changed
    assert site.machine.run(["find", "/etc", "/opt", "-newer", "/proc/1"]).stdout == before


def test_a_deploy_serves_and_a_second_run_changes_nothing(site):
    first = site.deploy("1.4.1")
    assert first.code == 0, first.output
    assert first.result_of("health_info")["state"]["verdict"] == "healthy"
    assert replicas(first) == [
        ("cost-agent@8001.service", "ready", "1.4.1"),
        ("cost-agent@8002.service", "ready", "1.4.1"),
    ]
    second = site.deploy("1.4.1")
    assert second.code == 0, second.output
    assert second.changed == []


def test_another_release_comes_and_goes_back(deployed):
    there = deployed.deploy("1.4.2")
    assert there.code == 0, there.output
    assert {release for _name, _status, release in replicas(there)} == {"1.4.2"}
    back = deployed.play("rollback", "-e", "cost_agent_rollback_to=1.4.1")
    assert back.code == 0, back.output
    assert {release for _name, _status, release in replicas(back)} == {"1.4.1"}


def test_restart_scale_logs_stop_and_start(deployed):
    restarted = deployed.play("restart")
    assert restarted.code == 0, restarted.output
    scaled = deployed.play("scale", "-e", "cost_agent_replicas=3")
    assert scaled.code == 0, scaled.output
    assert len(replicas(scaled)) == 3
    logs = deployed.play("logs")
    assert logs.code == 0, logs.output
    shown = logs.result_of("agent_logs_info")["state"]["replicas"]
    assert next(iter(shown)) == "cost-agent@8001.service"
    assert any("Application startup complete" in line for line in shown["cost-agent@8003.service"])
    stopped = deployed.play("stop")
    assert stopped.code == 0, stopped.output
    assert not list(deployed.home.glob("run/*"))
    started = deployed.play("start")
    assert started.code == 0, started.output
    assert {status for _name, status, _release in replicas(started)} == {"ready"}
