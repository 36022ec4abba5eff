# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images that a node has before it starts: nothing is pulled from anywhere."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from demo.stack.private_files import write_private
from tests.cluster.home.containerd import PAUSE_IMAGE, Containerd
from tests.images import archives
from tests.images.docker_archive import Image, write_archive
from tests.images.layer import write_layer


def node_archives(binaries: Path) -> list[Path]:
    """Archives of the pause image and of the demo agent's releases. Raises ImageError."""
    return [_pause_archive(binaries), archives()["releases"]]


def import_images(containerd: Containerd, archives: Sequence[Path]) -> None:
    """Give a node the archives that it has not got. Raises ClusterError."""
    record = containerd.root / "archives.json"
    wanted = {str(path): path.stat().st_mtime_ns for path in archives}
    try:
        known = json.loads(record.read_text())
    except (FileNotFoundError, ValueError):
        known = {}
    for path, changed_ns in wanted.items():
        if known.get(path) != changed_ns:
            containerd.import_image(Path(path))
    write_private(record, json.dumps(wanted, indent=2) + "\n")


def _pause_archive(binaries: Path) -> Path:
    """The image that holds a pod's namespaces open: one static program."""
    archive = binaries / "pause.tar"
    if not archive.exists():
        with tempfile.TemporaryDirectory(dir=binaries) as scratch:
            tree, partial = Path(scratch) / "tree", Path(scratch) / archive.name
            tree.mkdir()
            shutil.copy(binaries / "pause", tree / "pause")
            layer = write_layer(tree, Path(scratch) / "layer")
            write_archive(partial, [Image(PAUSE_IMAGE, (layer,), {"Entrypoint": ["/pause"]})])
            partial.rename(archive)
    return archive
