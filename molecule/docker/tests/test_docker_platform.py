"""What a deploy leaves on the engine, seen from outside the collection."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

HOME = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / ".cache/molecule/docker"
REPLICAS = {"cost-agent-1": 18011, "cost-agent-2": 18012}


@pytest.fixture(params=REPLICAS)
def container(request, host):
    engine = json.loads((HOME / "engine.json").read_text())["DOCKER_HOST"]
    seen = host.check_output("docker --host %s inspect %s", engine, request.param)
    return json.loads(seen)[0]


def test_a_replica_runs_the_new_release(host, container):
    assert container["State"]["Health"]["Status"] == "healthy"
    assert container["Config"]["Image"] == "cost-agent:1.4.2"
    port = REPLICAS[container["Name"].lstrip("/")]
    url = f"http://127.0.0.1:{port}/api/v1/health/detailed"
    health = json.loads(host.check_output("curl -fsS %s", url))
    assert (health["status"], health["release"]) == ("healthy", "cost-agent:1.4.2")


def test_its_limits_and_its_policy_are_the_engines(container):
    settings = container["HostConfig"]
    assert settings["Memory"] == 256 * 1024 * 1024
    assert settings["ReadonlyRootfs"]
    assert settings["RestartPolicy"]["Name"] == "unless-stopped"


def test_its_labels_hold_no_secret(container):
    labels = container["Config"]["Labels"]
    assert labels["team"] == "costs"
    assert labels["optiinfra.cost_agent.release"] == "cost-agent:1.4.2"
    variables = dict(line.split("=", 1) for line in container["Config"]["Env"])
    assert variables["PGPASSWORD"] not in str(labels)


def test_no_port_beyond_the_replicas_is_used(host):
    assert not host.socket("tcp://127.0.0.1:18013").is_listening


def test_nothing_of_the_environment_is_on_disk(host):
    assert not host.file(str(HOME / "cost-agent/environment")).exists
