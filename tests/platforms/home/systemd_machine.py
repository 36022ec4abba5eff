# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine with systemd, in a container."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from docker.models.containers import Container

from tests.images.systemd import REFERENCE
from tests.platforms.home.engine import Engine
from tests.platforms.home.errors import PlatformError

_BOOT_TIMEOUT_S = 600.0
_POLL_S = 0.1
# What a machine that is booting does not get out of by itself; `offline` is before systemd is there.
_ENDED = {"degraded", "maintenance", "stopping"}


class SystemdMachine:
    """A fresh machine, as a context manager: inside the block its systemd has come to `running`."""

    def __init__(
        self,
        engine: Engine,
        name: str,
        *,
        mounts: Mapping[Path, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`mounts` are folders of this machine and where they are, read-only, in that one."""
        self.engine = engine
        self.name = name
        self._mounts = {
            str(folder): {"bind": place, "mode": "ro"} for folder, place in (mounts or {}).items()
        }
        self._environment = dict(environment or {})
        self._container: Container | None = None

    def __enter__(self) -> Self:
        try:
            # Not privileged: that fails where the capability SYS_RESOURCE is missing. systemd
            # wants to mount, and to make cgroups below its own.
            self._container = self.engine.client().containers.run(
                REFERENCE,
                name=self.name,
                hostname=self.name,
                detach=True,
                cap_add=["SYS_ADMIN"],
                security_opt=["seccomp=unconfined", "apparmor=unconfined"],
                cgroupns="host",
                volumes={
                    "/sys/fs/cgroup": {"bind": "/sys/fs/cgroup", "mode": "rw"},
                    **self._mounts,
                },
                tmpfs={"/run": "exec", "/run/lock": "", "/tmp": "exec"},
                environment=self._environment,
            )
            self._wait_until_running()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove the machine at once, as when its power is cut."""
        if self._container is not None:
            self._container.remove(force=True, v=True)
            self._container = None

    @property
    def container(self) -> Container:
        assert self._container is not None, "the machine is not running"
        return self._container

    @property
    def address(self) -> str:
        """Its IP address, which this machine reaches."""
        self.container.reload()
        return str(self.container.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"])

    def run(
        self, command: Sequence[str], *, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root in the machine; with `check` raises CalledProcessError."""
        code, (output, errors) = self.container.exec_run(list(command), demux=True)
        finished = subprocess.CompletedProcess(
            list(command), int(code), (output or b"").decode(), (errors or b"").decode()
        )
        if check:
            finished.check_returncode()
        return finished

    def state(self) -> str:
        """systemd's own word: starting, running, degraded, ..."""
        return self.run(["systemctl", "is-system-running"], check=False).stdout.strip()

    def inventory_variables(self) -> dict[str, Any]:
        """What a host of an inventory needs so that Ansible reaches this machine."""
        return {
            "ansible_connection": "community.docker.docker_api",
            "ansible_docker_docker_host": self.engine.url,
            "ansible_host": self.name,
            "ansible_python_interpreter": "/usr/bin/python3",
        }

    def _wait_until_running(self) -> None:
        deadline = time.monotonic() + _BOOT_TIMEOUT_S
        while (state := self.state()) != "running":
            if state in _ENDED or time.monotonic() > deadline:
                failed = self.run(["systemctl", "--failed", "--no-legend"], check=False).stdout
                raise PlatformError(
                    f"{self.name}: wanted systemd `running`, it is `{state}`; failed units:\n"
                    f"{failed}"
                )
            time.sleep(_POLL_S)
            self.container.reload()
            if self.container.status != "running":
                said = self.container.logs(tail=5).decode(errors="replace")
                raise PlatformError(f"{self.name}: systemd ended at once; it said:\n{said}")
