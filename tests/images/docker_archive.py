# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker-archive tars: what `docker save` writes, and `docker load` and containerd both read."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.images.layer import Layer

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """One image: `reference` as `name:tag`, `config` with the words of Docker's image config."""

    reference: str
    layers: tuple[Layer, ...]
    config: dict[str, Any]

    def encoded_config(self) -> bytes:
        """The image's config; its sha256 is the image's id."""
        content = {
            "architecture": architecture(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]},
            "history": [{"created_by": "tests/images"} for _layer in self.layers],
        }
        return json.dumps(content, sort_keys=True).encode()

    @property
    def id(self) -> str:
        """As Docker shows it: `sha256:` and the digest of the config."""
        return f"sha256:{hashlib.sha256(self.encoded_config()).hexdigest()}"


def architecture() -> str:
    """This machine's architecture, in the words of the image specification."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def write_archive(path: Path, images: Sequence[Image]) -> None:
    """One archive of all these images; a layer that they share is in it once."""
    manifest = []
    layers: dict[str, Layer] = {}
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for image in images:
            config_name = f"{image.id.removeprefix('sha256:')}.json"
            _add(tar, config_name, image.encoded_config())
            names = {
                f"{layer.diff_id.removeprefix('sha256:')}.tar": layer for layer in image.layers
            }
            layers |= names
            manifest.append(
                {"Config": config_name, "RepoTags": [image.reference], "Layers": list(names)}
            )
        for name, layer in layers.items():
            tar.add(layer.path, name, filter=_bare)
        _add(tar, "manifest.json", json.dumps(manifest).encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _bare(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    bare = tarfile.TarInfo(entry.name)
    bare.size = entry.size
    return bare
