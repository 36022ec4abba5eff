# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The replicas' environment: what is kept, what is shown, and how it is written."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.environment import (
    Environment,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.host import (
    environment_file,
)

AWKWARD = "two\nlines 'single' \"double\" $HOME `id` \\ # = *"


def test_values_become_text_as_an_operator_writes_them():
    given = {"POOL": 20, "RATIO": 1.5, "DEBUG": True, "QUIET": False, "TEXT": "20", "NONE": None}
    assert Environment().updated(given, None).variables() == {
        "POOL": "20",
        "RATIO": "1.5",
        "DEBUG": "true",
        "QUIET": "false",
        "TEXT": "20",
    }


def test_a_part_that_is_not_given_stays():
    before = Environment({"A": "1"}, {"B": "2"})
    assert before.updated(None, None) == before
    assert before.updated({"C": "3"}, None) == Environment({"C": "3"}, {"B": "2"})
    assert before.updated(None, {}) == Environment({"A": "1"}, {})


def test_a_variable_can_move_from_one_part_to_the_other():
    before = Environment({"A": "1", "B": "2"}, {})
    assert before.updated(None, {"A": "new"}) == Environment({"B": "2"}, {"A": "new"})


@pytest.mark.parametrize(
    ("plain", "secret", "named"),
    [
        ({"1A": "x"}, None, "1A"),
        ({"A-B": "x"}, None, "A-B"),
        ({"": "x"}, None, "''"),
        ({"A\n": "x"}, None, "A"),
        ({"A": ["x"]}, None, "list"),
        ({"A": "x\0y"}, None, "NUL"),
        ({"RELEASE_ID": "x"}, None, "RELEASE_ID"),
        (None, {"COST_AGENT_REPLICA": "x"}, "COST_AGENT_REPLICA"),
        ({"A": "x"}, {"A": "y"}, "environment_secrets too"),
    ],
)
def test_what_no_process_can_have_is_refused(plain, secret, named):
    with pytest.raises(OperationError, match=named) as caught:
        Environment().updated(plain, secret)
    assert caught.value.reason is Reason.INVALID_INPUT


def test_the_digest_is_of_the_variables_alone():
    assert (
        Environment({"A": "1"}, {"B": "2"}).digest() == Environment({"A": "1", "B": "2"}).digest()
    )
    assert Environment({"A": "1"}).digest() != Environment({"A": "2"}).digest()


def test_what_is_shown_holds_no_secret():
    before = Environment({"URL": "redis://:old-pass@h/0"}, {"KEY": "old"})
    after = Environment(
        {"URL": "redis://:new-pass@h/0", "DB_PASSWORD": "hidden", "POOL": "20"}, {"KEY": "new"}
    )
    assert after.shown(before) == {
        "DB_PASSWORD": "********",
        "KEY": "******** (changed)",
        "POOL": "20",
        "URL": "redis://:********@h/0 (changed)",
    }


def test_secret_values_are_those_of_secret_names_and_urls_but_no_settings():
    environment = Environment(
        {"DB_PASSWORD": "hidden", "TOKEN_TTL": "3600", "URL": "postgresql://u:inner@h/d"},
        {"KEY": "new"},
    )
    assert environment.secret_values() == {"hidden", "inner", "new"}


def test_the_file_reads_back_as_it_was_written():
    environment = Environment({"A": "1", "EMPTY": "", "AWKWARD": AWKWARD}, {"KEY": "s # '"})
    text = environment_file.render(environment)
    assert environment_file.parse(text, "f") == environment
    assert environment_file.render(environment_file.parse(text, "f")) == text


def test_a_shell_reads_the_file_too(tmp_path):
    path = tmp_path / "environment"
    path.write_text(environment_file.render(Environment({"AWKWARD": AWKWARD})))
    script = 'set -a; . "$1"; printf %s "$AWKWARD"'
    shown = subprocess.run(["sh", "-c", script, "sh", path], capture_output=True, check=True)
    assert shown.stdout.decode() == AWKWARD


def test_a_file_written_by_hand_is_read():
    assert environment_file.parse("# mine\nA=1\nB='2 3'\n", "f") == Environment(
        {"A": "1", "B": "2 3"}
    )


@pytest.mark.parametrize("text", ["A='open\n", "no assignment\n"])
def test_a_broken_file_is_named(text):
    with pytest.raises(OperationError, match="/srv/agent/environment") as caught:
        environment_file.parse(text, "/srv/agent/environment")
    assert caught.value.reason is Reason.PRECONDITION
