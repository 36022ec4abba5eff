# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster has beside its nodes: metrics, and a name service that refuses at once."""

from __future__ import annotations

import base64
from pathlib import Path

from tests.cluster.home.api import Api, Document
from tests.cluster.home.certificates import METRICS_NAME, Certificates
from tests.cluster.home.daemon import Daemon
from tests.cluster.home.layout import API_ADDRESS, DNS_SERVICE, Layout

_USER = "system:metrics-server"
_PORT = 4443
_API_SERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_SYSTEM = "namespaces/kube-system"


def metrics_server(layout: Layout, binaries: Path, certificates: Certificates) -> Daemon:
    """metrics-server as a process of the machine; it answers when the API passes requests on."""
    api = Api(certificates)
    return Daemon(
        layout.run,
        binaries / "metrics-server",
        lambda: _metrics_server_arguments(certificates),
        lambda: api.has_condition(_API_SERVICE, "Available"),
        namespace=layout.name,
    )


def _metrics_server_arguments(certificates: Certificates) -> dict[str, object]:
    kubeconfig = certificates.kubeconfig("metrics-server-client", _USER)
    server = certificates.metrics_server()
    return {
        "secure-port": _PORT,
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "tls-cert-file": server.certificate,
        "tls-private-key-file": server.key,
        "kubelet-certificate-authority": certificates.cluster.pair.certificate,
        "kubelet-preferred-address-types": "InternalIP",
        # The least that it takes; it has to be longer than the time it gives a kubelet.
        "metric-resolution": "10s",
        "kubelet-request-timeout": "5s",
        # Fake nodes have no kubelet to ask.
        "node-selector": "type!=kwok",
    }


def apply_metrics(api: Api, certificates: Certificates) -> None:
    """Its rights, and the way from the API to a process that is no pod. Raises ClusterError."""
    api.apply(f"{_RBAC}/clusterroles", _role())
    for path, name, role in (
        ("clusterrolebindings", _USER, ("ClusterRole", _USER)),
        (
            "clusterrolebindings",
            "metrics-server:system:auth-delegator",
            ("ClusterRole", "system:auth-delegator"),
        ),
        (
            f"{_SYSTEM}/rolebindings",
            "metrics-server-auth-reader",
            ("Role", "extension-apiserver-authentication-reader"),
        ),
    ):
        api.apply(f"{_RBAC}/{path}", _binding(path, name, *role))
    api.apply(f"/api/v1/{_SYSTEM}/services", _service("metrics-server", {"ports": [_tcp(443)]}))
    api.apply(f"/apis/discovery.k8s.io/v1/{_SYSTEM}/endpointslices", _endpoints())
    authority = certificates.cluster.pair.certificate.read_bytes()
    api.apply(_API_SERVICE.rpartition("/")[0], _api_service(authority))


def apply_name_service(api: Api) -> None:
    """The address that pods ask for names, with nobody behind it.

    A question is refused at once, where without the Service it would be lost for seconds.
    """
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, _tcp(53, "dns-tcp")]
    service = _service("kube-dns", {"clusterIP": DNS_SERVICE, "ports": ports})
    api.apply(f"/api/v1/{_SYSTEM}/services", service)


def _role() -> Document:
    read = ["get", "list", "watch"]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": _USER},
        "rules": [
            {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
            {
                "apiGroups": [""],
                "resources": ["pods", "nodes", "namespaces", "configmaps"],
                "verbs": read,
            },
        ],
    }


def _binding(path: str, name: str, kind: str, role: str) -> Document:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding" if "/" in path else "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": kind, "name": role},
        "subjects": [{"kind": "User", "apiGroup": group, "name": _USER}],
    }


def _service(name: str, spec: Document) -> Document:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def _tcp(port: int, name: str = "https") -> Document:
    return {"name": name, "port": port, "protocol": "TCP"}


def _endpoints() -> Document:
    labels = {
        "kubernetes.io/service-name": "metrics-server",
        "endpointslice.kubernetes.io/managed-by": "home",
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "metrics-server-home", "labels": labels},
        "addressType": "IPv4",
        "ports": [_tcp(_PORT)],
        "endpoints": [{"addresses": [API_ADDRESS], "conditions": {"ready": True}}],
    }


def _api_service(authority: bytes) -> Document:
    name, namespace = METRICS_NAME.split(".")[:2]
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "caBundle": base64.b64encode(authority).decode(),
            "service": {"name": name, "namespace": namespace, "port": 443},
        },
    }
