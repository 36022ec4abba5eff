# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks, run as an operator runs them, against a real agent on a real stack."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.component.agent_site import AGENT_SOURCE, PLANTED_SECRET, Site, variables
from tests.component.bad_releases import broken, refusing
from tests.component.playbook_run import CHECKOUT, ansible, ansible_environment
from tests.component.test_two_ways import comparable


def test_check_mode_on_a_bare_machine_tells_and_touches_nothing(tmp_path, demo_stack):
    site = Site(tmp_path, demo_stack)
    run = site.deploy("1.4.1", AGENT_SOURCE, "--check", "--diff")
    site.close()
    assert run.code == 0, run.output
    assert run.changed == ["Release 1.4.1", "Replicas started", "Good release"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["inventory.yml", "results.jsonl"]


def test_a_deploy_serves_the_release_and_records_it_good(deployed):
    assert deployed.served_release(0) == deployed.served_release(1) == "1.4.1"
    health = deployed.play("health")
    assert health.code == 0, health.output
    assert health.result_of("health_info")["state"]["verdict"] == "healthy"
    check = deployed.deploy("1.4.1", AGENT_SOURCE, "--check")
    assert (check.code, check.changed) == (0, [])


def test_a_second_run_changes_nothing(deployed):
    for playbook in ("deploy", "start"):
        run = deployed.play(playbook, *variables("1.4.1", AGENT_SOURCE))
        assert (run.code, run.changed) == (0, []), run.output


def test_a_restart_replaces_every_replica_one_at_a_time(deployed):
    before = deployed.play("health").result_of("agent_info")["state"]["replicas"]
    run = deployed.play("restart")
    assert run.code == 0, run.output
    after = run.result_of("agent_info")["state"]["replicas"]
    assert {r["pid"] for r in before}.isdisjoint(r["pid"] for r in after)
    assert "none below 1 ready" in run.result_of("agent")["summary"]


def test_a_broken_release_is_rolled_back_and_both_reasons_are_told(deployed):
    run = deployed.deploy("1.5.0", broken(deployed.folder))
    assert run.code == 2
    assert "the price list is missing" in run.output
    assert "1.4.1 was brought back and is healthy" in " ".join(run.output.split())
    assert deployed.served_release(0) == deployed.served_release(1) == "1.4.1"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("release", "path", "module", "seen", "limits"),
    [
        (
            "1.6.0",
            "/api/v1/ready",
            "agent",
            "HTTP 503",
            {"cost_agent_timeout_s": 20, "cost_agent_stop_grace_s": 5},
        ),
        (
            "1.7.0",
            "/api/v1/health",
            "health_info",
            "says 'unhealthy'",
            {"cost_agent_health_wait_s": 2},
        ),
    ],
    ids=["never ready", "never healthy"],
)
def test_a_release_whose_health_never_comes_is_rolled_back(
    deployed, release, path, module, seen, limits
):
    second = deployed.pid(1)
    source = refusing(deployed.folder, path)
    run = deployed.deploy(release, source, "-e", json.dumps(limits))
    assert run.code == 2
    failures = [r["result"] for r in run.results if r["status"] == "failed"]
    failed = next(r for r in failures if "reason" in r)
    assert failed["reason"] == "timeout"
    assert seen in failed["msg"]
    assert "1.4.1 was brought back and is healthy" in " ".join(run.output.split())
    assert deployed.served_release(0) == deployed.served_release(1) == "1.4.1"
    if module == "agent":  # what still served was never touched
        assert deployed.pid(1) == second


def test_a_stopped_agent_is_not_down(deployed):
    stopped = deployed.play("stop")
    assert stopped.code == 0, stopped.output
    assert deployed.play("stop").changed == []
    health = deployed.play("health")
    assert health.code == 0, health.output
    assert "stopped on purpose" in health.output
    started = deployed.play("start", "-e", "cost_agent_replicas=")
    assert started.code == 0, started.output
    assert len(started.result_of("agent")["state"]["replicas"]) == 2


@pytest.mark.slow
def test_a_killed_deploy_is_repaired_by_the_next(deployed):
    """The controller dies between the first and the second replica."""
    deployed.kill_when(
        lambda: deployed.serving().get(0) == "1.4.2", "deploy", *variables("1.4.2", AGENT_SOURCE)
    )
    assert deployed.deploy("1.4.2").code == 0
    assert deployed.served_release(0) == deployed.served_release(1) == "1.4.2"
    assert deployed.deploy("1.4.2").changed == []


def test_a_rollback_goes_to_the_last_good_release_and_then_stays(deployed):
    for release in ("1.4.2", "1.4.3"):
        assert deployed.deploy(release).code == 0
    run = deployed.play("rollback", "-e", "cost_agent_rollback_to=1.4.2")
    assert run.code == 0, run.output
    assert deployed.served_release() == "1.4.2"
    assert deployed.play("rollback").changed == []


def test_the_logs_are_shown_without_secrets(deployed):
    run = deployed.play("logs", "-e", "cost_agent_log_lines=5")
    assert run.code == 0, run.output
    assert "cost-agent-" in run.output
    assert PLANTED_SECRET not in run.output


def test_no_secret_leaves_the_deploy(deployed):
    run = deployed.deploy("1.4.3", AGENT_SOURCE, "-vvv")
    assert run.code == 0, run.output
    assert PLANTED_SECRET not in run.output
    proved = deployed.home.glob("releases/*/release.environment")
    meant_to_hold_it = (deployed.home / "environment", deployed.inventory, *proved)
    assert {path.stat().st_mode & 0o777 for path in meant_to_hold_it[2:]} == {0o600}
    files = (path for path in deployed.folder.rglob("*") if path.is_file())
    for path in files:
        if path not in meant_to_hold_it and "venv" not in path.parts:
            assert PLANTED_SECRET.encode() not in path.read_bytes(), path


def survey(value: object) -> str:
    """An answer of an AWX survey: text that was typed in, marked as not to be trusted."""
    text = value if isinstance(value, str) else json.dumps(value)
    return "!unsafe '{}'".format(text.replace("'", "''"))


VARIABLES = {
    "cost_agent_replicas": 2,
    "cost_agent_timeout_s": 60,
    "cost_agent_memory_limit_mb": 4096,
    "cost_agent_release_source": "",
    "cost_agent_health_samples": 2,
    "cost_agent_health_interval_s": 0.05,
    "cost_agent_health_validate_certs": False,
    "cost_agent_health_ca_file": "",
    "cost_agent_health_thresholds": {"api_ms": 5000, "cpu_percent": 5000, "cache_ms": ""},
    "cost_agent_environment": {},
}


def test_variables_mean_the_same_however_they_arrive(deployed, tmp_path):
    given = {**VARIABLES}
    own = {"name": "self", "host": "127.0.0.1", "port": deployed.port, "critical": True}
    given["cost_agent_health_dependencies"] = [own]
    texts = {name: v if isinstance(v, str) else json.dumps(v) for name, v in given.items()}
    answers = tmp_path / "survey.yml"
    answers.write_text("".join(f"!unsafe '{name}': {survey(v)}\n" for name, v in given.items()))
    assert deployed.play("start", "-e", json.dumps(given)).code == 0
    seen = {}
    for way, extra in (
        ("cli", " ".join(f"{name}='{text}'" for name, text in texts.items())),
        ("json", json.dumps(given)),
        ("survey", f"@{answers}"),
    ):
        run = deployed.play("start", "-e", extra)
        assert (run.code, run.changed) == (0, []), run.output
        modules = ("agent", "agent_info", "health_info")
        seen[way] = {name: comparable(run.result_of(name), []) for name in modules}
    assert seen["json"]["health_info"]["state"]["dependencies"][0]["verdict"] == "healthy"
    assert seen["cli"] == seen["json"]
    assert seen["survey"] == seen["json"]


@pytest.mark.parametrize(
    ("playbook", "module", "extra", "words"),
    [
        ("restart", "agent", "cost_agent_replicas=-1", "replicas"),
        ("restart", "agent", "cost_agent_port=70000", "port"),
        ("restart", "agent", "cost_agent_port=http", "port"),
        ("restart", "agent", "cost_agent_timeout_s=soon", "timeout_s"),
        ("restart", "agent", "cost_agent_platform=mainframe", "platform"),
        ("restart", "agent", "cost_agent_environment=text", "environment"),
        ("health", "agent_info", "cost_agent_state_store=ftp://nowhere", "ftp://nowhere"),
        ("health", "health_info", '{"cost_agent_health_thresholds": {"api_ms": "fast"}}', "api_ms"),
        ("health", "health_info", "cost_agent_health_require=perfect", "require"),
        ("logs", "agent_logs_info", "cost_agent_log_since=yesterday", "since"),
        ("rollback", "agent_rollback", "cost_agent_rollback_to=../x", "../x"),
    ],
)
def test_bad_input_is_refused_before_anything_is_touched(deployed, playbook, module, extra, words):
    run = deployed.play(playbook, "-e", extra)
    assert run.code == 2
    assert run.changed == []
    assert run.result_of(module)["reason"] == "invalid_input"
    assert words in run.result_of(module)["msg"]
    assert "Traceback" not in run.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-i", "nowhere,"], "Put the agent's hosts into that group"),
        (["--limit", "localhost"], "--limit"),
    ],
)
def test_a_run_that_reaches_no_host_fails(site, options, words):
    inventory = ["-i", "/dev/null"] if options[0] == "-i" else ["-i", str(site.inventory)]
    finished = subprocess.run(
        [ansible("ansible-playbook"), str(CHECKOUT / "playbooks/health.yml"), *inventory, *options],
        env=ansible_environment(site.folder / "none.jsonl"),
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode != 0, finished.stdout
    told = " ".join((finished.stdout + finished.stderr).split())
    assert words in told


def test_the_default_callback_tells_the_same(deployed):
    run = deployed.play("health", ANSIBLE_STDOUT_CALLBACK="default")
    assert run.code == 0
    assert "PLAY RECAP" in run.output


def test_ansible_runner_runs_it_and_keeps_what_it_found(deployed, tmp_path):
    """As AWX does: its own callback, variables from a file, what was found in the job's stats."""
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "extravars").write_text(
        "!unsafe 'cost_agent_health_samples': !unsafe '1'\n"
    )
    finished = subprocess.run(
        [
            ansible("ansible-runner"), "run", str(tmp_path), "--ident", "job",
            "--project-dir", str(CHECKOUT), "--inventory", str(deployed.inventory),
            "-p", "playbooks/health.yml",
        ],
        env=ansible_environment(tmp_path / "results.jsonl"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout
    events = [json.loads(p.read_text()) for p in tmp_path.glob("artifacts/job/job_events/*.json")]
    [stats] = [e["event_data"] for e in events if e["event"] == "playbook_on_stats"]
    kept = stats["artifact_data"]["cost_agent_health"]["cost-agent"]
    assert kept == {"verdict": "healthy", "reasons": []}
