# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action base class must do itself, since no AnsibleModule does it there.

A sample operation of a test collection is run in the controller's process and as a module.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.component.playbook_run import Run, ansible, ansible_environment, run_playbook
from tests.waiting import eventually

SAMPLE = "example.engine.sample"
PLANTED_SECRET = "planted-secret-8153"
SECRET = {"secret": "{{ planted }}"}

TASKS: dict[str, dict[str, Any]] = {
    "succeeds": {SAMPLE: {"text": "x", "number": "5", "flag": "yes", "items": '["a", "b"]'}},
    "has suboptions": {SAMPLE: {"nested": {"size": "7", "token": "{{ planted }}"}}},
    "fails": {SAMPLE: {"behaviour": "fail", **SECRET}},
    "crashes": {SAMPLE: {"behaviour": "crash", **SECRET}},
    "says a secret": {SAMPLE: SECRET},
    "is checked": {SAMPLE: {}, "check_mode": True},
    "leaves options unset": {SAMPLE: {"text": "", "number": ""}},
    "gets a number that is none": {SAMPLE: {"number": "many"}},
    "gets an unknown option": {SAMPLE: {"nubmer": 5}},
    "gets text that became a number": {SAMPLE: {"text": 1.10}},
    "lacks what a rule requires": {SAMPLE: {"behaviour": "wait"}},
    "has an environment": {SAMPLE: {}, "environment": {"SAMPLE_VARIABLE": "from the task"}},
    "loops": {SAMPLE: {"text": "{{ item }}"}, "loop": ["a", "b"]},
    "has defaults": {SAMPLE: {}, "module_defaults": {SAMPLE: {"text": "a default"}}},
    "is delegated": {SAMPLE: {}, "delegate_to": "shipped"},
    "is not logged": {SAMPLE: {"text": "{{ planted }}"}, "no_log": True},
    "is asynchronous": {SAMPLE: {}, "async": 30, "poll": 1},
}
# The task's own pid tells the way that was taken; the rest is the framework's bookkeeping.
VOLATILE = {
    "pid",
    "duration",
    "ansible_job_id",
    "results_file",
    "exception",
    "_ansible_delegated_vars",
}


def interpreters(folder: Path) -> dict[str, str]:
    (folder / "venv").symlink_to(sys.prefix)
    name = Path(sys.executable).name
    return {"controller": sys.executable, "shipped": str(folder / "venv" / "bin" / name)}


def inventory(folder: Path) -> Path:
    hosts = {
        way: {"ansible_connection": "local", "ansible_python_interpreter": interpreter}
        for way, interpreter in interpreters(folder).items()
    }
    path = folder / "inventory.yml"
    path.write_text(json.dumps({"all": {"hosts": hosts, "vars": {"planted": PLANTED_SECRET}}}))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("ways")
    tasks = [{"name": name, "ignore_errors": True, **task} for name, task in TASKS.items()]
    playbook = folder / "playbook.yml"
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    return run_playbook(playbook, inventory(folder), folder, "-vvv")


def result(run: Run, way: str, task: str) -> dict[str, Any]:
    [line] = [r for r in run.results if r["host"] == way and r["task"] == task]
    return line["result"]


def comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: comparable(v) for k, v in value.items() if k not in VOLATILE}
    return [comparable(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize("task", TASKS)
def test_both_ways_give_the_same(run, task):
    assert comparable(result(run, "controller", task)) == comparable(result(run, "shipped", task))


def test_secrets_are_masked_everywhere(run):
    assert PLANTED_SECRET not in run.output
    assert PLANTED_SECRET not in json.dumps(run.results)


def test_options_are_coerced_and_unset_ones_have_their_defaults(run):
    state = result(run, "controller", "succeeds")["state"]
    assert (state["number"], state["flag"], state["items"]) == (5, True, ["a", "b"])
    state = result(run, "controller", "leaves options unset")["state"]
    assert (state["text"], state["number"]) == ("none", 3)


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("fails", "precondition"),
        ("crashes", "failed_state"),
        ("gets a number that is none", "invalid_input"),
        ("gets an unknown option", "invalid_input"),
        ("gets text that became a number", "invalid_input"),
        ("lacks what a rule requires", "invalid_input"),
    ],
)
def test_a_failure_has_its_reason(run, task, reason):
    assert result(run, "controller", task)["reason"] == reason


def test_the_environment_of_the_task_reaches_the_operation_and_ends_with_it(run):
    there = result(run, "controller", "has an environment")["state"]["environment"]
    after = result(run, "controller", "has defaults")["state"]["environment"]
    assert (there, after) == ("from the task", None)


def test_the_controller_way_starts_no_interpreter(tmp_path):
    """A shipped module prints where it was put; the controller's way connects to nothing."""
    playbook = tmp_path / "playbook.yml"
    task = {SAMPLE: {}}
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    output = run_playbook(playbook, inventory(tmp_path), tmp_path, "-vvv").output
    assert "<shipped> EXEC" in output
    assert "<controller> EXEC" not in output


@pytest.mark.slow
def test_long_work_tells_how_far_it_is(tmp_path):
    playbook = tmp_path / "playbook.yml"
    task = {SAMPLE: {"behaviour": "progress"}}
    playbook.write_text(
        json.dumps([{"hosts": "controller", "gather_facts": False, "tasks": [task]}])
    )
    output = run_playbook(playbook, inventory(tmp_path), tmp_path).output
    assert "working, 10 of 11" in output


@pytest.fixture
def held(tmp_path) -> Iterator[tuple[subprocess.Popen, Path]]:
    """A playbook run whose operation holds a file until it is ended."""
    file = tmp_path / "held"
    playbook = tmp_path / "playbook.yml"
    task = {SAMPLE: {"behaviour": "wait", "file": str(file)}}
    playbook.write_text(
        json.dumps([{"hosts": "controller", "gather_facts": False, "tasks": [task]}])
    )
    process = subprocess.Popen(
        [ansible("ansible-playbook"), str(playbook), "-i", str(inventory(tmp_path))],
        env=ansible_environment(tmp_path / "results.jsonl"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        eventually(lambda: file.exists() and bool(file.read_text()))
        yield process, file
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_what_an_operation_holds_is_released_when_the_controller_ends(held, number):
    process, file = held
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal's Ctrl-C does
    else:
        process.send_signal(number)
    eventually(lambda: not file.exists())
