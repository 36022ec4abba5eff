# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health reports of many services, one meaning."""

from __future__ import annotations

import json

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.report_body import (
    Component,
    read_report,
    verdict_of,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.verdict import Verdict

HEALTHY, DEGRADED, DOWN, UNKNOWN = (
    Verdict.HEALTHY,
    Verdict.DEGRADED,
    Verdict.DOWN,
    Verdict.UNKNOWN,
)


@pytest.mark.parametrize(
    ("word", "verdict"),
    [
        ("ok", HEALTHY),
        ("OK", HEALTHY),
        ("healthy", HEALTHY),
        ("Healthy", HEALTHY),
        ("up", HEALTHY),
        ("UP", HEALTHY),
        ("pass", HEALTHY),
        ("connected", HEALTHY),
        (True, HEALTHY),
        ("degraded", DEGRADED),
        ("warn", DEGRADED),
        ("WARNING", DEGRADED),
        ("unhealthy", DOWN),
        ("down", DOWN),
        ("fail", DOWN),
        ("failed", DOWN),
        ("error", DOWN),
        ("OUT_OF_SERVICE", DOWN),
        ("out of service", DOWN),
        ("not-ready", DOWN),
        (False, DOWN),
        ("unknown", UNKNOWN),
        ("starting", UNKNOWN),
        ("", UNKNOWN),
        (200, None),
        (None, None),
        ({}, None),
    ],
)
def test_status_words_in_any_case_have_one_verdict(word, verdict):
    assert verdict_of(word) is verdict


GUIDES_AGENT = {
    "status": "healthy",
    "release": "1.4.2",
    "components": {
        "database": {"status": "healthy", "latency_ms": 0.8},
        "cache": {"status": "healthy", "latency_ms": 0.2},
    },
    "pool": {"size": 20, "in_use": 1},
}
SPRING = {
    "status": "DOWN",
    "components": {
        "db": {"status": "DOWN", "details": {"error": "refused"}},
        "redis": {"status": "UP", "details": {"version": "7.2"}},
        "broker": {"status": "UP", "components": {"us1": {"status": "UP"}}},
    },
}
INADAREI = {
    "status": "warn",
    "releaseId": "1.2.2",
    "checks": {
        "postgres:responseTime": [
            {"status": "pass", "observedValue": 250, "observedUnit": "ms"},
            {"status": "warn", "observedValue": 0.3, "observedUnit": "s", "output": "slow"},
        ],
        "postgres:connections": [{"status": "pass", "observedValue": 75}],
        "cache:responseTime": [{"status": "pass", "observedValue": 900, "observedUnit": "us"}],
        "uptime": [{"status": "pass", "observedValue": 1209600, "observedUnit": "s"}],
    },
}
ASP_NET = {
    "status": "Healthy",
    "entries": {"sqlserver": {"status": "Healthy", "duration": "00:00:00.01"}},
}
NEST = {
    "status": "error",
    "info": {"cache": {"status": "up"}},
    "error": {"database": {"status": "down", "message": "refused"}},
    "details": {
        "cache": {"status": "up"},
        "database": {"status": "down", "message": "refused"},
    },
}
MICROPROFILE = {
    "status": "UP",
    "checks": [{"name": "database", "status": "UP", "data": {"latency": "3.5 ms"}}],
}
FLAT = {"status": "ok", "database": "connected", "redis": False, "db_name": "cost_agent"}


@pytest.mark.parametrize(
    ("body", "verdict", "components"),
    [
        (
            GUIDES_AGENT,
            HEALTHY,
            {"database": ("database", HEALTHY, 0.8), "cache": ("cache", HEALTHY, 0.2)},
        ),
        (
            SPRING,
            DOWN,
            {
                "db": ("database", DOWN, None),
                "redis": ("cache", HEALTHY, None),
                "broker": (None, HEALTHY, None),
                "us1": (None, HEALTHY, None),
            },
        ),
        (
            INADAREI,
            DEGRADED,
            {
                "postgres": ("database", DEGRADED, 300),
                "cache": ("cache", HEALTHY, 0.9),
                "uptime": (None, HEALTHY, None),
            },
        ),
        (ASP_NET, HEALTHY, {"sqlserver": (None, HEALTHY, None)}),
        (NEST, DOWN, {"cache": ("cache", HEALTHY, None), "database": ("database", DOWN, None)}),
        (MICROPROFILE, HEALTHY, {"database": ("database", HEALTHY, 3.5)}),
        (FLAT, HEALTHY, {"database": ("database", HEALTHY, None), "redis": ("cache", DOWN, None)}),
        ({"status": "ok"}, HEALTHY, {}),
        ({"healthy": False}, DOWN, {}),
        ({"version": "1.0"}, None, {}),
        ({"status": 500, "error": "Internal Server Error"}, None, {}),
        ({}, None, {}),
        ("ok", HEALTHY, {}),
        (True, HEALTHY, {}),
    ],
)
def test_reports_of_known_shapes_are_read(body, verdict, components):
    report = read_report(json.dumps(body).encode())
    assert report.verdict is verdict
    read = {
        each.name: (each.kind, each.verdict, pytest.approx(each.latency_ms))
        if each.latency_ms is not None
        else (each.kind, each.verdict, None)
        for each in report.components
    }
    assert read == components


@pytest.mark.parametrize(
    ("fields", "latency_ms"),
    [
        ({"latency_ms": 3.1}, 3.1),
        ({"latencyMs": 3}, 3),
        ({"response_time_ms": 3}, 3),
        ({"responseTime": "3 ms"}, 3),
        ({"latency": "0.2s"}, 200),
        ({"latency_seconds": 0.2}, 200),
        ({"duration_us": 1500}, 1.5),
        ({"details": {"latency_ms": 4}}, 4),
        ({"latency": 3}, None),  # of what?
        ({"latency_ms": -1}, None),
        ({"latency_ms": True}, None),
        ({"latency_ms": "fast"}, None),
        ({"latency_ms": None}, None),
        ({"uptime_s": 12}, None),
    ],
)
def test_a_latency_counts_only_with_its_unit(fields, latency_ms):
    body = {"components": {"database": {"status": "ok", **fields}}}
    (database,) = read_report(json.dumps(body).encode()).components
    assert database.latency_ms == (None if latency_ms is None else pytest.approx(latency_ms))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("database", "database"),
        ("db", "database"),
        ("primary_db", "database"),
        ("PostgreSQL", "database"),
        ("dataSource", "database"),
        ("cache", "cache"),
        ("redis-cache", "cache"),
        ("diskSpace", None),
        ("feedback", None),
        ("mqsqlx", None),
    ],
)
def test_dependencies_are_known_by_their_usual_names(name, kind):
    assert Component(name, None).kind == kind


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"<!doctype html><html>login</html>", "HTML"),
        (b'{"status": "heal', "neither JSON"),
        (b"banana", "neither JSON"),
        (b"\xff\xfe\x00", "neither JSON"),
        (b'{"components": {"database": {"latency_ms": NaN}}}', "neither JSON"),
        (b"[" * 100_000, "neither JSON"),
        (b'[{"status": "ok"}]', "not an object"),
        (b"42", "not an object"),
        (b"null", "not an object"),
    ],
)
def test_what_is_no_report_is_refused_with_the_fault(text, fault):
    with pytest.raises(ValueError, match=fault):
        read_report(text)


def test_a_plain_word_is_a_report():
    assert read_report(b"OK\n").verdict is HEALTHY


def test_the_release_is_read():
    assert read_report(json.dumps(GUIDES_AGENT).encode()).release == "1.4.2"
    assert read_report(json.dumps(INADAREI).encode()).release == "1.2.2"
