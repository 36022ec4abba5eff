# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine with systemd and Debian's Python, for the systemd platform.

Python has its standard library alone. /opt/wheels holds the agent's requirements, so that a
release can be installed there without an index.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.images.cache import digest, kept, scratch
from tests.images.debian import RootFileSystem
from tests.images.docker_archive import Image, write_archive
from tests.images.layer import write_layer
from tests.images.requirements import wheels

REFERENCE = "cost-agent-systemd:bookworm"
_PACKAGES = ("systemd", "systemd-sysv", "dbus", "procps", "iproute2", "python3-venv")
_CONFIG = {
    "Cmd": ["/sbin/init"],
    "Env": [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "container=docker",
        "LC_ALL=C.UTF-8",
    ],
    "StopSignal": "SIGRTMIN+3",  # for systemd an orderly power-off
}


def systemd_archive() -> Path:
    """The archive of cost-agent-systemd:bookworm, made where it is not cached. Raises ImageError."""
    base = RootFileSystem("systemd-base", _PACKAGES)
    layer, packages = base.layer(), wheels()

    def make(path: Path) -> str:
        with scratch() as folder:
            shutil.copytree(packages, folder / "tree/opt/wheels")
            image = Image(
                REFERENCE, (layer, write_layer(folder / "tree", folder / "layer")), _CONFIG
            )
            write_archive(path, [image])
        return f"{image.reference}, {path.stat().st_size >> 20} MiB"

    key = digest(layer.diff_id, packages.name, Path(__file__))
    return kept("systemd", key, make, ".tar")
