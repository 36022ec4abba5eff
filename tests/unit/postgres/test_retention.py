# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backups are kept."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.backup_summary import (
    BACKUP,
    FAILED,
    NEVER,
    BackupSummary,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.retention import (
    Policy,
    decide,
)

NONE = {f"keep_{name}": 0 for name in ("last", "daily", "weekly", "monthly", "yearly")}


def backup(moment, verified=NEVER, excluded=()):
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    its_id = f"{moment:%Y%m%dT%H%M%SZ}-00000000"
    return BackupSummary(
        its_id, BACKUP, "costs", "", 0.0, verified=verified, excluded=list(excluded)
    )


def moments(decisions, keep=True):
    """The times of the kept ones, as they were written."""
    return [
        f"{datetime.strptime(each.backup.id[:15], '%Y%m%dT%H%M%S'):%Y-%m-%d %H:%M}"
        for each in decisions
        if each.keep is keep
    ]


@pytest.mark.parametrize(
    ("policy", "made", "kept"),
    [
        pytest.param(
            Policy(last=2),
            ["2025-01-23 02:00", "2025-01-23 01:00", "2025-01-22 02:00"],
            ["2025-01-23 02:00", "2025-01-23 01:00"],
            id="last counts backups",
        ),
        pytest.param(
            Policy(daily=2),
            ["2025-01-23 02:00", "2025-01-23 01:00", "2025-01-22 02:00", "2025-01-21 02:00"],
            ["2025-01-23 02:00", "2025-01-22 02:00"],
            id="daily keeps the newest of a day",
        ),
        pytest.param(
            Policy(daily=2),
            ["2025-01-23 02:00", "2024-06-01 02:00", "2023-01-21 02:00"],
            ["2025-01-23 02:00", "2024-06-01 02:00"],
            id="days without a backup do not count",
        ),
        pytest.param(
            Policy(daily=2),
            ["2025-03-30 00:00", "2025-03-29 23:59", "2025-03-29 00:00"],
            ["2025-03-30 00:00", "2025-03-29 23:59"],
            id="a day ends at midnight UTC, also when clocks change",
        ),
        pytest.param(
            Policy(weekly=2),
            ["2025-01-05 12:00", "2024-12-30 12:00", "2024-12-29 12:00", "2024-12-23 12:00"],
            ["2025-01-05 12:00", "2024-12-29 12:00"],
            id="the ISO week across New Year is one week",
        ),
        pytest.param(
            Policy(weekly=3),
            ["2021-01-04 00:00", "2021-01-03 00:00", "2020-12-28 00:00", "2020-12-27 00:00"],
            ["2021-01-04 00:00", "2021-01-03 00:00", "2020-12-27 00:00"],
            id="the ISO year 2020 has 53 weeks",
        ),
        pytest.param(
            Policy(monthly=2),
            ["2025-02-01 00:00", "2025-01-31 23:59", "2025-01-01 00:00", "2024-12-31 00:00"],
            ["2025-02-01 00:00", "2025-01-31 23:59"],
            id="monthly",
        ),
        pytest.param(
            Policy(yearly=2),
            ["2025-01-01 00:00", "2024-12-31 23:59", "2024-01-01 00:00", "2023-06-01 00:00"],
            ["2025-01-01 00:00", "2024-12-31 23:59"],
            id="yearly",
        ),
        pytest.param(
            Policy(last=1, daily=2, monthly=2),
            ["2025-01-23 02:00", "2025-01-22 02:00", "2025-01-21 02:00", "2024-12-31 02:00"],
            ["2025-01-23 02:00", "2025-01-22 02:00", "2024-12-31 02:00"],
            id="what one rule keeps is kept",
        ),
        pytest.param(Policy(last=1), [], [], id="nothing"),
        pytest.param(
            Policy(), ["2020-01-01 00:00", "2019-01-01 00:00"], ["2020-01-01 00:00"],
            id="the newest stays even where no rule keeps it",
        ),
    ],
)  # fmt: skip
def test_rules(policy, made, kept):
    in_any_order = random.sample(made, len(made))
    assert moments(decide([backup(each) for each in in_any_order], policy)) == kept


def test_a_damaged_backup_takes_no_good_ones_place_and_goes_when_its_time_is_over():
    made = [
        backup("2025-01-24 02:00", FAILED),
        backup("2025-01-23 02:00"),
        backup("2025-01-22 02:00", FAILED),
        backup("2025-01-21 02:00"),
    ]
    decisions = decide(made, Policy(last=2))
    assert moments(decisions) == ["2025-01-24 02:00", "2025-01-23 02:00", "2025-01-21 02:00"]
    assert [each.reason for each in decisions] == [
        "damaged; last",
        "last, the newest good one",
        "damaged; no rule would keep it",
        "last",
    ]


def test_a_partial_backup_takes_no_whole_ones_place():
    made = [
        backup("2025-01-23 03:00", excluded=["table costs"]),
        backup("2025-01-23 02:00"),
        backup("2025-01-22 03:00", excluded=["table costs"]),
        backup("2025-01-22 02:00"),
    ]
    assert moments(decide(made, Policy(last=1))) == ["2025-01-23 03:00", "2025-01-23 02:00"]


def test_the_newest_good_backup_is_never_removed():
    chance = random.Random(20250123)
    for _case in range(300):
        policy = Policy(*(chance.choice([0, 0, 1, 3]) for _rule in range(5)))
        first = datetime(2025, 1, 1, tzinfo=UTC)
        made = [
            backup(
                first + timedelta(hours=chance.randrange(20_000), seconds=number),
                chance.choice([NEVER, FAILED]),
                chance.choice([[], [], ["schema audit"]]),
            )
            for number in range(chance.randrange(12))
        ]
        kept = {each.backup.id for each in decide(made, policy) if each.keep}
        good = sorted(each.id for each in made if each.is_good)
        assert not good or good[-1] in kept
        assert len(kept & set(good)) >= min(len(good), policy.last)


def test_rules_that_keep_nothing_are_refused():
    with pytest.raises(OperationError, match="every backup") as caught:
        Policy.of(NONE)
    assert caught.value.reason is Reason.INVALID_INPUT


def test_a_negative_rule_is_refused():
    with pytest.raises(OperationError, match="keep_daily") as caught:
        Policy.of({**NONE, "keep_last": 3, "keep_daily": -1})
    assert caught.value.reason is Reason.INVALID_INPUT
