# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells why a pod failed: its events, and the end of its log; without a secret in either."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from ...core.errors import OperationError
from ...core.redact import redact_text
from ..protocol import LogQuery
from .client import KubernetesClient
from .pods import epoch
from .predicates import container_status
from .resources import EVENTS, PODS

Document = Mapping[str, Any]

_MOST_EVENTS = 10
_MOST_BYTES = 8 * 1024 * 1024
# A container that has just been started again has said little; why it ended is in the log before.
_JUST_STARTED_S = 30.0


class Evidence:
    """Reads the events and logs of one namespace."""

    def __init__(self, client: KubernetesClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    def events(self, name: str, secrets: Iterable[str] = ()) -> list[str]:
        """The newest events about an object, oldest first; empty where they cannot be read."""
        try:
            found = self._client.objects(
                EVENTS.path(self._namespace),
                f"read the events of {name}",
                fields=f"involvedObject.name={name}",
            )
        except OperationError:
            return []  # what failed is the thing to tell, not that its events are not to be had
        told = [(_event_time(each), _event_text(each)) for each in found]
        return [redact_text(text, secrets) for _time, text in sorted(told)[-_MOST_EVENTS:]]

    def log(
        self, pod: Document, container: str, query: LogQuery, now: float, secrets: Iterable[str]
    ) -> list[str]:
        """The newest lines, oldest first, redacted.

        Where the container has just been started again, or waits for it, the lines of the one
        before come first.
        """
        name = pod["metadata"]["name"]
        lines: list[str] = []
        if _ended_just_now(pod, container, now):
            lines += self._lines(name, container, query, now, previous=True)
        lines += self._lines(name, container, query, now, previous=False)
        return [redact_text(line, secrets) for line in lines[-query.lines :]]

    def tail(
        self, pod: Document, container: str, lines: int, now: float, secrets: Iterable[str]
    ) -> list[str]:
        """As `log`, and empty where there is none to be had."""
        with contextlib.suppress(OperationError):
            return self.log(pod, container, LogQuery(lines), now, secrets)
        return []

    def _lines(
        self, pod: str, container: str, query: LogQuery, now: float, previous: bool
    ) -> list[str]:
        parameters = {"container": container, "tailLines": str(query.lines)}
        if query.since is not None:
            if query.since >= now:
                return []
            parameters["sinceSeconds"] = str(max(1, round(now - query.since)))
        if previous:
            parameters["previous"] = "true"
        path = PODS.path(self._namespace, pod, "log")
        try:
            data = self._client.text(path, f"read the log of {pod}", parameters, _MOST_BYTES)
        except OperationError as error:
            # 400 is a container that has not started yet, or no earlier one that is kept.
            if error.reason.value in ("invalid_input", "precondition"):
                return []
            raise
        return data.decode("utf-8", "replace").splitlines()


def _ended_just_now(pod: Document, container: str, now: float) -> bool:
    state = container_status(pod, container)
    if not state.get("restartCount"):
        return False
    running = (state.get("state") or {}).get("running")
    started = epoch(running.get("startedAt")) if running else None
    return started is None or now - started < _JUST_STARTED_S


def _event_time(event: Document) -> str:
    return str(
        event.get("lastTimestamp")
        or (event.get("series") or {}).get("lastObservedTime")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )


def _event_text(event: Document) -> str:
    count = int(event.get("count") or (event.get("series") or {}).get("count") or 1)
    times = f" ({count} times)" if count > 1 else ""
    return f"{event.get('reason')}: {event.get('message', '')}{times}"
