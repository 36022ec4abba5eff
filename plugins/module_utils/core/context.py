# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operation is given besides its parameters."""

from __future__ import annotations

from dataclasses import dataclass, field

from .clock import Clock, SystemClock
from .progress import Progress, silent


@dataclass(frozen=True)
class Context:
    """The mode of the run, and time and a voice to use during it."""

    check_mode: bool = False
    clock: Clock = field(default_factory=SystemClock)
    progress: Progress = field(default_factory=lambda: Progress(silent, SystemClock()))
