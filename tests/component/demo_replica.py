# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A replica of the demo agent, started with the guide's own command, for tests to talk to."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.stack import Addresses
from demo.stack.ports import free_ports
from tests.waiting import LIMIT_S

SOURCE = Path(__file__).resolve().parents[2] / "demo" / "agent"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Replica:
    """One replica under test."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def request(
        self, method: str, path: str, body: Any = None, timeout_s: float = LIMIT_S
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, timeout_s: float = LIMIT_S) -> Answer:
        return self.request("GET", path, timeout_s=timeout_s)

    def ready_status(self) -> int | None:
        """Status of the readiness endpoint; None when nothing listens."""
        try:
            return self.get("/api/v1/ready").status
        except ConnectionError:
            return None

    def memory_mb(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def environment(addresses: Addresses, **extra: str) -> dict[str, str]:
    database, cache = addresses["postgres"], addresses["redis"]
    return {
        "PATH": os.defpath,
        "DATABASE_URL": "postgresql://{user}@{host}:{port}/{database}".format(**database),
        "DATABASE_PASSWORD_FILE": str(database["password_file"]),
        "REDIS_URL": "redis://{host}:{port}/0".format(**cache),
        "REDIS_PASSWORD_FILE": str(cache["password_file"]),
        "COST_AGENT_FAULTS": "1",
        "DRAIN_SECONDS": "0",
        "RELEASE_ID": "9.9.9",
        **extra,
    }


@contextmanager
def running(variables: dict[str, str], log: Path) -> Iterator[Replica]:
    """The agent as the guide starts it, on a free port; killed at the end if it still runs."""
    [port] = free_ports(1)
    command = [sys.executable, "-m", "uvicorn", "src.main:app", "--host", "127.0.0.1"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port)], cwd=SOURCE, env=variables, stdout=output, stderr=output
        )
    replica = Replica(process, port, log)
    try:
        yield replica
    finally:
        process.terminate()
        try:
            process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
