# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three replicas of the demo agent under load while their database is swapped below them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.stack import Stack
from tests.component.demo_replica import Replica, environment, running
from tests.component.swap_site import SwapSite
from tests.load.continuous import Load, http_sender
from tests.waiting import eventually

NAME = "cost_agent"
RESTORED = "cost_agent_restore_20250123020000"
PATHS = ("/api/v1/recommendations?limit=20", "/api/v1/ready", "/api/v1/health/detailed")


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path / "stack")
    try:
        yield stack
    finally:
        stack.down(purge=True)


@pytest.mark.slow
def test_requests_fail_only_inside_the_downtime_and_nothing_is_restarted(
    servers: Stack, tmp_path: Path
) -> None:
    addresses = servers.up(["postgres", "redis"])
    site = SwapSite(addresses["postgres"])
    variables = environment(addresses)
    with ExitStack() as replicas:
        agents = [
            replicas.enter_context(running(variables, tmp_path / f"{number}.log"))
            for number in range(3)
        ]
        eventually(lambda: all(each.ready_status() == 200 for each in agents))
        restore_a_copy(site)
        senders = [http_sender(url(each, path)) for each in agents for path in PATHS]
        with Load(senders) as load:
            load.wait_for(200)
            swap = site.swap_in(RESTORED, NAME)
            load.wait_for(300)
            undone = site.undo(NAME)
            load.wait_for(300)
    site.close()
    downtimes = [(each.down_from, each.down_until) for each in (swap, undone)]
    outside = [
        failure
        for failure in load.failed
        if all(failure in load.failed_outside(*each) for each in downtimes)
    ]
    assert swap.sessions_ended > 0
    assert not outside
    assert swap.downtime_s < 2.0
    assert undone.downtime_s < 2.0


def url(replica: Replica, path: str) -> str:
    return f"http://127.0.0.1:{replica.port}{path}"


def restore_a_copy(site: SwapSite) -> None:
    """What a restore would have made; a template has no sessions while it is copied."""
    site.make(RESTORED, "restored")
    with site.session(NAME) as old, site.session(RESTORED) as new:
        schema = (Path(__file__).parents[2] / "demo/agent/src/schema.sql").read_text()
        new.cursor().execute(schema)
        with old.cursor() as counting, new.cursor() as counted:
            for cursor in (counting, counted):
                cursor.execute("SELECT count(*) FROM cost.recommendations")
            assert counting.fetchone() == counted.fetchone()
