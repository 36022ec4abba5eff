# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that the tests start, restart and stop themselves."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.stack.file_lock import exclusive
from tests.cluster.home.containerd import unmount_below
from tests.platforms.home.bridge import Bridge
from tests.platforms.home.dockerd import Dockerd
from tests.platforms.home.engine import Engine
from tests.platforms.home.errors import PlatformError

CHECKOUT = Path(__file__).resolve().parents[3]
HOME = CHECKOUT / ".cache" / "platforms"

_NEEDED = {"dockerd": "docker.io", "ip": "iproute2"}


class OwnEngine(Engine):
    """dockerd with data, sockets and a network bridge of its own; images stay for the next run."""

    def __init__(self, home: Path = HOME) -> None:
        self.home = home
        digest = hashlib.sha256(bytes(home)).hexdigest()[:8]
        self._bridge = Bridge(f"agent-{digest}")
        self._dockerd = Dockerd(home, self._bridge.name)
        super().__init__(str(self._dockerd.address()["url"]))

    def start(self) -> None:
        """Start it unless it runs. Raises PlatformError or StackError."""
        _require_programs()
        with self._lock():
            self._up()

    def restart(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Stop and start the daemon, as an upgrade of its package does; not the containers.

        `meanwhile` is called while there is none.
        """
        with self._lock():
            self._dockerd.down()
            meanwhile()
            self._dockerd.up()

    def kill(self) -> None:
        """End the daemon with SIGKILL; containers run on, and the next start finds them."""
        process = self._dockerd.process()
        if process is not None:
            process.stop(self._dockerd.stop_steps[1:])

    def stop(self) -> None:
        """Remove what the tests have left in it and stop it; only images stay.

        After a killed run too: then the daemon is started first, to find its containers.
        """
        if not self._dockerd.folder.exists():
            return
        with self._lock():
            if self._dockerd.process() is not None or self._has_containers():
                self._up()
                self._remove_everything()
            self.close()
            self._dockerd.down()
            for folder in (self.home, self._dockerd.runtime):
                unmount_below(folder)  # of a killed daemon
            self._bridge.delete()
            if self._dockerd.runtime != self._dockerd.folder:
                shutil.rmtree(self._dockerd.runtime, ignore_errors=True)

    def purge(self) -> None:
        """Stop it and remove its images too."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def is_running(self) -> bool:
        return self._dockerd.process() is not None

    @property
    def bridge_name(self) -> str:
        """The network interface of this machine that its containers hang on."""
        return self._bridge.name

    def gateway(self) -> str:
        address = self._bridge.gateway
        if address is None:
            raise PlatformError("docker: there is no bridge; start the engine first")
        return address

    def _up(self) -> None:
        if self._bridge.gateway is None:
            # Or dockerd gives the new bridge the address of the last one, whoever has that now.
            shutil.rmtree(self._dockerd.folder / "data" / "network", ignore_errors=True)
            self._bridge.create()
        self._dockerd.up()

    def _has_containers(self) -> bool:
        folder = self._dockerd.folder / "data" / "containers"
        return folder.is_dir() and any(folder.iterdir())

    def _remove_everything(self) -> None:
        for container in self.client().containers.list(all=True, ignore_removed=True):
            container.remove(force=True, v=True)
        self.client().networks.prune()
        self.client().volumes.prune()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with exclusive(self.home / "lock"):
            yield


def _require_programs() -> None:
    if os.geteuid() != 0:
        raise PlatformError(
            "docker: no engine runs, and starting one needs root; start Docker, or set DOCKER_HOST"
        )
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    missing = sorted({_NEEDED[name] for name in _NEEDED if not shutil.which(name, path=path)})
    if missing:
        raise PlatformError(
            f"docker: wanted programs of {', '.join(missing)}, which are not installed; "
            "scripts/install-platforms.sh installs them"
        )
