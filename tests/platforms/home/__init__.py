# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Docker engine and machines with systemd, for tests: started when needed, gone at the end."""

from tests.platforms.home.engine import Engine, running_engine
from tests.platforms.home.errors import PlatformError
from tests.platforms.home.own_engine import HOME, OwnEngine
from tests.platforms.home.systemd_machine import SystemdMachine

__all__ = ["HOME", "Engine", "OwnEngine", "PlatformError", "SystemdMachine", "running_engine"]
