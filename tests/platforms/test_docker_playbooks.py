# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide's operations by the playbooks, on real containers of the real agent."""

from __future__ import annotations

import pytest

from tests.component.agent_site import PLANTED_SECRET
from tests.platforms.docker_site import DockerSite

FIRST, SECOND = "cost-agent:1.4.1", "cost-agent:1.4.2"
# Each starts the interpreter of a real agent several times, on a machine that others use too.


@pytest.fixture
def site(docker_engine, agent_images, stack, tmp_path):
    running = DockerSite(tmp_path, docker_engine, stack, {"cost_agent_replicas": 2})
    yield running
    running.close()


def succeeded(run):
    assert run.code == 0, run.output
    return run


def test_deploy_restart_upgrade_rollback_stop_and_start(site):
    succeeded(site.play("deploy", release=FIRST))
    assert site.releases(2) == [FIRST] * 2
    assert succeeded(site.play("deploy", release=FIRST)).changed == []

    restarted = succeeded(site.play("restart")).result_of("agent")
    assert restarted["summary"] == "2 of 2, none below 1 ready"

    check = succeeded(site.play("deploy", "--check", "--diff", release=SECOND))
    assert site.releases(2) == [FIRST] * 2
    assert any("Would replace" in line for line in check.result_of("agent")["actions"])
    succeeded(site.play("deploy", release=SECOND))
    assert site.releases(2) == [SECOND] * 2

    succeeded(site.play("rollback", rollback_to=FIRST))
    assert site.releases(2) == [FIRST] * 2

    stopped = succeeded(site.play("stop"))
    assert "remembered" in stopped.result_of("agent")["summary"]
    assert succeeded(site.play("stop")).changed == []
    started = succeeded(site.play("start"))
    assert site.releases(2) == [FIRST] * 2
    assert PLANTED_SECRET not in started.output
