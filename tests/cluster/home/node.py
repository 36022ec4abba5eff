# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node: containerd, kubelet and kube-proxy, each a process on this machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from demo.stack.private_files import write_private
from tests.cluster.home import network
from tests.cluster.home.api import Api
from tests.cluster.home.certificates import Certificates
from tests.cluster.home.containerd import Containerd
from tests.cluster.home.daemon import Daemon
from tests.cluster.home.images import import_images
from tests.cluster.home.layout import DNS_SERVICE, PODS, NodePlace
from tests.cluster.home.mounts import unmount_below

_KUBELET_HEALTH, _PROXY_HEALTH = 10248, 10256


class Node:
    def __init__(self, place: NodePlace, binaries: Path, certificates: Certificates) -> None:
        self.place = place
        self._binaries = binaries
        self._certificates = certificates
        self._api = Api(certificates)
        self.containerd = Containerd(place)

    @property
    def name(self) -> str:
        return self.place.name

    def start_containers(self, archives: Sequence[Path]) -> None:
        """containerd with the images of these archives; needs nothing of the control plane."""
        self.containerd.up()
        import_images(self.containerd, archives)

    def join(self) -> None:
        """kubelet and kube-proxy; returns when the node is Ready. Raises StackError."""
        kubelet, proxy = self.kubelet(), self.kube_proxy()
        self._configure_kubelet(kubelet.folder)
        self._configure_proxy(proxy.folder)
        kubelet.up()
        proxy.up()

    def is_ready(self) -> bool:
        return self._api.has_condition(f"/api/v1/nodes/{self.name}", "Ready")

    def daemons(self) -> tuple[Daemon, ...]:
        return (self.containerd.daemon, self.kubelet(), self.kube_proxy())

    def down(self, *, keep_images: bool) -> None:
        """Stop the node and everything on it; the node object stays. Raises StackError."""
        self.kubelet().down()
        self.kube_proxy().down()
        self.containerd.down(keep_images=keep_images)
        unmount_below(self.place.short_folder)
        for folder in (
            self.place.short_folder,
            self.place.folder / "kubelet",
            self.place.folder / "kube-proxy",
        ):
            shutil.rmtree(folder, ignore_errors=True)
        if self.place.namespace != self.place.layout.name:
            network.delete(self.place.namespace)
        if not keep_images:
            shutil.rmtree(self.place.folder, ignore_errors=True)

    def kubelet(self) -> Daemon:
        return self._daemon("kubelet", self._kubelet_arguments, self._kubelet_answers)

    def kube_proxy(self) -> Daemon:
        configuration = self.place.folder / "kube-proxy" / "config.json"
        health = f"http://{self.place.address}:{_PROXY_HEALTH}/healthz"
        return self._daemon(
            "kube-proxy", lambda: {"config": configuration}, lambda: self._api.answers(health)
        )

    def _kubelet_arguments(self) -> dict[str, object]:
        folder = self.place.folder / "kubelet"
        return {
            "config": folder / "config.json",
            "kubeconfig": self._certificates.node_kubeconfig(self.place),
            "root-dir": self.place.kubelet_root,
            "cert-dir": self.place.kubelet_root / "pki",
            "hostname-override": self.name,
            "node-ip": self.place.address,
        }

    def _kubelet_answers(self) -> bool:
        health = f"http://{self.place.address}:{_KUBELET_HEALTH}/healthz"
        return self._api.answers(health) and self.is_ready()

    def _daemon(
        self, name: str, arguments: Callable[[], dict[str, object]], answers: Callable[[], bool]
    ) -> Daemon:
        return Daemon(
            self.place.folder,
            self._binaries / name,
            arguments,
            answers,
            namespace=self.place.namespace,
        )

    def _configure_kubelet(self, folder: Path) -> None:
        server = self._certificates.kubelet_server(self.place)
        authority = self._certificates.cluster.pair.certificate
        resolver = folder / "resolv.conf"
        configuration = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": "0.0.0.0",
            "readOnlyPort": 0,
            "healthzBindAddress": self.place.address,
            "healthzPort": _KUBELET_HEALTH,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(server.certificate),
            "tlsPrivateKeyFile": str(server.key),
            "containerRuntimeEndpoint": f"unix://{self.place.containerd_socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.place.cgroup}",
            "enforceNodeAllocatable": ["pods"],
            # What root may do in a container of its own: no lower oom_score_adj, no higher limit.
            "oomScoreAdj": 0,
            "maxOpenFiles": 20000,
            "failSwapOn": False,
            "clusterDomain": "cluster.local",
            "clusterDNS": [DNS_SERVICE],
            "resolvConf": str(resolver),
            # The disk is the developer's, and may well be fuller than a node's would be.
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "2%",
                "imagefs.available": "2%",
                "nodefs.inodesFree": "1%",
            },
            # Images come from archives and cannot be pulled again: never collected.
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
        }
        _write(folder / "config.json", configuration)
        write_private(resolver, "nameserver 127.0.0.1\n")

    def _configure_proxy(self, folder: Path) -> None:
        kubeconfig = self._certificates.kubeconfig("kube-proxy", "system:kube-proxy")
        configuration = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "hostnameOverride": self.name,
            "clusterCIDR": str(PODS),
            "oomScoreAdj": 0,
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            # All zero: connection tracking of the machine stays as it is.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
            "iptables": {"minSyncPeriod": "100ms"},
            "healthzBindAddress": f"{self.place.address}:{_PROXY_HEALTH}",
            "metricsBindAddress": "127.0.0.1:10249",
        }
        _write(folder / "config.json", configuration)


def _write(path: Path, configuration: dict[str, object]) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, json.dumps(configuration, indent=2) + "\n")
