# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo agent with defects of its own, each a source to be deployed."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.component.agent_site import AGENT_SOURCE


def broken(folder: Path) -> Path:
    """The agent's source with a defect that shows when it is imported."""
    source = folder / "broken"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(AGENT_SOURCE, source)
    with (source / "src" / "main.py").open("a") as main:
        main.write("\nraise RuntimeError('the price list is missing')\n")
    return source


def refusing(folder: Path, path: str) -> Path:
    """The agent's source, which always says on this path that it is unhealthy."""
    source = folder / "refusing"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(AGENT_SOURCE, source)
    with (source / "src" / "main.py").open("a") as main:
        main.write(f"""

@app.middleware("http")
async def refuse(request, call_next):
    if request.url.path == {path!r}:
        return JSONResponse({{"status": "unhealthy"}}, status_code=503)
    return await call_next(request)
""")
    return source


def falling(folder: Path, port: int, after_s: float) -> Path:
    """The agent's source, whose replica on this port is unhealthy from some time after its start."""
    source = folder / "falling"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(AGENT_SOURCE, source)
    with (source / "src" / "main.py").open("a") as main:
        main.write(f"""

import os

begun = time.monotonic()


@app.middleware("http")
async def fall(request, call_next):
    is_the_one = os.environ["COST_AGENT_REPLICA"].endswith("-{port}")
    if is_the_one and "health" in request.url.path and time.monotonic() - begun > {after_s}:
        return JSONResponse({{"status": "unhealthy"}}, status_code=503)
    return await call_next(request)
""")
    return source
