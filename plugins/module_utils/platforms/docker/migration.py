# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration on docker: a container of the new release that runs the command and is removed."""

from __future__ import annotations

from typing import Any

from ...core.context import Context
from ...core.deadline import Deadline, backoff, poll
from ...core.errors import OperationError, Reason
from ...core.redact import redact
from ..agent_options import Agent
from ..environment import RELEASE_VARIABLE
from ..migration import Migration
from .connection import Gone, Refused
from .container import Container, ended_words
from .creation import env_entries
from .engine import Engine
from .image_store import ImageStore
from .labels import AGENT, CLAIM
from .options import DockerOptions
from .replicas import Replicas

_LOG_LINES = 20
# What docker run ends with where the command cannot be run or is not found in the image.
_NOT_RUN = ("executable file not found", "no such file or directory", "permission denied")


class DockerMigrator:
    """Runs migrations in `<name>-migration`, with the network and volumes of the replicas."""

    def __init__(
        self,
        agent: Agent,
        options: DockerOptions,
        engine: Engine,
        replicas: Replicas,
        store: ImageStore,
    ) -> None:
        self._options = options
        self._engine = engine
        self._replicas = replicas
        self._store = store
        self._name = f"{agent.name}-migration"

    def migrate(
        self, release_id: str, migration: Migration, deadline: Deadline, context: Context
    ) -> None:
        wanted = f"migrate to release {release_id} with {migration}"
        self._clear(wanted, deadline, context)
        release = self._store.named(release_id)
        if release is None:
            raise ValueError(f"{release_id} is not on record")
        body = self._body(self._store.image_of(release), release_id, migration)
        try:
            created = self._engine.create(self._name, body)
            try:
                self._engine.start(created)
                ended = self._wait(wanted, deadline, context)
                log = self._engine.log(created, _LOG_LINES)
            finally:
                self._engine.remove(created)
        except (Gone, Refused) as refused:
            raise self._not_run(wanted, migration, refused.said) from refused
        if ended.exit_code == 0:
            return
        tail: list[str] = redact(log, migration.environment.secret_values())
        last = next((line.strip() for line in reversed(tail) if line.strip()), "")
        raise OperationError(
            Reason.FAILED_STATE,
            wanted,
            ended_words(ended) + (f', and its last words were "{last[:200]}"' if last else ""),
            "No replica was touched; correct what log_tail tells, then deploy again",
            log_tail=tail,
        )

    def _body(self, image: str, release_id: str, migration: Migration) -> dict[str, Any]:
        options, owner = self._options.container, self._replicas.owner(claims=True)
        variables = {**migration.environment.variables(), RELEASE_VARIABLE: release_id}
        body: dict[str, Any] = {
            "Image": image,
            "Entrypoint": list(migration.command),
            "Cmd": [],
            "Env": env_entries(variables),
            "Labels": {AGENT: owner.agent, CLAIM: owner.claim},
            "Healthcheck": {"Test": ["NONE"]},
            "HostConfig": {
                "NetworkMode": options.network,
                "Binds": list(options.volumes),
                "SecurityOpt": ["no-new-privileges"],
            },
        }
        if options.user:
            body["User"] = options.user
        return body

    def _clear(self, wanted: str, deadline: Deadline, context: Context) -> None:
        """Remove what a killed run left, once it has ended: two migrations never run at once."""
        left = self._replicas.one(self._name)
        if left is None:
            return
        if not self._replicas.owner().owns(left.labels):
            raise OperationError(
                Reason.PRECONDITION,
                wanted,
                f"the container {self._name} of image {left.image} is not of this agent",
                "Remove or rename it",
            )
        self._wait(wanted, deadline, context)
        self._engine.remove(left.id)

    def _wait(self, wanted: str, deadline: Deadline, context: Context) -> Container:
        def look() -> Container | None:
            container = self._replicas.one(self._name)
            if container is None:
                raise OperationError(
                    Reason.FAILED_STATE,
                    wanted,
                    f"the container {self._name} was removed while it ran",
                    "See how far the migration came, then deploy again",
                )
            return container if container.is_over else None

        ended = poll(look, deadline, context.clock, backoff(longest=0.5))
        if ended is None:
            raise OperationError(
                Reason.TIMEOUT,
                f"{wanted} within {deadline.seconds:g} s",
                "it still ran, and was ended",
                "No replica was touched; see how far it came, or give a longer timeout_s",
            )
        return ended

    def _not_run(self, wanted: str, migration: Migration, said: str) -> OperationError:
        if any(words in said for words in _NOT_RUN):
            return OperationError(
                Reason.MISSING_PROGRAM,
                wanted,
                f"the image has no {migration.command[0]} that can be run",
                "Add it to the image, or correct migration",
            )
        return OperationError(
            Reason.FAILED_STATE, wanted, f"the engine refuses: {said}", "Correct what it names"
        )
