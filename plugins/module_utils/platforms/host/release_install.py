# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installing one release: source, venv, proof that the app is in it, and the record last."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.context import Context
from ...core.deadline import Deadline
from ...core.errors import OperationError, Reason
from .layout import MARKER, Layout
from .program import Programs
from .release_source import ReleaseSource
from .releases import Releases, file_failure
from .venv import (
    Interpreter,
    Packages,
    build_venv,
    check_tools,
    find_app,
    find_interpreter,
    find_uv,
    installer_environment,
)

_DEFAULT_REQUIREMENTS = "requirements.txt"


@dataclass(frozen=True)
class Preparation:
    """Everything that installing a release needs, checked before anything is written."""

    release: str
    source: ReleaseSource
    module: str
    requirements: str | None
    wheelhouse: Path | None
    index_url: str | None
    interpreter: Interpreter
    uv: str | None


def prepare(params: dict[str, Any], source: ReleaseSource, layout: Layout) -> Preparation:
    """Check what can be checked without writing; the same in check mode.

    Raises `precondition`, `invalid_input`, `missing_program` or `missing_library`.
    """
    module = app_module(params["app"])
    if not source.has_module(module):
        raise OperationError(
            Reason.PRECONDITION,
            f"find the app's module {module} in {source.path}",
            "it holds no such module",
            "Correct app or source: a release holds its app",
        )
    requirements = _requirements(params["requirements"], source)
    wheelhouse = _wheelhouse(params["wheelhouse"])
    _check_writable(layout.home)
    interpreter = find_interpreter(params["python"] or sys.executable)
    uv = find_uv()
    check_tools(interpreter, uv, packages=source.wheel is not None or requirements is not None)
    return Preparation(
        release=params["release"],
        source=source,
        module=module,
        requirements=requirements,
        wheelhouse=wheelhouse,
        index_url=params["index_url"],
        interpreter=interpreter,
        uv=uv,
    )


def install(
    what: Preparation, layout: Layout, releases: Releases, deadline: Deadline, context: Context
) -> float:
    """Install the release and return the seconds that its venv took.

    On any failure nothing is left of it. Raises `timeout`, `failed_state` with the installer's
    last lines, `precondition` for a release without the app or a full disk, `integrity`.
    """
    folder = layout.release(what.release)
    wanted = f"install release {what.release}"
    try:
        if os.path.lexists(folder):  # a killed run's, or it would be a release
            releases.remove(folder)
        folder.mkdir(parents=True)
        started = {"id": what.release, "started_at": context.clock.now()}
        (folder / MARKER).write_text(json.dumps(started), encoding="utf-8")
        what.source.unpack(folder)
        programs = Programs(
            wanted=wanted,
            next_step="Correct what the last lines in log_tail name, then run this again",
            folder=folder,
            environment=installer_environment(what.index_url),
            deadline=deadline,
            context=context,
        )
        seconds = _build(what, folder, programs, context)
        releases.complete(what.release, what.source.digest, context.clock.now())
    except OSError as error:
        _discard(folder, releases)
        raise file_failure(wanted, error) from error
    except BaseException:
        _discard(folder, releases)
        raise
    return seconds


def app_module(app: str) -> str:
    """The module in `src.main:app`; `invalid_input` for what names none."""
    module, _colon, attribute = app.partition(":")
    attribute = attribute[:-2] if attribute.endswith("()") else attribute  # a factory
    if all(part.isidentifier() for part in [*module.split("."), *attribute.split(".")]):
        return module
    raise OperationError(
        Reason.INVALID_INPUT,
        f"read app {app!r}",
        "it is not of the form module:attribute",
        "Give it as uvicorn takes it, for example src.main:app",
    )


def _build(what: Preparation, folder: Path, programs: Programs, context: Context) -> float:
    packages = Packages(wheelhouse=what.wheelhouse, index_url=what.index_url)
    if what.source.wheel is not None:
        packages = dataclasses.replace(packages, wheel=folder / what.source.wheel)
    elif what.requirements is not None:
        packages = dataclasses.replace(packages, requirements=folder / what.requirements)
    venv = folder / "venv"
    started = context.clock.monotonic()
    build_venv(venv, what.interpreter, what.uv, packages, programs)
    seconds = context.clock.monotonic() - started
    find_app(venv, what.module, programs)
    return seconds


def _discard(folder: Path, releases: Releases) -> None:
    with contextlib.suppress(OSError):  # the failure itself is what must be told
        releases.remove(folder)


def _requirements(name: str, source: ReleaseSource) -> str | None:
    """The requirements file in the source, or None: only the default one may be missing."""
    if source.wheel is not None:
        return None
    if source.has_file(name):
        return name
    if name == _DEFAULT_REQUIREMENTS:
        return None
    raise OperationError(
        Reason.PRECONDITION,
        f"find the requirements file {name}",
        f"{source.path} holds no such file",
        "Correct requirements: it is a path relative to the source",
    )


def _wheelhouse(given: str | None) -> Path | None:
    if given is None:
        return None
    folder = Path(given).absolute()
    if os.path.isdir(folder):  # Path.is_dir raises for a name that is too long
        return folder
    raise OperationError(
        Reason.PRECONDITION,
        f"install from the wheelhouse {folder}",
        "it is not a folder on the target",
        "Copy the wheels to the target first, or correct wheelhouse",
    )


def _check_writable(home: Path) -> None:
    """Raise `precondition` unless this user can write the home folder or make it."""
    there = home
    while not there.exists() and there != there.parent:
        there = there.parent
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return
    raise OperationError(
        Reason.PRECONDITION,
        f"use {home} as the agent's home",
        f"{there} is not a folder that this user can write",
        "Correct home, or its owner and mode",
    )
