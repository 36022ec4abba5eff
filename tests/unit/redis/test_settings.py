# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted, read once, and how it differs from what a server shows."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.settings import (
    compare,
    read_settings,
    unknown_setting,
)


def wanted(given: dict[str, Any], allow_unlimited: bool = False) -> dict[str, str]:
    return read_settings(given, allow_unlimited)


def test_names_are_read_in_any_case() -> None:
    assert wanted({"MaxMemory": "1kb"}) == {"maxmemory": "1024"}


@pytest.mark.parametrize("unset", [None, ""])
def test_what_is_unset_is_left_alone(unset: str | None) -> None:
    assert wanted({"maxmemory": unset, "hz": 10}) == {"hz": "10"}


@pytest.mark.parametrize("name", ["save", "notify-keyspace-events", "bind-source-addr"])
def test_an_empty_text_is_a_value_where_redis_has_it_as_one(name: str) -> None:
    assert wanted({name: ""}) == {name: ""}


def test_an_empty_text_is_unset_for_a_number_of_the_server() -> None:
    assert compare(wanted({"hz": ""}), {"hz": "10"}) == []


@pytest.mark.parametrize("name", ["requirepass", "masterauth", "tls-key-file-pass"])
def test_a_secret_is_refused_and_not_told(name: str) -> None:
    with pytest.raises(OperationError) as error:
        wanted({name: "hunter22"})
    assert error.value.reason is Reason.INVALID_INPUT
    assert "hunter22" not in str(error.value)


def test_unlimited_memory_is_consented_to() -> None:
    with pytest.raises(OperationError, match="allow_unlimited: true"):
        wanted({"maxmemory": "0kb"})
    assert wanted({"maxmemory": 0}, allow_unlimited=True) == {"maxmemory": "0"}


def test_only_what_differs_is_a_change() -> None:
    now = {"maxmemory": "2147483648", "save": "900 1 300 10", "hz": "10"}
    changes = compare(wanted({"maxmemory": "2gb", "save": "300 10 900 1", "hz": 20}), now)
    assert [(each.name, each.before, each.after) for each in changes] == [("hz", "10", "20")]


def test_the_type_of_an_unlisted_setting_is_seen_at_its_value() -> None:
    now = {"module.limit": "10", "module.enabled": "yes", "module.path": "/a"}
    assert (
        compare({"module.limit": "010", "module.enabled": "TRUE", "module.path": "/a"}, now) == []
    )
    with pytest.raises(OperationError, match=r"settings\.module\.limit"):
        compare({"module.limit": "many"}, now)


@pytest.mark.parametrize(
    ("before", "after", "order"),
    [
        ("1000", "2000", ["maxmemory", "maxmemory-policy"]),
        ("2000", "1000", ["maxmemory-policy", "maxmemory"]),
        ("0", "1000", ["maxmemory-policy", "maxmemory"]),
        ("1000", "0", ["maxmemory", "maxmemory-policy"]),
    ],
)
def test_more_memory_comes_first_and_less_last(before: str, after: str, order: list[str]) -> None:
    settings = {"maxmemory-policy": "allkeys-lru", "maxmemory": after}
    now = {"maxmemory-policy": "noeviction", "maxmemory": before}
    assert [each.name for each in compare(settings, now)] == order


def test_an_immutable_setting_needs_a_restart() -> None:
    [change] = compare({"databases": "32"}, {"databases": "16"})
    assert change.needs_restart


def test_an_unknown_name_has_a_suggestion() -> None:
    error = unknown_setting("maxmemry", "h:1", ["maxmemory", "hz"])
    assert error.next_step == "Did you mean maxmemory"
    assert unknown_setting("xyz", "h:1", ["hz"]).next_step.startswith("See its redis.conf")
