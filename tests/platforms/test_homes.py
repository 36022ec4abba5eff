# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The homes themselves: each is there when a test begins, does its work, and is gone after."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from demo.stack import Addresses
from tests.component.playbook_run import run_playbook
from tests.platforms.agent_environment import agent_environment, agent_secrets
from tests.platforms.home import Engine, OwnEngine, SystemdMachine
from tests.platforms.home.bridge import Bridge
from tests.waiting import eventually

RunAgent = Callable[..., Any]
LIMIT_S = 60.0


@pytest.fixture
def run_agent(
    docker_engine: Engine, agent_images: dict[str, Path], stack: Addresses
) -> Iterator[RunAgent]:
    """Starts a container of the image with a tag; removed at the end."""
    with ExitStack() as containers:

        def run(tag: str, **options: Any) -> Any:
            container = docker_engine.client().containers.run(
                f"cost-agent:{tag}",
                detach=True,
                init=True,
                read_only=True,
                environment=agent_environment(stack) | agent_secrets(stack),
                ports={"8001/tcp": ("127.0.0.1", None)},
                **options,
            )
            containers.callback(container.remove, force=True)
            return container

        yield run


def status(container: Any) -> str:
    container.reload()
    return str(container.attrs["State"]["Health"]["Status"])


def last_health_check(container: Any) -> str:
    container.reload()
    log = container.attrs["State"]["Health"]["Log"]
    return str(log[-1]["Output"]) if log else ""


def published(container: Any) -> str:
    container.reload()
    return f"http://127.0.0.1:{container.ports['8001/tcp'][0]['HostPort']}"


def detailed(container: Any) -> dict[str, Any]:
    with urllib.request.urlopen(f"{published(container)}/api/v1/health/detailed") as answer:
        return dict(json.load(answer))


def test_the_agent_becomes_healthy_in_a_container(run_agent: RunAgent) -> None:
    container = run_agent("1.4.1")
    eventually(lambda: status(container) == "healthy", LIMIT_S)
    seen = detailed(container)
    assert seen["status"] == "healthy"  # that is with its database and its cache
    assert seen["release"] == "1.4.1"
    container.stop()
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0  # an orderly end


def test_the_crashing_release_says_why(run_agent: RunAgent) -> None:
    container = run_agent("crash")
    assert container.wait(timeout=300)["StatusCode"] == 1
    assert b"cannot read its price list" in container.logs(tail=1)


def test_the_release_that_is_never_ready_serves(run_agent: RunAgent) -> None:
    container = run_agent("never-ready")
    eventually(lambda: "fault: readiness" in last_health_check(container), LIMIT_S)
    assert detailed(container)["components"]["database"]["status"] == "healthy"
    assert status(container) != "healthy"


def test_another_build_of_a_release_has_the_same_name_and_another_id(
    docker_engine: Engine, agent_images: dict[str, Path]
) -> None:
    images = docker_engine.client().images
    first = images.get("cost-agent:1.4.1").id
    try:
        docker_engine.load(agent_images["rebuilt"])
        assert images.get("cost-agent:1.4.1").id != first
    finally:
        docker_engine.load(agent_images["releases"])
    assert images.get("cost-agent:1.4.1").id == first


def test_a_machine_runs_systemd_and_python(systemd_machine: SystemdMachine) -> None:
    assert systemd_machine.state() == "running"
    assert systemd_machine.run(["ps", "-p", "1", "-o", "comm="]).stdout == "systemd\n"
    words = ["python3", "-c", "import sys; print(sys.version_info[:2])"]
    assert systemd_machine.run(words).stdout == "(3, 11)\n"


def test_ansible_reaches_a_machine(systemd_machine: SystemdMachine, tmp_path: Path) -> None:
    playbook = tmp_path / "facts.yml"
    tasks = [
        {"ansible.builtin.setup": {"gather_subset": ["!all", "service_mgr"]}},
        {
            "ansible.builtin.assert": {
                "that": "ansible_facts.service_mgr == 'systemd'",
            }
        },
    ]
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    inventory = tmp_path / "inventory.yml"
    hosts = {"machine": systemd_machine.inventory_variables()}
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    run = run_playbook(playbook, inventory, tmp_path)
    assert run.code == 0, run.output


def test_a_machine_reaches_the_stack(systemd_machine: SystemdMachine, stack: Addresses) -> None:
    for server in (stack["postgres"], stack["redis"]):
        address = f"({server['host']!r}, {server['port']})"
        script = f"import socket; socket.create_connection({address}, timeout=5)"
        systemd_machine.run(["python3", "-c", script])


def test_containers_come_back_after_a_restart_of_the_engine(
    own_engine: OwnEngine, run_agent: RunAgent
) -> None:
    container = run_agent("1.4.1", restart_policy={"Name": "unless-stopped"})
    eventually(lambda: status(container) == "healthy", LIMIT_S)
    started = container.attrs["State"]["StartedAt"]
    seen: list[bool] = []
    own_engine.restart(meanwhile=lambda: seen.append(own_engine.is_running()))
    assert seen == [False]
    eventually(lambda: status(container) == "healthy", LIMIT_S)
    assert container.attrs["State"]["StartedAt"] != started


def test_an_engine_of_our_own_leaves_nothing(tmp_path: Path, agent_images: dict[str, Path]) -> None:
    # So deep a folder that no socket fits there.
    engine = OwnEngine(tmp_path / "engine" / ("deep" * 20))
    sockets = Path(engine.url.removeprefix("unix://")).parent
    engine.start()
    try:
        engine.load(agent_images["releases"])
        client = engine.client()
        network = client.networks.create("cost-agent-net")
        for network_name in ("bridge", network.name):
            client.containers.run("cost-agent:1.4.1", detach=True, init=True, network=network_name)
        bridges = {engine.bridge_name, f"br-{network.short_id}"}
        assert bridges <= interfaces()
        engine.kill()  # as the kernel does; what runs in it goes on
        assert processes_in(sockets)
    finally:
        engine.stop()
    mounts = Path("/proc/self/mounts").read_text()
    for folder in (engine.home, sockets):
        assert not processes_in(folder)
        assert str(folder) not in mounts
    assert not sockets.exists()
    assert not bridges & interfaces()
    assert Bridge(engine.bridge_name).gateway is None


def interfaces() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir()}


def processes_in(folder: Path) -> list[str]:
    """Processes that name the folder in their command line, as an engine and its shims do."""
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "stat=,args="], check=True, capture_output=True, text=True
    )
    lines = [line for line in listed.stdout.splitlines() if not line.startswith("Z")]
    return [line for line in lines if str(folder) in line]
