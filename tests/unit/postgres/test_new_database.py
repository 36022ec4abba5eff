# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mark of a database that is being filled."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.restore.new_database import (
    Marker,
    read_marker,
)


def test_a_mark_tells_who_fills_the_database_until_when(fake_clock):
    marker = Marker.of_this_run("restore", "costs", "20250123T020000Z-5f2c", fake_clock, 60)
    found = read_marker(marker.render())
    assert found == marker
    assert not found.holder.is_gone(fake_clock.now())
    assert found.holder.is_gone(fake_clock.now() + 61)


@pytest.mark.parametrize(
    "comment",
    [
        "",
        "the costs of 2025",
        "[]",
        "{}",
        "null",
        '{"made_by": "somebody"}',
        '{"made_by": "optiinfra.cost_agent"}',
        '{"made_by": "optiinfra.cost_agent", "purpose": "restore", "backup": "x", "holder": {}}',
    ],
)
def test_any_other_comment_is_no_mark(comment):
    assert read_marker(comment) is None
