# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the process platform keeps an agent on a machine.

- `<home>/releases/<id>/`: one release, its source and its `venv`; `release.json` comes last, and
  `release.environment`, mode 0600, is the environment that it proved good with
- `<home>/current`: link to the release that replicas are started from
- `<home>/environment`: the replicas' environment, mode 0600
- `<home>/run/cost-agent-8001.pid`: first line the pid, second line the replica's record
- `<home>/log/cost-agent-8001.log`: what the replica prints
- `<home>/state/`: the state store, unless another one is named
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# In a release's folder: it is whole once RECORD is there; MARKER stands for one being installed.
RECORD = "release.json"
MARKER = "release.installing"
GOOD_ENVIRONMENT = "release.environment"


@dataclass(frozen=True)
class Layout:
    """The paths below one agent's home folder; `name` is the agent's name."""

    home: Path
    name: str

    @property
    def releases(self) -> Path:
        return self.home / "releases"

    @property
    def current(self) -> Path:
        return self.home / "current"

    @property
    def environment(self) -> Path:
        return self.home / "environment"

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def log(self) -> Path:
        return self.home / "log"

    def release(self, release_id: str) -> Path:
        return self.releases / release_id

    def pid_file(self, replica: str) -> Path:
        return self.run / f"{replica}.pid"

    def log_file(self, replica: str) -> Path:
        return self.log / f"{replica}.log"

    def replica(self, port: int) -> str:
        """The name of the replica on a port, `cost-agent-8001`."""
        return f"{self.name}-{port}"
