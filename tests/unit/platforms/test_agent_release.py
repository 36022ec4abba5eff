# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What deploying, recording and rolling back decide; the releases here are records alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.context import Context
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.operation import (
    Operation,
    execute,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    FileStateStore,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_release import (
    AGENT_RELEASE,
    AGENT_ROLLBACK,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.host.layout import (
    Layout,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.host.releases import (
    Releases,
)


class Agent:
    """An agent whose releases were installed one second after the other."""

    def __init__(self, home: Path, clock: Any) -> None:
        self.home = home
        self.clock = clock
        self.layout = Layout(home, "cost-agent")
        self.releases = Releases(self.layout, FileStateStore(home / "state"))

    def has(self, *ids: str, current: str | None = None, good: tuple[str, ...] = ()) -> None:
        for release in ids:
            self.clock.sleep(1)
            self.layout.release(release).mkdir(parents=True)
            self.releases.complete(release, "digest", self.clock.now())
        if current:
            self.releases.switch(current)
        for release in good:
            self.clock.sleep(1)
            (record,) = [r for r in self.releases.records() if r.id == release]
            self.releases.mark_good(record, self.clock.now())

    def release(self, check: bool = False, **params: Any) -> dict[str, Any]:
        return self._run(AGENT_RELEASE, check, params)

    def rollback(self, check: bool = False, **params: Any) -> dict[str, Any]:
        return self._run(AGENT_ROLLBACK, check, params)

    def _run(self, operation: Operation, check: bool, params: dict[str, Any]) -> dict[str, Any]:
        validator = ArgumentSpecValidator(operation.argument_spec, **operation.rules)
        validated = validator.validate({"home": str(self.home), **params})
        assert not validated.error_messages, validated.error_messages
        context = Context(check_mode=check, clock=self.clock)
        return execute(operation, validated.validated_parameters, context)

    def current(self) -> str:
        return os.readlink(self.layout.current).rpartition("/")[2]

    def files(self) -> dict[str, bytes | None]:
        return {
            str(path): path.read_bytes() if path.is_file() else None
            for path in sorted(self.home.rglob("*"))
        }

    def release_files(self) -> dict[str, bytes | None]:
        state = str(self.home / "state")
        return {path: content for path, content in self.files().items() if state not in path}


@pytest.fixture
def agent(tmp_path: Path, fake_clock: Any) -> Agent:
    return Agent(tmp_path / "agent", fake_clock)


def seen(result: dict[str, Any]) -> tuple[bool, list[str], Any]:
    assert not result.get("failed"), result
    return result["changed"], result["actions"], result["diff"]


# --- rolling back -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "current", "good", "to", "expected"),
    [
        (["a", "b"], "b", ("a",), None, "a"),
        (["a", "b", "c"], "c", ("a", "b"), None, "b"),
        (["a", "b", "c"], "c", ("b", "a"), None, "a"),
        (["a", "b", "c"], "c", ("a",), None, "a"),
        (["a", "b"], "b", ("a", "b"), None, "b"),
        (["a", "b"], "b", ("a", "b"), "a", "a"),
        (["a", "b"], "b", (), "a", "a"),
        (["a", "b"], "b", ("a",), "b", "b"),
        (["a", "b"], None, ("a",), None, "a"),
    ],
)
def test_rolls_back_to_the_last_good_release_or_the_named_one(
    agent: Agent,
    ids: list[str],
    current: str | None,
    good: tuple[str, ...],
    to: str | None,
    expected: str,
) -> None:
    agent.has(*ids, current=current, good=good)
    arguments = {"to": to} if to else {}
    checked = agent.rollback(check=True, **arguments)
    result = agent.rollback(**arguments)
    assert agent.current() == expected
    assert seen(result) == seen(checked)
    assert result["state"] == checked["state"]
    assert result["state"]["release"] == expected
    assert result["changed"] == (expected != current)
    assert result["diff"] == {"before": {"release": current}, "after": {"release": expected}}


def test_a_second_rollback_does_not_go_further_back(agent: Agent) -> None:
    agent.has("a", "b", "c", current="c", good=("a", "b"))
    agent.rollback()
    again = agent.rollback()
    assert agent.current() == "b"
    assert not again["changed"]
    assert again["summary"] == "b is current and recorded good"


@pytest.mark.parametrize(("ids", "to"), [([], None), (["a", "b"], None), (["a"], "b"), ([], "b")])
def test_without_a_release_to_go_back_to_nothing_is_switched(
    agent: Agent, ids: list[str], to: str | None
) -> None:
    agent.has(*ids, current=ids[-1] if ids else None)
    result = agent.rollback(**({"to": to} if to else {}))
    assert result["reason"] == "precondition"
    assert not ids or agent.current() == ids[-1]


def test_a_rollback_mends_a_link_that_leads_nowhere(agent: Agent) -> None:
    agent.has("a", "b", current="b", good=("a",))
    agent.releases.remove(agent.layout.release("b"))
    result = agent.rollback()
    assert agent.current() == "a"
    assert result["diff"]["before"] == {"release": None}


# --- recording as good ------------------------------------------------------------------------


@pytest.mark.parametrize("named", [{}, {"release": "b"}])
def test_records_the_current_release_as_good_once(agent: Agent, named: dict[str, str]) -> None:
    agent.has("a", "b", current="b", good=("a",))
    predicted = seen(agent.release(check=True, state="good", **named))
    first = agent.release(state="good", **named)
    second = agent.release(state="good", **named)
    assert seen(first) == predicted
    assert (first["changed"], second["changed"]) == (True, False)
    assert second["state"]["releases"][0]["good_at"] is not None


def test_a_release_that_proves_itself_again_is_the_last_good_one(agent: Agent) -> None:
    agent.has("a", "b", "c", current="a", good=("a", "b"))
    agent.clock.sleep(1)
    assert agent.release(state="good")["changed"]
    agent.releases.switch("c")
    agent.rollback()
    assert agent.current() == "a"


@pytest.mark.parametrize("current", [None, "a"])
def test_records_no_release_that_is_not_current(agent: Agent, current: str | None) -> None:
    agent.has("a", "b", current=current)
    assert agent.release(state="good", release="b")["reason"] == "precondition"
    assert all(record.good_at is None for record in agent.releases.records())


# --- making an installed release current ------------------------------------------------------


def test_an_installed_release_is_made_current_without_a_source(agent: Agent) -> None:
    agent.has("a", "b", current="b")
    predicted = seen(agent.release(check=True, release="a"))
    result = agent.release(release="a")
    assert seen(result) == predicted
    assert agent.current() == "a"
    assert result["summary"] == "from b, installed before"
    assert result["state"]["previous"] == "b"
    assert not agent.release(release="a")["changed"]


def test_a_source_that_is_gone_is_not_missed_by_an_installed_release(agent: Agent) -> None:
    agent.has("a", current="a")
    assert seen(agent.release(release="a", source=str(agent.home / "gone")))[0] is False


def test_a_release_that_is_made_current_again_has_to_prove_itself_again(agent: Agent) -> None:
    agent.has("a", "b", current="a", good=("a", "b"))
    agent.release(release="b")
    agent.rollback()
    assert agent.current() == "a"


@pytest.mark.parametrize(
    ("keep", "current", "good", "running", "left"),
    [
        (5, "f", (), None, "abcdef"[1:]),
        (2, "f", (), None, "ef"),
        (2, "a", (), None, "aef"),
        (1, "f", ("a",), None, "af"),
        (1, "f", ("a", "b"), None, "bf"),
        (1, "f", ("a", "f"), None, "af"),
        (1, "f", (), "c", "cf"),
        (1, "a", ("b",), "c", "abcf"),
    ],
)
def test_old_releases_go_and_needed_ones_stay(
    agent: Agent, keep: int, current: str, good: tuple[str, ...], running: str | None, left: str
) -> None:
    agent.has(*"abcdef", current=current, good=good)
    if running:
        agent.layout.run.mkdir()
        agent.layout.pid_file("cost-agent-8001").write_text(f'1\n{{"release": "{running}"}}\n')
    predicted = seen(agent.release(check=True, release=current, keep=keep))
    result = agent.release(release=current, keep=keep)
    assert seen(result) == predicted
    assert sorted(each["id"] for each in result["state"]["releases"]) == list(left)
    assert not agent.release(release=current, keep=keep)["changed"]


def test_what_a_killed_run_left_is_removed_and_said(agent: Agent) -> None:
    agent.has("a", current="a")
    half = agent.layout.release("b")
    half.mkdir()
    (half / "release.installing").write_text("{}")
    agent.layout.release(".removed-c-1").mkdir()
    predicted = seen(agent.release(check=True, release="a"))
    result = agent.release(release="a")
    assert seen(result) == predicted
    assert len(result["actions"]) == 2
    assert [path.name for path in agent.layout.releases.iterdir()] == ["a"]


# --- options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"release": "current"}, "invalid_input"),
        ({"release": "../a"}, "invalid_input"),
        ({"release": "a", "keep": 0}, "invalid_input"),
        ({"release": "a", "keep": -1}, "invalid_input"),
        ({"release": "a", "timeout_s": 0}, "invalid_input"),
        ({"release": "a", "timeout_s": -5}, "invalid_input"),
        ({"release": "a", "timeout_s": "inf"}, "invalid_input"),
        ({"release": "a", "timeout_s": "nan"}, "invalid_input"),
        ({"release": "a", "app": "src.main"}, "invalid_input"),
        ({"release": "a", "app": ":app"}, "invalid_input"),
        ({"release": "a", "app": "src/main:app"}, "invalid_input"),
        ({"release": "a", "app": "../evil:app"}, "invalid_input"),
        ({"release": "a", "name": "Not A Name"}, "invalid_input"),
        ({"release": "a", "home": "relative"}, "invalid_input"),
        ({"release": "b"}, "precondition"),
        ({"release": "b", "source": "/nowhere/at/all"}, "precondition"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_refuses_bad_options_and_touches_no_release(
    agent: Agent, arguments: dict[str, Any], reason: str, check: bool
) -> None:
    agent.has("a", current="a")
    before = agent.release_files()
    result = agent.release(check=check, **arguments)
    assert result["reason"] == reason
    assert agent.release_files() == before


def test_check_mode_writes_nothing_and_needs_no_lock(agent: Agent) -> None:
    agent.has("a", "b", "c", current="c", good=("a",))
    before = agent.files()
    agent.release(check=True, release="b", keep=1)
    agent.release(check=True, state="good")
    agent.rollback(check=True)
    assert agent.files() == before


def test_a_home_inside_the_source_is_refused(agent: Agent) -> None:
    result = agent.release(release="a", source=str(agent.home.parent))
    assert result["reason"] == "invalid_input"
