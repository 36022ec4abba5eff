# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks and history in a repository."""

from __future__ import annotations

from ..core.state_store import ANY, Entry, StateStore
from .protocol import NoSuchObject, Repository


def state_store_of(repository: Repository) -> StateStore:
    """The repository as a state store; its keys are the objects' keys."""
    return RepositoryStateStore(repository)


class RepositoryStateStore:
    """Entries are objects; their versions are the repository's."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def read(self, key: str) -> Entry | None:
        try:
            return self._repository.read(key)
        except NoSuchObject:
            return None

    def write(self, key: str, data: bytes, expect: str = ANY) -> str:
        return self._repository.write(key, data, expect)

    def delete(self, key: str, expect: str = ANY) -> None:
        if expect == ANY:
            self._repository.delete([key])
        else:
            self._repository.delete_version(key, expect)

    def list(self, prefix: str) -> list[str]:
        return [each.key for each in self._repository.list(f"{prefix}/" if prefix else "")]
