# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration on a machine: a program of the release's venv, in the release's folder."""

from __future__ import annotations

import shutil

from ...core.context import Context
from ...core.deadline import Deadline
from ...core.errors import OperationError, Reason
from ...core.redact import redact
from ..agent_options import Agent
from ..migration import Migration
from .program import Programs
from .release_environment import release_environment
from .release_store import FolderReleaseStore


class HostMigrator:
    """Runs migrations where releases are folders, for the platforms process and systemd."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._store = FolderReleaseStore(agent)

    def migrate(
        self, release_id: str, migration: Migration, deadline: Deadline, context: Context
    ) -> None:
        [release] = [each for each in self._store.releases() if each.id == release_id]
        environment = release_environment(release, self._agent.home, migration.environment)
        wanted = f"migrate to release {release_id} with {migration}"
        name, *arguments = migration.command
        # A path counts from the release's folder, as it does for the program itself.
        program = shutil.which(
            str(release.folder / name) if "/" in name else name, path=environment["PATH"]
        )
        secrets = migration.environment.secret_values()
        if program is None:
            raise _redacted(
                OperationError(
                    Reason.MISSING_PROGRAM,
                    wanted,
                    f"{name} is neither in the release's venv nor on {environment['PATH']}",
                    "Add it to the release's requirements, or correct migration",
                ),
                secrets,
            )
        programs = Programs(
            wanted=wanted,
            next_step="No replica was touched; correct what log_tail tells, then deploy again",
            folder=release.folder,
            environment=environment,
            deadline=deadline,
            context=context,
        )
        try:
            programs.run([program, *arguments])
        except OperationError as error:
            raise _redacted(error, secrets) from None


def _redacted(error: OperationError, secrets: set[str]) -> OperationError:
    """The same error without what the migration's environment keeps secret."""
    wanted, seen, next_step = redact([error.wanted, error.seen, error.next_step], secrets)
    details = redact(error.details, secrets)
    return OperationError(error.reason, wanted, seen, next_step, **details)
