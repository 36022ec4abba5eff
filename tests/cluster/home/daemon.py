# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One long-running program of the cluster, with what demo/stack gives every server.

That is: a record of exactly this process, a log, a restart when it does not answer, and the
leftovers of a killed `up` found by their working folder.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from demo.stack.processes import StopStep
from demo.stack.server import Server
from tests.cluster.home.network import enter_prefix


class Daemon(Server):
    port_names = ()
    main_port = ""
    kept_ports = ()
    stop_steps = (StopStep(signal.SIGTERM, 10.0), StopStep(signal.SIGKILL, 60.0))
    # Two cores, shared with a build or another test run.
    start_timeout_s = 600.0

    def __init__(
        self,
        home: Path,
        program: Path,
        arguments: Callable[[], dict[str, object]],
        answers: Callable[[], bool],
        *,
        namespace: str,
        first_on_path: Path | None = None,
    ) -> None:
        """`home` holds the program's folder and log; `arguments` become flags when it starts.

        It runs in the network namespace `namespace`; programs that it calls are looked for in
        `first_on_path` before all other places.
        """
        self.name = program.name
        self.programs = frozenset({program.name})
        self._program = program
        self._arguments = arguments
        self._answers = answers
        self._namespace = namespace
        self._first_on_path = first_on_path
        super().__init__(home)

    def prepare(self) -> None:
        for folder in (self.folder, self.log.parent, self._record.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def configure(self, ports: dict[str, int]) -> Sequence[str]:
        flags = [f"--{name}={_word(value)}" for name, value in self._arguments().items()]
        return [*enter_prefix(self._namespace), str(self._program), *flags]

    def environment(self) -> dict[str, str]:
        # iptables, mount and runc are in /usr/sbin.
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        if self._first_on_path is not None:
            path = f"{self._first_on_path}:{path}"
        # A fifth of the API server's time was the collection of what these programs allocate.
        return {**super().environment(), "PATH": path, "GOGC": "400"}

    def answers(self) -> bool:
        return self._answers()

    def address(self) -> dict[str, str | int]:
        return {}

    def clean_up(self) -> None:
        """What a program leaves behind beside processes is its owner's matter."""


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
