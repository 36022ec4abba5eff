# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The docker driver of an agent, with its options read."""

from __future__ import annotations

import os

from ...core.clock import Clock
from ..agent_options import Agent, Serving
from .compose_driver import ComposeDriver
from .driver import DockerDriver
from .migration import DockerMigrator
from .options import read_docker_options


def docker_driver(agent: Agent, serving: Serving | None, clock: Clock) -> DockerDriver:
    """The driver; raises `invalid_input`, and asks no engine yet."""
    options = read_docker_options(agent.docker, os.environ)
    if options.compose is not None:
        return ComposeDriver(agent, serving, options, clock)
    return DockerDriver(agent, serving, options, clock)


def docker_migrator(agent: Agent, clock: Clock) -> DockerMigrator:
    """What runs migrations in containers; raises `invalid_input`, and asks no engine yet."""
    return docker_driver(agent, None, clock).migrator()
