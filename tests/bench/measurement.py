# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What running a program costs: time, CPU on every side, memory, and disk while it ran."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO

_TICK = os.sysconf("SC_CLK_TCK")
_INTERVAL_S = 0.05
# The kernel walks a process's pages for its PSS; ten times a second costs a core 3 %.
_MEMORY_EVERY = 4
_BLOCK = 512  # st_blocks, stat(2)


@dataclass(frozen=True)
class Cost:
    """Seconds, and megabytes (10**6 bytes) at their peak.

    `client_s`, `server_s` and `s3_s` are CPU times: of the program with all that it started, of
    PostgreSQL, of the S3 server. `disk_mb` is what was allocated below the watched folder.
    `pss_mb` counts memory that processes share once, `rss_mb` as often as it is shared.
    """

    wall_s: float = 0.0
    client_s: float = 0.0
    server_s: float = 0.0
    s3_s: float = 0.0
    disk_mb: float = 0.0
    pss_mb: float = 0.0
    rss_mb: float = 0.0

    def then(self, other: Cost) -> Cost:
        """One after the other: times add up, peaks are the higher one's."""
        return Cost(
            **{
                f.name: (sum if f.name.endswith("_s") else max)(
                    (getattr(self, f.name), getattr(other, f.name))
                )
                for f in fields(self)
            }
        )


def median(costs: Iterable[Cost]) -> Cost:
    """The median of each column by itself."""
    costs = list(costs)
    return Cost(
        **{f.name: statistics.median(getattr(c, f.name) for c in costs) for f in fields(Cost)}
    )


class Meter:
    """Runs programs and tells what they cost, with two servers watched from outside."""

    def __init__(self, folder: Path, server: Callable[[], int], s3: Callable[[], int]) -> None:
        """`folder` is watched for disk; the callables give the pid of either server's first
        process."""
        self.folder = folder
        self._server, self._s3 = server, s3

    def run(
        self,
        command: list[str],
        environment: dict[str, str],
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
    ) -> Cost:
        """Run to the end in the watched folder; CommandFailed when it does not end with 0."""
        before = cpu_s(self._server()), cpu_s(self._s3())
        with open(self.folder.with_suffix(".log"), "w+b") as log:
            started = time.perf_counter()
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=stdin or subprocess.DEVNULL,
                stdout=stdout or log,
                stderr=log,
            )
            peaks = _Peaks(process.pid, self.folder)
            _pid, status, usage = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            peaks.stop()
            if process.returncode:
                log.seek(0)
                said = log.read(2000).decode(errors="replace")
                raise SystemExit(f"{command[0]} ended with {process.returncode}:\n{said}")
        return Cost(
            wall_s,
            usage.ru_utime + usage.ru_stime,
            cpu_s(self._server()) - before[0],
            cpu_s(self._s3()) - before[1],
            peaks.disk / 1e6,
            peaks.pss / 1e6,
            peaks.rss / 1e6,
        )


class _Peaks:
    """Looks at a process with its descendants, and at a folder, until it is told to stop."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.disk = self.pss = self.rss = 0
        self._pid, self._folder = pid, folder
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        turn = 0
        while not self._over.wait(_INTERVAL_S):
            self.disk = max(self.disk, allocated(self._folder))
            if turn % _MEMORY_EVERY == 0:
                pss, rss = memory(family(self._pid))
                self.pss, self.rss = max(self.pss, pss), max(self.rss, rss)
            turn += 1


def family(pid: int) -> list[int]:
    """A process and all its descendants that are there now."""
    found, queue = [], [pid]
    while queue:
        found.append(queue.pop())
        threads = Path(f"/proc/{found[-1]}/task")
        with contextlib.suppress(OSError):  # it has ended
            for thread in list(threads.iterdir()):
                with contextlib.suppress(OSError):
                    queue += map(int, (thread / "children").read_text().split())
    return found


def memory(pids: Iterable[int]) -> tuple[int, int]:
    """Bytes of PSS and RSS of these processes together."""
    pss = rss = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:  # it has ended
            continue
        for line in text.splitlines():
            if line.startswith("Pss:"):
                pss += int(line.split()[1]) * 1024
            elif line.startswith("Rss:"):
                rss += int(line.split()[1]) * 1024
    return pss, rss


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, of its ended children, and of the ones that run."""
    ticks = 0
    for member in family(pid):
        try:
            stat = Path(f"/proc/{member}/stat").read_text()
        except OSError:
            continue
        ticks += sum(map(int, stat.rpartition(")")[2].split()[11:15]))
    return ticks / _TICK


def allocated(folder: Path) -> int:
    """Bytes that the files below a folder really occupy."""
    total, queue = 0, [str(folder)]
    while queue:
        try:
            entries = list(os.scandir(queue.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    queue.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
            except OSError:
                continue
    return total
