# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences as rows of a table, so that they fit a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

# What a terminal of 80 columns leaves a table.
_WIDTH = 76


def wrapped(lines: Sequence[str]) -> list[list[str]]:
    """A row for each line that a terminal shows; the later ones of a sentence are indented."""
    return [
        [row]
        for line in lines
        for row in textwrap.wrap(line, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    ]
