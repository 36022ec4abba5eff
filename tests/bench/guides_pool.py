# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide's pool of 20 + 10, which is tune_pool.yml without a variable: refused, and applied."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from tests.bench.figures import Figure
from tests.component.playbook_run import Run

POOL = {"size": 20, "max_overflow": 10, "timeout_s": 30.0}
# Of PostgreSQL: enough for 10 replicas with that pool, what they have beside it, and others.
ENOUGH_CONNECTIONS = 400
# The guide's autoscaler up to 10 replicas; at least 1, so that it leaves the steps their counts.
_AUTOSCALER = ["-e", json.dumps({"cost_agent_autoscaler_min": 1})]


def refused(play: Callable[..., Run]) -> Iterator[Figure]:
    """What is said where the server has its 100 connections, and the autoscaler may go to 10."""
    autoscaled = play("autoscale", *_AUTOSCALER)
    if autoscaled.code:
        raise SystemExit(autoscaled.output)
    run = play("tune_pool")
    result = run.result_of("connection_pool")
    if result.get("reason") != "budget" or run.changed:
        raise SystemExit(f"wanted the guide's pool refused on 100 connections:\n{run.output}")
    largest = result["state"]["budget"]["largest_pool"]
    yield Figure("the guide's pool, at most 100 connections", "refused", "refused", True)
    yield Figure("  asked of it", result["summary"])
    yield Figure("  the largest that fits", f"{largest['size']} + {largest['max_overflow']}")


def applied(run: Run) -> Run:
    """The run, if every replica says that it runs with the guide's pool; else the benchmark ends."""
    if run.code == 0:
        state = run.result_of("connection_pool")["state"]
        pools = [replica["running"] for replica in state["replicas"]]
        if not pools or any(pool != POOL for pool in pools):
            raise SystemExit(f"wanted every replica with {POOL}, but they have {pools}")
    return run
