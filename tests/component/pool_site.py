# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real agent on the process platform and a real server, to tune the pool of."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.context import Context
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.operation import (
    Operation,
    execute,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.connection_pool_info import (
    CONNECTION_POOL_INFO,
)

from demo.stack import Addresses
from tests.component.agent_site import AGENT_SOURCE, environment
from tests.component.operated_platform import options
from tests.component.process_platform import ProcessPlatform

PLATFORM_OPTIONS = ("platform", "home", "name", "state_store")


class PoolSite(ProcessPlatform):
    """One agent whose releases are the demo's own source, run by this interpreter."""

    def __init__(self, folder: Path, stack: Addresses) -> None:
        super().__init__(folder)
        self.stack = stack
        given = environment(stack)
        self.variables = {k: v for k, v in given.items() if not k.startswith("DB_")}  # the guide's

    def deploy(self, release: str = "1.4.1", source: str = "", **behaviour: Any) -> None:
        """Make the demo agent current as that release; `source` is added to its main.py."""
        folder = self.home / "releases" / release
        shutil.copytree(AGENT_SOURCE / "src", folder / "src", dirs_exist_ok=True)
        with (folder / "src" / "main.py").open("a") as main:
            main.write(source)
        if not (folder / "venv").is_symlink():
            (folder / "venv").symlink_to(sys.prefix)
        record = {"digest": source or release, "installed_at": time.time()}
        (folder / "release.json").write_text(json.dumps(record))
        link = self.home / "current.new"
        link.symlink_to(Path("releases", release))
        link.rename(self.home / "current")

    def start(self, replicas: int = 2, **variables: Any) -> dict[str, Any]:
        wanted = {**self.variables, "DRAIN_SECONDS": 0, **variables}
        return self.agent(replicas=replicas, environment=wanted, timeout_s=60)

    def pool_info(self, check: bool = False, **changes: Any) -> dict[str, Any]:
        return self.operate(CONNECTION_POOL_INFO, check, **changes)

    def operate(self, operation: Operation, check: bool = False, **changes: Any) -> dict[str, Any]:
        """An operation of the tuning area, whose options hold dictionaries with defaults."""
        given = {"platform": self.platform, "home": str(self.home), **changes}
        return execute(operation, options(operation, **given), Context(check_mode=check))

    # --- what a test looks at, and does beside the agent --------------------------------------

    def pool(self, number: int = 0) -> dict[str, Any]:
        """What a replica says of its pool when it is asked from outside."""
        return self.detailed(number)["pool"]

    def detailed(self, number: int = 0) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port + number}/api/v1/health/detailed"
        with urllib.request.urlopen(url, timeout=300) as answer:
            return dict(json.load(answer))

    def tree(self) -> dict[str, str]:
        """Without what every look leaves behind: the agent's logs, and the peak of the others."""
        left = ("/log/", "/state/connections/")
        found = super().tree().items()
        return {path: text for path, text in found if not any(part in path for part in left)}

    def ask_environment(self) -> dict[str, str]:
        """The environment that the first replica was started with, by its process."""
        pid = self.pids()[self.names()[0]]
        text = Path(f"/proc/{pid}/environ").read_text()
        return dict(line.partition("=")[::2] for line in text.split("\0") if line)

    def sql(self, statement: str, superuser: bool = False) -> None:
        with self.session(superuser=superuser) as connection, connection.cursor() as cursor:
            cursor.execute(statement)

    @contextlib.contextmanager
    def session(self, application: str = "a report", superuser: bool = False) -> Iterator[Any]:
        """Somebody else's connection to the agent's server."""
        server = self.stack["postgres"]
        kind = "superuser" if superuser else "user"
        file = server["superuser_password_file" if superuser else "password_file"]
        connection = psycopg2.connect(
            host=server["host"],
            port=server["port"],
            user=server[kind],
            dbname=server["database"],
            password=Path(str(file)).read_text().strip(),
            application_name=application,
        )
        connection.autocommit = True
        with closing(connection):
            yield connection
