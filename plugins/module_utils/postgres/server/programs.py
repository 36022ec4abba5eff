# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's own programs: which of the installed ones fits the server."""

from __future__ import annotations

import glob
import os
import re
import subprocess
from dataclasses import dataclass

from ...core.errors import OperationError, Reason

# Debian and Ubuntu, Red Hat and PGDG, SUSE, Homebrew, EnterpriseDB.
_USUAL_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/lib/postgresql*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/pgsql/bin",
    "/opt/PostgreSQL/*/bin",
)
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)\S*")


@dataclass(frozen=True)
class Program:
    """An installed program; `version` as it says it, such as "17.4"."""

    path: str
    version: str
    major: int

    def beside(self, name: str) -> Program:
        """Another one of the same installation, which has the same version.

        Raises `missing_program`.
        """
        folder = os.path.dirname(self.path)
        if not _candidates(name, folder):
            raise OperationError(
                Reason.MISSING_PROGRAM,
                f"find a {name} for PostgreSQL {self.major}",
                f"{folder} has a {os.path.basename(self.path)} but no {name}",
                f"Install all client programs of PostgreSQL {self.major}, or name in bin_dir a"
                " folder that has them",
            )
        return Program(os.path.join(folder, name), self.version, self.major)


def find_program(name: str, server_version: int, bin_dir: str | None) -> Program:
    """The installed `pg_dump`, `pg_restore` or `psql` closest above the server's major version.

    Looks into `bin_dir` alone where it is given, else on PATH and in the usual folders.
    `server_version` is PostgreSQL's number, such as 170004. An older pg_dump refuses a newer
    server ("pg_dump cannot dump from PostgreSQL servers newer than its own major version").
    Raises `missing_program`, naming both versions.
    """
    wanted_major = server_version // 10000
    found = [program for program in map(_ask, _candidates(name, bin_dir)) if program is not None]
    fitting = [program for program in found if program.major >= wanted_major]
    if fitting:
        return min(fitting, key=lambda program: program.major)
    where = bin_dir or "PATH and the usual folders"
    seen = (
        f"the newest in {where} is {max(found, key=lambda each: each.major).version}"
        if found
        else f"there is none in {where}"
    )
    raise OperationError(
        Reason.MISSING_PROGRAM,
        f"find a {name} for PostgreSQL {wanted_major}",
        seen,
        f"Install the client programs of PostgreSQL {wanted_major} or newer, or name their folder"
        " in bin_dir",
    )


def _candidates(name: str, bin_dir: str | None) -> list[str]:
    if bin_dir is not None:
        folders = [bin_dir]
    else:
        folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
        folders += [folder for pattern in _USUAL_FOLDERS for folder in sorted(glob.glob(pattern))]
    paths = [os.path.join(folder, name) for folder in folders if folder]
    existing = [path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)]
    return list(dict.fromkeys(existing))


def _ask(path: str) -> Program | None:
    try:
        said = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = _VERSION.search(said)
    if version is None:
        return None
    return Program(path, version.group(0).partition(" ")[2], int(version.group(1)))
