# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand pods on fake nodes: read in time, and in little memory."""

from __future__ import annotations

import pytest

from tests.cluster.thousand_pods import PODS, measured_agent_info, thousand_pods

pytestmark = pytest.mark.alone

MOST_MEGABYTES = 250


@pytest.fixture
def thousand(own_cluster, tmp_path):
    with thousand_pods(own_cluster, tmp_path) as platform:
        yield platform


def test_a_thousand_pods_are_read_in_little_memory(thousand):
    for _run in range(3):
        outcome, megabytes = measured_agent_info(thousand)
        assert outcome["summary"] == f"{PODS} of {PODS} ready, release cost-agent:1.4.1"
        assert len(outcome["state"]["targets"]) == PODS
        assert megabytes <= MOST_MEGABYTES
