# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings against their machine, by the published rules."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.settings_advice import (
    ServerSettings,
    SettingAdvice,
    TableStatistics,
    advise_settings,
)

KIB, MIB, GIB = 1024, 1024**2, 1024**3
DEFAULT = ServerSettings(
    max_connections=100,
    shared_buffers=128 * MIB,
    effective_cache_size=4 * GIB,
    work_mem=4 * MIB,
    hash_mem_multiplier=2.0,
    parallel_per_gather=2,
    autovacuum=True,
    autovacuum_threshold=50,
    autovacuum_scale_factor=0.2,
)
COSTS = TableStatistics("cost.line_items", rows=10_000_000, dead_rows=5, size=GIB)


def advice(
    setting: str, settings: ServerSettings = DEFAULT, memory: int | None = 16 * GIB,
    table: TableStatistics | None = None,
) -> SettingAdvice:  # fmt: skip
    found = advise_settings(settings, memory, [table] if table else [])
    return {each.setting: each for each in found}[setting]


def test_the_answers_of_pgtune_for_16_gib_and_100_connections_are_reproduced() -> None:
    # Of its page for a web application: shared_buffers 4GB, effective_cache_size 12GB and, with
    # those shared buffers and two workers a query, work_mem 20971kB.
    assert advice("shared_buffers").advised == "4096MB"
    assert advice("effective_cache_size").advised == "12288MB"
    with_buffers = replace(DEFAULT, shared_buffers=4 * GIB, work_mem=64 * MIB)
    assert advice("work_mem", with_buffers).advised == "20971kB"


@pytest.mark.parametrize(
    ("buffers", "memory", "verdict"),
    [
        (128 * MIB, 16 * GIB, "change"),
        (4 * GIB, 16 * GIB, "ok"),
        (6 * GIB, 16 * GIB, "ok"),
        (7 * GIB, 16 * GIB, "change"),
        (64 * MIB, 512 * MIB, "ok"),  # a smaller share of a small machine
        (200 * MIB, 512 * MIB, "change"),
    ],
)
def test_shared_buffers(buffers: int, memory: int, verdict: str) -> None:
    found = advice("shared_buffers", replace(DEFAULT, shared_buffers=buffers), memory)
    assert (found.verdict, found.restart_required) == (verdict, verdict == "change")


def test_work_mem_is_weighed_with_all_connections() -> None:
    assert advice("work_mem").verdict == "ok"
    found = advice("work_mem", replace(DEFAULT, max_connections=1000, work_mem=64 * MIB))
    assert found.verdict == "change"
    assert "1000 connections x 3" in found.arithmetic
    assert "64.0 MiB x 2 x 1000 = 125 GiB" in found.arithmetic


@pytest.mark.parametrize("setting", ["shared_buffers", "effective_cache_size", "work_mem"])
def test_without_the_machines_memory_nothing_is_advised_on_it(setting: str) -> None:
    found = advice(setting, memory=None)
    assert (found.verdict, found.advised) == ("unknown", None)


def test_every_advice_names_its_source() -> None:
    for memory in (None, 16 * GIB):
        assert all(each.source for each in advise_settings(DEFAULT, memory, [COSTS]))


@pytest.mark.parametrize(
    ("changes", "verdict", "advised"),
    [
        ({}, "change", "autovacuum_vacuum_scale_factor = 0.01"),
        ({"scale_factor": 0.01}, "ok", None),
        ({"rows": 1_000_000, "scale_factor": 0.1}, "ok", None),
        ({"rows": 1_000_000_000}, "change", "autovacuum_vacuum_scale_factor = 0.001"),
        ({"rows": 1_000_000_000, "scale_factor": 0.001}, "ok", None),
        ({"is_vacuumed": False}, "change", "autovacuum_enabled = on"),
        ({"scale_factor": 0.0, "threshold": 100_000}, "ok", None),
    ],
)
def test_a_large_table_is_vacuumed_before_it_gathers_too_much(
    changes: dict[str, object], verdict: str, advised: str | None
) -> None:
    table = replace(COSTS, **changes)  # type: ignore[arg-type]
    found = advice("autovacuum of cost.line_items", table=table)
    assert (found.verdict, found.advised) == (verdict, advised)


def test_small_tables_are_no_matter() -> None:
    found = advise_settings(DEFAULT, GIB, [replace(COSTS, rows=999_999)])
    assert not [each for each in found if "line_items" in each.setting]


def test_the_cap_of_postgresql_18_counts() -> None:
    capped = replace(DEFAULT, autovacuum_max_threshold=100_000)
    assert advice("autovacuum of cost.line_items", capped, table=COSTS).verdict == "ok"


def test_autovacuum_that_is_off_is_found() -> None:
    assert advice("autovacuum", replace(DEFAULT, autovacuum=False)).advised == "on"
