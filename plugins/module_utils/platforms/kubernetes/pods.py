# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workload's pods, and what each of them is as a replica."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ..protocol import Replica, Usage
from .client import KubernetesClient
from .names import CONTROLLER_REVISION_LABEL, TEMPLATE_HASH_LABEL
from .predicates import (
    condition_of,
    container_status,
    how_it_ended,
    is_ending,
    is_ready,
    pod_trouble,
)
from .resources import PODS
from .workload import Workload

Document = dict[str, Any]

VIA_POD = "pod address"
VIA_SERVER = "API server"
_CONNECT_TIMEOUT_S = 0.5
_DEFAULT_PORT = 8001  # the guide's
_PORT_NAMES = ("http", "web", "api")


def slim(pod: Mapping[str, Any]) -> Document:
    """The parts of a pod that are looked at, so that a thousand pods are a few megabytes."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    return {
        "metadata": {
            key: metadata[key]
            for key in ("name", "uid", "labels", "deletionTimestamp", "ownerReferences")
            if key in metadata
        },
        "spec": {
            "nodeName": spec.get("nodeName"),
            "containers": [
                {
                    key: container[key]
                    for key in ("name", "image", "ports", "resources")
                    if key in container
                }
                for container in spec["containers"]
            ],
        },
        "status": {
            key: status[key]
            for key in (
                "phase",
                "reason",
                "message",
                "podIP",
                "startTime",
                "conditions",
                "containerStatuses",
                "initContainerStatuses",
            )
            if key in status
        },
    }


def list_pods(client: KubernetesClient, workload: Workload) -> list[Document]:
    """The workload's pods by age and name, without those that were asked to end.

    Only those that a controller of its kind made: another may have a selector that overlaps.
    """
    return [pod for pod in list_all_pods(client, workload) if not is_ending(pod)]


def list_all_pods(
    client: KubernetesClient, workload: Workload, not_older_than: str | None = None
) -> list[Document]:
    """The same with those that end; not older than this reading of the workload, if not told."""
    found = client.objects(
        PODS.path(workload.namespace),
        f"list the pods of {workload.title}",
        labels=workload.selector,
        keep=slim,
        not_older_than=workload.version if not_older_than is None else not_older_than,
    )
    kind = "StatefulSet" if workload.is_stateful else "ReplicaSet"
    owned = [pod for pod in found if _made_by(pod, kind)]
    return sorted(
        owned, key=lambda pod: (pod["status"].get("startTime", ""), pod["metadata"]["name"])
    )


def _made_by(pod: Document, kind: str) -> bool:
    references = pod["metadata"].get("ownerReferences") or []
    return any(each.get("controller") and each["kind"] == kind for each in references)


def template_hash(pod: Mapping[str, Any]) -> str:
    """The label that says which revision of the template a pod was made from."""
    labels = pod["metadata"].get("labels") or {}
    return str(labels.get(TEMPLATE_HASH_LABEL) or labels.get(CONTROLLER_REVISION_LABEL) or "")


def container_of(pod: Mapping[str, Any], name: str) -> Document:
    """One container of a pod; empty where the pod is of a revision that had none of that name."""
    found = [each for each in pod["spec"]["containers"] if each["name"] == name]
    return dict(found[0]) if found else {}


def image_id(pod: Mapping[str, Any], container: str) -> str:
    """The `sha256:...` that the engine found behind the image's name; empty before it did."""
    text = str(container_status(pod, container).get("imageID", ""))
    return text.rpartition("@")[2].rpartition("://")[2]


def serving_port(container: Mapping[str, Any], asked: int | None) -> int:
    """The port that a container serves on: the one called http, else its first, else `asked`."""
    ports = container.get("ports") or []
    for name in _PORT_NAMES:
        for each in ports:
            if each.get("name") == name:
                return int(each["containerPort"])
    if ports:
        return int(ports[0]["containerPort"])
    return asked or _DEFAULT_PORT


@dataclass(frozen=True)
class Way:
    """How pods are reached: `server` is the API server's address, None for their own."""

    server: str | None
    namespace: str

    @property
    def via(self) -> str:
        return VIA_POD if self.server is None else VIA_SERVER

    def url(self, pod: Mapping[str, Any], port: int) -> str:
        """Where to ask a pod; by its name, which nobody resolves, before it has an address."""
        name = pod["metadata"]["name"]
        if self.server is not None:
            return f"{self.server}{PODS.path(self.namespace, name)}:{port}/proxy"
        address = pod["status"].get("podIP") or name
        return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def way_to(pods: Sequence[Mapping[str, Any]], container: str, port: int, way: Way) -> Way:
    """By the pods' own addresses where one of them answers a connection, else `way`.

    One short try speaks for all: they are in one network. A refusal comes from there too.
    """
    for pod in sorted(pods, key=is_ready, reverse=True):
        address = pod["status"].get("podIP")
        if not address:
            continue
        own_port = serving_port(container_of(pod, container), port)
        try:
            socket.create_connection((address, own_port), timeout=_CONNECT_TIMEOUT_S).close()
        except ConnectionRefusedError:
            pass
        except OSError:
            return way
        return Way(None, way.namespace)
    return way


def replica_of(
    pod: Mapping[str, Any],
    container: str,
    is_current: bool,
    way: Way,
    port: int,
    usage: Usage | None = None,
) -> Replica:
    """A pod as the replica that it is.

    `ready` as Kubernetes sees it; `running` when its container does; else `stopped`.
    """
    spec, state = container_of(pod, container), container_status(pod, container)
    runs = (state.get("state") or {}).get("running")
    status = "ready" if is_ready(pod) else "running" if runs else "stopped"
    started = runs.get("startedAt") if runs else pod["status"].get("startTime")
    return Replica(
        name=pod["metadata"]["name"],
        url=way.url(pod, serving_port(spec, port)),
        status=status,
        release=spec.get("image"),
        up_to_date=is_current,
        started_at=epoch(started),
        usage=usage,
        note=_note(pod, state, status, is_current),
        via=way.via,
    )


def _note(pod: Mapping[str, Any], state: Mapping[str, Any], status: str, is_current: bool) -> str:
    parts = []
    trouble = pod_trouble(pod)
    if trouble is not None:
        parts.append(f"{trouble.reason}: {trouble.seen}")
    elif status != "ready":
        parts.append(_why_not_ready(pod, state, status))
    restarts = int(state.get("restartCount", 0))
    if restarts and trouble is None:
        ended = how_it_ended((state.get("lastState") or {}).get("terminated") or {})
        noun = "restart" if restarts == 1 else "restarts"
        parts.append(f"{restarts} {noun}" + (f", the last time it {ended}" if ended else ""))
    if not is_current:
        parts.append("of an older template")
    return "; ".join(parts)


def _why_not_ready(pod: Mapping[str, Any], state: Mapping[str, Any], status: str) -> str:
    if status == "running":
        return "its readiness probe has not passed"
    waiting = (state.get("state") or {}).get("waiting") or {}
    ended = how_it_ended((state.get("state") or {}).get("terminated") or {})
    if ended:
        return ended
    message = condition_of(pod, "PodScheduled").get("message") or waiting.get("message")
    reason = waiting.get("reason") or pod["status"].get("phase") or "Pending"
    return f"{reason}: {message}" if message else str(reason)


def epoch(text: str | None) -> float | None:
    """Seconds since the epoch of a time as the API server writes it."""
    if not text:
        return None
    whole = text.partition(".")[0].rstrip("Z")
    try:
        parsed = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return None
    return parsed.replace(tzinfo=timezone.utc).timestamp()
