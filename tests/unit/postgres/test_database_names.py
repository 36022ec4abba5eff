# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names beside a database: free, at most 63 bytes, and never mistaken for another's."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.server.database_names import (
    BEFORE,
    DRILL,
    LONGEST_BYTES,
    RESTORE,
    UNDONE,
    moment_in,
    name_beside,
)

NOW = 1737597600.0  # 2025-01-23 02:00:00 UTC
NAMES = ["cost_agent", "Cost Agent", 'a"b', "größe", "ü" * 31, "x" * 63, "数" * 21, "a_before_x"]


def test_name_says_what_it_is_and_when_it_was_made() -> None:
    assert name_beside("cost_agent", BEFORE, NOW) == "cost_agent_before_20250123020000"


@pytest.mark.parametrize("kind", [BEFORE, UNDONE, RESTORE, DRILL])
@pytest.mark.parametrize("database", NAMES)
def test_name_fits_and_is_found_again(database: str, kind: str) -> None:
    name = name_beside(database, kind, NOW)
    assert len(name.encode()) <= LONGEST_BYTES
    assert moment_in(name, database, kind) == NOW


def test_long_names_with_the_same_beginning_do_not_share_one() -> None:
    names = {name_beside("x" * 62 + end, BEFORE, NOW) for end in "abc"}
    assert len(names) == 3


def test_taken_name_gives_the_next_second() -> None:
    taken = {name_beside("a", BEFORE, NOW), name_beside("a", BEFORE, NOW + 1)}
    assert name_beside("a", BEFORE, NOW, taken) == "a_before_20250123020002"


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "a_before_",
        "a_before_2025",
        "a_before_20251323020000",
        "a_before_20250123020000_x",
        "a_before_2025012302000\uff10",
        "b_before_20250123020000",
        "a_undone_20250123020000",
    ],
)
def test_other_names_are_nobodys(name: str) -> None:
    assert moment_in(name, "a", BEFORE) is None
