# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How tests wait: for what can be observed, and on a busy machine as well."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

# Far beyond what anything takes here beside three compilers, and below pytest's own limit: a test
# that fails takes this long, one that passes never does.
LIMIT_S = 180.0
_T = TypeVar("_T")


def eventually(
    condition: Callable[[], _T], limit_s: float = LIMIT_S, every_s: float = 0.01
) -> _T:  # fmt: skip
    """What the condition answers once that is true; an AssertionError after the limit."""
    ends = time.monotonic() + limit_s
    while not (answer := condition()):
        assert time.monotonic() < ends, f"did not come true within {limit_s:g} s"
        time.sleep(every_s)
    return answer
