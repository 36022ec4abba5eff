# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the installed programs is used for a server."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.server.programs import (
    find_program,
)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Makes programs that say a version, in folders on PATH."""

    def install(**versions):
        folders = []
        for folder, said in versions.items():
            (tmp_path / folder).mkdir()
            program = tmp_path / folder / "pg_dump"
            program.write_text(f"#!/bin/sh\necho '{said}'\n")
            program.chmod(0o755)
            folders.append(str(tmp_path / folder))
        monkeypatch.setenv("PATH", ":".join(folders))
        return tmp_path

    monkeypatch.setitem(find_program.__globals__, "_USUAL_FOLDERS", ())
    return install


def test_the_one_of_the_servers_version_is_preferred_to_newer_and_older_ones(installed):
    home = installed(
        a="pg_dump (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)",
        b="pg_dump (PostgreSQL) 18.1",
        c="pg_dump (PostgreSQL) 17.4",
    )
    found = find_program("pg_dump", 170002, None)
    assert (found.path, found.version, found.major) == (f"{home}/c/pg_dump", "17.4", 17)


def test_a_newer_one_will_do_and_so_will_a_beta(installed):
    installed(a="pg_dump (PostgreSQL) 15.12", b="pg_dump (PostgreSQL) 18beta2")
    assert find_program("pg_dump", 160009, None).version == "18beta2"


def test_only_older_ones_are_told_with_both_versions(installed):
    installed(a="pg_dump (PostgreSQL) 15.12", b="pg_dump (PostgreSQL) 9.6.24")
    with pytest.raises(OperationError) as failure:
        find_program("pg_dump", 170002, None)
    assert failure.value.reason is Reason.MISSING_PROGRAM
    assert "PostgreSQL 17" in str(failure.value)
    assert "15.12" in str(failure.value)


@pytest.mark.parametrize("said", ["", "no version"])
def test_what_is_no_such_program_does_not_count(installed, said):
    installed(a=said)
    with pytest.raises(OperationError, match="there is none in PATH"):
        find_program("pg_dump", 170002, None)


def test_a_named_folder_is_the_only_one_that_counts(installed, tmp_path):
    home = installed(a="pg_dump (PostgreSQL) 17.4", b="pg_dump (PostgreSQL) 18.1")
    assert find_program("pg_dump", 170002, f"{home}/b").major == 18
    with pytest.raises(OperationError, match="/nonexistent"):
        find_program("pg_dump", 170002, "/nonexistent")


def test_the_others_are_those_beside_it(installed):
    home = installed(a="pg_dump (PostgreSQL) 17.4")
    pg_dump = find_program("pg_dump", 170002, None)
    with pytest.raises(OperationError, match=f"{home}/a has a pg_dump but no pg_restore"):
        pg_dump.beside("pg_restore")
    (home / "a" / "pg_restore").symlink_to(home / "a" / "pg_dump")
    found = pg_dump.beside("pg_restore")
    assert (found.path, found.version) == (f"{home}/a/pg_restore", "17.4")
