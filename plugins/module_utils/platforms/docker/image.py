# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image that the engine has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..images.reference import ImageReference
from ..images.releases import ImageRelease


@dataclass(frozen=True)
class Image:
    """`id` is the engine's; `registry_digests` are what registries know it by."""

    id: str
    registry_digests: tuple[str, ...]
    exposed_ports: tuple[int, ...]

    def digest_in(self, repository: str) -> str:
        """What names its contents: its registry's digest, or the engine's id without one."""
        for each in self.registry_digests:
            name, _at, digest = each.partition("@")
            if name == repository or name.endswith(f"/{repository}"):
                return digest
        return self.id

    def is_release(self, release: ImageRelease) -> bool:
        """Whether these are the contents that were recorded."""
        digests = {each.partition("@")[2] for each in self.registry_digests}
        return self.id in (release.image_id, release.digest) or release.digest in digests


def parse_image(seen: Mapping[str, Any]) -> Image:
    """An image from the engine's answer to inspect."""
    exposed = (seen.get("Config") or {}).get("ExposedPorts") or {}
    ports = sorted(int(each.partition("/")[0]) for each in exposed if each.endswith("/tcp"))
    return Image(seen["Id"], tuple(seen.get("RepoDigests") or ()), tuple(ports))


def names_to_try(release: ImageRelease) -> list[str]:
    """What a container may be created from, the name that people know first."""
    reference = ImageReference.parse(release.id)
    pinned = reference.pinned(release.digest)
    return [release.id, *([pinned] if release.digest != release.image_id else []), release.image_id]
