# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command of a release before it becomes current, with real interpreters and real programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.component.test_releases import Host, is_running, succeeded
from tests.waiting import eventually

SECRET = "planted-secret-5511"
# Adds a line to a file beside the agent's home: what the program sees of its surroundings.
MIGRATE = """\
import json, os, pathlib, sys
home = pathlib.Path.cwd().parents[1]
current = home / "current"
line = {
    "release": os.environ["RELEASE_ID"],
    "folder": pathlib.Path.cwd().name,
    "prefix": sys.prefix,
    "current": current.resolve().name if current.exists() else None,
    "environment": {k: os.environ.get(k) for k in ("COLOUR", "API_TOKEN", "PGPASSWORD")},
    "pid": os.getpid(),
}
with open(home.parent / "migrated.jsonl", "a") as file:
    file.write(json.dumps(line) + "\\n")
"""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = Host(tmp_path)
    (host.source / "requirements.txt").unlink()
    (host.source / "src" / "main.py").write_text("app = 1\n")
    (host.source / "migrate.py").write_text(MIGRATE)
    return host


def migrated(host: Host) -> list[dict[str, Any]]:
    path = host.home.parent / "migrated.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def current(host: Host) -> str | None:
    link = host.home / "current"
    return link.resolve().name if link.exists() else None


COMMAND = ["python", "migrate.py"]


def test_it_runs_in_the_new_release_while_the_old_one_is_current(host) -> None:
    succeeded(host.deploy("1.0"))
    given = {"environment": {"COLOUR": "red"}, "environment_secrets": {"API_TOKEN": SECRET}}
    check = succeeded(host.deploy("2.0", check=True, migration=COMMAND, **given))
    assert migrated(host) == []
    real = succeeded(host.deploy("2.0", migration=COMMAND, **given))
    assert check["actions"] == real["actions"]
    assert "Ran the migration python migrate.py" in real["actions"]
    assert "migrated in" in real["summary"]
    [seen] = migrated(host)
    assert (seen["release"], seen["folder"], seen["current"]) == ("2.0", "2.0", "1.0")
    assert seen["prefix"] == str(host.home / "releases" / "2.0" / "venv")
    assert seen["environment"] == {"COLOUR": "red", "API_TOKEN": SECRET, "PGPASSWORD": None}
    assert current(host) == "2.0"
    assert SECRET not in json.dumps(real)


def test_it_has_the_environment_of_the_replicas_where_no_other_is_given(host) -> None:
    host.home.mkdir()
    (host.home / "environment").write_text("COLOUR=blue\n")
    succeeded(host.deploy("1.0", migration=COMMAND))
    assert migrated(host)[0]["environment"]["COLOUR"] == "blue"


def test_what_is_current_is_not_migrated_again(host) -> None:
    succeeded(host.deploy("1.0", migration=COMMAND))
    again = succeeded(host.deploy("1.0", migration=COMMAND))
    assert (again["changed"], len(migrated(host))) == (False, 1)


def test_what_becomes_current_again_is_migrated_again(host) -> None:
    for release in ("1.0", "2.0", "1.0"):
        succeeded(host.deploy(release, migration=COMMAND))
    assert [seen["release"] for seen in migrated(host)] == ["1.0", "2.0", "1.0"]


def test_a_failure_leaves_the_current_release_and_tells_why_without_secrets(host) -> None:
    succeeded(host.deploy("1.0"))
    words = f"import sys; print('column missing'); sys.exit('{SECRET} postgres://a:{SECRET}@b/c')"
    given = {"environment_secrets": {"API_TOKEN": SECRET}}
    result = host.deploy("2.0", migration=["python", "-c", words], **given)
    assert (result["failed"], result["reason"]) == (True, "failed_state")
    assert "column missing" in result["log_tail"]
    assert "No replica was touched" in result["msg"]
    assert SECRET not in json.dumps(result)
    assert current(host) == "1.0"
    succeeded(host.deploy("2.0", migration=COMMAND, **given))
    assert current(host) == "2.0"


def test_a_secret_that_only_the_target_knows_is_masked_too(host) -> None:
    host.home.mkdir()
    text = f"# Written by the agent module. Secret: API_TOKEN\nAPI_TOKEN={SECRET}\n"
    (host.home / "environment").write_text(text)
    printing = ["python", "-c", "import os, sys; sys.exit(os.environ['API_TOKEN'])"]
    result = host.deploy("1.0", migration=printing)
    assert result["reason"] == "failed_state"
    assert SECRET not in json.dumps(result)


def test_a_program_that_is_not_there_is_named(host) -> None:
    result = host.deploy("1.0", migration=["alembic", "upgrade", "head"])
    assert result["reason"] == "missing_program"
    assert "alembic" in result["msg"]
    assert current(host) is None


def test_a_program_of_the_release_is_found_by_its_path(host) -> None:
    program = host.source / "migrate.sh"
    program.write_text("#!/bin/sh\nexec python migrate.py\n")
    program.chmod(0o755)
    succeeded(host.deploy("1.0", migration=["./migrate.sh"]))
    assert len(migrated(host)) == 1


def test_one_that_hangs_is_ended_by_the_deadline(host) -> None:
    succeeded(host.deploy("1.0"))
    sleeping = "import runpy, time; runpy.run_path('migrate.py'); time.sleep(600)"
    result = host.deploy("2.0", migration=["python", "-c", sleeping], timeout_s=6)
    assert result["reason"] == "timeout"
    assert not is_running(migrated(host)[0]["pid"])
    assert current(host) == "1.0"


def test_one_whose_run_was_killed_ends_with_it_and_is_made_up_for_by_the_next(host) -> None:
    sleeping = "import runpy, time; runpy.run_path('migrate.py'); time.sleep(600)"
    process = host.in_process("1.0", migration=["python", "-c", sleeping])
    eventually(lambda: migrated(host))
    process.kill()
    process.communicate()
    eventually(lambda: not is_running(migrated(host)[0]["pid"]))
    assert current(host) is None
    succeeded(host.deploy("1.0", migration=COMMAND))
    assert (current(host), len(migrated(host))) == ("1.0", 2)


@pytest.mark.parametrize(
    "command", [["alembic upgrade head"], [""], [" "], ["python", "a\0b"], ["\t", "x"]]
)
@pytest.mark.parametrize("check", [True, False])
def test_what_is_no_command_is_refused_before_anything_is_installed(host, command, check) -> None:
    result = host.deploy("1.0", check=check, migration=command)
    assert (result["reason"], result["changed"]) == ("invalid_input", False)
    assert host.entries() == []


def test_an_empty_list_means_none(host) -> None:
    result = succeeded(host.deploy("1.0", migration=[]))
    assert not any("migration" in action for action in result["actions"])
