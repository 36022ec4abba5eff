# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How to reach a cluster and which workload in it is the agent: the suboptions of `kubernetes`.

Documented in doc_fragments/platform.py. Those for the connection are named as kubernetes.core
names them, and are taken from its variables where they are not given.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any
from urllib.parse import urlsplit

from ...core.errors import invalid_option

DEPLOYMENT = "Deployment"
STATEFUL_SET = "StatefulSet"
DEFAULT_NAMESPACE = "optiinfra"

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")  # RFC 1123, section 2.1
_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z")
# https://docs.ansible.com/ansible/latest/collections/kubernetes/core/k8s_module.html
_VARIABLES = {
    "kubeconfig": "K8S_AUTH_KUBECONFIG",
    "context": "K8S_AUTH_CONTEXT",
    "host": "K8S_AUTH_HOST",
    "api_key": "K8S_AUTH_API_KEY",
    "ca_cert": "K8S_AUTH_SSL_CA_CERT",
    "client_cert": "K8S_AUTH_CERT_FILE",
    "client_key": "K8S_AUTH_KEY_FILE",
}


def kubernetes_argument() -> dict[str, Any]:
    """The option `kubernetes` of every module that talks to a cluster."""
    return {
        "type": "dict",
        "options": {
            "kubeconfig": {"type": "path"},
            "context": {"type": "str"},
            "host": {"type": "str"},
            "api_key": {"type": "str", "no_log": True},
            "ca_cert": {"type": "path"},
            "client_cert": {"type": "path"},
            "client_key": {"type": "path", "no_log": False},
            "validate_certs": {"type": "bool", "default": True},
            "namespace": {"type": "str", "default": DEFAULT_NAMESPACE},
            "kind": {
                "type": "str",
                "choices": [DEPLOYMENT, STATEFUL_SET],
                "default": DEPLOYMENT,
            },
            "workload": {"type": "str"},
            "container": {"type": "str"},
            "force": {"type": "bool", "default": False},
            "adjust_autoscaler": {"type": "bool", "default": False},
            "request_timeout_s": {"type": "float", "default": 30.0},
        },
    }


@dataclass(frozen=True)
class ClusterAccess:
    """Which API server, as whom.

    What is None comes from the kubeconfig, or in a pod from its service account.
    `request_timeout_s` is how long one request may take.
    """

    kubeconfig: str | None = None
    context: str | None = None
    host: str | None = None
    api_key: str | None = field(default=None, repr=False)
    ca_cert: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    validate_certs: bool = True
    request_timeout_s: float = 30.0

    @classmethod
    def of(cls, options: Mapping[str, Any] | None) -> ClusterAccess:
        """The access in a module's option, else in the environment; raises `invalid_input`."""
        known = {each.name for each in fields(cls)}
        given = {k: v for k, v in (options or {}).items() if k in known and v not in (None, "")}
        if "host" not in given and "kubeconfig" not in given and "context" not in given:
            for name, variable in _VARIABLES.items():
                if os.environ.get(variable) and name not in given:
                    given[name] = os.environ[variable]
            if os.environ.get("K8S_AUTH_VERIFY_SSL", "").lower() in ("no", "false", "0"):
                given["validate_certs"] = False
        access = cls(**given)
        access._check()
        return access

    def _check(self) -> None:
        if self.host is not None:
            _check_host(self.host)
        for name in ("api_key", "client_cert"):
            if getattr(self, name) is not None and self.host is None:
                raise invalid_option(
                    f"kubernetes.{name}", "it belongs to a host", "Give kubernetes.host with it"
                )
        if self.client_key is not None and self.client_cert is None:
            raise invalid_option(
                "kubernetes.client_key", "it belongs to a client_cert", "Give both, or none of them"
            )
        for name in ("kubeconfig", "ca_cert", "client_cert", "client_key"):
            path = getattr(self, name)
            if path is not None and not all(os.path.isfile(p) for p in _paths(name, path)):
                raise invalid_option(
                    f"kubernetes.{name}", f"there is no file {path}", "Give a file that exists"
                )
        if not 0 < self.request_timeout_s < float("inf"):
            raise invalid_option(
                "kubernetes.request_timeout_s",
                f"{self.request_timeout_s:g} is no time",
                "Give seconds above 0",
            )


def _paths(option: str, path: str) -> list[str]:
    """KUBECONFIG may list several files, as kubectl merges them."""
    return path.split(os.pathsep) if option == "kubeconfig" else [path]


def _check_host(url: str) -> None:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    else:
        if parts.username is not None or parts.password is not None:
            raise invalid_option(
                "kubernetes.host", "it has credentials in it", "Give a token as api_key"
            )
    if not valid:
        raise invalid_option(
            "kubernetes.host",
            f"{url!r} is no URL of an API server",
            "Give one such as https://host:6443",
        )


@dataclass(frozen=True)
class ClusterOptions:
    """The whole option: the access, and the workload that is the agent.

    `container` is None for the workload's first one, or the one that is named as the agent.
    """

    access: ClusterAccess
    namespace: str
    kind: str
    workload: str
    container: str | None
    force: bool
    adjust_autoscaler: bool

    @classmethod
    def of(cls, options: Mapping[str, Any] | None, name: str) -> ClusterOptions:
        """The options of the agent `name`; raises `invalid_input`."""
        given = {k: v for k, v in (options or {}).items() if v not in (None, "")}
        read = cls(
            access=ClusterAccess.of(given),
            namespace=given.get("namespace", DEFAULT_NAMESPACE),
            kind=given.get("kind", DEPLOYMENT),
            workload=given.get("workload", name),
            container=given.get("container"),
            force=given.get("force", False),
            adjust_autoscaler=given.get("adjust_autoscaler", False),
        )
        _check_name("namespace", read.namespace, _LABEL)
        _check_name("workload", read.workload, _SUBDOMAIN)
        if read.container is not None:
            _check_name("container", read.container, _LABEL)
        return read

    def within(self, namespace: str) -> ClusterOptions:
        """The same in another namespace."""
        return replace(self, namespace=namespace)


def _check_name(option: str, name: str, allowed: re.Pattern[str]) -> None:
    if not allowed.match(name):
        raise invalid_option(
            f"kubernetes.{option}", f"{name!r} is no name in Kubernetes", "Use a-z, 0-9 and -"
        )
