# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of the demo agent: releases that serve, one that crashes and one never ready.

Three layers: Debian with Python, the locked requirements, and the source, which alone differs.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.images.cache import CHECKOUT, digest, kept, scratch, source_files
from tests.images.debian import RootFileSystem
from tests.images.docker_archive import Image, write_archive
from tests.images.layer import Layer, write_layer
from tests.images.requirements import requirements_layer

AGENT_UID = 10001
SOURCE = CHECKOUT / "demo" / "agent" / "src"

_SECOND_NS = 1_000_000_000
_ASK_READINESS = """\
import sys
from urllib import error, request
try:
    request.urlopen("http://127.0.0.1:8001/api/v1/ready", timeout=2)
except error.HTTPError as answer:
    sys.exit(f"{answer.code} {answer.read().decode()}")
except OSError as failure:
    sys.exit(str(failure))
"""


@dataclass(frozen=True)
class Build:
    """One build of a release; `appended` to its main.py makes it misbehave."""

    tag: str
    number: int = 1
    appended: str = ""


RELEASES = (
    Build("1.4.1"),
    Build("1.4.2"),
    Build("crash", appended="raise RuntimeError('release crash cannot read its price list')\n"),
    Build("never-ready", appended="app.state.faults.set(faults.FaultSet(fail_readiness=True))\n"),
)
# The same tag, other content: what a registry with mutable tags gives one day.
REBUILT = (Build("1.4.1", number=2),)


def archives() -> dict[str, Path]:
    """Archives of the agent's images, made where they are not in the cache. Raises ImageError.

    `releases` holds cost-agent:1.4.1, :1.4.2, :crash (ends at start, with the reason in its log)
    and :never-ready (serves, and its readiness always says 503); `rebuilt` holds another build of
    cost-agent:1.4.1.
    """
    base = RootFileSystem("agent-base", [])
    heavy = (base.layer(), requirements_layer(base))
    sources = (SOURCE, *(Path(__file__).with_name(name) for name in ("agent.py", "layer.py")))

    def archive(name: str, builds: tuple[Build, ...]) -> Path:
        def make(path: Path) -> str:
            with scratch() as folder:
                images = [_image(build, heavy, folder / build.tag) for build in builds]
                write_archive(path, images)
            return (
                f"{', '.join(each.reference for each in images)}, {path.stat().st_size >> 20} MiB"
            )

        key = digest(*(layer.diff_id for layer in heavy), *sources)
        return kept(f"agent-{name}", key, make, ".tar")

    return {"releases": archive("releases", RELEASES), "rebuilt": archive("rebuilt", REBUILT)}


def _image(build: Build, heavy: tuple[Layer, ...], folder: Path) -> Image:
    """The image of a build; its source layer is made in `folder`."""
    _write_source(folder / "tree" / "app", build)
    layer = write_layer(folder / "tree", folder / "layer")
    return Image(f"cost-agent:{build.tag}", (*heavy, layer), _config(build))


def _write_source(app: Path, build: Build) -> None:
    for path in source_files(SOURCE):
        copy = app / "src" / path.relative_to(SOURCE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        copy.chmod(0o644)
    with (app / "src/main.py").open("a") as main:
        main.write(build.appended)
    (app / "BUILD").write_text(f"{build.tag} build {build.number}\n")


def _config(build: Build) -> dict[str, Any]:
    return {
        "User": f"{AGENT_UID}:{AGENT_UID}",
        "WorkingDir": "/app",
        "Env": [
            "PATH=/usr/local/bin:/usr/bin:/bin",
            "LC_ALL=C.UTF-8",
            "PYTHONDONTWRITEBYTECODE=1",
            "PYTHONUNBUFFERED=1",
            f"RELEASE_ID={build.tag}",
        ],
        "Cmd": ["uvicorn", "src.main:app", "--host", "0.0.0.0", "--port", "8001"],
        "ExposedPorts": {"8001/tcp": {}},
        "StopSignal": "SIGTERM",
        "Labels": {"org.opencontainers.image.version": build.tag},
        "Healthcheck": {
            # Isolated and without site-packages: half the time of a plain start of Python.
            "Test": ["CMD", "python3", "-I", "-S", "-c", _ASK_READINESS],
            "Interval": _SECOND_NS,  # for tests; 30 s is Docker's default
            "Timeout": 3 * _SECOND_NS,
            "StartPeriod": 30 * _SECOND_NS,
            "Retries": 3,
        },
    }
