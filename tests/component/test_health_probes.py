# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""health_info against real servers: good ones, bad ones, and ones that are not there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import trustme
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.context import Context
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.operation import execute
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.health_info import (
    HEALTH_INFO,
)

from demo.stack.ports import free_ports
from tests.component.agent_site import PATIENT
from tests.waiting import LIMIT_S, eventually

CHECKOUT = Path(__file__).resolve().parents[2]
HEALTHY = {
    "status": "healthy",
    "release": "1.4.2",
    "components": {
        "database": {"status": "healthy", "latency_ms": 0.8},
        "cache": {"status": "healthy", "latency_ms": 0.2},
    },
}


def health_info(*urls: str, **options: Any) -> dict[str, Any]:
    """Run the operation as the action plugin does, options coerced and defaults filled in."""
    arguments = {
        "targets": [{"url": url} for url in urls],
        "timeout_s": 60,
        "thresholds": PATIENT,
        **options,
    }
    validator = ArgumentSpecValidator(HEALTH_INFO.argument_spec, **HEALTH_INFO.rules)
    validated = validator.validate(arguments)
    assert not validated.error_messages
    return execute(HEALTH_INFO, validated.validated_parameters, Context())


class Handler(BaseHTTPRequestHandler):
    """Answers as the first part of the path says."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers), self.client_address))
        behaviour = self.path.split("/")[1]
        getattr(self, behaviour.replace("-", "_"))()

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def healthy(self) -> None:
        self.send(200, json.dumps(HEALTHY).encode())

    def basic_only(self) -> None:
        if self.path.endswith("/detailed"):
            self.send(404)
        else:
            self.send(200, b'{"status": "healthy"}')

    def html(self) -> None:
        self.send(200, b"<!doctype html><title>Log in</title>")

    def truncated(self) -> None:
        self.send(200, json.dumps(HEALTHY).encode()[:40])

    def breaks_off(self) -> None:
        self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"stat')
        self.close_connection = True

    def moved(self) -> None:
        self.send(301, Location="https://elsewhere.example/login?ticket=hunter22")

    def unauthorized(self) -> None:
        self.send(401)

    def missing(self) -> None:
        self.send(404)

    def fails(self) -> None:
        self.send(500, b"Internal Server Error")

    def says_down(self) -> None:
        self.send(503, b'{"status": "unhealthy"}')

    def drips(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        with contextlib.suppress(OSError):
            while not self.server.stopping.wait(0.1):
                self.wfile.write(b"{")
        self.close_connection = True

    def hangs(self) -> None:
        self.server.stopping.wait(600)
        self.close_connection = True

    def drops(self) -> None:
        self.close_connection = True

    def huge(self) -> None:
        """1 GB, announced."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        self._pour(b"x" * 65536)

    def endless(self) -> None:
        """As much, in chunks."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        self._pour(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    def _pour(self, part: bytes) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            for _part in range(1_000_000_000 // len(part)):
                self.wfile.write(part)
                self.server.poured += len(part)

    def speaks_ssh(self) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


class Server(ThreadingHTTPServer):
    """Remembers what it was asked."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, dict[str, str], Any]] = []
        self.poured = 0
        self.stopping = threading.Event()
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True, suppress_ragged_eofs=True)

    @property
    def port(self) -> int:
        return self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are part of these tests."""


@contextlib.contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(tls)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def url(server: Server) -> Callable[[str], str]:
    return lambda behaviour: f"http://127.0.0.1:{server.port}/{behaviour}"


def closed_port() -> int:
    [port] = free_ports(1)
    return port


# --- one replica --------------------------------------------------------------------------------


def test_a_healthy_replica_is_measured_over_one_connection(server, url):
    outcome = health_info(url("healthy"), samples=3)
    state = outcome["state"]
    assert (state["verdict"], state["sampled"], state["reasons"]) == ("healthy", 3, [])
    assert state["replicas"][0]["release"] == "1.4.2"
    assert state["indicators"]["database"]["p95"] == 0.8
    assert state["indicators"]["api"]["p95"] > 0
    assert [path for path, _headers, _address in server.seen] == [
        "/healthy/api/v1/health",
        "/healthy/api/v1/health/detailed",
    ] * 3
    assert len({address for _path, _headers, address in server.seen}) == 1


@pytest.mark.parametrize(
    ("behaviour", "verdict", "reason", "words"),
    [
        ("html", "unknown", "integrity", "HTML"),
        ("truncated", "unknown", "integrity", "neither JSON"),
        ("breaks-off", "unknown", "integrity", "breaks off"),
        ("moved", "unknown", "precondition", "redirects (HTTP 301) to https://elsewhere.example"),
        ("unauthorized", "unknown", "auth", "refuses us with HTTP 401"),
        ("missing", "unknown", "precondition", "no such endpoint"),
        ("fails", "down", "failed_state", "HTTP 500"),
        ("says-down", "down", "failed_state", "says 'unhealthy'"),
        ("drops", "down", "unreachable", "drops them"),
        ("hangs", "down", "timeout", "does not answer within 0.5 s"),
        ("drips", "down", "timeout", "does not finish its answer within 0.5 s"),
        ("huge", "unknown", "integrity", "more than 1024 KiB"),
        ("endless", "unknown", "integrity", "more than 1024 KiB"),
        ("speaks-ssh", "unknown", "integrity", "does not speak HTTP"),
    ],
)
def test_a_bad_endpoint_has_a_verdict_a_reason_and_a_next_step(
    url, behaviour, verdict, reason, words
):
    patience = {"timeout_s": 0.5} if reason == "timeout" else {}
    outcome = health_info(url(behaviour), samples=2, **patience)
    (replica,) = outcome["state"]["replicas"]
    assert (replica["verdict"], replica["reason"]) == (verdict, reason)
    (said,) = replica["reasons"]
    assert words in said
    assert said.count(". ") >= 1, "a next step follows"
    assert "hunter22" not in json.dumps(outcome)


def test_a_huge_answer_is_not_read_to_its_end(server, url):
    health_info(url("endless"), samples=1)
    assert server.poured < 20_000_000


def test_what_is_not_there_refuses_and_is_down():
    outcome = health_info(f"http://127.0.0.1:{closed_port()}", samples=1)
    assert outcome["state"]["verdict"] == "down"
    assert "refuses connections. Check that it is started" in outcome["state"]["reasons"][0]


def test_a_name_that_does_not_resolve_is_unknown():
    outcome = health_info("http://no-such-host.invalid:8001", samples=1, timeout_s=5)
    (replica,) = outcome["state"]["replicas"]
    assert replica["verdict"] == "unknown"
    assert replica["reason"] in ("unreachable", "timeout")  # the latter where DNS is silent


def test_a_listener_that_accepts_nothing_more_is_unknown():
    """A full backlog looks like a firewall that drops: there is no connection."""
    with contextlib.ExitStack() as held:
        listener = held.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _filler in range(4):
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        outcome = health_info(
            f"http://127.0.0.1:{listener.getsockname()[1]}", samples=1, timeout_s=0.5
        )
    (replica,) = outcome["state"]["replicas"]
    assert (replica["verdict"], replica["reason"]) == ("unknown", "timeout")
    assert "accepts no connection within 0.5 s" in replica["reasons"][0]


def test_headers_go_to_targets_and_not_to_dependencies(server, url):
    outcome = health_info(
        url("healthy"),
        samples=1,
        headers={"Authorization": "Bearer hunter22"},
        dependencies=[{"name": "d", "url": url("html")}],
    )
    sent = {
        path.split("/")[1]: headers.get("Authorization") for path, headers, _address in server.seen
    }
    assert sent == {"healthy": "Bearer hunter22", "html": None}
    assert outcome["state"]["dependencies"][0]["verdict"] == "healthy"
    assert "hunter22" not in json.dumps(outcome)


def test_a_tcp_dependency_is_healthy_when_it_accepts(server, url):
    outcome = health_info(
        url("healthy"),
        samples=2,
        dependencies=[
            {"name": "there", "host": "127.0.0.1", "port": server.port},
            {"name": "away", "host": "127.0.0.1", "port": closed_port(), "critical": True},
        ],
    )
    there, away = outcome["state"]["dependencies"]
    assert (there["verdict"], away["verdict"]) == ("healthy", "down")
    assert there["p95"] > 0
    assert outcome["state"]["verdict"] == "down"


# --- many replicas ------------------------------------------------------------------------------


def test_dead_replicas_do_not_hold_up_the_others(url):
    """Also more dead ones than requests are under way at a time."""
    dead = [f"{url('hangs')}/{i}" for i in range(20)]
    fine = [f"{url('healthy')}/{i}" for i in range(20)]
    started = time.monotonic()
    outcome = health_info(*dead, *fine, timeout_s=3)
    assert time.monotonic() - started < 3 * len(dead), "one after the other would take that long"
    assert outcome["state"]["verdict"] == "degraded"
    assert outcome["summary"] == "20 of 40 healthy, 20 down"
    assert outcome["state"]["sampled"] == 20 * 5
    (reason,) = outcome["state"]["reasons"]
    assert "(20 of 40 replicas)" in reason


# --- TLS ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority, tmp_path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@contextlib.contextmanager
def serving_tls(authority: trustme.CA, name: str = "127.0.0.1", **settings: Any) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    for setting, value in settings.items():
        setattr(context, setting, value)
    if settings:
        authority.configure_trust(context)
    with serving(context) as server:
        yield f"https://127.0.0.1:{server.port}/healthy"


def test_a_private_authority_is_trusted_when_given(authority, ca_file):
    with serving_tls(authority) as address:
        outcome = health_info(address, ca_file=ca_file)
    assert outcome["state"]["verdict"] == "healthy"
    assert outcome["state"]["replicas"][0]["connect_ms"] > 0


@pytest.mark.parametrize(
    ("name", "options"),
    [("127.0.0.1", {}), ("other.example", {"ca_file": True})],
    ids=["unknown authority", "another host's certificate"],
)
def test_a_bad_certificate_is_unknown_not_down(authority, ca_file, name, options):
    given = {"ca_file": ca_file} if options else {}
    with serving_tls(authority, name) as address:
        (replica,) = health_info(address, **given)["state"]["replicas"]
        unchecked = health_info(address, validate_certs=False)
    assert (replica["verdict"], replica["reason"]) == ("unknown", "auth")
    assert "fails the TLS check" in replica["reasons"][0]
    assert unchecked["state"]["verdict"] == "healthy"


def test_a_client_certificate_is_presented(authority, ca_file, tmp_path):
    client = authority.issue_cert("observer@example.com")
    files = {"client_cert": tmp_path / "cert.pem", "client_key": tmp_path / "key.pem"}
    client.cert_chain_pems[0].write_to_path(files["client_cert"])
    client.private_key_pem.write_to_path(files["client_key"])
    given = {name: str(path) for name, path in files.items()}
    with serving_tls(authority, verify_mode=ssl.CERT_REQUIRED) as address:
        with_it = health_info(address, ca_file=ca_file, **given)
        without = health_info(address, ca_file=ca_file)
    assert with_it["state"]["verdict"] == "healthy"
    (replica,) = without["state"]["replicas"]
    assert (replica["verdict"], replica["reason"]) == ("unknown", "auth")


def test_plain_http_behind_https_is_unknown(server):
    outcome = health_info(f"https://127.0.0.1:{server.port}/healthy", samples=1)
    (replica,) = outcome["state"]["replicas"]
    assert (replica["verdict"], replica["reason"]) == ("unknown", "auth")


# --- the servers behind the agent ---------------------------------------------------------------


def database_option(demo_stack) -> dict[str, Any]:
    server = demo_stack["postgres"]
    return {
        "host": server["host"],
        "port": server["port"],
        "name": server["database"],
        "user": server["user"],
        "password": Path(server["password_file"]).read_text().strip(),
    }


def cache_option(demo_stack) -> dict[str, Any]:
    server = demo_stack["redis"]
    password = Path(server["password_file"]).read_text().strip()
    return {"host": server["host"], "port": server["port"], "password": password}


def test_direct_probes_replace_an_absent_detailed_endpoint(url, demo_stack):
    outcome = health_info(
        url("basic-only"),
        database=database_option(demo_stack),
        cache=cache_option(demo_stack),
    )
    state = outcome["state"]
    assert state["verdict"] == "healthy"
    for name in ("database", "cache"):
        assert state["indicators"][name]["source"] == "direct"
        assert state["indicators"][name]["p95"] > 0
    assert "probed directly instead: database and cache" in state["notes"][0]


def test_an_absent_detailed_endpoint_without_direct_probes_is_said(url):
    state = health_info(url("basic-only"))["state"]
    assert state["verdict"] == "healthy"
    assert state["indicators"]["database"]["verdict"] is None
    assert "option database is not given" in " ".join(state["notes"])


@pytest.mark.parametrize(
    ("option", "change", "verdict", "reason"),
    [
        ("database", {"password": "hunter22"}, "unknown", "auth"),
        ("database", {"name": "no_such_database"}, "unknown", "unreachable"),
        ("database", {"port": 0}, "down", "unreachable"),
        ("cache", {"password": "hunter22"}, "unknown", "auth"),
        ("cache", {"port": 0}, "down", "unreachable"),
    ],
)
def test_a_server_that_cannot_be_probed_says_why(demo_stack, option, change, verdict, reason):
    given = {"database": database_option, "cache": cache_option}[option](demo_stack) | change
    given["port"] = given["port"] or closed_port()
    outcome = health_info(**{option: given})
    direct = outcome["state"]["direct"][option]
    assert (direct["verdict"], direct["reason"]) == (verdict, reason)
    assert outcome["state"]["verdict"] == verdict
    assert "hunter22" not in json.dumps(outcome)


@pytest.mark.parametrize("option", ["database", "cache"])
def test_a_server_that_accepts_and_stays_silent_ends_at_the_timeout(option):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        given = {"host": "127.0.0.1", "port": port, "password": "x"}
        outcome = health_info(timeout_s=0.3, **{option: given})
    direct = outcome["state"]["direct"][option]
    assert (direct["verdict"], direct["reason"]) == ("unknown", "timeout")


@pytest.mark.parametrize("option", ["database", "cache"])
def test_a_server_whose_name_does_not_resolve_is_unknown(option):
    outcome = health_info(timeout_s=2, **{option: {"host": "no-such-host.invalid"}})
    direct = outcome["state"]["direct"][option]
    assert direct["verdict"] == "unknown"
    assert direct["reason"] in ("unreachable", "timeout")  # the latter where DNS is silent
    assert outcome["state"]["verdict"] == "unknown"


@pytest.mark.parametrize(
    ("option", "resolving"),
    [("database", (psycopg2, "connect")), ("cache", (socket, "getaddrinfo"))],
)
def test_silent_dns_ends_at_the_timeout(monkeypatch, option, resolving):
    """Resolving heeds no timeout in either library, so its thread is left behind."""
    released = threading.Event()

    def resolve(*arguments: object, **options: object) -> None:
        released.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(*resolving, resolve)
    try:
        outcome = health_info(timeout_s=0.3, **{option: {"host": "server.example"}})
    finally:
        released.set()
    direct = outcome["state"]["direct"][option]
    assert (direct["verdict"], direct["reason"]) == ("unknown", "timeout")


# --- the observer itself ------------------------------------------------------------------------

OBSERVER = """
import json, sys
from tests.component.test_health_probes import health_info
print(json.dumps(health_info(sys.argv[1])))
"""


def test_a_signal_ends_it_cleanly(server, url):
    observer = subprocess.Popen(
        [sys.executable, "-c", OBSERVER, url("hangs")],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        eventually(lambda: server.seen)
        os.kill(observer.pid, signal.SIGTERM)
        output, _errors = observer.communicate(timeout=LIMIT_S)
    finally:
        observer.kill()
        observer.wait()
    assert json.loads(output)["reason"] == "cancelled"
