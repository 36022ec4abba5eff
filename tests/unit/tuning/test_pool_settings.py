# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What environments and options say of a pool."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import OperationError
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.pool_settings import (
    PoolSettings,
    read_pool_settings,
    settings_in,
)


@pytest.mark.parametrize(
    ("environment", "text", "most"),
    [
        ({}, "20 + 10", 30),
        ({"DB_POOL_SIZE": "5", "DB_MAX_OVERFLOW": "0"}, "5 + 0", 5),
        ({"DB_POOL_SIZE": " 5 ", "DB_MAX_OVERFLOW": ""}, "5 + 10", 15),
        ({"DB_MAX_OVERFLOW": "-1"}, "20 + no limit", None),
        ({"DB_POOL_SIZE": "0"}, "no limit + 10", None),
    ],
)
def test_an_environment_says_how_large(
    environment: dict[str, str], text: str, most: int | None
) -> None:
    settings = settings_in(environment)
    assert (settings.text, settings.most) == (text, most)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_POOL_SIZE", "many"),
        ("DB_POOL_SIZE", "-1"),
        ("DB_POOL_SIZE", "2.5"),
        ("DB_MAX_OVERFLOW", "-2"),
        ("DB_POOL_TIMEOUT", "inf"),
        ("DB_POOL_TIMEOUT", "nan"),
    ],
)
def test_an_unusable_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(OperationError, match=name) as caught:
        settings_in({name: value})
    assert caught.value.reason.value == "precondition"


def test_variables_and_settings_are_the_same_thing() -> None:
    settings = PoolSettings(7, 3, 2.5)
    assert settings.variables() == {
        "DB_POOL_SIZE": "7",
        "DB_MAX_OVERFLOW": "3",
        "DB_POOL_TIMEOUT": "2.5",
    }
    assert settings_in(settings.variables()) == settings


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("pool_size", 0),
        ("pool_size", -5),
        ("max_overflow", -2),
        ("pool_timeout_s", 0),
        ("pool_timeout_s", -1),
        ("pool_timeout_s", float("nan")),
        ("pool_timeout_s", float("inf")),
    ],
)
def test_an_unusable_option_is_named(option: str, value: float) -> None:
    params = {"pool_size": 20, "max_overflow": 10, "pool_timeout_s": 30.0, option: value}
    with pytest.raises(OperationError, match=option) as caught:
        read_pool_settings(params)
    assert caught.value.reason.value == "invalid_input"
