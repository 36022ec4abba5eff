# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The brake of a canary: what lets exactly one new pod come up, and the rest wait.

A Deployment whose new pods are not available before `minReadySeconds` have passed takes no old
pod away (`maxUnavailable` 0) and adds one new (`maxSurge` 1); a StatefulSet has `partition`. The
brake is set in the same patch as the template, and its annotation keeps what is to be put back.
"""

from __future__ import annotations

import json
from typing import Any

from .names import BRAKE_ANNOTATION
from .workload import Workload

Document = dict[str, Any]

# The most that the API takes less one: a canary that nobody comes back to never goes on by
# itself. `progressDeadlineSeconds` must lie above it, and the most means that there is none.
_NEVER_S = 2**31 - 2
_DEPLOYMENT_FIELDS = ("minReadySeconds", "progressDeadlineSeconds", "strategy")


def brake_on(workload: Workload) -> list[Document]:
    """The patch operations that put it on, without the template; none where it is on."""
    if workload.brake is not None:
        return []
    spec = workload.spec
    if workload.is_stateful:
        kept = {"updateStrategy": spec.get("updateStrategy")}
        ours: Document = {
            "updateStrategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {
                    **((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}),
                    "partition": max(workload.replicas - 1, 0),
                },
            }
        }
    else:
        kept = {field: spec.get(field) for field in _DEPLOYMENT_FIELDS}
        ours = {
            "minReadySeconds": _NEVER_S,
            "progressDeadlineSeconds": _NEVER_S + 1,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
        }
    annotations = {**workload.annotations, BRAKE_ANNOTATION: json.dumps(kept, sort_keys=True)}
    return [
        *[{"op": "add", "path": f"/spec/{field}", "value": value} for field, value in ours.items()],
        {"op": "add", "path": "/metadata/annotations", "value": annotations},
    ]


def brake_off(workload: Workload) -> list[Document]:
    """The patch operations that put back what it put aside; none where none is on."""
    kept = workload.brake
    if kept is None:
        return []
    fields = ("updateStrategy",) if workload.is_stateful else _DEPLOYMENT_FIELDS
    operations: list[Document] = []
    for field in fields:
        value = kept.get(field)
        if value is not None:
            operations.append({"op": "add", "path": f"/spec/{field}", "value": value})
        elif field in workload.spec:  # the server's default comes back
            operations.append({"op": "remove", "path": f"/spec/{field}"})
    annotations = {k: v for k, v in workload.annotations.items() if k != BRAKE_ANNOTATION}
    operations.append({"op": "add", "path": "/metadata/annotations", "value": annotations})
    return operations
