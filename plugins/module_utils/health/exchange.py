# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTTP request with its answer or failure, and what may be concluded from it."""

from __future__ import annotations

import errno
import functools
import os
from typing import NamedTuple
from urllib.parse import urlsplit

from ..core.errors import Reason
from .report_body import HealthReport, read_report
from .verdict import Finding, Verdict

BODY_LIMIT_BYTES = 1024 * 1024

# libcurl's result codes (libcurl-errors(3)); named here so that judging needs no libcurl.
OK = 0
TIMED_OUT = 28
_RESOLVE_PROXY, _RESOLVE_HOST, _CONNECT, _NOT_HTTP = 5, 6, 7, 8
_WRITE_ERROR, _EMPTY_REPLY = 23, 52
_SEND_ERROR, _RECEIVE_ERROR, _TOO_LARGE = 55, 56, 63
_OUT_OF_MEMORY, _PARTIAL = 27, 18
_UNSUPPORTED = 1
_TLS = {35, 51, 53, 54, 58, 59, 60, 64, 66, 77, 80, 82, 83, 90, 91, 98}
_TLS_OURS = {58, 77, 82}  # the files that we were given


class Exchange(NamedTuple):
    """What libcurl saw of one request; times in ms.

    `latency_ms` runs from the request to the last byte of the answer; `connect_ms` (DNS, TCP,
    TLS) is 0 on a connection that was kept alive. `cut_short` says that it timed out
    with less than half of the timeout, because the target's earlier requests had used the rest.
    `is_anonymous_tls` says that it went over TLS without a client certificate.
    """

    code: int
    error: str = ""
    os_error: int = 0
    http_status: int = 0
    body: bytes = b""
    redirect_url: str = ""
    latency_ms: float = 0.0
    connect_ms: float = 0.0
    connected: bool = False
    received_bytes: int = 0
    timeout_s: float = 0.0
    cut_short: bool = False
    is_anonymous_tls: bool = False


class Answer(NamedTuple):
    """A judged exchange; `report` is None where there was none to read."""

    finding: Finding
    report: HealthReport | None = None


def judge(exchange: Exchange, any_body: bool = False) -> Answer:
    """What an exchange with a health endpoint says.

    `any_body` accepts every answer with a good HTTP status, for a dependency that need not be
    a health endpoint.
    """
    if exchange.code != OK:
        return Answer(_failure(exchange))
    status = exchange.http_status
    if 200 <= status < 300:
        return _success(exchange, any_body)
    if 300 <= status < 400:
        return Answer(_redirect(exchange))
    if status in (401, 403, 407):
        return Answer(
            _unseen(
                Reason.AUTH, f"refuses us with HTTP {status}", "Give its credentials as headers"
            )
        )
    if status in (404, 410):
        return Answer(
            _unseen(Reason.PRECONDITION, f"has no such endpoint (HTTP {status})", "Check the path")
        )
    return _error_status(exchange)


def _success(exchange: Exchange, any_body: bool) -> Answer:
    if not exchange.body.strip():
        return Answer(_good(f"answers HTTP {exchange.http_status}"))
    try:
        report = read_report(exchange.body)
    except ValueError as error:
        if any_body:
            return Answer(_good(f"answers HTTP {exchange.http_status}"))
        return Answer(
            _unseen(
                Reason.INTEGRITY,
                f"answers HTTP {exchange.http_status} with {error}",
                "Point the path at an endpoint that reports health",
            )
        )
    return Answer(_said(report, exchange.http_status), report)


def _said(report: HealthReport, status: int) -> Finding:
    verdict = report.verdict
    if verdict is None or verdict is Verdict.HEALTHY:
        return _good(f"answers HTTP {status}")
    if verdict is Verdict.UNKNOWN:
        return _unseen(
            Reason.FAILED_STATE,
            f"says {report.word!r}, a word that means neither health nor fault",
            "Look at its log",
        )
    return Finding(verdict, f"says {report.word!r}", "Look at its log", Reason.FAILED_STATE)


def _error_status(exchange: Exchange) -> Answer:
    """An error status counts as a health answer when its body is a report of a known state.

    draft-inadarei, section 3.1: a failing service answers 4xx or 5xx with its report.
    """
    status = exchange.http_status
    try:
        report = read_report(exchange.body)
    except ValueError:
        report = HealthReport(None)
    if report.verdict is not None and report.verdict.is_bad:
        return Answer(_said(report, status), report)
    if report.verdict is Verdict.HEALTHY:
        said = f"says {report.word!r} but answers HTTP {status}"
        return Answer(
            Finding(Verdict.DEGRADED, said, "Look at its log", Reason.FAILED_STATE), report
        )
    if status >= 500:
        said = f"answers HTTP {status} without a health report"
        return Answer(Finding(Verdict.DOWN, said, "Look at its log", Reason.FAILED_STATE))
    return Answer(_unseen(Reason.PRECONDITION, f"answers HTTP {status}", "Check the path"))


def _redirect(exchange: Exchange) -> Finding:
    place = urlsplit(exchange.redirect_url)
    where = f" to {place.scheme}://{place.netloc.rpartition('@')[2]}{place.path}"
    return _unseen(
        Reason.PRECONDITION,
        f"redirects (HTTP {exchange.http_status}){where if place.netloc else ''}, "
        "and redirects are not followed",
        "Point the url at the final address",
    )


def _failure(exchange: Exchange) -> Finding:
    if exchange.code == TIMED_OUT:
        return _timeout(exchange)
    if exchange.code in (_RESOLVE_HOST, _RESOLVE_PROXY):
        return _unseen(
            Reason.UNREACHABLE,
            "has a name that does not resolve",
            "Check the name, and DNS on this machine",
        )
    if exchange.code == _CONNECT:
        return _no_connection(exchange)
    if exchange.code in _TLS or _is_tls_alert(exchange):
        return _tls(exchange)
    if exchange.code in (_EMPTY_REPLY, _SEND_ERROR, _RECEIVE_ERROR):
        if exchange.is_anonymous_tls:
            # TLS 1.3: the refusal comes after the handshake, and a reset may overtake its alert.
            return _unseen(
                Reason.AUTH,
                "drops the TLS connection, as servers do that want a client certificate",
                "Give client_cert and client_key if it wants them, and look at its log if not",
            )
        return Finding(
            Verdict.DOWN,
            "accepts connections and drops them without an answer",
            "Look at its log",
            Reason.UNREACHABLE,
        )
    if exchange.code in (_TOO_LARGE, _WRITE_ERROR):
        return _unseen(
            Reason.INTEGRITY,
            f"answers with more than {BODY_LIMIT_BYTES // 1024} KiB",
            "Point the path at an endpoint that reports health",
        )
    if exchange.code == _PARTIAL:
        return _unseen(Reason.INTEGRITY, "breaks off in the middle of its answer", "Ask it again")
    if exchange.code in (_NOT_HTTP, _UNSUPPORTED):
        return _unseen(Reason.INTEGRITY, "does not speak HTTP", "Check the port")
    return _unseen(
        Reason.UNREACHABLE,
        f"could not be asked: {exchange.error or f'libcurl error {exchange.code}'}",
        "See libcurl-errors(3)",
    )


def _timeout(exchange: Exchange) -> Finding:
    within = f"within {exchange.timeout_s:g} s"
    if not exchange.connected:
        return _unseen(
            Reason.TIMEOUT,
            f"accepts no connection {within}",
            "Check the address, and routes and firewalls between here and there",
        )
    seen = "does not answer" if not exchange.received_bytes else "does not finish its answer"
    return Finding(
        Verdict.DOWN,
        f"accepts the connection but {seen} {within}",
        "Look at its log and its load",
        Reason.TIMEOUT,
    )


def _no_connection(exchange: Exchange) -> Finding:
    if exchange.os_error == errno.ECONNREFUSED:
        return Finding(
            Verdict.DOWN, "refuses connections", "Check that it is started", Reason.UNREACHABLE
        )
    return _unseen(
        Reason.UNREACHABLE,
        "cannot be reached from here: "
        + (os.strerror(exchange.os_error) if exchange.os_error else exchange.error),
        "Check the address, and routes and firewalls between here and there",
    )


def _is_tls_alert(exchange: Exchange) -> bool:
    """TLS 1.3: a server refuses our certificate only after the handshake, in its first answer."""
    return exchange.code == _RECEIVE_ERROR and "alert" in exchange.error.lower()


def _tls(exchange: Exchange) -> Finding:
    if exchange.code in _TLS_OURS:
        return _unseen(
            Reason.INVALID_INPUT,
            f"could not be asked with the certificate files given: {exchange.error}",
            "Check ca_file, client_cert and client_key",
        )
    return _unseen(
        Reason.AUTH,
        f"fails the TLS check: {exchange.error}",
        "Give the issuer as ca_file, or a client certificate if it wants one",
    )


@functools.lru_cache(maxsize=64)
def _good(said: str) -> Finding:
    return Finding(Verdict.HEALTHY, said)


def _unseen(reason: Reason, said: str, next_step: str) -> Finding:
    return Finding(Verdict.UNKNOWN, said, next_step, reason)
