# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian 12 root file systems by debootstrap, without what differs from one making to the next."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.images.cache import CACHE, digest, kept
from tests.images.errors import ImageError
from tests.images.layer import Layer, write_layer

SUITE = "bookworm"
PYTHON = "python3.11"  # of that suite
# The account that the agent runs under in its image, and that Kubernetes can tell is not root.
ACCOUNT = "agent:x:10001:10001:Cost Agent:/app:/usr/sbin/nologin\n"
GROUP = "agent:x:10001:\n"

_TREE, _LAYER = "tree", "layer"
_TIMEOUT_S = 4 * 3600  # a mirror or a machine may be slow
# Documentation and caches that nobody reads in a container, and files that tell when, where or by
# whom the tree was made.
_REMOVED = (
    *("usr/share/doc/*", "usr/share/man/*", "usr/share/locale/*", "usr/share/info/*"),
    *("usr/share/lintian", "var/cache/apt/*", "var/cache/debconf/*", "var/cache/ldconfig/*"),
    *("var/lib/apt/lists/*", "var/lib/dpkg/*-old", "var/log/*", "var/backups/*", "etc/*-"),
    *("etc/hostname", "etc/resolv.conf", "var/lib/dbus/machine-id"),
    *("var/lib/systemd/*", "dev/*", "run/*", "tmp/*"),
)
_UNCHECKED = ("--invalidation-mode", "unchecked-hash")
_ACCOUNT_CHANGED_ON = re.compile(r"^([^:]*:[^:]*):\d+:", re.MULTILINE)


class RootFileSystem:
    """A Debian tree, kept in the cache, and the layer made of it."""

    def __init__(self, name: str, packages: Sequence[str]) -> None:
        """`packages` are wanted besides those of Debian's minbase variant."""
        self._name = name
        self._packages = ["python3", *packages]
        recipe = Path(__file__), Path(__file__).with_name("layer.py")
        self.key = digest(SUITE, " ".join(self._packages), *recipe)

    def layer(self) -> Layer:
        """The tree as a layer. Raises ImageError."""
        return Layer.stored_in(self._folder() / _LAYER)

    def compile(self, tree: Path, target: str) -> None:
        """Compile Python files that shall be at `target` in the image, with the tree's Python.

        Bytecode that is never checked against the times of its sources, as a layer keeps none.
        """
        inside = self._folder() / _TREE / "build"
        shutil.rmtree(inside, ignore_errors=True)
        tree.rename(inside)
        try:
            _compile(self._folder() / _TREE, ["-s", "/build", "-p", target, "/build"])
        finally:
            inside.rename(tree)

    def _folder(self) -> Path:
        return kept(self._name, self.key, self._make)

    def _make(self, folder: Path) -> str:
        folder.mkdir()
        tree = folder / _TREE
        _debootstrap(tree, self._packages)
        _remove_traces(tree)
        _compile(tree, ["-f", "/usr/lib/python3", f"/usr/lib/{PYTHON}"])
        layer = write_layer(tree, folder / _LAYER)
        return f"{layer.size >> 20} MiB"


def _debootstrap(tree: Path, packages: Sequence[str]) -> None:
    if os.geteuid() != 0:
        raise ImageError("images: debootstrap needs root; run this as root")
    if shutil.which("debootstrap") is None:
        raise ImageError("images: no debootstrap; run scripts/install-platforms.sh as root")
    downloads = CACHE / "packages"
    downloads.mkdir(exist_ok=True)
    log = CACHE / "debootstrap.log"
    mirror = os.environ.get("DEBIAN_MIRROR") or "http://deb.debian.org/debian"
    with log.open("wb") as output:
        code = subprocess.run(
            [
                # What it mounts ends with it, also when it is killed.
                *("unshare", "--mount", "debootstrap"),
                "--variant=minbase",
                f"--include={','.join(packages)}",
                f"--cache-dir={downloads}",
                SUITE,
                tree,
                mirror,
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=_TIMEOUT_S,
            check=False,
        ).returncode
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
        raise ImageError(
            f"images: debootstrap from {mirror} ended with {code}; its last lines, of {log}:\n"
            f"{tail}\nAnother mirror can be named in DEBIAN_MIRROR"
        )


def _remove_traces(tree: Path) -> None:
    for pattern in _REMOVED:
        for path in tree.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    # Empty, not missing: systemd would take it for a first boot, and ask for a name and a password.
    (tree / "etc/machine-id").write_bytes(b"")
    shadow = tree / "etc/shadow"
    shadow.write_text(_ACCOUNT_CHANGED_ON.sub(r"\1:1:", shadow.read_text()))
    for name, line in (("passwd", ACCOUNT), ("group", GROUP)):
        with (tree / "etc" / name).open("a") as file:
            file.write(line)


def _compile(tree: Path, arguments: Sequence[str]) -> None:
    compiled = subprocess.run(
        ["chroot", tree, PYTHON, "-m", "compileall", "-q", *_UNCHECKED, *arguments],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if compiled.returncode != 0:
        raise ImageError(f"images: compileall failed: {compiled.stdout[-500:]}")
