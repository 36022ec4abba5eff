# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts combine by three-valued logic."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.verdict import (
    Verdict,
    combine,
    worst,
)


@pytest.mark.parametrize(
    ("members", "whole"),
    [
        ("healthy healthy", "healthy"),
        ("healthy degraded", "degraded"),
        ("healthy down", "degraded"),
        ("down down", "down"),
        ("degraded degraded", "degraded"),
        ("down unknown", "degraded"),
        ("healthy unknown", "unknown"),
        ("unknown unknown", "unknown"),
        ("healthy down unknown", "degraded"),
        ("down", "down"),
        ("unknown", "unknown"),
        ("", "unknown"),
    ],
)
def test_replicas_stand_in_for_each_other(members, whole):
    assert combine(Verdict(each) for each in members.split()) is Verdict(whole)


def test_a_known_fault_outweighs_what_could_not_be_seen():
    assert worst([Verdict.UNKNOWN, Verdict.DEGRADED, Verdict.HEALTHY]) is Verdict.DEGRADED
    assert worst([Verdict.UNKNOWN, Verdict.HEALTHY]) is Verdict.UNKNOWN
