# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who else changes a workload: what would undo our change, or made it while we decided."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Owner:
    """Something that keeps an object as it wants it; `place` is where to change it instead."""

    name: str
    place: str


def owner_of(document: Document) -> Owner | None:
    """Who puts the object back after another changed it; None where nobody is known to.

    Argo CD, Flux and Helm mark what they own; a controller is in the `ownerReferences`.
    """
    metadata = document["metadata"]
    for reference in metadata.get("ownerReferences") or []:
        if reference.get("controller"):
            name = f"{reference['kind']} {reference['name']}"
            return Owner(name, f"that {reference['kind']}")
    annotations = metadata.get("annotations") or {}
    labels = metadata.get("labels") or {}
    if "argocd.argoproj.io/tracking-id" in annotations:
        application = str(annotations["argocd.argoproj.io/tracking-id"]).partition(":")[0]
        return Owner(f"Argo CD's application {application}", "its Git repository")
    if "argocd.argoproj.io/instance" in labels:
        return Owner(
            f"Argo CD's application {labels['argocd.argoproj.io/instance']}", "its Git repository"
        )
    for kind, group in (("Kustomization", "kustomize"), ("HelmRelease", "helm")):
        label = f"{group}.toolkit.fluxcd.io"
        if f"{label}/name" in labels:
            full_name = f"{labels.get(f'{label}/namespace', '')}/{labels[f'{label}/name']}"
            return Owner(f"Flux's {kind} {full_name}", "its Git repository")
    if "meta.helm.sh/release-name" in annotations:
        return Owner(
            f"Helm's release {annotations['meta.helm.sh/release-name']}", "the values of its chart"
        )
    return _owner_by_manager(metadata)


_MANAGERS = {
    "argocd-controller": Owner("Argo CD", "its Git repository"),
    "argocd-application-controller": Owner("Argo CD", "its Git repository"),
    "kustomize-controller": Owner("Flux", "its Git repository"),
    "helm-controller": Owner("Flux", "its Git repository"),
    "helm": Owner("Helm", "the values of its chart"),
}


def _owner_by_manager(metadata: Document) -> Owner | None:
    for entry in metadata.get("managedFields") or []:
        if entry.get("manager") in _MANAGERS and not entry.get("subresource"):
            return _MANAGERS[entry["manager"]]
    return None


def changed_fields(before: Document, after: Document) -> list[tuple[str, ...]]:
    """Which parts of a workload's specification differ, as paths below the object."""
    found: list[tuple[str, ...]] = []
    for part in ("replicas", "paused", "minReadySeconds", "strategy", "updateStrategy"):
        if before["spec"].get(part) != after["spec"].get(part):
            found.append(("spec", part))
    if before["spec"]["template"] != after["spec"]["template"]:
        found.append(_deepest_difference(before["spec"], after["spec"], ("spec", "template")))
    return found


def _deepest_difference(
    before: Document, after: Document, path: tuple[str, ...]
) -> tuple[str, ...]:
    """Down to the one key that differs, as far as there is just one."""
    left, right = before.get(path[-1]), after.get(path[-1])
    while isinstance(left, Mapping) and isinstance(right, Mapping):
        differing = [key for key in {*left, *right} if left.get(key) != right.get(key)]
        if len(differing) != 1:
            break
        path = (*path, differing[0])
        left, right = left.get(differing[0]), right.get(differing[0])
    return path


def manager_of(document: Document, path: Sequence[str]) -> str:
    """The manager that wrote a field last; `another writer` where the object does not tell."""
    entries = sorted(
        document["metadata"].get("managedFields") or [], key=lambda entry: str(entry.get("time"))
    )
    for entry in reversed(entries):
        if _has_field(entry.get("fieldsV1") or {}, path):
            return str(entry.get("manager") or "another writer")
    return "another writer"


def _has_field(fields: Document, path: Sequence[str]) -> bool:
    """Whether the fields of a manager lead along the path, as far as they name keys."""
    for key in path:
        below = fields.get(f"f:{key}")
        if below is None:
            return False
        fields = below
    return True


def field_text(path: Sequence[str]) -> str:
    return ".".join(path)


def shortened(value: Any) -> str:
    """A field's value for a message."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= 60 else text[:57] + "..."
