# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest lines of a service's log, from the journal."""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, NamedTuple, cast

from ...core.errors import OperationError, Reason

_LONGEST_LINE = 16 * 1024
# How much is ever held, whatever the number of lines asked for.
_MOST_CHARACTERS = 16 * 1024 * 1024


class Line(NamedTuple):
    """What a service printed, and systemd's id of that run of it; empty where it tells none."""

    text: str
    run: str


def newest_lines(service: str, lines: int, since: float | None = None) -> list[Line]:
    """What the service's processes printed last, oldest first, none older than `since` (epoch s).

    Without what systemd says of the service. Raises `precondition` for a user who may not read
    the journal.
    """
    fields = "MESSAGE,_SYSTEMD_INVOCATION_ID"
    command = ["--output=json", f"--output-fields={fields}", f"--lines={lines}"]
    if since is not None:
        command.append(f"--since=@{math.floor(since)}")
    with _journalctl(
        [*command, f"_SYSTEMD_UNIT={service}"], f"read the log of {service}"
    ) as entries:
        return newest_of(entries, since)


def without_run(lines: Sequence[Line], run: str) -> list[Line]:
    """Without the lines of this run of the service; all of them where there are no others."""
    return [line for line in lines if line.run != run] or list(lines)


def newest_of(entries: Iterable[bytes], since: float | None) -> list[Line]:
    """The messages of journal entries in JSON, a line each; the oldest give way beyond 16 MiB."""
    kept: deque[Line] = deque()
    size = 0
    for entry in entries:
        fields = json.loads(entry)
        if since is not None and int(fields["__REALTIME_TIMESTAMP"]) < since * 1e6:
            continue
        text = _text(fields.get("MESSAGE"))
        kept.append(Line(text, str(fields.get("_SYSTEMD_INVOCATION_ID", ""))))
        size += len(text)
        while size > _MOST_CHARACTERS:
            size -= len(kept.popleft().text)
    return list(kept)


def services_with_a_log() -> list[str]:
    """The names of all services that the journal has lines of."""
    with _journalctl(["--field=_SYSTEMD_UNIT"], "list the logs") as names:
        return [name.decode("utf-8", "replace").strip() for name in names]


def write_out() -> None:
    """Have everything in the journal that was printed before this call, as far as we may."""
    subprocess.run(
        ["journalctl", "--sync"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )


def _text(message: Any) -> str:
    """A message: text, a list of bytes where it is not all printable, or null where it is huge."""
    if isinstance(message, list):
        message = bytes(message).decode("utf-8", "replace")
    if not isinstance(message, str):
        return "[cut]"
    return message if len(message) <= _LONGEST_LINE else f"{message[:_LONGEST_LINE]} [cut]"


@contextlib.contextmanager
def _journalctl(arguments: list[str], wanted: str) -> Iterator[IO[bytes]]:
    """Its output, which is read line by line; its failure is told at the end."""
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                ["journalctl", "--quiet", "--no-pager", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "LC_ALL": "C"},
            )
        except FileNotFoundError as error:
            raise OperationError(
                Reason.MISSING_PROGRAM, wanted, "there is no journalctl", "Install systemd"
            ) from error
        with process:
            yield cast(IO[bytes], process.stdout)
        if process.returncode != 0:
            errors.seek(0)
            words = errors.read(4096).decode("utf-8", "replace").strip().splitlines()
            raise OperationError(
                Reason.PRECONDITION,
                wanted,
                f"journalctl ended with {process.returncode}: {words[-1] if words else 'no words'}",
                "Run this as root, or as a member of the group systemd-journal",
            )
