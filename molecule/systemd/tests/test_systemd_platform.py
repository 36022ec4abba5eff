"""What a deploy leaves on the machine, seen from outside the collection."""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path

import pytest

HOME = "/opt/cost-agent"
PORTS = (8001, 8002)


def test_current_is_the_new_release(host):
    current = host.file(f"{HOME}/current")
    assert current.is_symlink
    assert current.linked_to == f"{HOME}/releases/1.4.2"


def test_the_release_before_is_kept(host):
    assert host.file(f"{HOME}/releases/1.4.1/release.json").is_file


@pytest.mark.parametrize(
    "name", ["environment", *(f"run/cost-agent@{p}.environment" for p in PORTS)]
)
def test_the_environment_is_private(host, name):
    file = host.file(f"{HOME}/{name}")
    assert (file.user, file.mode) == ("root", 0o600)


@pytest.mark.parametrize("port", PORTS)
def test_a_replica_is_a_service_that_comes_back_at_boot(host, port):
    service = host.service(f"cost-agent@{port}.service")
    assert service.is_running
    assert service.is_enabled


@pytest.mark.parametrize("port", PORTS)
def test_a_replica_runs_as_the_agents_user_within_its_limit(host, port):
    properties = host.service(f"cost-agent@{port}.service").systemd_properties
    assert host.process.get(pid=int(properties["MainPID"])).user == "cost-agent"
    assert int(properties["MemoryMax"]) == 400 * 1024 * 1024


@pytest.mark.parametrize("port", PORTS)
def test_systemd_itself_listens(host, port):
    assert host.service(f"cost-agent@{port}.socket").is_running
    assert host.socket(f"tcp://0.0.0.0:{port}").is_listening


@pytest.mark.parametrize("port", PORTS)
def test_a_replica_serves_the_new_release(port):
    facts = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"], ".cache/molecule/systemd/machine.json")
    url = f"http://{json.loads(facts.read_text())['address']}:{port}/api/v1/health/detailed"
    with urllib.request.urlopen(url, timeout=10) as answer:
        health = json.load(answer)
    assert (health["status"], health["release"]) == ("healthy", "1.4.2")


def test_no_port_beyond_the_replicas_is_used(host):
    assert not host.socket("tcp://0.0.0.0:8003").is_listening


def test_the_units_are_hardened(host):
    """The exposure is 3.0 or less, by systemd's own measure; the threshold is in tenths."""
    unit = "/tmp/cost-agent@8001.service"
    host.run_test("cp /etc/systemd/system/cost-agent@.service %s", unit)
    host.run_test("systemd-analyze security --offline=true --threshold=30 --no-pager %s", unit)
