# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines that are reached over TLS and over SSH, on loopback."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import trustme

from demo.stack.ports import free_ports
from tests.component.needs import missing
from tests.images import archives
from tests.platforms.docker_platform import DockerPlatform, remove_agents
from tests.platforms.home import OwnEngine, PlatformError
from tests.platforms.home.dockerd import Dockerd
from tests.waiting import eventually

pytestmark = [
    # The SDK leaves a socket open that it could not connect.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def succeeded(outcome):
    assert not outcome.get("failed"), outcome
    return outcome


# --- TLS --------------------------------------------------------------------------------------


class Certificates:
    """An authority, and what it gave the engine and its client; as files."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        self._write(authority.issue_cert("127.0.0.1", "engine.example"), "server", "server-key")
        self._write(authority.issue_cert("client@example"), "cert", "key")

    def _write(self, issued, certificate, key):
        issued.private_key_pem.write_to_path(self.folder / f"{key}.pem")
        for number, pem in enumerate(issued.cert_chain_pems):
            pem.write_to_path(self.folder / f"{certificate}.pem", append=number > 0)

    def file(self, name):
        return str(self.folder / f"{name}.pem")


class TlsDockerd(Dockerd):
    """One that also listens on a port, for clients with a certificate."""

    def __init__(self, home, bridge, port, certificates):
        super().__init__(home, bridge)
        self._more = [
            f"--host=tcp://127.0.0.1:{port}",
            "--tlsverify",
            f"--tlscacert={certificates.file('ca')}",
            f"--tlscert={certificates.file('server')}",
            f"--tlskey={certificates.file('server-key')}",
        ]

    def configure(self, ports):
        return [*super().configure(ports), *self._more]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def tls_engine(certificates, tmp_path_factory):
    engine = OwnEngine(tmp_path_factory.mktemp("engine"))
    [engine.tls_port] = free_ports(1)
    engine._dockerd = TlsDockerd(engine.home, engine._bridge.name, engine.tls_port, certificates)
    try:
        engine.start()
    except PlatformError as error:
        missing(error)
    engine.load(archives()["releases"])
    yield engine
    engine.purge()


@pytest.fixture
def tls(tls_engine, certificates, tmp_path):
    platform = DockerPlatform(tmp_path, tls_engine)
    platform.docker = {
        "docker_host": f"tcp://127.0.0.1:{tls_engine.tls_port}",
        "validate_certs": True,
        "ca_path": certificates.file("ca"),
        "client_cert": certificates.file("cert"),
        "client_key": certificates.file("key"),
    }
    yield platform
    platform.close()


def test_an_agent_runs_on_an_engine_behind_tls(tls):
    tls.deploy("1.4.1")
    outcome = succeeded(tls.agent(replicas=1))
    assert outcome["summary"] == f"1 of 1 ready, release {tls.release('1.4.1')}"
    assert succeeded(tls.logs())["state"]["replicas"]["cost-agent-1"]
    succeeded(tls.agent("stopped"))


def test_the_variables_of_the_docker_command_reach_it_too(tls, certificates, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", tls.docker["docker_host"])
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(certificates.folder))
    tls.docker = {}
    assert succeeded(tls.preflight())["summary"].startswith("docker ")


@pytest.mark.parametrize("wrong", ["client", "authority", "none", "name"])
def test_whoever_is_not_trusted_is_told_so(tls, tmp_path, wrong):
    others = Certificates(tmp_path / "others")
    if wrong == "client":
        tls.docker |= {"client_cert": others.file("cert"), "client_key": others.file("key")}
    elif wrong == "authority":
        tls.docker["ca_path"] = others.file("ca")
    elif wrong == "none":
        del tls.docker["client_cert"], tls.docker["client_key"]
    else:
        tls.docker["tls_hostname"] = "other.example"
    outcome = tls.info()
    assert outcome["reason"] == "auth", outcome
    assert "do not trust each other" in outcome["msg"]


def test_a_certificate_that_cannot_be_read_is_named(tls):
    tls.docker["ca_path"] = "/nowhere/ca.pem"
    outcome = tls.info()
    assert outcome["reason"] == "invalid_input"
    assert "/nowhere/ca.pem is no file" in outcome["msg"]


# --- SSH --------------------------------------------------------------------------------------


@pytest.fixture
def ssh_host(docker_engine, tmp_path, monkeypatch):
    """An sshd of our own on loopback, and an ssh that knows it; the address of the engine."""
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if sshd is None or shutil.which("ssh") is None or os.geteuid() != 0:
        missing(
            "sshd is not installed, or this is not root; scripts/install-platforms.sh installs it"
        )
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name]
        subprocess.run(command, check=True)
    [port] = free_ports(1)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd gives up its rights
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": tmp_path / "host",
        "AuthorizedKeysFile": tmp_path / "user.pub",
        "PidFile": "none",
        "StrictModes": "no",
        "PasswordAuthentication": "no",
        "SetEnv": f"DOCKER_HOST={docker_engine.url}",
    }
    lines = "".join(f"{name} {value}\n" for name, value in settings.items())
    (tmp_path / "sshd_config").write_text(lines)
    public = " ".join((tmp_path / "host.pub").read_text().split()[:2])
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}\n")
    (tmp_path / "ssh_config").write_text(
        f"UserKnownHostsFile {tmp_path}/known_hosts\nStrictHostKeyChecking yes\n"
        f"IdentityFile {tmp_path}/user\nIdentitiesOnly yes\nBatchMode yes\n"
    )
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin" / "ssh"
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {tmp_path}/ssh_config "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    server = subprocess.Popen([sshd, "-D", "-e", "-f", tmp_path / "sshd_config"])
    eventually(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
    yield f"ssh://root@127.0.0.1:{port}"
    server.terminate()
    server.wait(10)
    gc.collect()  # what the SDK leaves of its connections is this test's, not the next one's


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_agent_runs_on_an_engine_behind_ssh(docker_engine, agent_images, ssh_host, tmp_path):
    remove_agents(docker_engine)
    platform = DockerPlatform(tmp_path, docker_engine)
    platform.docker = {"docker_host": ssh_host}
    try:
        platform.deploy("1.4.1")
        outcome = succeeded(platform.agent(replicas=1))
        assert outcome["summary"] == f"1 of 1 ready, release {platform.release('1.4.1')}"
        assert platform.serving() == ["cost-agent-1"]
        succeeded(platform.agent("stopped"))
        assert platform.serving() == []
    finally:
        platform.close()
