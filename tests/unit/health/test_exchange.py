# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one request allows to conclude: down is known, unknown is not."""

from __future__ import annotations

import errno

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import Reason
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.exchange import (
    Exchange,
    judge,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.verdict import Verdict


def answered(status: int, body: bytes = b"", **fields: object) -> Exchange:
    return Exchange(code=0, http_status=status, body=body, connected=True, **fields)


def failed(code: int, **fields: object) -> Exchange:
    return Exchange(code=code, timeout_s=5.0, **fields)


@pytest.mark.parametrize(
    ("exchange", "verdict", "reason", "words"),
    [
        (answered(200, b'{"status": "ok"}'), "healthy", None, "answers HTTP 200"),
        (answered(200, b'{"version": 1}'), "healthy", None, "answers HTTP 200"),
        (answered(204), "healthy", None, "answers HTTP 204"),
        (answered(200, b'{"status": "degraded"}'), "degraded", "failed_state", "says 'degraded'"),
        (answered(200, b'{"status": "down"}'), "down", "failed_state", "says 'down'"),
        (answered(200, b'{"status": "banana"}'), "unknown", "failed_state", "'banana'"),
        (answered(503, b'{"status": "down"}'), "down", "failed_state", "says 'down'"),
        (answered(503, b'{"status": "warn"}'), "degraded", "failed_state", "says 'warn'"),
        (answered(503, b'{"status": "ok"}'), "degraded", "failed_state", "but answers HTTP 503"),
        (answered(503, b'{"status": "starting"}'), "down", "failed_state", "HTTP 503"),
        (answered(500, b"Internal Server Error"), "down", "failed_state", "HTTP 500"),
        (answered(502, b"<html>bad gateway"), "down", "failed_state", "HTTP 502"),
        (answered(429, b'{"status": "fail"}'), "down", "failed_state", "says 'fail'"),
        (answered(429), "unknown", "precondition", "HTTP 429"),
        (answered(404), "unknown", "precondition", "no such endpoint"),
        (answered(401), "unknown", "auth", "refuses us"),
        (answered(403, b'{"status": "ok"}'), "unknown", "auth", "refuses us"),
        (answered(301), "unknown", "precondition", "redirects are not followed"),
        (answered(200, b"<html>hi</html>"), "unknown", "integrity", "HTML"),
        (answered(200, b'{"status": "heal'), "unknown", "integrity", "neither JSON"),
        (failed(6), "unknown", "unreachable", "does not resolve"),
        (failed(7, os_error=errno.ECONNREFUSED), "down", "unreachable", "refuses connections"),
        (failed(7, os_error=errno.EHOSTUNREACH), "unknown", "unreachable", "No route to host"),
        (failed(28), "unknown", "timeout", "accepts no connection within 5 s"),
        (failed(28, connected=True), "down", "timeout", "does not answer within 5 s"),
        (failed(28, connected=True, received_bytes=3), "down", "timeout", "does not finish"),
        (failed(52, connected=True), "down", "unreachable", "drops them"),
        (failed(56, connected=True, error="reset by peer"), "down", "unreachable", "drops them"),
        (failed(56, error="tlsv13 alert certificate required"), "unknown", "auth", "TLS"),
        (failed(55, is_anonymous_tls=True), "unknown", "auth", "want a client certificate"),
        (failed(60, error="self-signed certificate"), "unknown", "auth", "self-signed"),
        (failed(35, error="wrong version number"), "unknown", "auth", "TLS"),
        (failed(58, error="no key"), "unknown", "invalid_input", "certificate files"),
        (failed(63), "unknown", "integrity", "more than 1024 KiB"),
        (failed(23), "unknown", "integrity", "more than 1024 KiB"),
        (failed(18), "unknown", "integrity", "breaks off"),
        (failed(1), "unknown", "integrity", "does not speak HTTP"),
        (failed(8), "unknown", "integrity", "does not speak HTTP"),
        (failed(2, error="no memory"), "unknown", "unreachable", "no memory"),
    ],
)
def test_an_exchange_is_judged_by_what_was_seen(exchange, verdict, reason, words):
    finding = judge(exchange).finding
    assert finding.verdict is Verdict(verdict)
    assert finding.reason is (Reason(reason) if reason else None)
    assert words in finding.said
    assert bool(finding.next_step) is (verdict != "healthy")


def test_a_redirect_names_its_target_without_query_or_password():
    place = "https://me:secret@login.example/in?token=secret"
    finding = judge(answered(302, redirect_url=place)).finding
    assert "https://login.example/in" in finding.said
    assert "secret" not in finding.said


def test_a_dependency_needs_no_health_report():
    assert judge(answered(200, b"<html>hi</html>"), any_body=True).finding.verdict.value == (
        "healthy"
    )
