# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every platform promises, on docker."""

from __future__ import annotations

import pytest

# The tests and their fixtures; `platform` below takes the place of the suite's own.
from tests.component.test_platform_contract import *  # noqa: F403
from tests.platforms.docker_platform import DockerPlatform


@pytest.fixture
def platform(docker_engine, agent_images, tmp_path):
    running = DockerPlatform(tmp_path, docker_engine)
    yield running
    running.close()
