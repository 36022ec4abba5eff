# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process platform with two replicas behind haproxy: what an operator does loses no request."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from demo.stack import Addresses
from tests.component.agent_site import AGENT_SOURCE, Site, environment, variables
from tests.component.playbook_run import Run
from tests.load.haproxy import Haproxy
from tests.load.open_load import OpenLoad
from tests.platforms.conftest import StartProxy

RATE = 150  # requests a second
BEFORE_AND_AFTER = 150  # requests


@pytest.fixture(scope="module")
def site(local_stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two replicas of release 1.4.1."""
    # Longer than the proxy takes to see it: three checks, 200 ms apart, on a busy machine.
    drain = {"cost_agent_environment": environment(local_stack) | {"DRAIN_SECONDS": "2"}}
    agent = Site(tmp_path_factory.mktemp("site"), local_stack, drain)
    try:
        deployed = agent.deploy("1.4.1")
        assert deployed.code == 0, deployed.output
        yield agent
    finally:
        agent.play("stop")
        agent.close()


@pytest.fixture
def proxy(site: Site, start_proxy: StartProxy) -> Haproxy:
    started = start_proxy([("127.0.0.1", site.port + number) for number in range(2)])
    started.wait_for_up(2)
    return started


def restart(site: Site) -> Run:
    return site.play("restart")


def deploy(site: Site) -> Run:
    return site.play("deploy", *variables("1.4.2", AGENT_SOURCE))


def roll_back(site: Site) -> Run:
    return site.play("rollback", "-e", "cost_agent_rollback_to=1.4.1")


@pytest.mark.parametrize("operation", [restart, deploy, roll_back])
def test_no_request_is_lost(site: Site, proxy: Haproxy, operation: Callable[[Site], Run]) -> None:
    with OpenLoad(f"{proxy.url}/api/v1/health", RATE) as load:
        load.wait_for(BEFORE_AND_AFTER)
        run = operation(site)
        load.wait_for(BEFORE_AND_AFTER)
    print(load.report)
    assert run.code == 0, run.output
    assert run.changed
    assert load.report.failed == 0, f"{load.report}\n{proxy.said()}"
    assert load.report.rate > 0.95 * RATE  # or it was no such load
