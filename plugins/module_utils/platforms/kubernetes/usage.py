# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pods use, from metrics.k8s.io, against their limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...core.errors import OperationError, Reason
from ..protocol import Usage
from .client import KubernetesClient
from .errors import NotFound
from .pods import container_of, epoch
from .predicates import container_status
from .quantities import quantity
from .resources import POD_METRICS
from .workload import Workload

Document = Mapping[str, Any]

_WINDOW = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:([\d.]+)s)?\Z")


def read_metrics(client: KubernetesClient, workload: Workload) -> dict[str, Document]:
    """The newest metrics by pod; empty where no metrics API is there, or we may not read it."""
    try:
        found = client.objects(
            POD_METRICS.path(workload.namespace),
            "read the pods' metrics",
            labels=workload.selector,
        )
    except NotFound:
        return {}
    except OperationError as error:
        # Usage is worth knowing and no reason to know nothing: 503 is an API whose server is away.
        if error.reason in (Reason.AUTH, Reason.UNREACHABLE):
            return {}
        raise
    return {each["metadata"]["name"]: each for each in found}


def usage_of(pod: Document, container: str, metrics: Document | None, now: float) -> Usage | None:
    """The use of the agent's container; None before its first metrics."""
    measured = next(
        (each for each in (metrics or {}).get("containers") or [] if each["name"] == container),
        None,
    )
    if metrics is None or measured is None:
        return None
    limits = (container_of(pod, container).get("resources") or {}).get("limits") or {}
    memory, cores = (
        quantity(measured["usage"].get("memory")),
        quantity(measured["usage"].get("cpu")),
    )
    memory_limit, cpu_limit = quantity(limits.get("memory")), quantity(limits.get("cpu"))
    running = (container_status(pod, container).get("state") or {}).get("running") or {}
    started = epoch(running.get("startedAt"))
    used = float(cores or 0)
    return Usage(
        memory_bytes=int(memory or 0),
        memory_limit_bytes=None if memory_limit is None else int(memory_limit),
        cpu_seconds=None,
        uptime_s=max(0.0, now - started) if started else 0.0,
        cpu_percent=round(100 * used / float(cpu_limit or 1), 2),
        cpu_window_s=_window_s(str(metrics.get("window", ""))),
        cpu_limit_cores=None if cpu_limit is None else float(cpu_limit),
    )


def _window_s(text: str) -> float | None:
    """Seconds of a Go duration such as `10.063s` or `1m0s`."""
    match = _WINDOW.match(text)
    if not text or match is None:
        return None
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds
