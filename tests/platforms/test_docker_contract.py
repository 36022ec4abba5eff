# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every platform promises, on docker."""

from __future__ import annotations

import pytest

from tests.component.test_platform_contract import CONTRACT
from tests.platforms.docker_platform import DockerPlatform, remove_agents

globals().update(CONTRACT)


@pytest.fixture
def platform(docker_engine, agent_images, tmp_path):
    remove_agents(docker_engine)  # of a run that was killed
    running = DockerPlatform(tmp_path, docker_engine)
    yield running
    running.close()
