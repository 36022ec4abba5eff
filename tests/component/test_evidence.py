# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence of a real agent of processes: what is in it, what is not, and how much of it stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_evidence import (
    AGENT_EVIDENCE,
)

from tests.component.process_platform import ProcessPlatform

SECRET = "planted-secret-6620"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[ProcessPlatform]:
    agent = ProcessPlatform(tmp_path)
    try:
        agent.deploy("1.4.1")
        started = agent.agent(replicas=2, environment_secrets={"API_TOKEN": SECRET})
        assert not started.get("failed"), started
        yield agent
    finally:
        agent.close()


def save(agent: ProcessPlatform, check: bool = False, **options: Any) -> dict[str, Any]:
    result = agent.run(AGENT_EVIDENCE, check=check, **options)
    assert not result.get("failed"), result
    return result


def saved(result: dict[str, Any]) -> dict[str, Any]:
    location = result["state"]["location"]
    return dict(json.loads(Path(location.removeprefix("file://")).read_text()))


def test_it_holds_state_logs_and_what_is_known_but_no_secret(agent) -> None:
    known = {"failure": {"msg": f"token {SECRET} is refused", "url": "postgres://a:hunter22@b/c"}}
    result = save(agent, known=known)
    evidence = saved(result)
    assert [r["status"] for r in evidence["state"]["replicas"]] == ["ready", "ready"]
    assert evidence["state"]["intent"]["replicas"] == 2
    assert sorted(evidence["logs"]) == agent.names(2)
    assert any("listening" in line for line in evidence["logs"][agent.names(2)[0]])
    assert evidence["known"]["failure"]["msg"] == "token ******** is refused"
    assert evidence["missing"] == result["state"]["missing"] == {}
    assert SECRET not in json.dumps(evidence)
    assert "hunter22" not in json.dumps(evidence)
    kept = result["ansible_stats"]["data"]["cost_agent_evidence"]
    assert kept == {"cost-agent": result["state"]["location"]}


def test_check_mode_tells_and_saves_nothing(agent) -> None:
    before = agent.tree()
    result = save(agent, check=True)
    assert result["changed"]
    assert agent.tree() == before


def test_another_place_for_it_does_not_lose_sight_of_the_intent(agent, tmp_path) -> None:
    agent.kill(agent.names(2)[1])
    agent.pid_file(agent.names(2)[1]).unlink()
    result = save(agent, save_to=f"file://{tmp_path}/incidents")
    assert result["state"]["location"].startswith(f"file://{tmp_path}/incidents/evidence/")
    statuses = {r["name"]: r["status"] for r in saved(result)["state"]["replicas"]}
    assert statuses == dict(zip(agent.names(2), ["ready", "stopped"], strict=True))


def test_what_cannot_be_seen_is_named_and_the_rest_is_saved(agent) -> None:
    (agent.home / "environment").write_text("API_TOKEN='it does not end")
    result = save(agent, known={"failure": "bad environment"})
    evidence = saved(result)
    assert sorted(result["state"]["missing"]) == ["logs", "state"]
    assert "environment" in evidence["missing"]["logs"]
    assert evidence["known"] == {"failure": "bad environment"}
    assert "without logs, state" in result["summary"] or "without state, logs" in result["summary"]


def test_the_newest_stay(agent) -> None:
    locations = [save(agent, keep=2)["state"]["location"] for _turn in range(4)]
    folder = agent.home / "state" / "evidence" / "cost-agent"
    kept = {f"file://{path}" for path in folder.iterdir()}
    assert len(kept) == 2
    assert locations[-1] in kept


def test_lines_are_bounded(agent) -> None:
    [lines] = {len(lines) for lines in saved(save(agent, lines=1))["logs"].values()}
    assert lines == 1
    for refused in (0, 10_001):
        assert agent.run(AGENT_EVIDENCE, lines=refused)["reason"] == "invalid_input"
    assert agent.run(AGENT_EVIDENCE, keep=0)["reason"] == "invalid_input"
