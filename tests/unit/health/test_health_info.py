# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a look, what is written, and when a verdict is a failure."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.context import Context
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.operation import execute
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    FileStateStore,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health import health_info
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.exchange import Exchange
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.history import (
    HealthHistory,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.usage import UsageReading
from prometheus_client.parser import text_string_to_metric_families

MIDNIGHT = datetime(2025, 1, 23, tzinfo=UTC).timestamp()


class Service:
    """Stands in for the sweep: answers every request by the next word, the last for ever."""

    def __init__(self, *words: str) -> None:
        self.words = list(words)
        self.looks = 0

    def __call__(self, conversations, transport, pauses_s, clock) -> None:
        word = self.words.pop(0) if len(self.words) > 1 else self.words[0]
        self.looks += 1
        for conversation in conversations:
            while conversation.next_request():
                conversation.receive(self.answer(word))

    @staticmethod
    def answer(word: str) -> Exchange:
        if word == "no DNS":
            return Exchange(code=6)
        body = {
            "status": word,
            "components": {
                "database": {"status": "ok", "latency_ms": 1.0},
                "cache": {"status": "ok", "latency_ms": 0.2},
            },
        }
        return Exchange(
            code=0, http_status=200, body=json.dumps(body).encode(), latency_ms=4.0, connect_ms=0.3
        )


@pytest.fixture
def run(monkeypatch, fake_clock):
    """Runs health_info against a service that says these words, one a look."""

    def run(*words: str, check_mode: bool = False, **options: object) -> dict:
        service = Service(*words)
        monkeypatch.setattr(health_info, "sweep", service)
        arguments = {"targets": [{"name": "a", "url": "http://a"}], **options}
        validator = ArgumentSpecValidator(
            health_info.HEALTH_INFO.argument_spec, **health_info.HEALTH_INFO.rules
        )
        validated = validator.validate(arguments)
        assert not validated.error_messages
        context = Context(check_mode=check_mode, clock=fake_clock)
        outcome = execute(health_info.HEALTH_INFO, validated.validated_parameters, context)
        outcome["looks"] = service.looks
        return outcome

    return run


def test_without_require_every_verdict_is_a_result(run):
    outcome = run("down")
    assert "failed" not in outcome
    assert outcome["state"]["verdict"] == "down"
    assert outcome["changed"] is False


@pytest.mark.parametrize(
    ("word", "require", "reason"),
    [
        ("ok", "healthy", None),
        ("degraded", "degraded", None),
        ("ok", "degraded", None),
        ("degraded", "healthy", "failed_state"),
        ("down", "degraded", "failed_state"),
        ("no DNS", "healthy", "unreachable"),
        ("no DNS", "degraded", "unreachable"),
    ],
)
def test_require_turns_a_worse_verdict_into_a_failure(run, word, require, reason):
    outcome = run(word, require=require)
    assert outcome.get("reason") == reason
    if reason:
        assert outcome["state"]["verdict"] in outcome["msg"]
        assert outcome["tables"][0]["columns"][0] == "indicator"


def test_waiting_ends_when_the_requirement_is_met(run, fake_clock):
    outcome = run("down", "no DNS", "ok", require="healthy", wait_s=60)
    assert outcome["state"]["verdict"] == "healthy"
    assert outcome["looks"] == 3
    assert fake_clock.monotonic() < 1


def test_waiting_in_vain_is_a_timeout_with_the_last_state(run, fake_clock):
    outcome = run("down", require="healthy", wait_s=30)
    assert outcome["reason"] == "timeout"
    assert outcome["state"]["verdict"] == "down"
    assert "within 30 s: it is down: a: it says 'down'" in outcome["msg"]
    assert fake_clock.monotonic() == pytest.approx(30)


def test_health_that_holds_for_the_soak_passes_at_its_end(run, fake_clock):
    outcome = run("down", "ok", require="healthy", wait_s=60, soak_s=30)
    assert outcome["state"]["verdict"] == "healthy"
    assert 30 <= fake_clock.monotonic() < 31


def test_a_replica_that_goes_down_during_the_soak_is_a_failure_at_once(run, fake_clock):
    outcome = run("ok", "ok", "ok", "down", "ok", require="healthy", wait_s=60, soak_s=30)
    assert outcome["reason"] == "failed_state"
    assert "healthy for 30 s: after 4 s it is down" in outcome["msg"]
    assert fake_clock.monotonic() == pytest.approx(4)


@pytest.mark.parametrize(
    ("word", "reason"), [("degraded", "failed_state"), ("no DNS", "unreachable")]
)
def test_what_is_worse_twice_in_a_row_is_a_failure(run, fake_clock, word, reason):
    outcome = run("ok", "ok", word, word, "ok", require="healthy", wait_s=60, soak_s=30)
    assert outcome["reason"] == reason
    assert fake_clock.monotonic() == pytest.approx(4)


@pytest.mark.parametrize("word", ["degraded", "no DNS"])
def test_what_is_worse_for_one_look_is_not(run, word):
    outcome = run("ok", word, "ok", word, "ok", require="healthy", wait_s=60, soak_s=30)
    assert outcome["state"]["verdict"] == "healthy"


@pytest.mark.parametrize(("then", "reason"), [("ok", None), ("degraded", "failed_state")])
def test_a_doubt_at_the_end_of_the_soak_is_settled_by_one_more_look(run, then, reason):
    looks = ["ok", "ok", "ok", "degraded", then]
    assert run(*looks, require="healthy", soak_s=4).get("reason") == reason


def test_what_never_was_healthy_is_not_soaked(run, fake_clock):
    outcome = run("down", require="healthy", wait_s=5, soak_s=30)
    assert outcome["reason"] == "timeout"
    assert fake_clock.monotonic() == pytest.approx(5)


def test_without_a_requirement_there_is_nothing_to_soak(run, fake_clock):
    assert run("down", soak_s=30)["looks"] == 1
    assert fake_clock.monotonic() == 0


def test_samples_go_to_the_history_also_when_it_fails(run, tmp_path):
    run("down", require="healthy", samples=2, state_store=tmp_path.as_uri())
    (path,) = tmp_path.glob("history/health/cost-agent/1970-01-01/001640.000-*.json")
    record = json.loads(path.read_text())
    assert record["verdict"] == "down"
    assert record["replicas"] == [
        {
            "name": "a",
            "verdict": "down",
            "api_ms": [4.0, 4.0],
            "components_ms": {"database": [1.0, 1.0, 1.0, 1.0], "cache": [0.2, 0.2, 0.2, 0.2]},
        }
    ]


def test_check_mode_looks_and_writes_nothing(run, tmp_path):
    metrics = tmp_path / "health.prom"
    outcome = run("ok", check_mode=True, state_store=tmp_path.as_uri(), textfile=str(metrics))
    assert outcome["state"]["verdict"] == "healthy"
    assert list(tmp_path.iterdir()) == []


def test_cpu_is_averaged_since_the_run_before(run, tmp_path, fake_clock):
    def usage(cpu_seconds, uptime_s):
        figures = {"cpu_seconds": cpu_seconds, "uptime_s": uptime_s, "memory_bytes": 5}
        return [{"name": "a", "url": "http://a", "usage": figures}]

    store = tmp_path.as_uri()
    first = run("ok", targets=usage(10, 100), state_store=store)
    fake_clock.sleep(60)
    second = run("ok", targets=usage(58, 160), state_store=store)
    (before,), (after,) = first["state"]["replicas"], second["state"]["replicas"]
    assert before["indicators"]["cpu"]["basis"] == "since start"
    assert before["indicators"]["cpu"]["p95"] == 10
    assert after["indicators"]["cpu"]["basis"] == "last 60 s"
    assert after["indicators"]["cpu"]["p95"] == 80
    assert second["state"]["verdict"] == "degraded"


def test_a_replica_that_does_not_run_is_down_and_not_asked(run):
    targets = [
        {"name": "a", "url": "http://a"},
        {"name": "b", "url": "http://b", "not_running": "its process ended"},
    ]
    outcome = run("ok", targets=targets)
    _asked, gone = outcome["state"]["replicas"]
    assert outcome["state"]["verdict"] == "degraded"
    assert (gone["verdict"], gone["samples"]["asked"]) == ("down", 0)
    assert "does not run: its process ended" in " ".join(outcome["state"]["reasons"])


def test_the_history_forgets_days_beyond_the_retention(tmp_path):
    history = HealthHistory(FileStateStore(tmp_path), "cost-agent", keep_days=2)
    for day in range(5):
        history.append({"replicas": []}, MIDNIGHT + day * 86400)
        history.append({"replicas": []}, MIDNIGHT + day * 86400 + 60)
    days = sorted(path.name for path in tmp_path.glob("history/health/cost-agent/*/"))
    kept = [day for day in days if any((tmp_path / "history/health/cost-agent" / day).iterdir())]
    assert kept == ["2025-01-25", "2025-01-26", "2025-01-27"]


def test_a_reading_from_before_midnight_is_found(tmp_path):
    history = HealthHistory(FileStateStore(tmp_path), "cost-agent", keep_days=30)
    reading = UsageReading(MIDNIGHT - 30, cpu_seconds=1.0, uptime_s=50.0)
    history.append({"replicas": [{"name": "a", "usage": vars(reading)}]}, MIDNIGHT - 30)
    assert history.usage_before(MIDNIGHT + 30) == {"a": reading}
    assert history.usage_before(MIDNIGHT + 3600) == {}


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"replicas": 5}', '{"replicas": [{"usage": {"x": 1}}, 7]}']
)
def test_records_that_are_not_ours_are_passed_over(tmp_path, text):
    history = HealthHistory(FileStateStore(tmp_path), "cost-agent", keep_days=30)
    history.append({"replicas": []}, MIDNIGHT + 100)
    (path,) = tmp_path.glob("history/health/cost-agent/2025-01-23/*")
    path.write_text(text)
    path.with_name("notes.txt").write_text("mine")
    assert history.usage_before(MIDNIGHT + 200) == {}


def test_the_textfile_is_what_prometheus_reads(run, tmp_path):
    path = tmp_path / "health.prom"
    run("degraded", agent="cost-agent", textfile=str(path))
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }
    agent = ("agent", "cost-agent")
    assert samples[("cost_agent_health_verdict", agent, ("verdict", "degraded"))] == 1
    assert samples[("cost_agent_health_verdict", agent, ("verdict", "healthy"))] == 0
    assert samples[("cost_agent_health_replicas", agent, ("verdict", "degraded"))] == 1
    latency = ("cost_agent_health_latency_seconds", agent, ("indicator", "api"))
    assert samples[(*latency, ("quantile", "0.95"))] == pytest.approx(0.004)
    assert samples[("cost_agent_health_last_run_timestamp_seconds", agent)] == 1000
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_textfile_that_cannot_be_written_is_said(run, tmp_path):
    (tmp_path / "file").write_text("")
    outcome = run("ok", textfile=str(tmp_path / "file" / "health.prom"))
    assert outcome["reason"] == "precondition"


def test_a_missing_library_is_named(run, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "redis", None)
    outcome = run("ok", cache={"host": "127.0.0.1"})
    assert outcome["reason"] == "missing_library"
    assert "redis" in outcome["msg"]
