# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mounted in a folder, and how to be rid of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.cluster.home.errors import ClusterError


def mount_points() -> list[Path]:
    """Everything that is mounted, the outer before the inner."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    # Spaces and the like are written as octal numbers.
    return [Path(line.split()[1].encode().decode("unicode_escape")) for line in lines]


def unmount_below(folder: Path) -> None:
    """Unmount everything in `folder`, the inner before the outer. Raises ClusterError."""
    for point in reversed([point for point in mount_points() if point.is_relative_to(folder)]):
        result = subprocess.run(
            ["umount", str(point)], capture_output=True, text=True, timeout=300, check=False
        )
        if result.returncode != 0:
            raise ClusterError(f"umount {point}: {result.stderr.strip()}")
