# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a replica is asked, and what its answers make of it and of the whole agent."""

from __future__ import annotations

import errno
import json

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.assessment import (
    DependencyAssessment,
    assess_agent,
    assess_replica,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.conversation import (
    DependencyConversation,
    ReplicaConversation,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.exchange import Exchange
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.indicators import (
    Indicator,
    Thresholds,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.report import (
    notes,
    reasons,
    summary,
    tables,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.verdict import (
    Finding,
    Verdict,
)

REFUSED = Exchange(code=7, os_error=errno.ECONNREFUSED)
NO_NAME = Exchange(code=6)
HANGS = Exchange(code=28, connected=True, timeout_s=5.0)


def answer(body: object = None, status: int = 200, latency_ms: float = 3.0) -> Exchange:
    text = b"" if body is None else json.dumps(body).encode()
    return Exchange(code=0, http_status=status, body=text, latency_ms=latency_ms)


def detailed(database: object = "ok", cache: object = "ok", status: str = "ok") -> Exchange:
    parts = {"database": database, "cache": cache}
    shaped = {
        name: part if isinstance(part, dict) else {"status": part, "latency_ms": 1.0}
        for name, part in parts.items()
    }
    return answer({"status": status, "components": shaped}, 503 if status == "down" else 200)


OK = answer({"status": "ok"})
ABSENT = answer(status=404)


def talk(*exchanges: Exchange, name: str = "a", samples: int = 0) -> ReplicaConversation:
    """A conversation in which the exchanges are the answers, in order."""
    url = f"http://{name}"
    seen = ReplicaConversation(name, url, "/h", "/h/d", samples or len(exchanges), 0.0)
    for exchange in exchanges:
        assert seen.next_request() is not None
        seen.receive(exchange)
    return seen


def judged(*exchanges: Exchange, name: str = "a", direct: dict[str, Indicator] | None = None):
    return assess_replica(talk(*exchanges, name=name), None, None, direct or {}, Thresholds())


def agent(*replicas, dependencies=(), direct=None):
    return assess_agent(replicas, dependencies, direct or {}, Thresholds())


def urls(seen: ReplicaConversation, exchanges: list[Exchange]) -> list[str]:
    asked = []
    for exchange in exchanges:
        request = seen.next_request()
        asked.append(request.url.removeprefix("http://a"))
        seen.receive(exchange)
    assert seen.next_request() is None
    return asked


def test_a_sample_is_the_basic_endpoint_and_then_the_detailed_one():
    seen = ReplicaConversation("a", "http://a", "/h", "/h/d", 2, 0.0)
    assert urls(seen, [OK, detailed(), OK, detailed()]) == ["/h", "/h/d", "/h", "/h/d"]
    assert (seen.asked, seen.answered) == (2, 2)


def test_an_absent_detailed_endpoint_is_not_asked_again():
    seen = ReplicaConversation("a", "http://a", "/h", "/h/d", 3, 0.0)
    assert urls(seen, [OK, ABSENT, OK, OK]) == ["/h", "/h/d", "/h", "/h"]


def test_without_a_basic_answer_the_detailed_endpoint_is_not_asked():
    seen = ReplicaConversation("a", "http://a", "/h", "/h/d", 2, 0.0)
    assert urls(seen, [REFUSED, REFUSED]) == ["/h", "/h"]


def test_samples_are_apart_by_the_interval_and_the_last_lets_the_connection_go():
    seen = ReplicaConversation("a", "http://a", "/h", "/h/d", 2, 0.5)
    requests = []
    for exchange in (OK, detailed(), OK, detailed()):
        requests.append(seen.next_request())
        seen.receive(exchange)
    assert [each.pause_s for each in requests] == [0.0, 0.0, 0.5, 0.0]
    assert [each.last for each in requests] == [False, False, False, True]


def test_a_request_cut_short_by_the_ones_before_it_is_no_evidence():
    seen = talk(OK, detailed(), HANGS._replace(cut_short=True), samples=2)
    replica = assess_replica(seen, None, None, {}, Thresholds())
    assert replica.verdict is Verdict.HEALTHY
    assert (replica.asked, replica.answered) == (2, 1)


REPORTED_DOWN = {"status": "down", "error": "refused"}
REPLICAS = {
    "all well": ([OK, detailed()], "healthy", ""),
    "refuses": ([REFUSED], "down", "api refuses connections"),
    "hangs": ([HANGS], "down", "api accepts the connection but does not answer within 5 s"),
    "no DNS": ([NO_NAME], "unknown", "api has a name that does not resolve"),
    "never asked": ([], "unknown", "api has no answer yet"),
    "500": ([answer(status=500)], "down", "api answers HTTP 500"),
    "500, but tells why": (
        [answer(status=500), detailed(REPORTED_DOWN)],
        "down",
        "database is reported 'down': refused",
    ),
    "slow": ([answer({"status": "ok"}, latency_ms=150), detailed()], "degraded", "150 ms"),
    "some samples fail": ([OK, detailed(), REFUSED], "degraded", "(1 of 2 samples)"),
    "database down": (
        [OK, detailed(REPORTED_DOWN)],
        "down",
        "database is reported 'down': refused",
    ),
    "cache down": ([OK, detailed(cache=REPORTED_DOWN)], "degraded", "cache is reported 'down'"),
    "slow database": (
        [OK, detailed({"status": "ok", "latency_ms": 60})],
        "degraded",
        "database p95 is 60 ms, not below 50 ms",
    ),
    "database unknown": ([OK, detailed("unknown")], "unknown", "database is reported 'unknown'"),
    "says degraded": ([OK, detailed(status="degraded")], "degraded", "it says 'degraded'"),
    "says down": ([OK, detailed(status="down")], "down", "it says 'down'"),
    "detailed hangs": ([OK, HANGS], "degraded", "detailed endpoint accepts the connection but"),
    "detailed 500": ([OK, answer(status=500)], "degraded", "detailed endpoint answers HTTP 500"),
    "detailed 401": ([OK, answer(status=401)], "unknown", "the detailed endpoint refuses us"),
    "detailed absent": ([OK, ABSENT], "healthy", ""),
    "detailed silent": ([OK, answer({"status": "ok"})], "healthy", ""),
    "other part down": (
        [OK, answer({"status": "ok", "checks": {"disk": {"status": "fail"}}})],
        "degraded",
        "disk is reported 'fail'",
    ),
}


@pytest.mark.parametrize(("exchanges", "verdict", "words"), REPLICAS.values(), ids=REPLICAS.keys())
def test_a_replica_is_judged(exchanges, verdict, words):
    replica = judged(*exchanges)
    assert replica.verdict is Verdict(verdict)
    assert words in " ".join(reasons(agent(replica)))


def indicator(name: str, verdict: Verdict, said: str = "", values=(1.0,)) -> Indicator:
    return Indicator(name, 50.0, values, verdict, said, source="direct")


def test_direct_probes_stand_in_for_an_absent_detailed_endpoint_and_it_says_so():
    direct = {"database": indicator("database", Verdict.HEALTHY)}
    seen = agent(judged(OK, ABSENT, direct=direct), direct=direct)
    assert seen.verdict is Verdict.HEALTHY
    assert seen.indicators["database"].source == "direct"
    assert seen.indicators["cache"].verdict is None
    assert notes(seen)[0] == "a: no detailed endpoint (404); probed directly instead: database"
    assert "option cache is not given" in " ".join(notes(seen))


def test_a_database_down_by_direct_probe_takes_down_the_replica_that_does_not_tell():
    direct = {"database": indicator("database", Verdict.DOWN, "refuses connections", ())}
    assert judged(OK, ABSENT, direct=direct).verdict is Verdict.DOWN


@pytest.mark.parametrize(
    ("verdict", "whole"), [("down", "degraded"), ("degraded", "degraded"), ("unknown", "healthy")]
)
def test_next_to_the_agents_own_view_only_a_known_fault_counts(verdict, whole):
    direct = {"database": indicator("database", Verdict(verdict), "fails")}
    seen = agent(judged(OK, detailed(), direct=direct), direct=direct)
    assert seen.verdict is Verdict(whole)
    assert "database probed directly: fails" in " ".join(reasons(seen))


@pytest.mark.parametrize(
    ("critical", "verdict", "whole"),
    [
        (True, "down", "down"),
        (True, "degraded", "degraded"),
        (True, "unknown", "unknown"),
        (False, "down", "degraded"),
        (False, "unknown", "healthy"),
        (False, "healthy", "healthy"),
    ],
)
def test_a_dependency_counts_by_whether_it_is_critical(critical, verdict, whole):
    finding = Finding(Verdict(verdict), "is so")
    dependency = DependencyAssessment("ldap", "ldap:636", critical, finding, (1.0,))
    assert agent(judged(OK, detailed()), dependencies=[dependency]).verdict is Verdict(whole)


def test_with_no_replica_the_probed_servers_are_the_whole():
    refused = {"cache": indicator("cache", Verdict.DOWN, "refuses connections", ())}
    seen = agent(direct=refused)
    assert seen.verdict is Verdict.DOWN
    assert summary(seen) == "1 server probed"


def test_replicas_with_the_same_trouble_share_a_reason():
    replicas = [judged(HANGS, name=f"r{i}") for i in range(50)]
    seen = agent(judged(OK, detailed(), name="fine"), *replicas)
    assert seen.verdict is Verdict.DEGRADED
    assert reasons(seen) == [
        "r0, r1, r2 and 47 more (50 of 51 replicas): api accepts the connection but does not "
        "answer within 5 s. Look at its log and its load."
    ]
    assert summary(seen) == "1 of 51 healthy, 50 down"


def test_many_different_reasons_are_cut():
    replicas = [
        judged(answer({"status": "ok"}, latency_ms=200 + i), detailed(), name=f"r{i}")
        for i in range(12)
    ]
    assert reasons(agent(*replicas))[-1] == "and 2 more reasons"


def test_the_table_has_the_five_indicators():
    (table,) = tables(agent(judged(OK, detailed())))
    assert table.columns == ["indicator", "limit", "p50", "p95", "verdict"]
    assert table.rows == [
        ["api", "100 ms", "3 ms", "3 ms", "healthy"],
        ["database", "50 ms", "1 ms", "1 ms", "healthy"],
        ["cache", "10 ms", "1 ms", "1 ms", "healthy"],
        ["memory", "80 %", "-", "-", "not measured"],
        ["cpu", "70 %", "-", "-", "not measured"],
    ]


def test_replicas_that_are_not_healthy_get_a_table_that_is_cut():
    replicas = [judged(REFUSED, name=f"r{i}") for i in range(12)]
    _indicators, table = tables(agent(judged(OK, detailed(), name="fine"), *replicas))
    assert table.rows[0] == ["r0", "down", "api refuses connections"]
    assert len(table.rows) == 11
    assert table.rows[-1] == ["and 2 more", "", ""]


def test_an_indicator_covers_all_replicas():
    fast = judged(OK, detailed(), name="fast")
    slow = judged(answer({"status": "ok"}, latency_ms=500), detailed(), name="slow")
    api = agent(fast, slow).indicators["api"]
    assert (api.p50, api.p95, api.verdict) == (3.0, 500.0, Verdict.DEGRADED)


@pytest.mark.parametrize(
    ("is_tcp", "exchange", "verdict"),
    [
        (True, Exchange(code=0, connect_ms=1.5), "healthy"),
        (True, REFUSED, "down"),
        (False, answer(), "healthy"),
        (False, answer(status=503), "down"),
        (False, answer(status=301), "unknown"),
    ],
)
def test_a_dependency_answers_or_accepts(is_tcp, exchange, verdict):
    seen = DependencyConversation("d", "http://d/", is_tcp, False, 1, 0.0)
    request = seen.next_request()
    assert (request.connect_only, request.private) == (is_tcp, False)
    seen.receive(exchange)
    assert seen.next_request() is None
    assert seen.findings[0].verdict is Verdict(verdict)
