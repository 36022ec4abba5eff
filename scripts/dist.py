"""Build the collection artifact into dist/ and check that it holds what users need, only that."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
SHIPPED = {
    "CHANGELOG.md",
    "FILES.json",
    "LICENSE",
    "MANIFEST.json",
    "README.md",
    "changelogs",
    "docs",
    "extensions",
    "meta",
    "playbooks",
    "plugins",
    "requirements.yml",
    "roles",
}


def main() -> int:
    for old in DIST.glob("*.tar.gz"):
        old.unlink()
    subprocess.run(
        ["ansible-galaxy", "collection", "build", "--output-path", DIST, ROOT],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (artifact,) = DIST.glob("*.tar.gz")
    with tarfile.open(artifact) as archive:
        names = archive.getnames()
    shipped = {name.split("/", 1)[0] for name in names}
    if unwanted := shipped - SHIPPED:
        print(f"dist: not for users, add to build_ignore: {sorted(unwanted)}", file=sys.stderr)
        return 1
    if stray := [name for name in names if "__pycache__" in name or "/." in name]:
        print(f"dist: stray files: {stray}", file=sys.stderr)
        return 1
    print(f"dist: {artifact.relative_to(ROOT)}, {len(names)} entries")
    return 0


if __name__ == "__main__":
    sys.exit(main())
