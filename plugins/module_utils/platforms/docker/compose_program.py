# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program `docker compose`, which brings a project's service to a count.

What this collection adds to the service stands in a file that is laid over the project's own:
image, labels, and the names of the environment's variables. Their values are handed over in the
program's environment, so that no secret is written to a file.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.context import Context
from ...core.deadline import Deadline
from ...core.errors import OperationError, Reason
from ...core.scratch import scratch_folder
from ..agent_options import Serving
from ..host.program import Programs
from .options import Compose, Connection

_PROBE_TIMEOUT_S = 20
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Overlay:
    """What a service's new containers get beside what the project's files say."""

    image: str
    environment: Mapping[str, str]
    labels: Mapping[str, str]

    def as_json(self, service: str, serving: Serving) -> str:
        """The file to lay over; JSON is YAML, and a $ in it is doubled to stand for itself."""
        definition: dict[str, Any] = {
            "image": _literal(self.image),
            "environment": dict.fromkeys(sorted(self.environment)),
            "labels": {name: _literal(value) for name, value in self.labels.items()},
        }
        if serving.memory_limit_mb is not None:
            limit = serving.memory_limit_mb * _MIB
            definition.update(mem_limit=limit, memswap_limit=limit)
        if serving.cpu_limit_cores is not None:
            definition["cpus"] = serving.cpu_limit_cores
        return json.dumps({"services": {service: definition}})


class ComposeProgram:
    """`docker compose` for one project on one engine."""

    def __init__(self, compose: Compose, connection: Connection) -> None:
        self._compose = compose
        self._connection = connection

    def require(self) -> str:
        """Its version; raises `missing_program`, and `precondition` for a file that is not there."""
        for path in self._compose.files:
            if not os.access(path, os.R_OK):
                raise OperationError(
                    Reason.PRECONDITION,
                    f"read the compose file {path}",
                    "it is not there, or this user may not read it",
                    "Correct docker.compose.files",
                )
        docker = shutil.which("docker")
        said = "the program docker is not on PATH"
        if docker is not None:
            ended = subprocess.run(
                [docker, "compose", "version", "--short"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_PROBE_TIMEOUT_S,
                check=False,
            )
            if ended.returncode == 0:
                return ended.stdout.decode("utf-8", "replace").strip()
            said = "docker has no subcommand compose"
        raise OperationError(
            Reason.MISSING_PROGRAM,
            f"run the compose project {self._compose.project}",
            said,
            "Install Docker's compose plugin, version 2, where the modules run",
        )

    def up(
        self, count: int, overlay: Overlay, serving: Serving, deadline: Deadline, context: Context
    ) -> None:
        """Create what is missing of the count; no container that runs is touched.

        Raises `failed_state` with what the program printed, and `timeout`.
        """
        service = self._compose.service
        wanted = f"bring the service {service} of {self._compose.project} to {count}"
        with scratch_folder(None) as folder:
            over = folder / "overlay.json"
            over.write_text(overlay.as_json(service, serving), encoding="utf-8")
            programs = Programs(
                wanted=wanted,
                next_step="Correct the compose file or the option that log_tail names",
                folder=folder,
                environment={**os.environ, **overlay.environment},
                deadline=deadline,
                context=context,
            )
            programs.run(
                [
                    *self._command(over),
                    *("up", "--detach", "--no-recreate", "--no-build"),
                    *("--scale", f"{service}={count}", service),
                ]
            )

    def _command(self, over: Path) -> list[str]:
        connection = self._connection
        command = [shutil.which("docker") or "docker", "--host", connection.host]
        if connection.uses_tls:
            command.append("--tlsverify" if connection.validate_certs else "--tls")
        for flag, path in (
            ("--tlscacert", connection.ca_path),
            ("--tlscert", connection.client_cert),
            ("--tlskey", connection.client_key),
        ):
            if path is not None:
                command += [flag, path]
        command += ["compose", "--ansi", "never", "--project-name", self._compose.project]
        if self._compose.files:
            first = Path(self._compose.files[0]).parent
            command += ["--project-directory", str(first)]
        for path in (*self._compose.files, str(over)):
            command += ["--file", path]
        return command


def _literal(text: str) -> str:
    return text.replace("$", "$$")
