# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every platform promises, on systemd."""

from __future__ import annotations

import pytest

from tests.component.test_platform_contract import CONTRACT
from tests.platforms.systemd_platform import SystemdPlatform, agent_machine, install_units

globals().update(CONTRACT)


@pytest.fixture(scope="module")
def machine(docker_engine, systemd_image, tmp_path_factory):
    with agent_machine(docker_engine, "cost-agent-contract") as running:
        install_units(running, tmp_path_factory.mktemp("units"))
        yield running


@pytest.fixture
def platform(machine):
    running = SystemdPlatform(machine)
    running.machine.run(["rm", "-rf", "/opt/cost-agent"])
    yield running
    running.close()
