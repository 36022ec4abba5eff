# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases that are folders of a machine: a source with a venv of its own, and a link to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.context import Context
from ...core.deadline import Deadline
from ...core.errors import OperationError, Reason, invalid_option
from ..agent_options import Agent
from ..releases import Installation, Release
from .layout import Layout
from .release_install import Preparation, app_module, install, prepare
from .release_source import ReleaseSource, open_source
from .releases import InstalledRelease, Releases, check_release_id


@dataclass(frozen=True)
class _FolderInstallation:
    preparation: Preparation
    layout: Layout
    releases: Releases

    @property
    def digest(self) -> str:
        return self.preparation.source.digest

    @property
    def origin(self) -> str:
        return str(self.preparation.source.path)

    def carry_out(self, deadline: Deadline, context: Context) -> str:
        seconds = install(self.preparation, self.layout, self.releases, deadline, context)
        return f"venv built in {seconds:.1f} s" if seconds else ""


class FolderReleaseStore:
    """The releases below an agent's home, for the platforms process and systemd."""

    def __init__(self, agent: Agent) -> None:
        self._layout = Layout(agent.home, agent.name)
        self._releases = Releases(self._layout, agent.store)

    def check_id(self, release_id: str) -> None:
        check_release_id(release_id)

    def current(self) -> InstalledRelease | None:
        return self._releases.current()

    def required(self, release_id: str) -> InstalledRelease:
        """The current release, which must be this one; raises `precondition`."""
        current = self.current()
        if current is None or current.id != release_id:
            raise OperationError(
                Reason.PRECONDITION,
                f"start release {release_id}",
                f"the current release is {current.id if current else 'none'}",
                "Deploy it first, with agent_release",
            )
        return current

    def releases(self) -> Sequence[InstalledRelease]:
        return self._releases.records()

    def named(self, to: str) -> Release | None:
        return next((each for each in self.releases() if each.id == to), None)

    def in_use(self) -> set[str]:
        return self._releases.in_use()

    def remnants(self) -> list[str]:
        return [path.name for path in self._releases.remnants()]

    @contextlib.contextmanager
    def prepare(
        self, release_id: str, params: dict[str, Any], installed: Release | None
    ) -> Iterator[Installation | None]:
        module = app_module(params["app"])
        given = Path(params["source"]).absolute() if params["source"] is not None else None
        if installed is not None and (given is None or not given.exists()):
            yield None
            return
        if given is None:
            raise OperationError(
                Reason.PRECONDITION,
                f"install release {release_id}",
                "it is not installed yet, and no source is given",
                "Give source, the path of the release on the target",
            )
        if given == self._layout.home or given in self._layout.home.parents:
            raise invalid_option(
                "source", f"the agent's home is inside {given}", "Keep the two apart"
            )
        with open_source(given, module) as source:
            if installed is not None:
                _require_same_content(installed, source)
                yield None
            else:
                preparation = prepare(params, source, self._layout)
                yield _FolderInstallation(preparation, self._layout, self._releases)

    def switch(self, release_id: str, setup: str = "") -> None:
        if setup:
            # First: a run that is killed between the two is repeated, and brings both.
            self._releases.restore_environment(release_id)
        self._releases.switch(release_id)

    def remove(self, names: Sequence[str]) -> list[str]:
        return self._releases.remove_all([self._layout.releases / name for name in names])

    def mark_good(self, release: Release, at: float) -> None:
        self._releases.mark_good(release, at)

    def forget_good(self, release_id: str) -> None:
        self._releases.forget_good(release_id)


def _require_same_content(installed: Release, source: ReleaseSource) -> None:
    if installed.digest == source.digest:
        return
    raise OperationError(
        Reason.PRECONDITION,
        f"install release {installed.id} from {source.path}",
        f"release {installed.id} is installed already, with other content",
        "Give the new content a new id: what an id names never changes",
        state={"installed_digest": installed.digest, "source_digest": source.digest},
    )
