# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which releases there are, which count, which proved good."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    FileStateStore,
    VersionConflict,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.host.layout import (
    Layout,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.host.releases import (
    InstalledRelease,
    Releases,
    check_release_id,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.releases import (
    Release,
    last_good,
    surplus,
)


class Machine:
    """Releases in a folder of the test's."""

    def __init__(self, home: Path) -> None:
        self.layout = Layout(home, "cost-agent")
        self.store = FileStateStore(home / "state")
        self.releases = Releases(self.layout, self.store)

    def add(self, release: str, installed_at: float = 1.0, digest: str = "d1") -> InstalledRelease:
        self.layout.release(release).mkdir(parents=True)
        self.releases.complete(release, digest, installed_at)
        return self.get(release)

    def get(self, release: str) -> InstalledRelease:
        return next(each for each in self.releases.records() if each.id == release)

    def ids(self) -> list[str]:
        return [record.id for record in self.releases.records()]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "home")


def record(release: str, installed_at: float, good_at: float | None = None) -> Release:
    return Release(release, "d1", installed_at, good_at)


# --- ids --------------------------------------------------------------------------------------


@pytest.mark.parametrize("good", ["1", "1.4.2", "v1.4.2-rc.1+build_7", "2025-01-23", "a" * 64])
def test_accepts_ids_that_people_give(good: str) -> None:
    check_release_id(good)


@pytest.mark.parametrize(
    "bad",
    [
        *("", ".", "..", ".hidden", "-rf", "a/b", "../1", "/1", "a b", "1\n", "a" * 65, "current"),
        *("é", "1;rm", "$(id)", "1%2e", "a\x00b", "~root", "{{ x }}"),
    ],
)
def test_refuses_ids_that_are_no_folder_names(bad: str) -> None:
    with pytest.raises(OperationError) as caught:
        check_release_id(bad)
    assert caught.value.reason is Reason.INVALID_INPUT


# --- what counts ------------------------------------------------------------------------------


def test_nothing_is_there_before_the_first_deploy(machine: Machine) -> None:
    assert machine.releases.records() == []
    assert machine.releases.current() is None
    assert machine.releases.remnants() == []
    assert machine.releases.in_use() == set()


def test_releases_are_listed_newest_first(machine: Machine) -> None:
    for release, at in (("b", 2.0), ("a", 3.0), ("c", 1.0)):
        machine.add(release, at)
    assert machine.ids() == ["a", "b", "c"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"digest": "d"}', '{"installed_at": 1}']
)
def test_a_folder_without_a_whole_record_is_no_release(machine: Machine, content: str) -> None:
    machine.layout.release("1.0").mkdir(parents=True)
    (machine.layout.release("1.0") / "release.json").write_text(content)
    assert machine.ids() == []


def test_only_what_a_killed_run_left_is_a_remnant(machine: Machine) -> None:
    machine.add("1.0")
    for name in ("half", ".removed-0.9-abc", "somebody-elses"):
        machine.layout.release(name).mkdir()
    (machine.layout.release("half") / "release.installing").write_text("{}")
    (machine.layout.releases / "notes.txt").write_text("")
    assert [path.name for path in machine.releases.remnants()] == [".removed-0.9-abc", "half"]


@pytest.mark.parametrize(
    "target", ["releases/gone", "releases/half", "/elsewhere/1.0", "releases", "current"]
)
def test_a_link_that_leads_to_no_release_is_no_current_release(
    machine: Machine, target: str
) -> None:
    machine.add("1.0")
    machine.layout.release("half").mkdir()
    machine.layout.current.symlink_to(target)
    assert machine.releases.current() is None


def test_a_folder_in_place_of_the_link_is_told(machine: Machine) -> None:
    machine.layout.current.mkdir(parents=True)
    with pytest.raises(OperationError) as caught:
        machine.releases.current()
    assert caught.value.reason is Reason.PRECONDITION


def test_switching_replaces_the_link_even_after_a_killed_switch(machine: Machine) -> None:
    machine.add("1.0")
    machine.add("1.1")
    machine.releases.switch("1.0")
    (machine.layout.home / ".current.new").symlink_to("releases/half")
    machine.releases.switch("1.1")
    current = machine.releases.current()
    assert current is not None
    assert (current.id, current.folder) == ("1.1", machine.get("1.1").folder)
    assert os.readlink(machine.layout.current) == "releases/1.1"
    assert not os.path.lexists(machine.layout.home / ".current.new")


@pytest.mark.parametrize(
    "text",
    ["", "12\n", "12\nnot json", "12\n[]", "12\n{}", "\n\n", b"\xff\xfe".decode("latin-1")],
)
def test_pid_files_that_name_no_release_are_passed_over(machine: Machine, text: str) -> None:
    machine.layout.run.mkdir(parents=True)
    machine.layout.pid_file("cost-agent-8001").write_text(json.dumps(12) + "\n{}")
    machine.layout.pid_file("cost-agent-8002").write_text(text, encoding="latin-1")
    machine.layout.pid_file("cost-agent-8003").write_text('12\n{"release": "1.0", "pid": 12}\n')
    assert machine.releases.in_use() == {"1.0"}


# --- removal ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep", "protected", "removed"),
    [
        (5, set(), []),
        (4, set(), []),
        (3, set(), ["r1"]),
        (1, set(), ["r3", "r2", "r1"]),
        (1, {"r2"}, ["r3", "r1"]),
        (1, {"r1", "r2", "r3", "r4"}, []),
    ],
)
def test_the_newest_and_the_protected_stay(
    keep: int, protected: set[str], removed: list[str]
) -> None:
    records = [record(f"r{n}", float(n)) for n in (2, 4, 1, 3)]
    assert [each.id for each in surplus(records, keep, protected)] == removed


def test_removal_leaves_nothing(machine: Machine) -> None:
    machine.add("1.0")
    machine.add("1.1")
    assert machine.releases.remove_all([machine.layout.release("1.0")]) == []
    assert [path.name for path in machine.layout.releases.iterdir()] == ["1.1"]


def test_what_cannot_be_removed_is_told_and_ends_nothing(machine: Machine) -> None:
    machine.add("1.0")
    absent, there = machine.layout.release("absent"), machine.layout.release("1.0")
    (problem,) = machine.releases.remove_all([absent, there])
    assert "absent" in problem
    assert "No such file" in problem
    assert machine.ids() == []


# --- good -------------------------------------------------------------------------------------


def test_the_last_good_release_is_the_one_recorded_last() -> None:
    records = [record("a", 3.0), record("b", 2.0, good_at=10.0), record("c", 1.0, good_at=11.0)]
    good = last_good(records)
    assert good is not None
    assert good.id == "c"


def test_no_release_is_good_before_one_was_recorded() -> None:
    assert last_good([record("a", 1.0)]) is None


def test_a_mark_is_kept_until_it_is_forgotten(machine: Machine) -> None:
    machine.releases.mark_good(machine.add("1.0"), at=7.0)
    assert machine.get("1.0").good_at == 7.0
    machine.releases.forget_good("1.0")
    assert machine.get("1.0").good_at is None


def test_a_mark_does_not_pass_to_other_content_of_the_same_id(machine: Machine) -> None:
    machine.releases.mark_good(machine.add("1.0", digest="old"), at=7.0)
    machine.releases.remove(machine.layout.release("1.0"))
    machine.add("1.0", digest="new")
    assert machine.get("1.0").good_at is None


def test_marks_of_releases_that_are_gone_are_dropped(machine: Machine) -> None:
    machine.releases.mark_good(machine.add("1.0"), at=7.0)
    machine.releases.remove(machine.layout.release("1.0"))
    machine.releases.mark_good(machine.add("1.1"), at=8.0)
    entry = machine.store.read("releases/cost-agent")
    assert entry is not None
    assert list(json.loads(entry.data)) == ["1.1"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"1.0": 5}', b'{"1.0": {}}'])
def test_marks_that_cannot_be_read_mean_that_none_is_good(machine: Machine, content: bytes) -> None:
    there = machine.add("1.0")
    machine.store.write("releases/cost-agent", content)
    assert machine.get("1.0").good_at is None
    machine.releases.mark_good(there, at=7.0)
    assert machine.get("1.0").good_at == 7.0


class RacingStore(FileStateStore):
    """Another writer comes first, once."""

    def __init__(self, folder: Path, data: bytes) -> None:
        super().__init__(folder)
        self._others: bytes | None = data

    def write(self, key: str, data: bytes, expect: str = "any") -> str:
        if self._others is not None:
            super().write(key, self._others)
            self._others = None
            raise VersionConflict(key)
        return super().write(key, data, expect)


def test_a_mark_written_at_the_same_time_is_not_lost(machine: Machine, tmp_path: Path) -> None:
    machine.add("1.0")
    machine.add("1.1")
    others = json.dumps({"1.0": {"digest": "d1", "at": 6.0}}).encode()
    racing = Releases(machine.layout, RacingStore(tmp_path / "home" / "state", others))
    racing.mark_good(machine.get("1.1"), at=7.0)
    assert {each.id: each.good_at for each in racing.records()} == {"1.0": 6.0, "1.1": 7.0}
