# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release's own virtual environment, built in place because venvs do not move.

With uv where it is found, otherwise with the interpreter's own venv and pip. Measured for
fastapi, uvicorn and sqlalchemy with warm caches: 0.9 s against 11.3 s.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import OperationError, Reason
from .program import Programs

_PROBE_TIMEOUT_S = 30
_HASH = re.compile(r"^[^#\n]*--hash[= ]", re.MULTILINE)
# What points Python or an installer somewhere else than the venv that is being built.
_MISLEADING = {
    *("PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "VIRTUAL_ENV"),
    *("PIP_TARGET", "PIP_PREFIX", "PIP_USER"),
}
_UV_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL")

_FACTS = """
import importlib.util, json, sys
found = {name: importlib.util.find_spec(name) is not None for name in ("venv", "ensurepip")}
print(json.dumps({"version": "%d.%d.%d" % sys.version_info[:3], **found}))
"""
_FIND_APP = """
import importlib.util, sys
name = sys.argv[1]
try:
    spec = importlib.util.find_spec(name)
except ModuleNotFoundError as error:
    sys.exit(str(error))
if spec is None:
    sys.exit("No module named %r" % name)
"""


@dataclass(frozen=True)
class Packages:
    """What is installed and from where; nothing when there is no `wheel` and no `requirements`.

    `wheelhouse` is a folder of wheels that replaces every index. `index_url` may hold a
    password, so it only ever goes into the environment.
    """

    wheel: Path | None = None
    requirements: Path | None = None
    wheelhouse: Path | None = None
    index_url: str | None = None

    def arguments(self) -> list[str]:
        """The installer's arguments; empty when there is nothing to install."""
        if self.wheel is not None:
            what = [str(self.wheel)]
        elif self.requirements is not None:
            what = ["--requirement", str(self.requirements)]
            if _HASH.search(self.requirements.read_text(encoding="utf-8", errors="replace")):
                what.append("--require-hashes")
        else:
            return []
        if self.wheelhouse is not None:
            what += ["--no-index", "--find-links", str(self.wheelhouse)]
        return what


@dataclass(frozen=True)
class Interpreter:
    """A Python that runs on this machine, and the parts of it that distributions split off."""

    path: str
    version: str
    has_venv: bool
    has_ensurepip: bool


def find_interpreter(name: str) -> Interpreter:
    """The interpreter at this path or of this name on PATH; `missing_program` if it won't run.

    It is run once: a pyenv shim exists for versions that it then refuses to run.
    """
    path = shutil.which(name)
    seen = "it is not there, or not executable"
    if path is not None:
        code, output = _probe([path, "-I", "-c", _FACTS])
        if code == 0:
            facts = json.loads(output)
            return Interpreter(path, facts["version"], facts["venv"], facts["ensurepip"])
        seen = f"it does not run: {output}"
    raise OperationError(
        Reason.MISSING_PROGRAM,
        f"run the Python interpreter {name}",
        seen,
        "Install it on the target, or name another with python",
    )


def find_uv() -> str | None:
    """A uv that works, beside the running interpreter or on PATH, or None."""
    beside = os.path.dirname(sys.executable)
    path = shutil.which("uv", path=os.pathsep.join([beside, os.environ.get("PATH", "")]))
    return path if path is not None and _probe([path, "--version"])[0] == 0 else None


def check_tools(interpreter: Interpreter, uv: str | None, packages: bool) -> None:
    """Raise `missing_library` when this interpreter cannot make a venv, before anything is."""
    missing = None
    if uv is None and not interpreter.has_venv:
        missing = "venv"
    elif uv is None and packages and not interpreter.has_ensurepip:
        missing = "ensurepip"
    if missing:
        minor = ".".join(interpreter.version.split(".")[:2])
        raise OperationError(
            Reason.MISSING_LIBRARY,
            f"make a virtual environment with {interpreter.path}",
            f"its module {missing} is not installed, and there is no uv",
            f"Install python{minor}-venv (Debian, Ubuntu) or uv on the target",
        )


def build_venv(
    venv: Path, interpreter: Interpreter, uv: str | None, packages: Packages, run: Programs
) -> None:
    """Make the venv and install the packages; the errors are those of `Programs.run`."""
    arguments = packages.arguments()
    python = str(venv / "bin" / "python")
    if uv is not None:
        run.run([uv, "venv", "--no-project", "--python", interpreter.path, str(venv)])
        if arguments:
            run.run([uv, "pip", "install", "--python", python, *arguments])
        return
    bare = [] if arguments else ["--without-pip"]
    run.run([interpreter.path, "-m", "venv", *bare, str(venv)])
    if arguments:
        run.run([python, "-m", "pip", "install", *arguments])


def find_app(venv: Path, module: str, run: Programs) -> None:
    """Ask the venv's interpreter for the app's module, which is found but not run.

    Only the packages around it are imported, as for every import of it. Raises `precondition`.
    """
    asking = dataclasses.replace(
        run,
        wanted=f"find the app's module {module} in the release",
        refusal=Reason.PRECONDITION,
        next_step="Correct app, or build the release with its app in it",
    )
    asking.run([str(venv / "bin" / "python"), "-c", _FIND_APP, module])


def installer_environment(index_url: str | None) -> dict[str, str]:
    """This process's environment, proxies and certificates included, made fit for installing.

    uv reads neither pip's variables nor, unless told, the system's certificates: an index that
    is set for pip is meant for uv too.
    """
    environment = {k: v for k, v in os.environ.items() if k not in _MISLEADING}
    environment.update(
        NO_COLOR="1",
        COLUMNS="1000",  # uv breaks its sentences; an error quotes the last line
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_NO_INPUT="1",
        UV_PYTHON_DOWNLOADS="never",
        UV_NO_PROGRESS="1",
    )
    environment.setdefault("UV_SYSTEM_CERTS", "true")
    if not os.access(os.path.expanduser("~"), os.W_OK) and "UV_CACHE_DIR" not in environment:
        environment["UV_NO_CACHE"] = "1"
    if index_url:
        for name in _UV_INDEXES:
            environment.pop(name, None)
        environment["PIP_INDEX_URL"] = environment["UV_INDEX_URL"] = index_url
    elif "PIP_INDEX_URL" in environment and not any(n in environment for n in _UV_INDEXES):
        environment["UV_INDEX_URL"] = environment["PIP_INDEX_URL"]
    return environment


def _probe(arguments: list[str]) -> tuple[int | None, str]:
    """Exit code and last line printed; a code of None, and why, for what could not be run."""
    try:
        ended = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    lines = ended.stdout.decode("utf-8", "replace").strip().splitlines()
    return ended.returncode, lines[-1] if lines else f"it ended with {ended.returncode}"
