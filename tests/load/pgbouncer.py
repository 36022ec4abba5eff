# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PgBouncer in front of the stack's PostgreSQL, as a site with many replicas has it."""

from __future__ import annotations

import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.stack import Addresses
from demo.stack.account import Account, choose_account
from demo.stack.ports import LOOPBACK
from demo.stack.private_files import write_private
from demo.stack.processes import StopStep
from demo.stack.server import Server

PROGRAM = Path("/usr/sbin/pgbouncer")
STATS_USER = "stats"
STATS_PASSWORD = "stats-words"


class PgBouncer(Server):
    """One pooler as a context manager; it refuses root, as PostgreSQL does."""

    name = "pgbouncer"
    programs = frozenset({"pgbouncer", "unshare"})
    port_names = ("pgbouncer",)
    main_port = "pgbouncer"
    kept_ports = ("pgbouncer",)
    # At SIGTERM version 1.18 ends at once; SIGINT would wait for its clients.
    stop_steps = (StopStep(signal.SIGTERM, 5.0), StopStep(signal.SIGKILL, 5.0))

    def __init__(self, home: Path, stack: Addresses, settings: Mapping[str, object]) -> None:
        """`settings` are lines of its section [pgbouncer]."""
        super().__init__(home)
        self._postgres = stack["postgres"]
        self._settings = settings
        self._account = Account()

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.down()

    def prepare(self) -> None:
        for folder in (self.folder, self.log.parent, self._record.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._account = choose_account(self.folder, PROGRAM)
        assert self._account.user is None, "an account that reaches no folder of ours"

    def configure(self, ports: dict[str, int]) -> Sequence[str]:
        server = self._postgres
        password = Path(str(server["password_file"])).read_text().strip()
        settings: dict[str, object] = {
            "listen_addr": LOOPBACK,
            "listen_port": ports["pgbouncer"],
            "unix_socket_dir": "",
            "auth_type": "plain",
            "auth_file": self.folder / "users.txt",
            "stats_users": STATS_USER,
            "ignore_startup_parameters": "options,extra_float_digits",
            **self._settings,
        }
        lines = [f"{name} = {value}" for name, value in settings.items()]
        where = f"host={server['host']} port={server['port']}"
        write_private(
            self.folder / "pgbouncer.ini",
            f"[databases]\n{server['database']} = {where}\n[pgbouncer]\n" + "\n".join(lines),
        )
        users = {str(server["user"]): password, STATS_USER: STATS_PASSWORD}
        text = "".join(f'"{user}" "{secret}"\n' for user, secret in users.items())
        write_private(self.folder / "users.txt", text)
        return [*self._account.prefix, str(PROGRAM), str(self.folder / "pgbouncer.ini")]

    def answers(self) -> bool:
        try:
            socket.create_connection((LOOPBACK, self.ports["pgbouncer"]), timeout=1.0).close()
        except OSError:
            return False
        return True

    def clean_up(self) -> None:
        """A killed PgBouncer leaves nothing."""

    def address(self) -> dict[str, str | int]:
        return {"host": LOOPBACK, "port": self.ports["pgbouncer"]}
