# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine-wide settings that a kubelet changes, kept so that they can be put back."""

from __future__ import annotations

import json
from pathlib import Path

from demo.stack.private_files import write_private

_ROOT = Path("/proc/sys")
# What the kubelet sets: setupKernelTunables in Kubernetes' pkg/kubelet/cm.
_NAMES = (
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)


def save(path: Path) -> None:
    """Remember the settings in `path`, unless an earlier, killed `up` did so already."""
    if not path.exists():
        values = {name: (_ROOT / name).read_text().strip() for name in _NAMES}
        write_private(path, json.dumps(values, indent=2) + "\n")


def restore(path: Path) -> None:
    """Put back what was remembered in `path`, and forget it."""
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        return
    for name, value in values.items():
        if (_ROOT / name).read_text().strip() != value:
            (_ROOT / name).write_text(value)
    path.unlink()
