# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo agent's locked requirements, for the Python of the images and not for this one."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.images.cache import CACHE, CHECKOUT, digest, kept
from tests.images.debian import PYTHON, RootFileSystem
from tests.images.errors import ImageError
from tests.images.layer import Layer, write_layer

LOCK = CHECKOUT / "demo" / "agent" / "requirements.txt"

_VERSION = PYTHON.removeprefix("python")
_PACKAGES = f"usr/local/lib/{PYTHON}/dist-packages"
_UVICORN = f"""\
#!/usr/bin/{PYTHON}
import sys
from uvicorn.main import main
sys.exit(main())
"""
_TIMEOUT_S = 4 * 3600
_CONDITION = re.compile(r" ; .*?(?= \\$)", re.MULTILINE)


def requirements_layer(base: RootFileSystem) -> Layer:
    """A layer above `base` with the requirements and the program uvicorn. Raises ImageError."""

    def make(folder: Path) -> str:
        folder.mkdir()
        tree = folder / "tree"
        packages = tree / _PACKAGES
        packages.mkdir(parents=True)
        _install(packages)
        base.compile(packages, f"/{_PACKAGES}")
        program = tree / "usr/local/bin/uvicorn"
        program.parent.mkdir()
        program.write_text(_UVICORN)
        program.chmod(0o755)
        layer = write_layer(tree, folder / "layer")
        shutil.rmtree(tree)
        return f"{layer.size >> 20} MiB"

    key = digest(base.key, LOCK, Path(__file__))
    return Layer.stored_in(kept("agent-requirements", key, make) / "layer")


def wheels() -> Path:
    """A folder with a wheel of each requirement, for installing without an index."""

    def make(folder: Path) -> str:
        machine = platform.machine()
        folder.mkdir()
        # Without conditions: pip judges them by the Python that it runs on, not by the image's.
        lock = folder / "requirements.txt"
        lock.write_text(_CONDITION.sub("", LOCK.read_text()))
        _run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--only-binary=:all:", "--require-hashes", f"--python-version={_VERSION}"),
                *(f"--platform=manylinux_2_{minor}_{machine}" for minor in (28, 17)),
                *(f"--platform=manylinux2014_{machine}", f"--dest={folder}"),
                f"--requirement={lock}",
            ]
        )
        lock.unlink()
        return f"{len(list(folder.iterdir()))} wheels"

    return kept("agent-wheels", digest(LOCK, Path(__file__)), make)


def _install(packages: Path) -> None:
    _run(
        [
            *(str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet"),
            *(f"--python={sys.executable}", f"--python-version={_VERSION}"),
            f"--python-platform={platform.machine()}-unknown-linux-gnu",
            *("--only-binary=:all:", "--require-hashes", "--link-mode=copy"),
            *(f"--target={packages}", f"--requirement={LOCK}"),
        ]
    )
    shutil.rmtree(packages / "bin")  # programs of this machine's Python
    (packages / ".lock").unlink(missing_ok=True)


def _run(command: Sequence[str]) -> None:
    # As scripts/venv.sh: the system's certificates, and an index that is set for pip.
    environment = {
        "UV_SYSTEM_CERTS": "true",
        "UV_CACHE_DIR": str(CACHE.parent / "uv"),
        **os.environ,
    }
    if "PIP_INDEX_URL" in environment:
        environment.setdefault("UV_DEFAULT_INDEX", environment["PIP_INDEX_URL"])
    finished = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if finished.returncode != 0:
        raise ImageError(
            f"images: {Path(command[0]).name} ended with {finished.returncode}:\n"
            f"{finished.stdout[-1000:]}"
        )
