# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the docker platform, checked once and typed; the specs are in ../arguments.py."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...core.errors import invalid_option

DEFAULT_HOST = "unix:///var/run/docker.sock"
_SCHEMES = ("unix://", "tcp://", "https://", "http://", "ssh://")
_TRUE = ("1", "true", "yes", "on")
_VOLUME = re.compile(r"(?P<source>[^:]+):(?P<target>/[^:]*)(?::(?P<mode>ro|rw))?\Z")
# Of this collection's own labels; an operator's may not shadow them.
LABEL_PREFIX = "optiinfra.cost_agent."


@dataclass(frozen=True)
class Connection:
    """Where the engine is and how it is spoken to; paths are of files on this machine."""

    host: str
    uses_tls: bool
    validate_certs: bool
    ca_path: str | None
    client_cert: str | None
    client_key: str | None
    tls_hostname: str | None
    api_version: str
    timeout_s: int
    use_ssh_client: bool

    @property
    def most_at_once(self) -> int:
        """Questions to ask at the same time. Over SSH each is a connection, of which sshd by
        default takes ten at once before it drops some (MaxStartups)."""
        return 4 if self.host.startswith("ssh://") else 16

    @property
    def machine(self) -> str | None:
        """The engine's machine where that is another one, as far as the address tells."""
        if self.host.startswith("unix://"):
            return None
        authority = self.host.partition("://")[2].partition("/")[0].rpartition("@")[2]
        bracketed = re.match(r"\[([^\]]+)\]", authority)
        name = bracketed.group(1) if bracketed else authority.partition(":")[0]
        return None if name in ("localhost", "::1") or name.startswith("127.") else name


@dataclass(frozen=True)
class Compose:
    """A service of a compose project; `files` are the project's own, which are never edited."""

    project: str
    service: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class ContainerOptions:
    """How the containers of replicas are made, beside what every platform has."""

    container_port: int = 8001
    network: str = "bridge"
    restart_policy: str = "unless-stopped"
    read_only: bool = False
    user: str = ""
    command: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    log_driver: str = ""
    log_options: Mapping[str, str] = field(default_factory=dict)

    def started_with(self) -> dict[str, Any]:
        """What makes a running container another one, by the options' names."""
        return {
            **asdict(self),
            "command": list(self.command),
            "volumes": list(self.volumes),
            "labels": dict(self.labels),
            "log_options": dict(self.log_options),
        }


@dataclass(frozen=True)
class DockerOptions:
    """All of them."""

    connection: Connection
    container: ContainerOptions
    pull: str
    compose: Compose | None


def read_docker_options(given: Mapping[str, Any], environment: Mapping[str, str]) -> DockerOptions:
    """The option `docker`, with the docker command's variables where it is silent.

    Raises `invalid_input`.
    """
    return DockerOptions(
        connection=_connection(given, environment),
        container=_container(given),
        pull=given.get("pull") or "missing",
        compose=_compose(given.get("compose")),
    )


def _connection(given: Mapping[str, Any], environment: Mapping[str, str]) -> Connection:
    host = given.get("docker_host") or environment.get("DOCKER_HOST") or DEFAULT_HOST
    if not host.startswith(_SCHEMES):
        raise invalid_option(
            "docker.docker_host",
            f"{host!r} is no address of an engine",
            f"Begin it with one of {', '.join(_SCHEMES)}",
        )
    validate = given.get("validate_certs")
    if validate is None:
        validate = environment.get("DOCKER_TLS_VERIFY", "").lower() in _TRUE
    folder = environment.get("DOCKER_CERT_PATH", "")
    certificates = {
        option: given.get(option) or _existing(folder, name)
        for option, name in (
            ("ca_path", "ca.pem"),
            ("client_cert", "cert.pem"),
            ("client_key", "key.pem"),
        )
    }
    if (certificates["client_cert"] is None) != (certificates["client_key"] is None):
        raise invalid_option(
            "docker.client_cert", "certificate and key come in pairs", "Give both or none"
        )
    timeout_s = given.get("timeout") or 60
    if timeout_s < 1:
        raise invalid_option("docker.timeout", f"{timeout_s} is no time", "Give 1 s or more")
    return Connection(
        host=host,
        uses_tls=bool(given.get("tls") or validate or host.startswith("https://")),
        validate_certs=validate,
        tls_hostname=given.get("tls_hostname"),
        api_version=given.get("api_version") or "auto",
        timeout_s=timeout_s,
        use_ssh_client=given.get("use_ssh_client", True) is not False,
        **certificates,
    )


def _existing(folder: str, name: str) -> str | None:
    path = os.path.join(folder, name)
    return path if folder and os.path.exists(path) else None


def _container(given: Mapping[str, Any]) -> ContainerOptions:
    port = given.get("container_port") or 8001
    if not 1 <= port <= 65535:
        raise invalid_option("docker.container_port", f"{port} is out of range", "Give 1 to 65535")
    for volume in given.get("volumes") or ():
        if not _VOLUME.match(volume):
            raise invalid_option(
                "docker.volumes",
                f"{volume!r} is no volume",
                "Write it as /on/the/host:/in/the/container, and :ro behind it",
            )
    labels = _texts("docker.labels", given.get("labels"))
    own = sorted(name for name in labels if name.startswith(LABEL_PREFIX))
    if own:
        raise invalid_option(
            "docker.labels", f"{own[0]} is set by this collection", "Give it another name"
        )
    return ContainerOptions(
        container_port=port,
        network=given.get("network") or "bridge",
        restart_policy=given.get("restart_policy") or "unless-stopped",
        read_only=bool(given.get("read_only")),
        user=given.get("user") or "",
        command=tuple(given.get("command") or ()),
        volumes=tuple(given.get("volumes") or ()),
        labels=labels,
        log_driver=given.get("log_driver") or "",
        log_options=_texts("docker.log_options", given.get("log_options")),
    )


def _texts(option: str, given: Mapping[str, Any] | None) -> dict[str, str]:
    found = {}
    for name, value in (given or {}).items():
        if isinstance(value, bool):
            value = "true" if value else "false"
        if not isinstance(value, (str, int, float)):
            raise invalid_option(option, f"the value of {name} is no text", "Give plain text")
        found[str(name)] = str(value)
    return found


def _compose(given: Mapping[str, Any] | None) -> Compose | None:
    if not given:
        return None
    files = tuple(given.get("files") or ())
    for path in files:
        if not Path(path).is_absolute():
            raise invalid_option(
                "docker.compose.files", f"{path!r} is not absolute", "Give it from the root on"
            )
    return Compose(given["project"], given.get("service") or "cost-agent", files)
