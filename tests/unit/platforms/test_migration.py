# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which platforms run a migration, and what is a command."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    FileStateStore,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_options import (
    Agent,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.drivers import (
    open_migrator,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.host.migration import (
    HostMigrator,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.migration import (
    read_command,
)


def agent(platform: str, folder: Path) -> Agent:
    return Agent(platform, "cost-agent", folder, FileStateStore(folder / "state"))


@pytest.mark.parametrize("platform", ["process", "systemd"])
def test_a_machine_runs_it_in_the_releases_folder(tmp_path, platform) -> None:
    assert isinstance(open_migrator(agent(platform, tmp_path)), HostMigrator)


def test_a_platform_that_runs_no_command_of_a_release_refuses(tmp_path) -> None:
    with pytest.raises(OperationError) as raised:
        open_migrator(agent("mainframe", tmp_path))
    assert raised.value.reason is Reason.PRECONDITION
    assert "mainframe" in str(raised.value)


@pytest.mark.parametrize(
    ("given", "command"),
    [(None, ()), ([], ()), (["alembic", "upgrade", "head"], ("alembic", "upgrade", "head"))],
)
def test_a_command_is_a_list_and_an_empty_one_is_none(given, command) -> None:
    assert read_command(given) == command


@pytest.mark.parametrize("given", [["alembic upgrade head"], [""], [" x"], ["x", "a\0b"]])
def test_a_line_for_a_shell_is_no_command(given) -> None:
    with pytest.raises(OperationError) as raised:
        read_command(given)
    assert raised.value.reason is Reason.INVALID_INPUT
