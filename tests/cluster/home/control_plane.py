# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd, API server, controller-manager and scheduler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cluster.home.api import Api
from tests.cluster.home.certificates import Certificates
from tests.cluster.home.daemon import Daemon
from tests.cluster.home.layout import API_ADDRESS, API_PORT, API_SERVER, SERVICES, Layout

_ETCD = "https://127.0.0.1:2379"
_ETCD_PEERS = "http://127.0.0.1:2380"
_ETCD_HEALTH = "http://127.0.0.1:2381"


class ControlPlane:
    """The four programs, in the order in which they need each other."""

    def __init__(self, layout: Layout, binaries: Path, certificates: Certificates) -> None:
        self._layout = layout
        self._binaries = binaries
        self._certificates = certificates
        self._api = Api(certificates)

    def etcd(self) -> Daemon:
        return self._daemon("etcd", self._etcd_arguments, f"{_ETCD_HEALTH}/health")

    def api_server(self) -> Daemon:
        return self._daemon("kube-apiserver", self._api_server_arguments, f"{API_SERVER}/readyz")

    def controller_manager(self) -> Daemon:
        """Started before the API server is ready it would lose seconds to "forbidden"."""
        health = "https://127.0.0.1:10257/healthz"
        return self._daemon("kube-controller-manager", self._controller_manager_arguments, health)

    def scheduler(self) -> Daemon:
        health = "https://127.0.0.1:10259/healthz"
        return self._daemon("kube-scheduler", self._scheduler_arguments, health)

    def in_order(self) -> tuple[Daemon, ...]:
        return (self.etcd(), self.api_server(), self.controller_manager(), self.scheduler())

    def _etcd_arguments(self) -> dict[str, object]:
        server = self._certificates.etcd_server()
        # The answers of etcd must not outlive a machine here, so it may skip the wait for the disk.
        return {
            "name": "etcd",
            "data-dir": self._layout.run / "etcd" / "data",
            "unsafe-no-fsync": True,
            "listen-client-urls": _ETCD,
            "advertise-client-urls": _ETCD,
            "listen-peer-urls": _ETCD_PEERS,
            "initial-advertise-peer-urls": _ETCD_PEERS,
            "initial-cluster": f"etcd={_ETCD_PEERS}",
            "listen-metrics-urls": _ETCD_HEALTH,
            "cert-file": server.certificate,
            "key-file": server.key,
            "client-cert-auth": True,
            "trusted-ca-file": self._certificates.etcd.pair.certificate,
            "log-level": "warn",
        }

    def _api_server_arguments(self) -> dict[str, object]:
        certificates = self._certificates
        server = certificates.api_server()
        etcd = certificates.etcd_client()
        kubelet = certificates.kubelet_client()
        front_proxy = certificates.front_proxy_client()
        tokens = certificates.service_accounts
        return {
            "bind-address": "0.0.0.0",
            "secure-port": API_PORT,
            "advertise-address": API_ADDRESS,
            "tls-cert-file": server.certificate,
            "tls-private-key-file": server.key,
            "client-ca-file": certificates.cluster.pair.certificate,
            "anonymous-auth": False,
            "authorization-mode": "Node,RBAC",
            # ResourceQuota and the others of the default set are on as well.
            "enable-admission-plugins": "NodeRestriction",
            "allow-privileged": True,
            "etcd-servers": _ETCD,
            "etcd-cafile": certificates.etcd.pair.certificate,
            "etcd-certfile": etcd.certificate,
            "etcd-keyfile": etcd.key,
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": tokens.certificate,
            "service-account-signing-key-file": tokens.key,
            "kubelet-certificate-authority": certificates.cluster.pair.certificate,
            "kubelet-client-certificate": kubelet.certificate,
            "kubelet-client-key": kubelet.key,
            "kubelet-preferred-address-types": "InternalIP",
            "requestheader-client-ca-file": certificates.front_proxy.pair.certificate,
            "requestheader-allowed-names": "front-proxy-client",
            "requestheader-username-headers": "X-Remote-User",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
            "proxy-client-cert-file": front_proxy.certificate,
            "proxy-client-key-file": front_proxy.key,
            "enable-aggregator-routing": True,
            "service-cluster-ip-range": SERVICES,
            "profiling": False,
        }

    def _controller_manager_arguments(self) -> dict[str, object]:
        authority = self._certificates.cluster.pair
        return {
            **self._own_endpoint("kube-controller-manager"),
            "use-service-account-credentials": True,
            "service-account-private-key-file": self._certificates.service_accounts.key,
            "root-ca-file": authority.certificate,
            "cluster-signing-cert-file": authority.certificate,
            "cluster-signing-key-file": authority.key,
            "service-cluster-ip-range": SERVICES,
            "controllers": "*,-nodeipam",
            "leader-elect": False,
            # The defaults (20, 30) hold a fresh cluster up for 5 s.
            "kube-api-qps": 200,
            "kube-api-burst": 400,
            # An autoscaler that acts within a test's patience.
            "horizontal-pod-autoscaler-sync-period": "5s",
            "horizontal-pod-autoscaler-downscale-stabilization": "30s",
            "horizontal-pod-autoscaler-cpu-initialization-period": "30s",
            "horizontal-pod-autoscaler-initial-readiness-delay": "10s",
            "profiling": False,
        }

    def _scheduler_arguments(self) -> dict[str, object]:
        return {
            **self._own_endpoint("kube-scheduler"),
            "leader-elect": False,
            "profiling": False,
        }

    def _own_endpoint(self, name: str) -> dict[str, object]:
        """What controller-manager and scheduler need for the API and for their own health."""
        kubeconfig = self._certificates.kubeconfig(name, f"system:{name}")
        server = self._certificates.loopback_server()
        return {
            "bind-address": "127.0.0.1",
            "kubeconfig": kubeconfig,
            "authentication-kubeconfig": kubeconfig,
            "authorization-kubeconfig": kubeconfig,
            "client-ca-file": self._certificates.cluster.pair.certificate,
            "tls-cert-file": server.certificate,
            "tls-private-key-file": server.key,
        }

    def _daemon(self, name: str, arguments: Callable[[], dict[str, object]], health: str) -> Daemon:
        return Daemon(
            self._layout.run,
            self._binaries / name,
            arguments,
            lambda: self._api.answers(health),
            namespace=self._layout.name,
        )
