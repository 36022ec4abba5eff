# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large a worker's connection pool may grow, as the agent's environment says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import OperationError, Reason, invalid_option

SIZE_VARIABLE = "DB_POOL_SIZE"
OVERFLOW_VARIABLE = "DB_MAX_OVERFLOW"
TIMEOUT_VARIABLE = "DB_POOL_TIMEOUT"
VARIABLES = (SIZE_VARIABLE, OVERFLOW_VARIABLE, TIMEOUT_VARIABLE)
UNBOUNDED = -1


@dataclass(frozen=True)
class PoolSettings:
    """The pool of one worker, in the words of SQLAlchemy's QueuePool.

    `size` connections are kept, `max_overflow` more are opened when all of them are in use, and
    a request waits `timeout_s` seconds for one at the most. The defaults are the guide's
    (Performance Tuning, Database Optimization).
    """

    size: int = 20
    max_overflow: int = 10
    timeout_s: float = 30.0

    @property
    def most(self) -> int | None:
        """The most connections that one worker opens; None where nothing bounds them.

        SQLAlchemy's documentation of QueuePool: a `pool_size` of 0 and a `max_overflow` of -1
        mean no limit.
        """
        if self.size == 0 or self.max_overflow < 0:
            return None
        return self.size + self.max_overflow

    @property
    def text(self) -> str:
        """`20 + 10`, with words for what has no bound."""
        size = "no limit" if self.size == 0 else str(self.size)
        return f"{size} + {'no limit' if self.max_overflow < 0 else self.max_overflow}"

    def variables(self) -> dict[str, str]:
        """The environment variables that say this."""
        values = (str(self.size), str(self.max_overflow), f"{self.timeout_s:g}")
        return dict(zip(VARIABLES, values))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as results show them."""
        return {"size": self.size, "max_overflow": self.max_overflow, "timeout_s": self.timeout_s}


def settings_in(environment: Mapping[str, Any]) -> PoolSettings:
    """What an environment says; what it leaves out is the guide's.

    Raises `precondition` for a value that is no number, naming the variable.
    """
    defaults = PoolSettings()
    return PoolSettings(
        size=int(_number(environment, SIZE_VARIABLE, defaults.size, 0)),
        max_overflow=int(_number(environment, OVERFLOW_VARIABLE, defaults.max_overflow, UNBOUNDED)),
        timeout_s=_number(environment, TIMEOUT_VARIABLE, defaults.timeout_s, 0),
    )


def _number(environment: Mapping[str, Any], name: str, default: float, least: int) -> float:
    value = environment.get(name)
    text = "" if value is None else str(value).strip()
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    whole = name == TIMEOUT_VARIABLE or number == number // 1
    if not (least <= number < float("inf") and whole):
        raise OperationError(
            Reason.PRECONDITION,
            f"read {name} in the agent's environment",
            f"it is {text!r}",
            f"Set it to a number from {least} on",
        )
    return number


def read_pool_settings(params: Mapping[str, Any]) -> PoolSettings:
    """The options of a pool that is to be set; raises `invalid_input`."""
    size, overflow, timeout_s = (params[n] for n in ("pool_size", "max_overflow", "pool_timeout_s"))
    if size < 1:
        means = "no limit at all" if size == 0 else "nothing"
        raise invalid_option("pool_size", f"{size} would mean {means} to a pool", "Give 1 or more")
    if overflow < UNBOUNDED:
        raise invalid_option(
            "max_overflow", f"{overflow} is less than -1", "Give 0 or more, or -1 for no limit"
        )
    if not 0 < timeout_s < float("inf"):
        raise invalid_option(
            "pool_timeout_s", f"{timeout_s:g} is no time limit", "Give seconds above 0"
        )
    return PoolSettings(size, overflow, timeout_s)
