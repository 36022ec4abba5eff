# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A state store in the agent's namespace: one ConfigMap a key, versions from the API server.

So every controller of the agent, a laptop or a pod of AWX, sees the same locks and records.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from ...core.clock import SystemClock
from ...core.errors import OperationError, Reason
from ...core.state_store import ABSENT, ANY, Entry, VersionConflict
from .client import KubernetesClient
from .errors import Conflict, NotFound
from .names import KEY_ANNOTATION, KIND_LABEL, MANAGED_BY, MANAGED_BY_LABEL, state_name
from .options import ClusterOptions
from .resources import CONFIG_MAPS

_KIND = "state"
_FIELD = "value"
_LARGEST = 1024 * 1024 - 4096  # etcd's objects end at 1 MiB, metadata included


class ConfigMapStateStore:
    """Entries are ConfigMaps; versions are their `resourceVersion`s.

    An answer that was lost is no conflict: an entry that holds what was to be written is written.
    """

    def __init__(self, client: KubernetesClient, namespace: str) -> None:
        self.client = client
        self._namespace = namespace

    def read(self, key: str) -> Entry | None:
        found = self.client.find(self._path(key), f"read the record {key}")
        return None if found is None else Entry(_data(found), _version(found))

    def write(self, key: str, data: bytes, expect: str = ANY) -> str:
        wanted = f"write the record {key}"
        if len(data) > _LARGEST:
            raise OperationError(
                Reason.BUDGET,
                wanted,
                f"it has {len(data)} bytes, and a ConfigMap holds no more than {_LARGEST}",
                "Give a state_store of your own, such as s3://bucket/prefix",
            )
        while True:
            version = self._version_to_replace(key, expect)
            try:
                return self._written(key, data, version, wanted)
            except Conflict:
                now = self.read(key)
                if now is not None and now.data == data:
                    return now.version
                if expect != ANY:
                    raise VersionConflict(key) from None

    def delete(self, key: str, expect: str = ANY) -> None:
        version = None if expect == ANY else expect
        try:
            self.client.delete(self._path(key), f"delete the record {key}", version)
        except Conflict:
            raise VersionConflict(key) from None

    def list(self, prefix: str) -> list[str]:
        below = f"{prefix}/" if prefix else ""
        keys = self.client.objects(
            CONFIG_MAPS.path(self._namespace),
            "list the records",
            labels=f"{KIND_LABEL}={_KIND}",
            keep=lambda found: found["metadata"].get("annotations", {}).get(KEY_ANNOTATION, ""),
        )
        return sorted(key for key in keys if key.startswith(below) and key)

    def _version_to_replace(self, key: str, expect: str) -> str:
        if expect != ANY:
            return expect
        found = self.read(key)
        return found.version if found else ABSENT

    def _written(self, key: str, data: bytes, version: str, wanted: str) -> str:
        document = _document(key, data)
        if version == ABSENT:
            return _version(self.client.create(CONFIG_MAPS.path(self._namespace), document, wanted))
        document["metadata"]["resourceVersion"] = version
        try:
            return _version(self.client.replace(self._path(key), document, wanted))
        except NotFound as gone:
            raise Conflict(gone.reason, wanted, "it was deleted", "Run this again") from None

    def _path(self, key: str) -> str:
        return CONFIG_MAPS.path(self._namespace, state_name(key))


def open_config_maps(option: Mapping[str, Any], agent: str) -> ConfigMapStateStore:
    """The store in the namespace that the option `kubernetes` names; nothing is asked yet."""
    options = ClusterOptions.of(option, agent)
    client = KubernetesClient(options.access, SystemClock())
    return ConfigMapStateStore(client, options.namespace)


def _document(key: str, data: bytes) -> dict[str, Any]:
    document: dict[str, Any] = {
        "apiVersion": CONFIG_MAPS.api_version,
        "kind": "ConfigMap",
        "metadata": {
            "name": state_name(key),
            "labels": {MANAGED_BY_LABEL: MANAGED_BY, KIND_LABEL: _KIND},
            "annotations": {KEY_ANNOTATION: key},
        },
    }
    try:
        document["data"] = {_FIELD: data.decode()}
    except UnicodeDecodeError:
        document["binaryData"] = {_FIELD: base64.b64encode(data).decode()}
    return document


def _data(found: dict[str, Any]) -> bytes:
    text = (found.get("data") or {}).get(_FIELD)
    if text is not None:
        return str(text).encode()
    try:
        return base64.b64decode((found.get("binaryData") or {}).get(_FIELD, ""))
    except binascii.Error:
        return b""


def _version(found: dict[str, Any]) -> str:
    return str(found["metadata"]["resourceVersion"])
