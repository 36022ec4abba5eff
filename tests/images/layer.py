# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers: tars of a folder's content that come out the same, byte by byte, each time."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TAR, _ABOUT = "layer.tar", "layer.json"


@dataclass(frozen=True)
class Layer:
    """A layer on disk. `diff_id` is the sha256 of its uncompressed tar, as in an image's config."""

    path: Path
    diff_id: str

    @classmethod
    def stored_in(cls, folder: Path) -> Layer:
        """The layer that `write_layer` left in a folder."""
        about = json.loads((folder / _ABOUT).read_text())
        return cls(folder / _TAR, about["diff_id"])

    @property
    def size(self) -> int:
        """Bytes of the uncompressed tar."""
        return self.path.stat().st_size


def write_layer(tree: Path, folder: Path) -> Layer:
    """Write all that is in `tree` as a layer into a new `folder`.

    Names are sorted, owners are numbers, every time is 0: nothing of when and by whom the tree was
    made goes into the layer.
    """
    folder.mkdir()
    with tarfile.open(folder / _TAR, "w", format=tarfile.GNU_FORMAT) as tar:
        for name in _sorted_names(tree):
            tar.add(tree / name, name, recursive=False, filter=_normalised)
    with (folder / _TAR).open("rb") as file:
        diff_id = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    (folder / _ABOUT).write_text(json.dumps({"diff_id": diff_id}))
    return Layer(folder / _TAR, diff_id)


def _sorted_names(tree: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(tree):
        folders.sort()
        # A link to a folder is listed among the folders, and is not followed.
        for name in sorted([*folders, *files]):
            yield os.path.relpath(os.path.join(parent, name), tree)


def _normalised(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry
