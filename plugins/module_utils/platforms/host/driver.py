# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the drivers of one machine share, whatever keeps the replicas running there."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from ...core.clock import Clock
from ..agent_options import Agent, Serving
from ..environment import Environment
from . import environment_file
from .file_access import file_access
from .layout import Layout
from .release_store import FolderReleaseStore


class HostDriver:
    """The releases and the environment in an agent's home."""

    def __init__(self, agent: Agent, serving: Serving | None, clock: Clock) -> None:
        self._agent = agent
        self._serving = serving
        self._clock = clock
        self._layout = Layout(agent.home, agent.name)
        self.release_store = FolderReleaseStore(agent)

    def reading_once(self) -> AbstractContextManager[None]:
        return nullcontext()

    def environment(self) -> Environment:
        with self._files("read the environment"):
            return environment_file.read(self._layout.environment)

    def set_environment(self, environment: Environment) -> None:
        with self._files("write the environment"):
            environment_file.write(self._layout.environment, environment)

    def _required_serving(self) -> Serving:
        if self._serving is None:
            raise ValueError("this driver was opened to observe and stop only")
        return self._serving

    def _files(self, wanted: str) -> AbstractContextManager[None]:
        """Turn a refusal of the file system into a `precondition`."""
        return file_access(wanted, self._agent.home)
