"""What a deploy leaves on the machine, seen from outside the collection."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

HOME = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / ".cache/molecule/default/cost-agent"
PORTS = (18001, 18002)


def test_current_is_the_new_release(host):
    current = host.file(str(HOME / "current"))
    assert current.is_symlink
    assert current.linked_to == str(HOME / "releases" / "1.4.2")


def test_the_release_before_is_kept(host):
    assert host.file(str(HOME / "releases" / "1.4.1" / "release.json")).is_file


def test_the_environment_is_private(host):
    assert host.file(str(HOME / "environment")).mode == 0o600


@pytest.mark.parametrize("port", PORTS)
def test_a_replica_listens_on_its_port(host, port):
    assert host.socket(f"tcp://127.0.0.1:{port}").is_listening


@pytest.mark.parametrize("port", PORTS)
def test_the_pid_file_names_the_running_replica(host, port):
    pid = host.file(str(HOME / f"run/cost-agent-{port}.pid")).content_string.split("\n")[0]
    process = host.process.get(pid=int(pid))
    assert f"--port {port}" in process.args


@pytest.mark.parametrize("port", PORTS)
def test_a_replica_serves_the_new_release(host, port):
    url = f"http://127.0.0.1:{port}/api/v1/health/detailed"
    health = json.loads(host.check_output("curl -fsS %s", url))
    assert (health["status"], health["release"]) == ("healthy", "1.4.2")


def test_no_port_beyond_the_replicas_is_used(host):
    assert not host.socket("tcp://127.0.0.1:18003").is_listening
