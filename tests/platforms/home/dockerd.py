# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process of an engine of our own: dockerd with all that it keeps in one folder."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Sequence
from pathlib import Path

from demo.stack.private_files import write_private
from demo.stack.processes import StopStep
from demo.stack.server import Server
from tests import shim
from tests.platforms.home.ping import answers

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A socket's path has 107 bytes at the most, and dockerd appends up to 40 to its exec root's.
_LONGEST_RUNTIME_PATH = 60


class Dockerd(Server):
    name = "docker"
    programs = frozenset({"dockerd", "containerd", "docker-proxy"})
    port_names = ()
    main_port = ""
    kept_ports = ()
    # It gives its containers 5 s (see configure), and the network some more.
    stop_steps = (StopStep(signal.SIGTERM, 30.0), StopStep(signal.SIGKILL, 60.0))
    start_timeout_s = 600.0

    def __init__(self, home: Path, bridge: str) -> None:
        """`bridge` is the network interface that containers hang on; it has to exist at start."""
        super().__init__(home)
        self._bridge = bridge

    @property
    def runtime(self) -> Path:
        """The folder of sockets: ours, or a short one below /run where ours is too deep."""
        if len(str(self.folder)) <= _LONGEST_RUNTIME_PATH:
            return self.folder
        digest = hashlib.sha256(bytes(self.folder)).hexdigest()[:12]
        return Path("/run") / f"cost-agent-docker-{digest}"

    @property
    def socket(self) -> Path:
        return self.runtime / "docker.sock"

    def prepare(self) -> None:
        shim.install(self.folder / "bin")
        for folder in (self.folder, self.runtime, self.log.parent, self._record.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def configure(self, ports: dict[str, int]) -> Sequence[str]:
        # An own, empty one: what the machine's says would contradict these words.
        settings = self.folder / "daemon.json"
        write_private(settings, "{}\n")
        return [
            "dockerd",
            f"--config-file={settings}",
            f"--data-root={self.folder / 'data'}",
            f"--exec-root={self.runtime / 'exec'}",
            f"--pidfile={self.runtime / 'dockerd.pid'}",
            f"--host=unix://{self.socket}",
            "--group=root",
            f"--bridge={self._bridge}",
            # The machine's firewall and routing stay as they are; published ports are served by
            # docker-proxy, as on every engine for clients on loopback.
            "--iptables=false",
            "--ip6tables=false",
            "--ip-forward=false",
            "--ip-masq=false",
            "--shutdown-timeout=5",
        ]

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "PATH": f"{self.folder / 'bin'}:{_PATH}"}

    def answers(self) -> bool:
        return answers(self.socket)

    def clean_up(self) -> None:
        """Forget the ended processes; containers of a killed one are taken over by the next.

        dockerd takes a zombie for its containerd, and waits for it in vain.
        """
        for name in ("dockerd.pid", "exec/containerd/containerd.pid"):
            (self.runtime / name).unlink(missing_ok=True)

    def address(self) -> dict[str, str | int]:
        return {"url": f"unix://{self.socket}"}
