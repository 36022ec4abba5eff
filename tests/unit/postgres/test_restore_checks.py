# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server must be and allow before a restore creates anything there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.restore.restore_checks import (
    Target,
    check_disk,
    check_extensions,
    check_owners,
    check_roles,
    check_target,
    free_bytes,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.manifest import (
    Extension,
)

TARGET = Target(
    version=170004,
    port=5432,
    user="cost_agent",
    is_superuser=False,
    may_create=True,
    is_standby=False,
    roles=frozenset({"cost_agent", "group", "postgres"}),
    givable=frozenset({"cost_agent", "group"}),
    extensions={"plpgsql": False, "hstore": False, "file_fdw": True},
    data_directory=None,
)
SUPERUSER = replace(TARGET, user="postgres", is_superuser=True)


def error_of(check: Any, *arguments: Any) -> OperationError:
    with pytest.raises(OperationError) as caught:
        check(*arguments, "restore")
    return caught.value


def test_a_target_that_allows_it_passes_all_checks():
    check_target(TARGET, "restore")
    check_extensions(TARGET, [Extension("plpgsql", "1.0"), Extension("hstore", "1.8")], "restore")
    check_owners(TARGET, {"cost_agent", "group"}, "restore")
    check_roles(TARGET, {"cost_agent", "postgres"}, "restore")


def test_a_standby_and_a_role_without_createdb_are_refused():
    assert error_of(check_target, replace(TARGET, is_standby=True)).reason.value == "precondition"
    assert error_of(check_target, replace(TARGET, may_create=False)).reason.value == "auth"


def test_missing_extensions_are_named_and_plpgsql_is_never_missed():
    wanted = [Extension("plpgsql", "1.0"), Extension("postgis", "3"), Extension("h3", "4")]
    error = error_of(check_extensions, SUPERUSER, wanted)
    assert error.reason.value == "precondition"
    assert "h3, postgis" in error.seen
    check_extensions(replace(TARGET, extensions={}), [Extension("plpgsql", "1.0")], "restore")


def test_extensions_that_are_not_trusted_take_a_superuser():
    wanted = [Extension("file_fdw", "1.0")]
    assert error_of(check_extensions, TARGET, wanted).reason.value == "auth"
    check_extensions(SUPERUSER, wanted, "restore")


def test_what_others_own_takes_a_superuser():
    error = error_of(check_owners, TARGET, {"cost_agent", "postgres"})
    assert error.reason.value == "auth"
    assert error.seen.startswith("postgres owns")
    check_owners(SUPERUSER, {"anybody"}, "restore")


def test_roles_that_are_missing_are_named():
    assert "a, z" in error_of(check_roles, TARGET, {"z", "a", "group"}).seen


@pytest.mark.parametrize("free", [None, 1000, 5000])
def test_enough_or_unknown_disk_is_no_obstacle(free):
    check_disk(free, 1000, "restore")


def test_too_little_disk_is_told():
    assert error_of(check_disk, 999, 1000).reason.value == "budget"


def test_free_disk_is_known_only_where_this_server_keeps_its_data(tmp_path):
    here = replace(TARGET, data_directory=str(tmp_path))
    assert free_bytes(TARGET) is None
    assert free_bytes(here) is None
    (tmp_path / "postmaster.pid").write_text(f"1\n{tmp_path}\n1\n5433\n")
    assert free_bytes(here) is None
    (tmp_path / "postmaster.pid").write_text(f"1\n{tmp_path}\n1\n5432\n")
    assert (free_bytes(here) or 0) > 0
