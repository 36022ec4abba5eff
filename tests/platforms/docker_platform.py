# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The docker platform for tests: an agent of real containers on a real engine.

Its images hold a stand-in for uvicorn, so that what the engine does is what is tested; the real
agent is the playbooks' test.
"""

from __future__ import annotations

import io
import json
import os
import signal
import tarfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.operation import (
    Operation,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    FileStateStore,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_release import (
    AGENT_RELEASE,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.images.releases import (
    ImageRelease,
    ImageReleases,
)

from tests.component.operated_platform import OperatedPlatform
from tests.component.process_platform import STAND_IN, is_running, reserve_ports
from tests.platforms.home import Engine
from tests.waiting import eventually

REPOSITORY = "cost-agent-stand-in"
_DOCKERFILE = """\
FROM cost-agent:1.4.1
HEALTHCHECK {healthcheck}
ENV RELEASE_ID=
WORKDIR /stand-in
COPY . /stand-in
CMD ["python3", "-B", "-m", "uvicorn", "src.main:app", "--host", "0.0.0.0", "--port", "8001"]
"""


class DockerPlatform(OperatedPlatform):
    """One agent on an engine that has the agent's images; `close` removes its containers."""

    platform = "docker"
    cannot = frozenset({"app"})

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.home = folder / "agent"
        self.engine = engine
        self.port, self._reservation = reserve_ports(5)
        # What the contract kills must stay dead; what a policy does has tests of its own.
        self.docker: dict[str, Any] = {"docker_host": engine.url, "restart_policy": "no"}

    def run(self, operation: Operation, check: bool = False, **arguments: Any) -> dict[str, Any]:
        arguments["docker"] = {**self.docker, **arguments.get("docker", {})}
        return super().run(operation, check, **arguments)

    def agent_release(self, version: str, check: bool = False, **arguments: Any) -> dict[str, Any]:
        return self.run(AGENT_RELEASE, check, release=self.release(version), **arguments)

    def release(self, version: str) -> str:
        return f"{REPOSITORY}:{version}"

    def deploy(self, release: str, source: str = "", **behaviour: Any) -> None:
        """Make a release current, as agent_release would; behaviour in capitals."""
        image_id = self.build(release, source, **behaviour)
        records = ImageReleases(FileStateStore(self.home / "state"), "cost-agent")
        records.add(ImageRelease(self.release(release), image_id, time.time(), image_id))
        records.switch(self.release(release))

    def build(
        self, version: str, source: str = "", healthcheck: str = "NONE", **behaviour: Any
    ) -> str:
        """Build an image of the stand-in under that version's tag, and return its id."""
        settings = "".join(f"{name.upper()} = {value!r}\n" for name, value in behaviour.items())
        # The version too: another release is another image, also where they behave alike.
        main = f"# {version}\n{settings}{source}"
        context = _tar(
            {
                "Dockerfile": _DOCKERFILE.format(healthcheck=healthcheck),
                "uvicorn/__init__.py": "",  # or the one that is installed comes first
                "uvicorn/__main__.py": STAND_IN,
                "src/main.py": main,
            }
        )
        image, _log = self.engine.client().images.build(
            fileobj=context, custom_context=True, tag=self.release(version), forcerm=True
        )
        return str(image.id)

    # --- what a test looks at -----------------------------------------------------------------

    def names(self, count: int = 3) -> list[str]:
        return [f"cost-agent-{number}" for number in range(1, count + 1)]

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine tells of each container of the agent, running or not, by name."""
        listed = self.engine.client().containers.list(all=True, ignore_removed=True)
        found = {each.name: each.attrs for each in listed}
        return {name: found[name] for name in self.names(9) if name in found}

    def pids(self) -> dict[str, int]:
        """The first process of each replica that runs."""
        states = {name: each["State"] for name, each in self.containers().items()}
        return {name: state["Pid"] for name, state in states.items() if state["Running"]}

    def port_of(self, name: str) -> int:
        return self.port + int(name.rpartition("-")[2]) - 1

    def ask(self, name: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port_of(name)}/self"
        with urllib.request.urlopen(url, timeout=300) as answer:
            return dict(json.load(answer))

    def tree(self) -> dict[str, str]:
        states = {name: each["State"]["StartedAt"] for name, each in self.containers().items()}
        return {**super().tree(), **states}

    def kill(self, name: str) -> None:
        pid = self.pids()[name]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not is_running(pid) and name not in self.pids())

    def close(self) -> None:
        remove_agents(self.engine)
        self._reservation.close()


def remove_agents(engine: Engine) -> None:
    """Remove the containers of agents, also those whose image lost its name."""
    for each in engine.client().containers.list(all=True, ignore_removed=True):
        if each.name.startswith("cost-agent-"):
            each.remove(force=True, v=True)


def _tar(files: dict[str, str]) -> io.BytesIO:
    """A build context; the same files give the same bytes, and so the same image."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    buffer.seek(0)
    return buffer
