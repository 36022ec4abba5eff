# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One replica of the real agent on units as they are shipped: no request is lost on the way."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_release import (
    AGENT_RELEASE,
    AGENT_ROLLBACK,
)

from tests.load.open_load import OpenLoad
from tests.platforms.agent_environment import agent_options
from tests.platforms.systemd_platform import (
    AGENT_SOURCE,
    SystemdPlatform,
    agent_machine,
    install_units,
)

RATE = 100
# What must not fail: "0 of at least 5,000".
REQUESTS = 5000


@pytest.fixture(scope="module")
def agent(docker_engine, systemd_image, stack, tmp_path_factory):
    with agent_machine(docker_engine, "cost-agent-requests") as machine:
        install_units(machine, tmp_path_factory.mktemp("units"))
        yield SystemdPlatform(machine, restarts=True)


def succeeded(outcome):
    assert not outcome.get("failed"), f"{outcome['msg']} {outcome.get('log_tail')}"
    return outcome


def test_one_replica_loses_no_request_on_restart_deploy_and_rollback(agent, stack):
    servers = agent_options(stack)

    def release(version):
        arguments = {"release": version, "source": AGENT_SOURCE, "wheelhouse": "/opt/wheels"}
        succeeded(agent.run(AGENT_RELEASE, **arguments))

    def bring(state="started"):
        return succeeded(agent.agent(state, replicas=1, timeout_s=90, stop_grace_s=30, **servers))

    for version in ("1.4.2", "1.4.1"):
        release(version)
    bring()
    succeeded(agent.run(AGENT_RELEASE, state="good"))
    url = f"http://{agent.machine.address}:8001/api/v1/health"
    with OpenLoad(url, RATE, timeout_s=30) as load:
        load.wait_for(RATE)
        restarts = 0
        while restarts < 3 or load.answered + load.failed < REQUESTS:
            assert bring("restarted")["changed"]
            load.wait_for(RATE)
            release("1.4.2")
            assert bring()["state"]["replicas"][0]["release"] == "1.4.2"
            load.wait_for(RATE)
            assert succeeded(agent.run(AGENT_ROLLBACK))["changed"]
            assert bring()["state"]["replicas"][0]["release"] == "1.4.1"
            load.wait_for(RATE)
            restarts += 3
    report = load.report
    print(report)
    assert report.failed == 0, report
    assert report.sent >= REQUESTS
