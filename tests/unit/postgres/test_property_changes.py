# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The statements that carry settings and grants over."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.server.property_changes import (
    Changes,
    grant_changes,
    names_in,
    setting_changes,
)
from psycopg2 import sql

TARGET = sql.Identifier("costs")


@pytest.mark.parametrize(
    ("kept", "names"),
    [
        ("public", ["public"]),
        ('"$user", public', ["$user", "public"]),
        ('"a, b", "c""d" , e', ["a, b", 'c"d', "e"]),
        ('"ü x"', ["ü x"]),
        ('""', [""]),
        ("", [""]),
    ],
)
def test_kept_list_is_taken_apart(kept: str, names: list[str]) -> None:
    assert names_in(kept) == names


def whats(changes: Changes) -> list[str]:
    return [what for what, _statement in changes]


def test_equal_settings_change_nothing() -> None:
    settings = [["", "work_mem=5MB"], ["app", "work_mem=6MB"]]
    assert setting_changes(TARGET, settings, settings[::-1]) == []


def test_settings_are_added_changed_and_reset_for_each_role_apart() -> None:
    now = [["", "work_mem=5MB"], ["app", "work_mem=6MB"]]
    wanted = [["app", "work_mem=7MB"], ["", "jit=off"]]
    assert whats(setting_changes(TARGET, now, wanted)) == [
        "the absence of setting work_mem",
        "setting work_mem=7MB of role app",
        "setting jit=off",
    ]


def test_value_with_an_equals_sign_is_kept_whole() -> None:
    ((_what, statement),) = setting_changes(TARGET, [], [["", "my.options=a=b"]])
    assert sql.Literal("a=b") in list(statement)


@pytest.mark.parametrize(
    ("now", "wanted", "changes"),
    [
        ([], [["app", "CONNECT", False]], ["CONNECT for app"]),
        ([["", "CONNECT", False]], [], ["the absence of CONNECT for everybody"]),
        (
            [["app", "CREATE", True]],
            [["app", "CREATE", False]],
            ["the absence of CREATE for app with grant option", "CREATE for app"],
        ),
        ([["app", "CREATE", True]], [["app", "CREATE", True]], []),
    ],
)
def test_grants_are_those_that_are_wanted(now: Any, wanted: Any, changes: list[str]) -> None:
    assert whats(grant_changes(TARGET, now, wanted)) == changes


def test_privilege_of_a_manifest_is_never_sql() -> None:
    ((_what, statement),) = grant_changes(TARGET, [], [["app", "ALL; DROP ROLE x", False]])
    assert sql.Identifier("ALL; DROP ROLE x") in list(statement)
