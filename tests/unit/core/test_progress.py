# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress comes often enough to reassure and seldom enough to read."""

from __future__ import annotations

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.progress import Progress


def test_short_work_says_nothing(fake_clock):
    lines = []
    Progress(lines.append, fake_clock, 2).update("copying", 1, 2)
    assert lines == []


def test_long_work_says_how_far_it_is_once_a_period(fake_clock):
    lines = []
    progress = Progress(lines.append, fake_clock, 2)
    for done in range(6):
        progress.update("copying", done, 10)
        fake_clock.sleep(1)
    assert lines == [
        "copying, 2 of 10, 2 s, about 8 s left",
        "copying, 4 of 10, 4 s, about 6 s left",
    ]


def test_without_a_total_it_says_the_time(fake_clock):
    lines = []
    progress = Progress(lines.append, fake_clock, 2)
    fake_clock.sleep(3)
    progress.update("waiting")
    assert lines == ["waiting, 3 s"]
