# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases out of a real registry: pulled, compared by digest, refused."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess

import pytest

from tests.component.needs import missing
from tests.platforms.docker_platform import DockerPlatform, remove_agents
from tests.waiting import eventually

pytestmark = [
    # The SDK leaves a socket open that it could not connect.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Registry:
    """Debian's docker-registry on loopback, which engines need no certificate for."""

    def __init__(self, program, folder):
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.address = f"127.0.0.1:{server.getsockname()[1]}"
        self._settings = folder / "registry.json"
        self._command = [program, "serve", self._settings]
        settings = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": f"{folder}/registry"}},
            "http": {"addr": self.address},
        }
        self._settings.write_text(json.dumps(settings))
        self.start()

    def start(self):
        self._process = subprocess.Popen(self._command)
        host, port = self.address.split(":")

        def answers():
            with socket.socket() as probe:
                return probe.connect_ex((host, int(port))) == 0

        eventually(answers)

    def stop(self):
        self._process.terminate()
        self._process.wait(10)


@pytest.fixture
def registry(tmp_path):
    path = f"{os.environ['PATH']}:/usr/sbin"
    program = shutil.which("docker-registry", path=path)
    if program is None:
        missing("docker-registry is not installed; scripts/install-platforms.sh installs it")
    running = Registry(program, tmp_path)
    yield running
    running.stop()


class RegistryPlatform(DockerPlatform):
    """An agent whose images are in a registry, and on the engine only once they were pulled."""

    def __init__(self, folder, engine, registry):
        super().__init__(folder, engine)
        self._repository = f"{registry.address}/cost-agent"

    def release(self, version):
        return f"{self._repository}:{version}"

    def push(self, version, source=""):
        """Build an image, push it, forget it, and return its digest."""
        images = self.engine.client().images
        self.build(version, source)
        images.push(self._repository, tag=version)
        [digest] = [
            each.partition("@")[2]
            for each in images.get(self.release(version)).attrs["RepoDigests"]
            if each.startswith(self._repository)
        ]
        self.forget(version)
        return digest

    def forget(self, version):
        self.engine.client().images.remove(self.release(version), force=True)

    def deploy(self, release, source="", **behaviour):
        self.push(release, source)
        succeeded(self.agent_release(release))


@pytest.fixture
def platform(docker_engine, agent_images, registry, tmp_path):
    remove_agents(docker_engine)
    running = RegistryPlatform(tmp_path, docker_engine, registry)
    yield running
    running.close()


def succeeded(outcome):
    assert not outcome.get("failed"), outcome
    return outcome


def recorded(outcome):
    """The digest of the current release."""
    return next(e["digest"] for e in outcome["state"]["releases"] if e["current"])


def test_a_release_is_pulled_and_recorded_by_the_registrys_digest(platform):
    digest = platform.push("1.4.1")
    foretold = succeeded(platform.agent_release("1.4.1", check=True))
    assert any("Installed release" in action for action in foretold["actions"])
    assert foretold["state"]["releases"] == []
    outcome = succeeded(platform.agent_release("1.4.1"))
    assert "pulled in" in outcome["summary"]
    assert recorded(outcome) == digest
    assert succeeded(platform.agent())["summary"].startswith("3 of 3 ready")
    assert not succeeded(platform.agent_release("1.4.1"))["changed"]


def test_a_tag_that_moved_in_the_registry_is_seen_where_it_is_asked_for(platform):
    platform.deploy("1.4.1")
    first = recorded(platform.agent_release("1.4.1"))
    second = platform.push("1.4.1", source="# another build\n")
    assert second != first
    outcome = platform.agent_release("1.4.1", docker={"pull": "always"})
    assert outcome["reason"] == "precondition"
    assert second in outcome["msg"]
    # What was recorded runs, though its tag names something else and its image is gone.
    succeeded(platform.agent())
    images = platform.engine.client().images
    for each in platform.containers().values():
        assert f"{platform._repository}@{first}" in images.get(each["Image"]).attrs["RepoDigests"]


def test_a_digest_names_a_release_also_without_a_tag(platform):
    digest = platform.push("1.4.1")
    release = f"{platform._repository}@{digest}"
    platform.release = lambda _version: release
    outcome = succeeded(platform.agent_release("1.4.1"))
    assert recorded(outcome) == digest
    assert succeeded(platform.agent())["summary"] == f"3 of 3 ready, release {release}"


def test_an_image_that_the_registry_does_not_have_is_missed_at_once(platform):
    outcome = platform.agent_release("9.9.9")
    assert outcome["reason"] == "precondition"
    assert "no such image" in outcome["msg"]


def test_a_registry_that_is_away_is_unreachable(platform, registry):
    registry.stop()
    outcome = platform.agent_release("1.4.1")
    assert outcome["reason"] == "unreachable"
    assert registry.address in outcome["msg"]
    registry.start()
