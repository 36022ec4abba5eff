# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's environment as objects named by their content, so that a rollback brings it along.

Plain variables are in a ConfigMap, secret ones in a Secret of the same name. Both are immutable;
another environment is another pair. The template references them, and never holds a secret.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from ...core.errors import OperationError
from ..environment import Environment
from .client import KubernetesClient
from .errors import Conflict
from .names import AGENT_LABEL, KIND_LABEL, MANAGED_BY, MANAGED_BY_LABEL, environment_prefix
from .resources import CONFIG_MAPS, SECRETS, Resource

Document = dict[str, Any]

_KIND = "environment"
_DIGITS = 10


class EnvironmentObjects:
    """The environment objects of one agent in one namespace."""

    def __init__(self, client: KubernetesClient, namespace: str, agent: str) -> None:
        self._client = client
        self._namespace = namespace
        self._agent = agent
        self._prefix = environment_prefix(agent)
        self._name = re.compile(rf"{re.escape(self._prefix)}[0-9a-f]{{{_DIGITS}}}\Z")

    def name_of(self, environment: Environment) -> str:
        """The name of the pair that holds this environment."""
        parts = [dict(environment.plain), dict(environment.secret)]
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        return self._prefix + digest[:_DIGITS]

    def source(self, environment: Environment) -> list[Document]:
        """The `envFrom` entries that bring it into a container."""
        name, entries = self.name_of(environment), []
        if environment.plain:
            entries.append({"configMapRef": {"name": name}})
        if environment.secret:
            entries.append({"secretRef": {"name": name}})
        return entries

    def is_ours(self, entry: Mapping[str, Any]) -> bool:
        """Whether an `envFrom` entry is one of `source`; others are the user's."""
        return bool(self._name.match(_referenced(entry)))

    def referenced(self, template: Mapping[str, Any]) -> set[str]:
        """The names of our pairs that a template references."""
        return {_referenced(entry) for entry in _entries(template) if self.is_ours(entry)}

    def read(self, template: Mapping[str, Any]) -> tuple[Environment, list[str]]:
        """The environment that a template references, and what of it is gone, in words."""
        plain: dict[str, str] = {}
        secret: dict[str, str] = {}
        gone = []
        for entry in filter(self.is_ours, _entries(template)):
            name = _referenced(entry)
            kind, resource = (
                ("ConfigMap", CONFIG_MAPS)
                if "configMapRef" in entry
                else (
                    "Secret",
                    SECRETS,
                )
            )
            found = self._client.find(resource.path(self._namespace, name), f"read {kind} {name}")
            if found is None:
                gone.append(f"{kind} {name}")
            elif resource is CONFIG_MAPS:
                plain.update(found.get("data") or {})
            else:
                secret.update(_decoded(found))
        return Environment(plain, secret), gone

    def write(self, environment: Environment) -> None:
        """Make sure that its objects are there.

        The ConfigMap is, also without a plain variable: by it the pair is found again.
        """
        name = self.name_of(environment)
        if environment.plain or environment.secret:
            self._create(CONFIG_MAPS, "ConfigMap", name, {"data": dict(environment.plain)})
        if environment.secret:
            body = {"type": "Opaque", "stringData": dict(environment.secret)}
            self._create(SECRETS, "Secret", name, body)

    def remove_all_but(self, kept: Collection[str]) -> list[str]:
        """Remove our pairs that are not kept; the names of those removed.

        Secrets are found by the names of their ConfigMaps and by the references of revisions, so
        that nobody needs the right to list them.
        """
        names = self._client.objects(
            CONFIG_MAPS.path(self._namespace),
            "list the environments",
            labels=f"{AGENT_LABEL}={self._agent},{KIND_LABEL}={_KIND}",
            keep=lambda found: found["metadata"]["name"],
        )
        surplus = [name for name in names if name not in kept and self._name.match(name)]
        for name in surplus:
            self.remove(name)
        return surplus

    def remove(self, name: str) -> None:
        """Remove one pair, the Secret first: a ConfigMap that stays tells of it."""
        self._client.delete(SECRETS.path(self._namespace, name), f"delete Secret {name}")
        self._client.delete(CONFIG_MAPS.path(self._namespace, name), f"delete ConfigMap {name}")

    def _create(self, resource: Resource, kind: str, name: str, body: Document) -> None:
        document = {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {
                "name": name,
                "labels": {
                    MANAGED_BY_LABEL: MANAGED_BY,
                    AGENT_LABEL: self._agent,
                    KIND_LABEL: _KIND,
                },
            },
            "immutable": True,
            **body,
        }
        try:
            self._client.create(resource.path(self._namespace), document, f"create {kind} {name}")
        except Conflict:  # the same content by the same name
            return

    def secrets_of(self, template: Mapping[str, Any]) -> set[str]:
        """The values that must not be told of any container of a template.

        Also those of the user's Secrets, as far as they can be read.
        """
        environment, _gone = self.read(template)
        found = environment.secret_values()
        for name in _secret_names(template):
            if self._name.match(name):
                continue
            try:
                secret = self._client.find(
                    SECRETS.path(self._namespace, name), f"read Secret {name}"
                )
            except OperationError:
                continue  # who may not read it cannot mask it either
            found |= set(_decoded(secret or {}).values())
        return found


def _entries(template: Mapping[str, Any]) -> list[Document]:
    containers = (template.get("spec") or {}).get("containers") or []
    return [entry for container in containers for entry in container.get("envFrom") or []]


def _referenced(entry: Mapping[str, Any]) -> str:
    reference = entry.get("configMapRef") or entry.get("secretRef") or {}
    return str(reference.get("name", ""))


def _secret_names(template: Mapping[str, Any]) -> set[str]:
    names = {_referenced(entry) for entry in _entries(template) if "secretRef" in entry}
    for container in (template.get("spec") or {}).get("containers") or []:
        for variable in container.get("env") or []:
            reference = (variable.get("valueFrom") or {}).get("secretKeyRef")
            if reference:
                names.add(str(reference["name"]))
    return names


def _decoded(secret: Mapping[str, Any]) -> dict[str, str]:
    data = secret.get("data") or {}
    return {key: base64.b64decode(value).decode("utf-8", "replace") for key, value in data.items()}
