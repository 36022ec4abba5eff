# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of an agent, as every platform keeps them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from ..core.context import Context
from ..core.deadline import Deadline


@dataclass(frozen=True)
class Release:
    """One release that replicas can be started from.

    `digest` is its content's; times are seconds since the epoch. `good_at` is None until it is
    recorded that the release proved healthy since it was last deployed. `setup` stands for what
    replicas are made with beside it: the digest of their environment, on Kubernetes the
    fingerprint of their whole template; of the current release what they have now, of others what
    they proved good with. Empty where nobody knows.
    """

    id: str
    digest: str
    installed_at: float
    good_at: float | None = None
    setup: str = ""

    def shown(self) -> dict[str, Any]:
        """The release as `agent_info` returns it."""
        return {"id": self.id, "installed_at": self.installed_at, "good_at": self.good_at}


R = TypeVar("R", bound=Release)


def with_setup(release: R, now: str) -> R:
    """The current release with the setup of now; good only where it proved good with that.

    A setup that nobody knows says nothing against it.
    """
    is_as_proved = release.setup == now or not release.setup or not now
    return replace(release, setup=now, good_at=release.good_at if is_as_proved else None)


def surplus(releases: Sequence[Release], keep: int, protected: Collection[str]) -> list[Release]:
    """The releases to remove: all but the newest `keep` and the protected ones."""
    newest_first = sorted(releases, key=lambda release: release.installed_at, reverse=True)
    return [release for release in newest_first[keep:] if release.id not in protected]


def last_good(releases: Sequence[Release]) -> Release | None:
    """The release that was recorded good last."""
    good = [release for release in releases if release.good_at is not None]
    return max(good, key=lambda release: release.good_at or 0.0, default=None)


class Installation(Protocol):
    """A release to be installed: everything checked, nothing written yet."""

    @property
    def digest(self) -> str:
        """The content's digest; empty where only installing can tell."""

    @property
    def origin(self) -> str:
        """Where it comes from, as a sentence names it."""

    def carry_out(self, deadline: Deadline, context: Context) -> str:
        """Install it whole or leave nothing; what took its time, or no text.

        Raises `timeout`, `failed_state` with the last lines of what failed, `precondition`.
        """


class ReleaseStore(Protocol):
    """The releases of one agent on one platform.

    Methods raise `precondition` where the store is not to be read or written.
    """

    def check_id(self, release_id: str) -> None:
        """Raise `invalid_input` for an id that cannot name a release here."""

    def current(self) -> Release | None:
        """The release that replicas are started from."""

    def releases(self) -> Sequence[Release]:
        """The releases that are kept, installed last first."""

    def named(self, to: str) -> Release | None:
        """The release that an operator means to roll back to: by its id, or as else it is known."""

    def in_use(self) -> set[str]:
        """The ids that replicas are on record with, running or not."""

    def remnants(self) -> list[str]:
        """What killed runs left, by name."""

    def prepare(
        self, release_id: str, params: dict[str, Any], installed: Release | None
    ) -> AbstractContextManager[Installation | None]:
        """What installing the release takes; None for one that is `installed` as asked.

        Writes nothing, so check mode does it too. Raises `precondition` where the id stands for
        other content already, and what keeps the release from being installed.
        """

    def switch(self, release_id: str, setup: str = "") -> None:
        """Make the release current, in one step; no running replica is touched.

        A rollback names the `setup` that comes back with the release, where one is known.
        """

    def remove(self, names: Sequence[str]) -> list[str]:
        """Remove releases or remnants, and return in words which could not be and why."""

    def mark_good(self, release: Release, at: float) -> None:
        """Record that the release proved healthy, with the setup that its replicas have now."""

    def forget_good(self, release_id: str) -> None:
        """Drop the release's mark, if it has one: it must prove itself again."""
