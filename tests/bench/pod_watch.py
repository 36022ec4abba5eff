# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API server says of a namespace's pods, and since when: the benchmark's own eyes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tests.cluster.home.api import Api

_INTERVAL_S = 0.1
_CANNOT_RUN = {"ErrImagePull", "ImagePullBackOff", "CrashLoopBackOff", "CreateContainerError"}


@dataclass(frozen=True)
class Seen:
    """Seconds since the epoch, and how many pods that stay were ready then."""

    at: float
    ready: int


class PodWatch:
    """Looks at the pods ten times a second in a thread of its own, as a context manager.

    `failed_at` is when a pod that stays was first seen to have ended in an error, or to wait for a
    reason that does not pass; `failure` is the reason.
    """

    def __init__(self, api: Api, namespace: str) -> None:
        self.seen: list[Seen] = []
        self.failed_at: float | None = None
        self.failure = ""
        self._api = api
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="pods", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def ready_since(self, count: int, before: float) -> float | None:
        """From when on just `count` pods were ready without a break until `before`."""
        since = None
        for seen in self.seen:
            if seen.at > before:
                break
            since = None if seen.ready != count else since or seen.at
        return since

    def _watch(self) -> None:
        while not self._over.wait(_INTERVAL_S):
            found = self._api.get(self._path)
            if found is None:
                continue
            at = time.time()
            pods = [pod for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]
            self.seen.append(Seen(at, sum(map(_is_ready, pods))))
            failures = [reason for pod in pods for reason in _failures(pod)]
            if failures and self.failed_at is None:
                self.failed_at, self.failure = at, failures[0]


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)


def _failures(pod: dict[str, Any]) -> Iterator[str]:
    for container in pod["status"].get("containerStatuses", []):
        for state in (container["state"], container.get("lastState", {})):
            if state.get("waiting", {}).get("reason") in _CANNOT_RUN:
                yield state["waiting"]["reason"]
            if state.get("terminated", {}).get("exitCode"):
                yield f"exit code {state['terminated']['exitCode']}"
