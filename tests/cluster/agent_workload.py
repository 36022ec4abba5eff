# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo agent on Kubernetes, as plain documents: what a user may have written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from demo.stack import Addresses

PORT = 8001
_SECRET = "cost-agent-environment"  # the name of an object, not a secret
Document = dict[str, Any]


def secret(addresses: Addresses) -> Document:
    """Where the agent finds its database and its cache."""
    database, cache = addresses["postgres"], addresses["redis"]
    cache_password = quote(_password(cache), safe="")
    values = {
        "PGHOST": str(database["host"]),
        "PGPORT": str(database["port"]),
        "PGUSER": str(database["user"]),
        "PGDATABASE": str(database["database"]),
        "PGPASSWORD": _password(database),
        # Ten replicas with the guide's 20 + 10 are more than the stack's server has.
        "DB_POOL_SIZE": "4",
        "DB_MAX_OVERFLOW": "2",
        "REDIS_URL": f"redis://:{cache_password}@{cache['host']}:{cache['port']}/0",
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": _SECRET},
        "stringData": values,
    }


def deployment(*, name: str = "cost-agent", tag: str = "1.4.1", replicas: int = 1) -> Document:
    """A Deployment of one of the releases that tests/images makes; it wants `secret`."""
    ready = {"httpGet": {"path": "/api/v1/ready", "port": "http"}, "periodSeconds": 1}
    live = {"httpGet": {"path": "/api/v1/live", "port": "http"}, "periodSeconds": 5}
    container = {
        "name": "cost-agent",
        "image": f"cost-agent:{tag}",
        "ports": [{"name": "http", "containerPort": PORT}],
        "envFrom": [{"secretRef": {"name": _SECRET}}],
        # A Service may still send requests for a moment after the pod was told to stop.
        "env": [{"name": "DRAIN_SECONDS", "value": "3"}],
        "readinessProbe": ready,
        "livenessProbe": live,
        "resources": {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"cpu": "500m", "memory": "256Mi"},
        },
    }
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def service(name: str = "cost-agent") -> Document:
    """A Service in front of the pods of the Deployment `name`."""
    port = {"name": "http", "port": PORT, "targetPort": "http"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [port]},
    }


def _password(address: dict[str, str | int]) -> str:
    return Path(str(address["password_file"])).read_text().strip()
