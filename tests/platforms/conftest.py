# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The homes of the platforms, once per worker: an engine, its images, machines, the stack, a proxy.

What cannot be had fails the test under CI=true, and skips it elsewhere with the reason.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.stack import Addresses, Stack, StackError
from tests.component.needs import missing
from tests.images import ImageError, archives, systemd_archive
from tests.load.haproxy import Haproxy
from tests.platforms.home import HOME, Engine, OwnEngine, SystemdMachine, running_engine

StartProxy = Callable[[Sequence[tuple[str, int]]], Haproxy]

# What these tests do most is wait: for a grace, a drain, a soak.
_WORKERS = 2


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Several workers where each has an engine of its own; an engine that is given has one."""
    try:
        return _WORKERS if running_engine() is None else 1
    except StackError:
        return 1  # each test that needs it will say why


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Engine]:
    """The engine that DOCKER_HOST names, one that runs here, or an own one; empty at the end."""
    try:
        engine = running_engine()
        own = OwnEngine(_home()) if engine is None else None
        if own is not None:
            own.start()
    except StackError as error:
        missing(error)
    if own is not None:
        yield own
        own.stop()
    elif engine is not None:
        yield engine
        engine.remove_containers()
        engine.close()


def _home() -> Path:
    """Where this worker's own engine keeps its data."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    return HOME / worker if worker else HOME


@pytest.fixture
def own_engine(docker_engine: Engine) -> OwnEngine:
    """The engine, where it is ours to restart and to kill."""
    if not isinstance(docker_engine, OwnEngine):
        missing(f"docker: the engine at {docker_engine.url} is not ours to restart")
    return docker_engine


@pytest.fixture(scope="session")
def agent_images(docker_engine: Engine) -> dict[str, Path]:
    """The archives of the agent's images; `releases` is loaded."""
    try:
        made = archives()
    except ImageError as error:
        missing(error)
    docker_engine.load(made["releases"])
    return made


@pytest.fixture(scope="session")
def systemd_image(docker_engine: Engine) -> None:
    """The image of machines with systemd is loaded."""
    try:
        docker_engine.load(systemd_archive())
    except ImageError as error:
        missing(error)


@pytest.fixture
def systemd_machine(
    docker_engine: Engine, systemd_image: None, request: pytest.FixtureRequest
) -> Iterator[SystemdMachine]:
    """A fresh machine whose systemd is `running`."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40]
    with SystemdMachine(docker_engine, f"cost-agent-{name}") as machine:
        yield machine


@pytest.fixture(scope="session")
def stack(docker_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    """The addresses of PostgreSQL and Redis for containers and machines; reached from here too."""
    try:
        gateway = docker_engine.gateway()
    except StackError as error:
        missing(error)
    servers = Stack(tmp_path_factory.mktemp("stack"), host=gateway)
    try:
        yield servers.up(only=["postgres", "redis"])
    finally:
        servers.down(purge=True)


@pytest.fixture(scope="session")
def local_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    """The addresses of PostgreSQL and Redis on loopback, for agents on this machine."""
    servers = Stack(tmp_path_factory.mktemp("local-stack"))
    try:
        yield servers.up(only=["postgres", "redis"])
    finally:
        servers.down(purge=True)


@pytest.fixture
def start_proxy(tmp_path: Path) -> Iterator[StartProxy]:
    """Starts haproxy in front of the replicas at these addresses."""
    if shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        missing("haproxy is not installed; scripts/install-platforms.sh installs it")
    with ExitStack() as proxies:
        yield lambda backends: proxies.enter_context(Haproxy(tmp_path / "proxy", backends))
