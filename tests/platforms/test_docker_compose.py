# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent that is a service of a compose project, by the real docker compose."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from tests.cluster.home.build import build
from tests.cluster.home.errors import ClusterError
from tests.component.needs import missing
from tests.platforms.docker_platform import REPOSITORY, DockerPlatform, remove_agents
from tests.platforms.home.compose import COMPOSE

PROJECT = "cost-agent-shop"


@pytest.fixture(scope="session")
def plugins(tmp_path_factory):
    """A configuration of the docker command that has compose among its plugins."""
    if shutil.which("docker") is None:
        missing("the program docker is not installed; scripts/install-platforms.sh installs it")
    try:
        build((COMPOSE,), print)
    except ClusterError as error:
        missing(error)
    folder = tmp_path_factory.mktemp("docker")
    (folder / "cli-plugins").mkdir()
    (folder / "cli-plugins" / "docker-compose").symlink_to(COMPOSE.path)
    return folder


class ComposePlatform(DockerPlatform):
    """One agent in a project whose file an operator wrote."""

    def __init__(self, folder, engine):
        super().__init__(folder, engine)
        folder.mkdir(exist_ok=True)
        self.file = folder / "compose.yml"
        service = {
            "image": f"{REPOSITORY}:1.4.1",
            "network_mode": "bridge",
            "environment": {"FROM_THE_FILE": "yes"},
            "ports": [f"127.0.0.1:{self.port}-{self.port + 4}:8001"],
            "stop_grace_period": "5s",
        }
        self.file.write_text(json.dumps({"services": {"cost-agent": service}}))
        self.docker = {
            "docker_host": engine.url,
            "compose": {"project": PROJECT, "files": [str(self.file)]},
        }

    def compose(self, *words):
        command = ["docker", "--host", self.engine.url, "compose", "--project-name", PROJECT]
        subprocess.run([*command, "--file", self.file, *words], check=True, timeout=300)

    def containers(self):
        listed = self.engine.client().containers.list(all=True, ignore_removed=True)
        return {each.name: each.attrs for each in listed if each.name.startswith(PROJECT)}

    def variables(self):
        """The environment of each container, by its name."""
        return {
            name: dict(line.split("=", 1) for line in each["Config"]["Env"])
            for name, each in self.containers().items()
        }


@pytest.fixture
def platform(docker_engine, agent_images, plugins, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(plugins))
    remove_agents(docker_engine)
    running = ComposePlatform(tmp_path, docker_engine)
    yield running
    running.close()


def succeeded(outcome):
    assert not outcome.get("failed"), outcome
    return outcome


def statuses(outcome):
    return [(each["status"], each["release"]) for each in outcome["state"]["replicas"]]


def test_what_compose_started_by_hand_is_seen_and_taken_over(platform):
    before = platform.file.read_bytes()
    platform.deploy("1.4.1")
    platform.compose("up", "--detach", "cost-agent")
    [seen] = succeeded(platform.info())["state"]["replicas"]
    assert (seen["name"], seen["up_to_date"]) == (f"{PROJECT}-cost-agent-1", False)
    assert "without this collection" in seen["note"]

    outcome = succeeded(platform.agent(environment_secrets={"API_TOKEN": "s3cr3t-words"}))
    assert statuses(outcome) == [("ready", platform.release("1.4.1"))] * 3
    for variables in platform.variables().values():
        assert variables["FROM_THE_FILE"] == "yes"
        assert variables["API_TOKEN"] == "s3cr3t-words"
    assert not succeeded(platform.agent())["changed"]
    assert platform.file.read_bytes() == before


def test_another_release_replaces_one_container_at_a_time(platform):
    platform.deploy("1.4.1")
    succeeded(platform.agent())
    platform.deploy("1.4.2")
    foretold = succeeded(platform.agent(check=True))
    outcome = succeeded(platform.agent())
    assert statuses(outcome) == [("ready", platform.release("1.4.2"))] * 3
    assert outcome["summary"] == "3 of 3, none below 2 ready"
    assert foretold["diff"] == outcome["diff"]


def test_a_count_is_reached_both_ways_and_a_stop_is_remembered(platform):
    platform.deploy("1.4.1")
    succeeded(platform.agent())
    ids = {each["Id"] for each in platform.containers().values()}
    assert len(succeeded(platform.agent(replicas=4))["state"]["replicas"]) == 4
    assert len(succeeded(platform.agent(replicas=2))["state"]["replicas"]) == 2
    running = {e["Id"] for e in platform.containers().values() if e["State"]["Running"]}
    assert running < ids
    succeeded(platform.agent("stopped"))
    assert platform.pids() == {}
    assert not succeeded(platform.agent("stopped"))["changed"]
    assert len(statuses(succeeded(platform.agent(replicas=2)))) == 2


def test_a_crash_at_start_is_told_and_the_others_serve_on(platform):
    platform.deploy("1.4.1")
    succeeded(platform.agent())
    platform.deploy("1.4.2", source="raise RuntimeError('no such table: costs')\n")
    outcome = platform.agent()
    assert outcome["reason"] == "failed_state"
    assert "no such table: costs" in outcome["msg"]
    assert len(platform.pids()) == 2
    platform.deploy("1.4.1")
    assert len(statuses(succeeded(platform.agent()))) == 3


def test_a_missing_plugin_is_named_before_anything_is_touched(platform, monkeypatch, tmp_path):
    platform.deploy("1.4.1")
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    outcome = platform.agent()
    assert outcome["reason"] == "missing_program"
    assert "compose plugin" in outcome["msg"]


def test_a_file_that_is_not_there_is_named(platform):
    platform.deploy("1.4.1")
    platform.file.unlink()
    outcome = platform.agent()
    assert outcome["reason"] == "precondition"
    assert str(platform.file) in outcome["msg"]
