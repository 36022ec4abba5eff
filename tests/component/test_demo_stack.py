# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded stack: real servers come up, survive kill -9, and leave nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import boto3
import psycopg2
import pytest
import redis

from demo.stack import COMPONENTS, Stack, StackError
from demo.stack.processes import Identity, found_in
from tests.component.operations import start
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("postgres", "initdb", "unshare", "redis-server", "weed")


def left_running(home: Path) -> list[str]:
    """Command lines of processes that name the home or stand in it."""
    marks = {str(home), str(home.resolve()), str((home / "postgres").resolve())}
    lines = [f"pid {identity.pid}" for identity in found_in(home.resolve(), PROGRAMS)]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if any(mark in line for mark in marks) and int(path.parent.name) != os.getpid():
            lines.append(line)
    return lines


def command(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "demo" / "stack", *words, "--home", home],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd="/",
    )


def start_up(only: str, home: Path) -> subprocess.Popen[str]:
    """`up` in the background."""
    command = [sys.executable, str(ROOT / "demo" / "stack"), "up", "--only", only]
    return start([*command, "--home", str(home)], stdout=subprocess.PIPE)


def connect(stack: Stack) -> psycopg2.extensions.connection:
    address = json.loads(stack.file.read_text())["postgres"]
    return psycopg2.connect(
        host=address["host"],
        port=address["port"],
        user=address["user"],
        dbname=address["database"],
        password=Path(address["password_file"]).read_text().strip(),
        connect_timeout=5,
    )


def redis_client(stack: Stack) -> redis.Redis:
    address = json.loads(stack.file.read_text())["redis"]
    password = Path(address["password_file"]).read_text().strip()
    return redis.Redis(host=address["host"], port=address["port"], password=password)


def s3_client(stack: Stack):
    address = json.loads(stack.file.read_text())["s3"]
    return boto3.client(
        "s3",
        endpoint_url=address["endpoint_url"],
        aws_access_key_id=Path(address["access_key_file"]).read_text().strip(),
        aws_secret_access_key=Path(address["secret_key_file"]).read_text().strip(),
        region_name=address["region"],
    )


def pids(stack: Stack) -> dict[str, int | None]:
    return {row.component: row.pid for row in stack.status()}


def states(stack: Stack) -> dict[str, str]:
    return {row.component: row.state for row in stack.status()}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All three servers; a test may kill them, and brings them up again."""
    stack = Stack(tmp_path_factory.mktemp("stack") / "home with space")
    stack.up()
    yield stack
    stack.down(purge=True)
    assert left_running(stack.home) == []
    assert not stack.home.exists()


@pytest.fixture
def database_stack(tmp_path: Path) -> Iterator[Stack]:
    """A home of its own for tests that use PostgreSQL or Redis only; nothing is started."""
    stack = Stack(tmp_path / "home")
    yield stack
    stack.down(purge=True)
    assert left_running(stack.home) == []


def test_every_server_does_its_work(stack: Stack) -> None:
    with connect(stack) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_user, pg_get_userbyid(datdba) FROM pg_database "
                       "WHERE datname = current_database()")  # fmt: skip
        assert cursor.fetchone() == ("cost_agent", "cost_agent")
    connection.close()
    assert redis_client(stack).ping()
    s3_client(stack).put_object(Bucket="optiinfra-backups", Key="hello", Body=b"world")


def test_secrets_are_private_and_in_no_argument_list(stack: Stack) -> None:
    secrets = list((stack.home / "secrets").iterdir())
    assert len(secrets) == 5
    for path in [*secrets, stack.file]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    values = [path.read_bytes().strip() for path in secrets]
    for pid in pids(stack).values():
        process = Path(f"/proc/{pid}")
        shown = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        assert not any(value in shown for value in values)


def test_servers_listen_on_loopback_only(stack: Stack) -> None:
    inodes = set()
    for pid in pids(stack).values():
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                inodes.add(os.readlink(descriptor).removeprefix("socket:[").removesuffix("]"))
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    listening = {row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes}
    assert listening == {"0100007F"}


def test_second_up_changes_nothing(stack: Stack) -> None:
    before, written = pids(stack), stack.file.stat().st_mtime_ns
    stack.up()
    assert pids(stack) == before
    assert stack.file.stat().st_mtime_ns == written


@pytest.mark.parametrize("component", COMPONENTS)
def test_killed_server_comes_back_with_its_data(stack: Stack, component: str) -> None:
    s3_client(stack).put_object(Bucket="optiinfra-backups", Key="kept", Body=b"yes")
    with connect(stack) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS kept (word text)")
    connection.close()
    before = pids(stack)
    os.kill(before[component], signal.SIGKILL)
    eventually(lambda: states(stack)[component] == "down")
    stack.up()
    after = pids(stack)
    assert {name for name in COMPONENTS if before[name] != after[name]} == {component}
    stored = s3_client(stack).get_object(Bucket="optiinfra-backups", Key="kept")
    assert stored["Body"].read() == b"yes"
    with connect(stack) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM kept")
    connection.close()


@pytest.mark.parametrize("component", ["postgres", "redis"])
def test_hanging_server_is_seen_and_replaced(stack: Stack, component: str) -> None:
    before = pids(stack)[component]
    os.kill(before, signal.SIGSTOP)
    assert states(stack)[component] == "silent"
    stack.up()
    assert states(stack)[component] == "up"
    assert pids(stack)[component] != before


def test_status_shows_a_table_and_exits_with_0_or_3(stack: Stack, tmp_path: Path) -> None:
    result = command("status", home=stack.home)
    assert result.returncode == 0, result.stdout + result.stderr
    header, *rows = result.stdout.splitlines()
    assert header.split() == ["component", "address", "pid", "state"]
    assert [row.split()[0] for row in rows] == list(COMPONENTS)
    assert all(row.split()[-1] == "up" and len(row) <= 80 for row in rows)
    assert command("status", home=tmp_path / "none").returncode == 3


@pytest.mark.parametrize(
    ("component", "moment"),
    [
        ("postgres", "postgres/data.partial"),
        ("postgres", "run/postgres.json"),
        ("redis", "run/redis.json"),
        ("s3", "run/s3.json"),
    ],
)
def test_interrupted_up_is_cleaned_up_by_down(
    database_stack: Stack, component: str, moment: str
) -> None:
    home = database_stack.home
    up = start_up(component, home)
    eventually((home / moment).exists)
    up.kill()
    up.communicate()
    database_stack.down()
    assert left_running(home) == []


def test_server_without_a_record_is_stopped(database_stack: Stack) -> None:
    """As after a kill between starting the server and writing its record."""
    database_stack.up(["postgres", "redis"])
    for component in ("postgres", "redis"):
        (database_stack.home / "run" / f"{component}.json").unlink()
    database_stack.down()
    assert left_running(database_stack.home) == []


def test_killed_database_leaves_no_shared_memory(database_stack: Stack) -> None:
    database_stack.up(["postgres"])
    lock_file = database_stack.home / "postgres" / "data" / "postmaster.pid"
    key, identifier = lock_file.read_text().splitlines()[6].split()
    os.kill(pids(database_stack)["postgres"], signal.SIGKILL)
    database_stack.down()
    segments = [line.split()[:2] for line in Path("/proc/sysvipc/shm").read_text().splitlines()]
    assert [key, identifier] not in segments
    assert not lock_file.exists()


def test_interrupted_up_is_completed_by_the_next_up(database_stack: Stack) -> None:
    up = start_up("postgres", database_stack.home)
    eventually((database_stack.home / "postgres" / "data.partial").exists)
    up.kill()
    up.communicate()
    database_stack.up(["postgres"])
    connect(database_stack).close()


def test_two_ups_at_once_start_one_stack(database_stack: Stack) -> None:
    both = [start_up("redis", database_stack.home) for _each in range(2)]
    outputs = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted("already up" in output for output in outputs) == [False, True]


def test_stranger_with_a_recorded_pid_is_not_signalled(database_stack: Stack) -> None:
    database_stack.up(["redis"])
    database_stack.down()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        identity = Identity.of(stranger.pid)
        record = asdict(identity) | {"start_ticks": identity.start_ticks - 1}
        (database_stack.home / "run" / "redis.json").write_text(json.dumps(record))
        database_stack.down()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_stranger_with_a_shell_in_the_home_is_not_signalled(database_stack: Stack) -> None:
    database_stack.up(["redis"])
    stranger = subprocess.Popen(["sleep", "60"], cwd=database_stack.home / "redis")
    try:
        database_stack.down()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_port_is_kept_when_free_and_replaced_when_taken(database_stack: Stack) -> None:
    first = database_stack.up(["redis"])["redis"]["port"]
    database_stack.down()
    assert not database_stack.file.exists()
    assert database_stack.up(["redis"])["redis"]["port"] == first
    database_stack.down()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", first))
        taken.listen()
        assert database_stack.up(["redis"])["redis"]["port"] != first
    assert redis_client(database_stack).ping()


def test_server_that_cannot_start_shows_the_end_of_its_log(database_stack: Stack) -> None:
    database_stack.up(["postgres"])
    database_stack.down()
    (database_stack.home / "postgres/data/global/pg_control").unlink()
    with pytest.raises(StackError, match=r"(?s)postgres: ended while.*not find the database"):
        database_stack.up(["postgres"])


def test_unknown_component_is_refused(database_stack: Stack) -> None:
    with pytest.raises(StackError, match="unknown component mysql"):
        database_stack.up(["mysql"])
    result = command("up", "--only", "mysql", home=database_stack.home)
    assert result.returncode == 2
    assert "postgres,redis,s3" in result.stderr


def test_foreign_folder_is_neither_filled_nor_purged(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "precious").touch()
    for action in (["up"], ["down", "--purge"]):
        result = command(*action, home=tmp_path)
        assert result.returncode == 1
        assert "holds other things" in result.stderr.replace("\n", " ")
    assert [path.name for path in tmp_path.rglob("*")] == ["log", "precious"]


@pytest.mark.root("makes a folder of another user")
def test_root_below_a_folder_closed_to_it(tmp_path: Path) -> None:
    """In a user namespace root may not enter another user's 0700 folder."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    os.chown(closed, 65534, 65534)
    stack = Stack(closed / "home")
    try:
        stack.up(["postgres"])
        connect(stack).close()
        private = (stack.home / "postgres").resolve()
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
    finally:
        stack.down(purge=True)
    assert left_running(private) == []
    assert not private.exists()
    shutil.rmtree(closed)
