# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Docker engine as tests use it, whoever started it."""

from __future__ import annotations

import json
import os
import socket
import tarfile
from contextlib import suppress
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound
from docker.models.containers import Container
from requests.exceptions import RequestException

from tests.platforms.home.errors import PlatformError
from tests.platforms.home.ping import answers

DEFAULT_SOCKET = Path("/var/run/docker.sock")
# The images of tests/images begin with it, so a container of one is a test's.
IMAGE_PREFIX = "cost-agent"


class Engine:
    """An engine that runs."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client: docker.DockerClient | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a program must find in its environment to reach this engine."""
        return {"DOCKER_HOST": self.url}

    def client(self) -> docker.DockerClient:
        """The SDK's client, one for all; it survives a restart of the engine."""
        if self._client is None:
            self._client = docker.DockerClient(self.url, timeout=300)
        return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def gateway(self) -> str:
        """This machine's address for containers. Raises PlatformError for a remote engine."""
        configuration = self.client().networks.get("bridge").attrs["IPAM"]["Config"]
        address = str(configuration[0]["Gateway"])
        with socket.socket() as probe:
            try:
                probe.bind((address, 0))
            except OSError as error:
                raise PlatformError(
                    f"docker: the engine at {self.url} is not on this machine ({address}: "
                    f"{error.strerror}); its containers cannot reach servers here"
                ) from error
        return address

    def load(self, archive: Path) -> None:
        """Load an archive of tests/images, unless the engine has just these images."""
        if all(self._image_id(name) == wanted for name, wanted in _ids(archive).items()):
            return
        with archive.open("rb") as file:
            self.client().images.load(file)

    def _image_id(self, name: str) -> str | None:
        try:
            return str(self.client().images.get(name).id)
        except ImageNotFound:
            return None

    def containers(self) -> list[Container]:
        """All containers of the tests' images, running or not."""
        return [
            container
            for container in self.client().containers.list(all=True, ignore_removed=True)
            if str(container.attrs["Config"]["Image"]).startswith(IMAGE_PREFIX)
        ]

    def remove_containers(self) -> None:
        """Remove every container of the tests' images, and the networks that only they were in."""
        networks = set()
        for container in self.containers():
            networks |= set(container.attrs["NetworkSettings"]["Networks"])
            with suppress(docker.errors.NotFound):
                container.remove(force=True, v=True)
        for name in networks - {"bridge", "host", "none"}:
            for network in self.client().networks.list(names=[name], greedy=True):
                if not network.attrs["Containers"]:
                    network.remove()


def _ids(archive: Path) -> dict[str, str]:
    """The ids of the images in an archive, by name."""
    with tarfile.open(archive) as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        return {
            name: f"sha256:{image['Config'].removesuffix('.json')}"
            for image in json.load(manifest)
            for name in image["RepoTags"]
        }


def running_engine() -> Engine | None:
    """The engine that DOCKER_HOST names, or the one that runs on this machine, or None.

    Raises PlatformError when DOCKER_HOST names one that does not answer.
    """
    named = os.environ.get("DOCKER_HOST")
    if not named:
        return Engine(f"unix://{DEFAULT_SOCKET}") if answers(DEFAULT_SOCKET) else None
    engine = Engine(named)
    try:
        engine.client().ping()
    except (DockerException, RequestException) as error:
        raise PlatformError(
            f"docker: DOCKER_HOST is {named}, and that does not answer: {error}; start the "
            "engine, or unset DOCKER_HOST and an own one is started"
        ) from error
    return engine
