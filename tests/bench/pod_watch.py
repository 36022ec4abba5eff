# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API server says of a namespace's pods, and since when: the benchmark's own eyes."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from kubernetes import client, config
from kubernetes.watch.watch import iter_resp_lines
from urllib3.exceptions import ProtocolError

from tests.cluster.reached import Cluster

_CANNOT_RUN = {"ErrImagePull", "ImagePullBackOff", "CrashLoopBackOff", "CreateContainerError"}


@dataclass(frozen=True)
class Seen:
    """Seconds since the epoch, and how many pods that stay were ready from then on."""

    at: float
    ready: int


class PodWatch:
    """Is told of every change of the pods, as a context manager; costs next to nothing meanwhile.

    `failed_at` is when a pod that stays was first seen to have ended in an error, or to wait for a
    reason that does not pass; `failure` is the reason.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.seen: list[Seen] = []
        self.failed_at: float | None = None
        self.failure = ""
        self._pods: dict[str, dict[str, Any]] = {}
        api = client.CoreV1Api(config.new_client_from_config(str(cluster.kubeconfig)))
        self._response = api.list_namespaced_pod(namespace, watch=True, _preload_content=False)
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
        self._response.shutdown()
        self._thread.join()
        self._response.close()

    def changed_after(self, at: float) -> float:
        """When the pods changed first after a moment."""
        return next(seen.at for seen in self.seen if seen.at > at)

    def ready_since(self, count: int, before: float) -> float | None:
        """From when on just `count` pods were ready without a break until `before`."""
        since = None
        for seen in self.seen:
            if seen.at > before:
                break
            since = None if seen.ready != count else since or seen.at
        return since

    def _watch(self) -> None:
        # Shutting it down ends it in the middle, from the reader's point of view.
        with contextlib.suppress(ProtocolError):
            for line in iter_resp_lines(self._response):
                if line.strip():
                    self._take(json.loads(line), time.time())

    def _take(self, event: dict[str, Any], at: float) -> None:
        pod = event["object"]
        name = pod["metadata"]["name"]
        if event["type"] == "DELETED" or "deletionTimestamp" in pod["metadata"]:
            self._pods.pop(name, None)
        else:
            self._pods[name] = pod
        self.seen.append(Seen(at, sum(map(_is_ready, self._pods.values()))))
        failures = [reason for each in self._pods.values() for reason in _failures(each)]
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
