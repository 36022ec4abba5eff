# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The colours that words of the operator's view have on a terminal."""

from __future__ import annotations

from ansible import constants as C
from ansible.utils.color import stringc
from ansible_collections.optiinfra.cost_agent.plugins.plugin_utils.operator_view import Line

_COLOURS = {
    "ok": C.COLOR_OK,
    "healthy": C.COLOR_OK,
    "changed": C.COLOR_CHANGED,
    "degraded": "yellow",
    "unknown": "magenta",
    "down": C.COLOR_ERROR,
    "failed": C.COLOR_ERROR,
    "unreachable": C.COLOR_UNREACHABLE,
    "+": C.COLOR_DIFF_ADD,
    "-": C.COLOR_DIFF_REMOVE,
    "@": C.COLOR_DIFF_LINES,
}


def painted(line: Line) -> str:
    """The line's text with colour codes; without them where Ansible shows no colours."""
    return "".join(
        stringc(text, _COLOURS[word]) if word in _COLOURS else text for text, word in line
    )
