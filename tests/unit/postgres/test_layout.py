# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ids of backups sort by time, also within a second, and tell when the backup began."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.layout import (
    is_backup_id,
    new_backup_id,
    started_at,
)

SECOND = 1_737_597_600


def test_of_one_second_the_later_backup_is_the_newer():
    moments = [SECOND + number / 40 for number in range(40)]
    ids = [new_backup_id(moment) for moment in moments]
    assert ids == sorted(ids)
    assert all(map(is_backup_id, ids))


def test_an_id_tells_when_the_backup_began():
    its_id = new_backup_id(SECOND + 0.25)
    assert its_id.startswith("20250123T020000Z-3d090")
    assert started_at(its_id) == SECOND


def test_two_ids_of_one_moment_differ():
    assert len({new_backup_id(SECOND) for _number in range(20)}) > 1


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("20250123T020000Z-5f2c91aa", True),
        ("20250123T020000Z", False),
        ("backup_20250123.sql.gz", False),
        ("20250123T020000Z-5f2c91aa.sql.gz", False),
        ("folder/20250123T020000Z-5f2c", False),
        ("", False),
    ],
)
def test_an_id_is_told_from_a_name(text, is_one):
    assert is_backup_id(text) == is_one
