# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd as its own programs tell of it and change it; run from argument lists."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import OperationError, Reason

# What systemd itself makes on the machines that it runs: sd_booted(3).
_RUNS_HERE = Path("/run/systemd/system")
# A job of systemd ends by its own time limits; this one is for a systemd that hangs.
_LONGEST_CALL_S = 90.0
_PROPERTIES = (
    *("Id", "LoadState", "ActiveState", "SubState", "Result", "UnitFileState", "NeedDaemonReload"),
    *("MainPID", "NRestarts", "ExecMainStartTimestampMonotonic", "ExecMainCode"),
    *("ExecMainStatus", "ActiveEnterTimestampMonotonic", "MemoryMax", "InvocationID"),
)


@dataclass(frozen=True)
class Unit:
    """One unit as systemd has it.

    Times are microseconds of the machine's monotonic clock: `started_us` of a service's process,
    `active_us` of the unit. `exit_code` is 1 for a process that exited by itself, 2 and 3 for one
    that a signal ended (siginfo's CLD_ codes); `exit_status` is then the number of either.
    `invocation` is systemd's id of the last run of it, `restarts` counts its own new starts.
    """

    name: str
    load_state: str = "not-found"
    active_state: str = "inactive"
    sub_state: str = "dead"
    result: str = "success"
    is_enabled: bool = False
    needs_reload: bool = False
    main_pid: int = 0
    restarts: int = 0
    started_us: int = 0
    active_us: int = 0
    exit_code: int = 0
    exit_status: int = 0
    memory_max: int | None = None
    invocation: str = ""

    @property
    def is_active(self) -> bool:
        return self.active_state in ("active", "reloading")

    @property
    def is_running(self) -> bool:
        """Whether a service has its process, which may be on its way up or down."""
        return self.main_pid != 0

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing of it runs, and systemd is not about to change that by itself."""
        return self.active_state in ("inactive", "failed")


def require_systemd(wanted: str) -> None:
    """Raise `precondition` where something else than systemd is the first process."""
    if _RUNS_HERE.is_dir():
        return
    try:
        first = Path("/proc/1/comm").read_text(encoding="utf-8").strip()
    except OSError:
        first = "unknown"
    raise OperationError(
        Reason.PRECONDITION,
        wanted,
        f"systemd does not run this machine: its first process is {first}",
        "Give a machine that systemd runs, or another platform, such as process",
    )


def require_root(wanted: str) -> None:
    """Raise `precondition` for a user who may not change units."""
    if os.geteuid() != 0:
        raise OperationError(
            Reason.PRECONDITION,
            wanted,
            "units of the system are changed by root only",
            "Run this as root: set become",
        )


def show(names: Iterable[str], wanted: str) -> dict[str, Unit]:
    """The units of these names, and those loaded that a pattern among them fits, in one call."""
    given = list(names)
    if not given:
        return {}
    output = run(["show", f"--property={','.join(_PROPERTIES)}", "--", *given], wanted)
    units = (parse(block) for block in output.split("\n\n") if block.strip())
    return {unit.name: unit for unit in units}


def parse(block: str) -> Unit:
    """A unit from the `Property=value` lines of `systemctl show`."""
    values = dict(line.partition("=")[::2] for line in block.splitlines())
    limit = values.get("MemoryMax", "")
    return Unit(
        name=values["Id"],
        load_state=values["LoadState"],
        active_state=values["ActiveState"],
        sub_state=values["SubState"],
        result=values.get("Result", "success"),
        is_enabled=values.get("UnitFileState") == "enabled",
        needs_reload=values.get("NeedDaemonReload") == "yes",
        main_pid=_number(values, "MainPID"),
        restarts=_number(values, "NRestarts"),
        started_us=_number(values, "ExecMainStartTimestampMonotonic"),
        active_us=_number(values, "ActiveEnterTimestampMonotonic"),
        exit_code=_number(values, "ExecMainCode"),
        exit_status=_number(values, "ExecMainStatus"),
        memory_max=int(limit) if limit.isdigit() else None,
        invocation=values.get("InvocationID", ""),
    )


def _number(values: Mapping[str, str], name: str) -> int:
    text = values.get(name, "")
    return int(text) if text.isdigit() else 0


def templates_digest(agent: str) -> str:
    """The content's digest of an agent's unit templates and their drop-ins; same where none are."""
    ended = _ended(
        ["systemctl", "cat", "--", f"{agent}@.service", f"{agent}@.socket"], "read units"
    )
    return hashlib.sha256(ended.stdout).hexdigest()


def run(arguments: Sequence[str], wanted: str) -> str:
    """What `systemctl` prints; raises `failed_state` with what it complains of."""
    ended = _ended(["systemctl", *arguments], wanted)
    if ended.returncode != 0:
        raise OperationError(
            Reason.FAILED_STATE,
            wanted,
            f"systemctl {arguments[0]} ended with {ended.returncode}: {_last_words(ended.stderr)}",
            "See systemctl status of the unit",
        )
    return ended.stdout.decode("utf-8", "replace")


def attempt(arguments: Sequence[str], wanted: str) -> str:
    """Run `systemctl` where a refusal is no failure yet; what it complained of, or no text."""
    ended = _ended(["systemctl", *arguments], wanted)
    return _last_words(ended.stderr) if ended.returncode != 0 else ""


def _ended(command: list[str], wanted: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            timeout=_LONGEST_CALL_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise OperationError(
            Reason.MISSING_PROGRAM, wanted, f"there is no {command[0]}", "Install systemd"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise OperationError(
            Reason.TIMEOUT,
            wanted,
            f"{' '.join(command[:2])} had not ended after {_LONGEST_CALL_S:g} s",
            "See systemctl list-jobs for what systemd waits for",
        ) from error


def _last_words(errors: bytes) -> str:
    lines = [line.strip() for line in errors.decode("utf-8", "replace").splitlines()]
    words = [line for line in lines if line and not line.startswith(("See ", "Hint:"))]
    return words[-1].rstrip(".") if words else "it said nothing"
