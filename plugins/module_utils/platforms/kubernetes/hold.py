# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hold of a manifest: what deploy.yml changed in it waits for the agent's next rollout.

The role `deploy` applies a template that differs with `paused` and an annotation, so that the
controller makes no pod from it yet. The patch that begins a rollout, canary first, lets it go.
"""

from __future__ import annotations

from typing import Any

from .names import HELD_ANNOTATION
from .workload import Workload


def hold_off(workload: Workload) -> list[dict[str, Any]]:
    """The patch operations that let it go, after those of a brake; none where nothing is held."""
    if not workload.is_held:
        return []
    key = HELD_ANNOTATION.replace("/", "~1")  # as a JSON pointer has it (RFC 6901)
    return [
        {"op": "remove", "path": "/spec/paused"},
        {"op": "remove", "path": f"/metadata/annotations/{key}"},
    ]
