# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the agent's database is, by its environment or by an option."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import OperationError
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres import Server
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.agent_database import (
    agent_database,
)

OPTION: dict[str, Any] = dict.fromkeys(
    ("port", "user", "password", "password_file", "sslmode", "ca_file", "name")
)


def test_by_a_url_with_quoted_password() -> None:
    found = agent_database(
        None, {"DATABASE_URL": "postgresql+psycopg2://me:p%40ss@db:5433/costs?sslmode=require"}
    )
    assert found.server == Server("db", 5433, "me", "p@ss", "require", None)
    assert (found.name, found.role) == ("costs", "me")


def test_by_variables_and_a_password_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("words\n")
    found = agent_database(
        None,
        {
            "PGHOST": "db",
            "PGPORT": "5433",
            "PGUSER": "me",
            "PGDATABASE": "costs",
            "DATABASE_PASSWORD_FILE": str(secret),
        },
    )
    assert found.server == Server("db", 5433, "me", "words", None, None)


def test_an_option_looks_as_another_role_at_the_agents_database() -> None:
    option = {**OPTION, "host": "replica", "user": "monitor"}
    found = agent_database(option, {"DATABASE_URL": "postgresql://me@db/costs"})
    assert (found.server.host, found.server.user) == ("replica", "monitor")
    assert (found.name, found.role) == ("costs", "me")


@pytest.mark.parametrize(
    "environment",
    [{}, {"PGUSER": "me"}, {"DATABASE_URL": "mysql://me:secret-words@db/costs"},
     {"DATABASE_URL": "postgresql://me:secret-words@db:port/costs"},
     {"DATABASE_URL": "secret-words"}],
)  # fmt: skip
def test_without_a_usable_address_the_option_is_asked_for(environment: dict[str, str]) -> None:
    with pytest.raises(OperationError, match="Give the option database") as caught:
        agent_database(None, environment)
    assert caught.value.reason.value == "precondition"
    assert "secret-words" not in str(caught.value)


def test_a_password_file_inside_a_container_is_not_ours_to_read() -> None:
    with pytest.raises(OperationError, match="Give the option database") as caught:
        agent_database(None, {"PGHOST": "db", "DATABASE_PASSWORD_FILE": "/run/secrets/none"})
    assert caught.value.reason.value == "precondition"
