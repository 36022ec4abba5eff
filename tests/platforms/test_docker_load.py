# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No request is lost while containers of the real agent are replaced behind haproxy."""

from __future__ import annotations

import pytest

from tests.load.open_load import OpenLoad
from tests.platforms.agent_environment import agent_options
from tests.platforms.docker_platform import DockerPlatform, remove_agents
from tests.platforms.docker_site import DRAIN_S


class RealAgent(DockerPlatform):
    """The demo agent's own images, as a site has them."""

    def __init__(self, folder, engine, stack):
        super().__init__(folder, engine)
        self.docker = {"docker_host": engine.url, "read_only": True}
        self._environment = agent_options(stack, DRAIN_SECONDS=DRAIN_S)

    def release(self, version):
        return f"cost-agent:{version}"

    def agent(self, state="started", check=False, **changes):
        given = {"timeout_s": 200, "stop_grace_s": 20, **self._environment, **changes}
        return super().agent(state, check, **given)


@pytest.fixture
def platform(docker_engine, agent_images, stack, tmp_path):
    remove_agents(docker_engine)
    running = RealAgent(tmp_path, docker_engine, stack)
    yield running
    running.close()


def succeeded(outcome):
    assert not outcome.get("failed"), outcome
    return outcome


def deploy(platform, version):
    succeeded(platform.agent_release(version))
    succeeded(platform.agent(replicas=None))
    succeeded(platform.agent_release(version, state="good"))


def test_no_request_is_lost_by_restart_deploy_rollback_and_scaling(platform, start_proxy, capsys):
    deploy(platform, "1.4.1")
    proxy = start_proxy([("127.0.0.1", platform.port + number) for number in range(5)])
    proxy.wait_for_up(3)
    with OpenLoad(f"{proxy.url}/api/v1/health", rate=120) as load:
        assert succeeded(platform.agent("restarted"))["summary"].endswith("none below 2 ready")
        deploy(platform, "1.4.2")
        succeeded(platform.roll_back(to=platform.release("1.4.1")))
        succeeded(platform.agent(replicas=None))
        succeeded(platform.agent(replicas=5))
        proxy.wait_for_up(5)
        succeeded(platform.agent(replicas=3))
        load.wait_for(max(1, 5000 - load.answered - load.failed), limit_s=120)
    with capsys.disabled():
        print(f"\ndocker behind haproxy: {load.report}")
    assert load.report.failed == 0, load.report
    assert load.report.sent >= 5000
