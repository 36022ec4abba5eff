# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What deploy.yml does around a rollout: canary, soak, migration, backup, evidence and way back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.component.agent_site import AGENT_SOURCE, PLANTED_SECRET, Site
from tests.component.backup_place import backup_variables
from tests.component.bad_releases import broken, falling, refusing
from tests.component.playbook_run import Run


def deploy(site: Site, release: str, source: Path = AGENT_SOURCE, **variables: Any) -> Run:
    return site.deploy(release, source, "-e", json.dumps(variables))


def tasks(run: Run) -> list[str]:
    return [result["task"].rpartition(" : ")[2] for result in run.results]


def told(run: Run) -> str:
    return " ".join(run.output.split())


def evidence(site: Site, run: Run) -> dict[str, Any]:
    location = run.result_of("agent_evidence")["state"]["location"]
    assert location.startswith(f"file://{site.folder}/state/evidence/cost-agent/")
    return dict(json.loads(Path(location.removeprefix("file://")).read_text()))


def test_a_canary_that_is_not_healthy_is_the_only_replica_that_is_touched(deployed):
    first, second = deployed.pid(0), deployed.pid(1)
    source = refusing(deployed.folder, "/api/v1/health")
    run = deploy(deployed, "1.5.0", source, cost_agent_health_wait_s=2)
    assert run.code == 2
    assert run.result_of("agent_evidence")["changed"]
    assert "1.4.1 was brought back and is healthy" in told(run)
    assert deployed.serving() == {0: "1.4.1", 1: "1.4.1"}
    assert deployed.pid(0) != first
    assert deployed.pid(1) == second
    # Saved before the way back: the canary is in it, and what it failed by.
    saved = evidence(deployed, run)
    releases = {r["name"]: r["release"] for r in saved["state"]["replicas"]}
    canary = f"cost-agent-{deployed.port}"
    assert releases == {canary: "1.5.0", f"cost-agent-{deployed.port + 1}": "1.4.1"}
    assert saved["known"]["failure"]["reason"] == "timeout"
    assert saved["known"]["health"]["state"]["verdict"] == "down"
    assert saved["logs"][canary]
    assert tasks(run).index("Evidence") < tasks(run).index("Rollback")
    assert PLANTED_SECRET not in json.dumps(saved)
    location = run.result_of("agent_evidence")["state"]["location"]
    assert f"Evidence: {location}" in told(run).replace(" /", "/") or location in told(run)


@pytest.mark.slow
def test_a_release_that_falls_during_its_soak_is_taken_back(deployed):
    """Its second replica is well for eight seconds, which only a soak can see the end of."""
    source = falling(deployed.folder, deployed.port + 1, after_s=8)
    run = deploy(deployed, "1.6.0", source, cost_agent_deploy_soak_s=60)
    assert run.code == 2
    [failed] = [r for r in run.results if r["action"].endswith("health_info") and failing(r)]
    assert failed["result"]["reason"] == "failed_state"
    assert "healthy for 60 s: after" in failed["result"]["msg"]
    assert "1.4.1 was brought back and is healthy" in told(run)
    assert deployed.serving() == {0: "1.4.1", 1: "1.4.1"}
    releases = {r["id"]: r["good_at"] for r in run.result_of("agent_info")["state"]["releases"]}
    assert releases["1.6.0"] is None


def failing(result: dict[str, Any]) -> bool:
    return result["status"] == "failed"


@pytest.mark.slow
def test_an_environment_that_the_agent_does_not_start_with_is_taken_back(deployed):
    second = deployed.pid(1)
    variables = {**deployed.environment(), "DB_POOL_TIMEOUT": "soon"}
    run = deploy(deployed, "1.4.1", cost_agent_environment=variables)
    assert run.code == 2
    assert "DB_POOL_TIMEOUT" in told(run)
    assert "1.4.1 was brought back and is healthy" in told(run)
    assert deployed.serving() == {0: "1.4.1", 1: "1.4.1"}
    assert deployed.pid(1) == second
    assert PLANTED_SECRET not in run.output
    # The second time it fails as the first, and the inventory as it was changes nothing.
    assert deploy(deployed, "1.4.1", cost_agent_environment=variables).code == 2
    again = deploy(deployed, "1.4.1")
    assert (again.code, again.changed) == (0, []), again.output


def test_a_release_that_stays_healthy_is_watched_and_recorded_good(deployed):
    variables = {"cost_agent_deploy_canary_s": 3, "cost_agent_deploy_soak_s": 4}
    check = deployed.deploy("1.4.2", AGENT_SOURCE, "--check", "--diff", "-e", json.dumps(variables))
    assert check.code == 0, check.output
    assert set(deployed.serving().values()) == {"1.4.1"}
    run = deploy(deployed, "1.4.2", **variables)
    assert run.code == 0, run.output
    assert check.changed == ["Release 1.4.2", "Canary", "Replicas started", "Good release"]
    assert run.changed == check.changed
    names = tasks(run)
    canary = f"Health of cost-agent-{deployed.port} for 3 s"
    expected = ["Canary", canary, "Replicas started", "Health for 4 s", "Health at the end"]
    assert [name for name in names if name in expected] == expected
    durations = {
        tasks(run)[n]: r["result"]["duration"]
        for n, r in enumerate(run.results)
        if tasks(run)[n] in (canary, "Health for 4 s")
    }
    assert durations[canary] >= 3
    assert durations["Health for 4 s"] >= 4
    [watched] = [r for r in run.results if r["task"].endswith(canary)]
    assert [r["release"] for r in watched["result"]["state"]["replicas"]] == ["1.4.2"]
    again = deploy(deployed, "1.4.2", **variables)
    assert (again.code, again.changed) == (0, []), again.output
    assert canary not in tasks(again)
    assert "Health for 4 s" not in tasks(again)


@pytest.mark.slow
def test_a_deploy_killed_while_it_watches_its_canary_watches_it_again(deployed):
    seconds = {"cost_agent_deploy_canary_s": 300}
    options = {"cost_agent_release": "1.4.3", "cost_agent_release_source": str(AGENT_SOURCE)}
    second = deployed.pid(1)
    deployed.kill_when(
        lambda: deployed.serving().get(0) == "1.4.3", "deploy", "-e", json.dumps(seconds | options)
    )
    assert deployed.pid(1) == second
    run = deploy(deployed, "1.4.3", cost_agent_deploy_canary_s=1)
    assert run.code == 0, run.output
    assert f"Health of cost-agent-{deployed.port} for 1 s" in tasks(run)
    assert deployed.serving() == {0: "1.4.3", 1: "1.4.3"}
    assert deploy(deployed, "1.4.3").changed == []


def asking(port: int, note: Path) -> list[str]:
    """A migration that notes which release serves while it runs."""
    code = (
        "import json, os, pathlib, urllib.request as u;"
        f"seen = json.load(u.urlopen('http://127.0.0.1:{port}/api/v1/health'))['release'];"
        f"pathlib.Path({str(note)!r}).open('a').write(seen + ' ' + os.environ['RELEASE_ID'] + chr(10))"
    )
    return ["python", "-c", code]


@pytest.mark.slow
def test_a_migration_runs_once_with_the_new_release_while_the_old_one_serves(deployed, tmp_path):
    note = tmp_path / "note"
    before = deployed.serving()[0]
    migration = {"cost_agent_migration": asking(deployed.port, note)}
    for _turn in range(2):
        run = deploy(deployed, "1.7.0", **migration)
        assert run.code == 0, run.output
    assert note.read_text().splitlines() == [f"{before} 1.7.0"]


def test_a_migration_that_fails_ends_the_deploy_before_a_replica_is_touched(deployed):
    before = deployed.pid(0), deployed.pid(1), deployed.serving()[0]
    failure = f"import sys; sys.exit('no column price, {PLANTED_SECRET}')"
    run = deploy(deployed, "1.8.0", cost_agent_migration=["python", "-c", failure])
    assert run.code == 2
    assert run.result_of("agent_release")["reason"] == "failed_state"
    assert "no column price" in told(run)
    assert "no replica left it" in told(run)
    assert PLANTED_SECRET not in run.output
    assert (deployed.pid(0), deployed.pid(1), deployed.serving()[0]) == before
    assert "Rollback" not in tasks(run)
    assert "no column price" in json.dumps(evidence(deployed, run)["known"]["failure"])
    assert deployed.play("start").changed == []


@pytest.mark.slow
def test_evidence_that_cannot_be_saved_does_not_stand_in_the_way_back(deployed):
    before = deployed.serving()
    run = deploy(
        deployed, "1.9.0", broken(deployed.folder), cost_agent_evidence="file:///proc/evidence"
    )
    assert run.code == 2
    assert "was brought back and is healthy" in told(run)
    assert "Evidence: none, Failed to" in told(run)
    assert deployed.serving() == before


def test_the_database_is_backed_up_first_where_there_is_something_to_deploy(
    deployed, demo_stack, tmp_path
):
    stack = {**demo_stack, "s3": {"bucket": "none", "endpoint_url": "", "region": ""}}
    variables = {
        **backup_variables(stack),
        "cost_agent_repository": f"file://{tmp_path}/repository",
        "cost_agent_repository_s3": {},
        "cost_agent_deploy_backup": True,
    }
    run = deploy(deployed, "2.0.0", **variables)
    assert run.code == 0, run.output
    assert run.result_of("postgres_backup")["changed"]
    assert tasks(run).index("Backup") < tasks(run).index("Release 2.0.0")
    again = deploy(deployed, "2.0.0", **variables)
    assert (again.code, again.changed) == (0, []), again.output
    assert "Backup" not in tasks(again)
    # What cannot be backed up is not deployed.
    before = deployed.pid(0), deployed.pid(1)
    failing = {**variables, "cost_agent_database_host": "no-such-host.invalid"}
    refused = deploy(deployed, "2.1.0", **failing)
    assert (refused.code, refused.changed) == (2, [])
    assert (deployed.pid(0), deployed.pid(1)) == before


@pytest.mark.slow
def test_variables_mean_the_same_however_they_arrive(deployed, tmp_path):
    release = deployed.serving()[0]
    given = {
        "cost_agent_release": release,
        "cost_agent_deploy_backup": False,
        "cost_agent_deploy_canary_s": 1,
        "cost_agent_deploy_soak_s": "",
        "cost_agent_migration": ["alembic", "upgrade", "head"],
        "cost_agent_evidence": "",
        "cost_agent_docker": {},
        "cost_agent_kubernetes": "",
        "cost_agent_cpu_limit_cores": "",
    }
    texts = {name: v if isinstance(v, str) else json.dumps(v) for name, v in given.items()}
    quoted = " ".join(f"{name}='{text}'" for name, text in texts.items())
    answers = tmp_path / "survey.yml"
    answers.write_text("".join(f"!unsafe '{k}': !unsafe '{v}'\n" for k, v in texts.items()))
    for way in (quoted, json.dumps(given), f"@{answers}"):
        run = deployed.play("deploy", "-e", way)
        assert (run.code, run.changed) == (0, []), run.output
        assert "Health" in tasks(run)


@pytest.mark.parametrize(
    ("variables", "module", "words"),
    [
        ({"cost_agent_migration": "alembic upgrade head"}, "agent_release", "one element for each"),
        ({"cost_agent_deploy_soak_s": -1}, "health_info", "-1"),
        ({"cost_agent_deploy_soak_s": "long"}, "health_info", "soak_s"),
        ({"cost_agent_deploy_canary_s": "short"}, "health_info", "wait_s"),
        ({"cost_agent_health_require": "perfect"}, "health_info", "perfect"),
    ],
)
def test_what_is_no_option_is_refused_before_anything_is_touched(
    deployed, variables, module, words
):
    before = deployed.pid(0), deployed.pid(1)
    run = deploy(deployed, "3.0.0", **variables)
    assert (run.code, run.changed) == (2, ["Evidence"] if module == "agent_release" else [])
    assert run.result_of(module)["reason"] == "invalid_input"
    assert words in run.result_of(module)["msg"]
    assert (deployed.pid(0), deployed.pid(1)) == before


def test_no_host_is_touched_while_one_of_them_is_not_fit(deployed):
    inventory = yaml.safe_load(deployed.inventory.read_text())
    hosts = inventory["all"]["children"]["cost_agent"]["hosts"]
    [variables] = hosts.values()
    hosts["unfit"] = {
        **variables,
        "cost_agent_home": str(deployed.folder / "unfit"),
        "cost_agent_port": 70000,
    }
    both = deployed.folder / "both.yml"
    both.write_text(json.dumps(inventory))
    before = deployed.pid(0), deployed.pid(1)
    run = deployed.deploy("4.0.0", AGENT_SOURCE, "-i", str(both))
    assert (run.code, run.changed) == (2, []), run.output
    assert (deployed.pid(0), deployed.pid(1)) == before
