# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kept database an undo takes, and what a swap says of itself."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.swap.rename_checks import (
    Session,
    held,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.swap.swap import (
    KeptDatabase,
    Swap,
    choose_kept,
)

NEWER = KeptDatabase("a_before_20250124020000", "before", 10, 60.0)
OLDER = KeptDatabase("a_before_20250123020000", "before", 10, 86460.0)
UNDONE = KeptDatabase("a_undone_20250124030000", "undone", 10, 30.0)


def test_undo_takes_the_newest_that_was_replaced() -> None:
    assert choose_kept([UNDONE, NEWER, OLDER], "a", None) == NEWER.name


@pytest.mark.parametrize("kept", [OLDER, UNDONE])
def test_undo_takes_the_one_that_is_named(kept: KeptDatabase) -> None:
    assert choose_kept([UNDONE, NEWER, OLDER], "a", kept.name) == kept.name


@pytest.mark.parametrize("kept", ["b", "a", "a_before_20200101000000"])
def test_undo_of_what_is_not_kept_lists_what_is(kept: str) -> None:
    with pytest.raises(OperationError, match=f"{NEWER.name}, {OLDER.name}") as caught:
        choose_kept([NEWER, OLDER], "a", kept)
    assert caught.value.reason is Reason.PRECONDITION
    assert [each["name"] for each in caught.value.details["state"]["kept"]] == [
        NEWER.name,
        OLDER.name,
    ]


def test_undo_of_an_undo_is_never_by_chance() -> None:
    with pytest.raises(OperationError, match=r"kept beside a are a_undone_20250124030000"):
        choose_kept([UNDONE], "a", None)


def test_swap_without_an_old_database_has_no_downtime() -> None:
    swap = Swap("a", "a_restore_1", "", 0, 100.0, 100.5, [])
    assert swap.downtime_s == 0.0
    assert swap.actions == ["Renamed database a_restore_1 to a; there was none of that name"]


def test_swap_tells_its_downtime() -> None:
    swap = Swap("a", "a_restore_1", "a_before_1", 3, 100.0, 100.25, [])
    assert swap.as_dict()["downtime_s"] == 0.25
    assert swap.actions[0].endswith("sessions ended: 3, without a database: 0.25 s")


def session(may_be_ended: bool, **changes: object) -> Session:
    values = {"pid": 42, "user": "root", "application_name": "psql", "client": "local"}
    return Session(state="idle", may_be_ended=may_be_ended, **{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("holders", "words"),
    [
        ([session(False)], r"this user may not end: pid 42 \(root from local, psql\)"),
        ([session(True, application_name="")], r"did not end: pid 42 \(root from local\);"),
        ([session(False), session(False, pid=43)], r"SELECT pg_terminate_backend\(42\), pg_ter"),
        ([], "a session that has ended meanwhile"),
    ],
)
def test_message_names_who_holds_the_database(holders: list[Session], words: str) -> None:
    error = held("rename a", holders)
    assert error.reason is Reason.LOCKED
    with pytest.raises(OperationError, match=words):
        raise error
