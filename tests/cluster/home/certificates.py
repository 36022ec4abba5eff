# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The authorities, certificates and kubeconfigs of a cluster, made once and kept in its folder."""

from __future__ import annotations

import base64
import ipaddress
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from demo.stack.private_files import write_private
from tests.cluster.home.layout import (
    API_ADDRESS,
    API_SERVER,
    SERVICES,
    Layout,
    NodePlace,
)

_LIFETIME = timedelta(days=365)
_CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
_SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)
_API_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
METRICS_NAME = "metrics-server.kube-system.svc"


@dataclass(frozen=True)
class Pair:
    """The files of a certificate and its private key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """A certificate authority in files; keys are on P-256, which every component takes."""

    folder: Path
    name: str

    @property
    def pair(self) -> Pair:
        return _pair(self.folder, self.name)

    def create(self) -> None:
        """Make the authority unless it is there."""
        if self.pair.certificate.exists():
            return
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        certificate = (
            _builder(subject, subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write(self.pair, certificate, key)

    def issue(
        self,
        name: str,
        usage: tuple[x509.ObjectIdentifier, ...],
        *,
        common_name: str,
        organization: str | None = None,
        hosts: tuple[str, ...] = (),
    ) -> Pair:
        """The pair `name`, made unless it is there; `hosts` are DNS names and IP addresses."""
        pair = _pair(self.folder, name)
        if pair.certificate.exists():
            return pair
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if organization is not None:
            subject.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
        issuer = x509.load_pem_x509_certificate(self.pair.certificate.read_bytes())
        builder = (
            _builder(x509.Name(subject), issuer.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        )
        if hosts:
            alternatives = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(alternatives, critical=False)
        signing_key = serialization.load_pem_private_key(self.pair.key.read_bytes(), None)
        assert isinstance(signing_key, ec.EllipticCurvePrivateKey)
        _write(pair, builder.sign(signing_key, hashes.SHA256()), key)
        return pair


class Certificates:
    """Everything that the components of one cluster show each other."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._folder = layout.certificates
        self.cluster = Authority(self._folder, "cluster-ca")
        self.front_proxy = Authority(self._folder, "front-proxy-ca")
        self.etcd = Authority(self._folder, "etcd-ca")

    @property
    def service_accounts(self) -> Pair:
        """Signs and verifies the tokens of service accounts: a public key, not a certificate."""
        return Pair(self._folder / "service-accounts.pub", self._folder / "service-accounts.key")

    def create(self) -> None:
        """Make the authorities and the service accounts' key unless they are there."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for authority in (self.cluster, self.front_proxy, self.etcd):
            authority.create()
        if not self.service_accounts.certificate.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            write_private(self.service_accounts.key, _private_pem(key))
            public = key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            write_private(self.service_accounts.certificate, public.decode())

    def etcd_server(self) -> Pair:
        return self.etcd.issue("etcd", _SERVER, common_name="etcd", hosts=("127.0.0.1",))

    def etcd_client(self) -> Pair:
        return self.etcd.issue("etcd-client", _CLIENT, common_name="kube-apiserver")

    def api_server(self) -> Pair:
        return self.cluster.issue(
            "kube-apiserver",
            _SERVER,
            common_name="kube-apiserver",
            hosts=("localhost", "127.0.0.1", API_ADDRESS, str(SERVICES[1]), *_API_NAMES),
        )

    def kubelet_client(self) -> Pair:
        return self.cluster.issue(
            "kubelet-client",
            _CLIENT,
            common_name="kube-apiserver-kubelet-client",
            organization="system:masters",
        )

    def front_proxy_client(self) -> Pair:
        return self.front_proxy.issue("front-proxy", _CLIENT, common_name="front-proxy-client")

    def loopback_server(self) -> Pair:
        """For what the controller-manager and the scheduler say about themselves."""
        return self.cluster.issue(
            "loopback", _SERVER, common_name="localhost", hosts=("localhost", "127.0.0.1")
        )

    def metrics_server(self) -> Pair:
        return self.cluster.issue(
            "metrics-server", _SERVER, common_name=METRICS_NAME, hosts=(METRICS_NAME, API_ADDRESS)
        )

    def kubelet_server(self, node: NodePlace) -> Pair:
        return self.cluster.issue(
            f"kubelet-{node.name}-server",
            _SERVER,
            common_name=f"system:node:{node.name}",
            organization="system:nodes",
            hosts=(node.name, node.address),
        )

    def node_kubeconfig(self, node: NodePlace) -> Path:
        return self.kubeconfig(
            f"kubelet-{node.name}", f"system:node:{node.name}", organization="system:nodes"
        )

    def admin(self) -> Pair:
        return self.cluster.issue(
            "admin", _CLIENT, common_name="admin", organization="system:masters"
        )

    def admin_kubeconfig(self) -> Path:
        return self._write_kubeconfig(self._layout.kubeconfig, self.admin())

    def kubeconfig(self, name: str, user: str, *, organization: str | None = None) -> Path:
        """A component's kubeconfig, with a client certificate for `user`."""
        pair = self.cluster.issue(name, _CLIENT, common_name=user, organization=organization)
        return self._write_kubeconfig(self._folder / f"{name}.kubeconfig", pair)

    def _write_kubeconfig(self, path: Path, pair: Pair) -> Path:
        cluster = {
            "server": API_SERVER,
            "certificate-authority-data": _base64(self.cluster.pair.certificate),
        }
        user = {
            "client-certificate-data": _base64(pair.certificate),
            "client-key-data": _base64(pair.key),
        }
        name = self._layout.name
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
        write_private(path, json.dumps(kubeconfig, indent=2) + "\n")
        return path


def _pair(folder: Path, name: str) -> Pair:
    return Pair(folder / f"{name}.crt", folder / f"{name}.key")


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # An hour ago: clocks that differ a little are no reason to refuse.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _write(pair: Pair, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    # The key first: a certificate is the sign that the pair is complete.
    write_private(pair.key, _private_pem(key))
    write_private(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM).decode())
