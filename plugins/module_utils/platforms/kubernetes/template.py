# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pod template that a goal asks for, from the one there is: pure, and nothing else touched."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...core.errors import OperationError, Reason
from ..agent_options import Serving
from ..environment import RELEASE_VARIABLE, REPLICA_VARIABLE
from .names import RESTART_ANNOTATION, TEMPLATE_HASH_LABEL
from .quantities import cores_text, quantity, same

Document = dict[str, Any]


def agent_container(template: Mapping[str, Any], agent: str, named: str | None) -> Document:
    """The agent's container: the named one, else the one called as the agent, else the first.

    Raises `precondition` where a named one is not there.
    """
    containers: list[Document] = (template.get("spec") or {}).get("containers") or []
    for name in (named, agent):
        for container in containers:
            if name is not None and container["name"] == name:
                return container
        if name is not None and name == named:
            break
    if named is None and containers:
        return containers[0]
    raise OperationError(
        Reason.PRECONDITION,
        f"find container {named or agent}",
        f"the pods have {', '.join(c['name'] for c in containers) or 'no container'}",
        "Name one of these in kubernetes.container",
    )


def image_of(template: Mapping[str, Any], agent: str, named: str | None) -> str:
    """The image that the agent's container runs."""
    return str(agent_container(template, agent, named)["image"])


def fingerprint(template: Mapping[str, Any]) -> str:
    """The same for the same template, however often it was restarted."""
    plain = without_marks(template)
    annotations = dict((plain.get("metadata") or {}).get("annotations") or {})
    annotations.pop(RESTART_ANNOTATION, None)
    metadata = {**(plain.get("metadata") or {}), "annotations": annotations}
    text = json.dumps({**plain, "metadata": metadata}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def without_marks(template: Mapping[str, Any]) -> Document:
    """A revision's template without what its controller added to it."""
    plain: Document = copy.deepcopy(dict(template))
    plain.pop("$patch", None)
    metadata = plain.setdefault("metadata", {})
    metadata.pop("creationTimestamp", None)
    labels = metadata.get("labels")
    if labels is not None:
        labels.pop(TEMPLATE_HASH_LABEL, None)
    return plain


def wanted_template(
    base: Mapping[str, Any],
    container_name: str,
    image: str,
    environment_source: Sequence[Document],
    is_ours: Any,
    serving: Serving | None,
    restarted_at: str | None,
) -> Document:
    """`base` with the image, our environment and limits in the named container.

    `environment_source` are the `envFrom` entries to have; `is_ours` tells which of the present
    ones they replace, and what the user put there stays. So do the user's `env` entries.
    """
    template: Document = copy.deepcopy(dict(base))
    container = next(c for c in template["spec"]["containers"] if c["name"] == container_name)
    container["image"] = image
    theirs = [each for each in container.get("envFrom") or [] if not is_ours(each)]
    # Of two sources with one name the later wins: what the operator gave last.
    _set_or_drop(container, "envFrom", [*theirs, *environment_source])
    container["env"] = _with_our_variables(container.get("env") or [], image)
    if serving is not None:
        _limit(container, "memory", _memory(serving))
        _limit(container, "cpu", _cores(serving))
    if restarted_at is not None:
        metadata = template.setdefault("metadata", {})
        annotations = metadata.get("annotations") or {}
        metadata["annotations"] = {**annotations, RESTART_ANNOTATION: restarted_at}
    return template


def _set_or_drop(container: Document, key: str, value: list[Document]) -> None:
    if value:
        container[key] = value
    else:
        container.pop(key, None)


def _with_our_variables(present: Sequence[Document], image: str) -> list[Document]:
    """What every driver tells a replica of itself; in place, so that nothing changes order."""
    ours: dict[str, Document] = {
        RELEASE_VARIABLE: {"name": RELEASE_VARIABLE, "value": image},
        REPLICA_VARIABLE: {
            "name": REPLICA_VARIABLE,
            "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
        },
    }
    kept = [ours.pop(each["name"], each) for each in present]
    return [*kept, *ours.values()]


def _memory(serving: Serving) -> str | None:
    return None if serving.memory_limit_mb is None else f"{serving.memory_limit_mb}Mi"


def _cores(serving: Serving) -> str | None:
    return None if serving.cpu_limit_cores is None else cores_text(serving.cpu_limit_cores)


def _limit(container: Document, resource: str, amount: str | None) -> None:
    """Set a limit; a request above it comes down to it, as the server demands."""
    if amount is None:
        return
    resources = container["resources"] = dict(container.get("resources") or {})
    limits = dict(resources.get("limits") or {})
    if not same(limits.get(resource), amount):
        resources["limits"] = {**limits, resource: amount}
    requests = dict(resources.get("requests") or {})
    asked, most = quantity(requests.get(resource)), quantity(amount)
    if asked is not None and most is not None and asked > most:
        resources["requests"] = {**requests, resource: amount}
