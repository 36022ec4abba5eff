# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the words of PostgreSQL's own programs mean when they fail."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from typing import Callable

from ...core.errors import OperationError, Reason

# A pattern of what a program says -> reason and next step.
Meanings = Sequence[tuple[str, Reason, str]]


def program_failure(
    wanted: str,
    program: str,
    code: int,
    said: str,
    meanings: Meanings,
    first_error: Callable[[str], str],
) -> OperationError:
    """The error for a program that ended with `code` (negative: a signal) after saying this.

    The first pattern of `meanings` that is found decides; `first_error` picks the sentence.
    """
    if code < 0:
        name = signal.Signals(-code).name
        return OperationError(
            Reason.FAILED_STATE,
            wanted,
            f"{program} was ended by {name}",
            "Look who sent it (the kernel's log for a lack of memory), then run this again",
            log_tail=said,
        )
    for pattern, reason, next_step in meanings:
        if re.search(pattern, said):
            return OperationError(reason, wanted, first_error(said), next_step, log_tail=said)
    return OperationError(
        Reason.FAILED_STATE,
        wanted,
        f"{program} ended with code {code}: {first_error(said)}",
        "See log_tail in this result",
        log_tail=said,
    )
