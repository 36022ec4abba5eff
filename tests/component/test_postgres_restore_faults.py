# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with a restore: the database in use stays, and nothing half restored does."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.manifest import (
    Extension,
)

from demo.stack.stack import Stack
from tests.component.fault_proxy import FaultProxy, Hang, ResetRequest, ResetResponse, Respond
from tests.component.operations import Running, run_operation
from tests.component.restore_site import BIN_DIR, RestoreSite, good, refused
from tests.waiting import eventually

LARGE = "large"
ROWS = 15000
# 48 MB that compress badly, one large table with indexes and some small ones.
CONTENTS = f"""
CREATE TABLE noise AS SELECT i, (SELECT string_agg(md5(i::text || j), '')
    FROM generate_series(1, 100) j) AS text FROM generate_series(1, {ROWS}) i;
CREATE INDEX ON noise (i);
CREATE INDEX ON noise (md5(text));
CREATE TABLE small AS SELECT 1 AS x;
"""


class Server:
    """The stack, of which one test stops a part."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self.site = RestoreSite(stack.up(only=["postgres", "s3"]), folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    stack = Stack(tmp_path_factory.mktemp("faults"))
    try:
        yield Server(stack, tmp_path_factory.mktemp("repository"))
    finally:
        stack.down(purge=True)


@pytest.fixture
def site(server) -> RestoreSite:
    return server.site


@pytest.fixture(scope="module")
def large_id(server) -> str:
    server.site.make(LARGE, CONTENTS)
    return server.site.backup(LARGE)


@pytest.fixture
def large(site, large_id) -> Iterator[str]:
    """The id of the backup, in a repository that a test may damage."""
    kept = {path: path.read_bytes() for path in site.folder.rglob("*") if path.is_file()}
    yield large_id
    for path in site.folder.rglob("*"):
        if path.is_file() and path not in kept:
            path.unlink()
    for path, data in kept.items():
        path.write_bytes(data)
    for name in site.databases(f"{LARGE}_"):
        site.drop(name)


def nothing_is_left(site: RestoreSite) -> None:
    """The database in use has everything, and there is no other one, process or lock."""
    assert site.databases(LARGE) == [LARGE]
    assert site.ask(LARGE, "SELECT count(*) FROM noise") == ROWS
    assert site.locks() == []
    assert restore_processes(site) == []


def restore_processes(site: RestoreSite) -> list[int]:
    """The pg_restore processes that work on this test's server, the leader first."""
    port = f"PGPORT={site.login()['port']}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            ours = port in (folder / "environ").read_bytes().split(b"\0")
            if command[0] == f"{BIN_DIR}/pg_restore".encode() and ours:
                found.append(int(folder.name))
        except OSError:
            continue
    return sorted(found)


def restoring(site: RestoreSite, statement: str = "COPY%", **options: Any) -> Running:
    """A restore in a process of its own that has come so far."""
    seen = "SELECT 1 FROM pg_stat_activity WHERE datname LIKE 'large\\_restore%%' AND query LIKE %s"
    for _turn in range(TURNS):
        running = site.start_restore(LARGE, **options)
        with site.session() as cursor:
            while running.process.poll() is None:
                cursor.execute(seen, [statement])
                if cursor.fetchone() is not None:
                    return running
        # It was done before we were given the processor to look.
        good(running.result())
        drop_restored(site)
    raise AssertionError(f"no restore was seen at {statement}")


def killed(site: RestoreSite, statement: str) -> None:
    """What a restore leaves whose controller is killed when it has come so far."""
    for _turn in range(TURNS):
        running = restoring(site, statement)
        running.kill()
        eventually(lambda: not restore_processes(site))
        if running.process.returncode == -signal.SIGKILL:
            return
        drop_restored(site)
    raise AssertionError(f"every restore was over before it was killed at {statement}")


def drop_restored(site: RestoreSite) -> None:
    for name in site.databases(f"{LARGE}_restore_"):
        site.drop(name)


# --- a damaged repository ---------------------------------------------------------------------


@pytest.mark.parametrize("which", [0, -1], ids=["large object", "shared object"])
@pytest.mark.parametrize("place", [0.02, 0.5, 1.0], ids=["beginning", "middle", "end"])
def test_one_wrong_byte_fails_the_restore_and_names_the_object(site, large, which, place):
    path = site.objects(LARGE, large)[which]
    data = bytearray(path.read_bytes())
    data[int((len(data) - 1) * place)] ^= 1
    path.write_bytes(data)
    outcome = refused(site.restore(LARGE), "integrity", path.name, large)
    assert outcome["state"]["object"].endswith(path.name)
    nothing_is_left(site)


def test_a_swapped_in_object_of_the_same_size_is_noticed(site, large):
    """A valid frame without the rows: only the SHA-256 tells, and only at the end."""
    path = site.objects(LARGE, large)[0]
    size = path.stat().st_size
    skippable = b"\x50\x2a\x4d\x18"
    fake = skippable + (size - 8).to_bytes(4, "little") + bytes(size - 8)
    path.write_bytes(fake)
    refused(site.restore(LARGE), "integrity", path.name)
    nothing_is_left(site)


def test_a_missing_or_a_cut_object_is_noticed_before_anything_is_created(site, large):
    path = site.objects(LARGE, large)[0]
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    refused(site.restore(LARGE, check=True), "integrity", path.name, f"of {len(data)} bytes")
    path.unlink()
    refused(site.restore(LARGE, check=True), "integrity", path.name, "not there")
    refused(site.restore(LARGE), "integrity", path.name, "not there")
    nothing_is_left(site)


def test_a_manifest_that_is_cut_off_or_newer_is_told(site, large):
    path = site.manifest_path(LARGE, large)
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    refused(site.restore(LARGE, backup=large), "integrity", "manifest")
    path.write_bytes(data.replace(b'"schema_version":1', b'"schema_version":2'))
    refused(site.restore(LARGE, backup=large), "precondition", "schema version 2")
    nothing_is_left(site)


def test_other_rows_than_the_backup_had_are_shown_in_a_table(site, large):
    tables = site.manifest(LARGE, large).tables
    wrong = [each.__class__(**{**vars(each), "rows": each.rows + 5}) for each in tables]
    site.change_manifest(LARGE, large, tables=wrong)
    outcome = refused(site.restore(LARGE), "integrity", "2 tables", "public.noise")
    assert outcome["tables"][0]["rows"] == [
        ["public.noise", str(ROWS + 5), str(ROWS)],
        ["public.small", "6", "1"],
    ]
    nothing_is_left(site)


# --- a server that cannot take it -------------------------------------------------------------


def test_what_the_server_lacks_is_told_before_anything_is_created(site, large):
    manifest = site.manifest(LARGE, large)
    for changes, reason, words in [
        ({"server_version": 990001}, "precondition", ("PostgreSQL 99", "PostgreSQL 17")),
        ({"extensions": [Extension("timetravel", "1")]}, "precondition", ("timetravel",)),
        ({"pg_dump_version": "99.1"}, "missing_program", ("pg_restore", "99", "17.")),
    ]:
        site.change_manifest(LARGE, large, **changes)
        refused(site.restore(LARGE, check=True), reason, *words)
        refused(site.restore(LARGE), reason, *words)
        site.change_manifest(LARGE, large, **{name: getattr(manifest, name) for name in changes})
    refused(site.restore(LARGE, bin_dir="/nonexistent"), "missing_program", "PostgreSQL 17")
    nothing_is_left(site)


def test_too_little_disk_is_told_unless_not_wanted(site, large):
    file = site.manifest(LARGE, large).roles
    site.change_manifest(LARGE, large, roles=file.__class__(**{**vars(file), "raw_size": 10**16}))
    for check in (True, False):
        refused(site.restore(LARGE, check=check), "budget", "free", "check_disk: false")
    refused(site.restore(LARGE, check_disk=False), "integrity", "roles.sql")
    nothing_is_left(site)


# --- ends in the middle -----------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("statement", ["COPY%", "CREATE INDEX%"])
def test_a_signal_ends_it_cleanly(site, large, number, statement):
    running = restoring(site, statement)
    os.kill(running.pid, number)
    assert running.result()["reason"] == "cancelled"
    nothing_is_left(site)


@pytest.mark.parametrize("which", [0, -1], ids=["leader", "worker"])
def test_a_killed_pg_restore_fails_it(site, large, which):
    for _turn in range(TURNS):
        running = restoring(site, "CREATE INDEX%")
        with contextlib.suppress(IndexError, ProcessLookupError):  # it was done already
            os.kill(restore_processes(site)[which], signal.SIGKILL)
            break
        good(running.result())
        drop_restored(site)
    refused(running.result(), "failed_state")
    nothing_is_left(site)


def test_an_ended_session_of_the_server_fails_it(site, large):
    running = restoring(site)
    with site.session() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname LIKE 'large\\_restore%' AND query LIKE 'COPY%'"
        )
    refused(running.result(), "unreachable", "log")
    nothing_is_left(site)


# Where a moment is over sooner than it is seen, on a busy machine.
TURNS = 20
STAGES = ["%set_config%", "COPY%", "CREATE INDEX%", "ANALYZE%"]


@pytest.mark.parametrize("statement", STAGES)
def test_what_a_killed_controller_leaves_the_next_run_removes(site, large, statement):
    killed(site, statement)
    (left,) = site.databases(f"{LARGE}_restore_")
    assert site.ask(LARGE, "SELECT count(*) FROM noise") == ROWS
    outcome = good(site.restore(LARGE, swap=True, confirm=LARGE))
    assert outcome["actions"][0] == f"dropped {left}, which a killed run left"
    assert len(site.databases(LARGE)) == 2
    assert site.ask(LARGE, "SELECT count(*) FROM noise") == ROWS
    assert site.locks() == []


def test_a_server_that_stops_halfway_fails_it_and_the_next_run_clears_up(server, large):
    site = server.site
    running = restoring(site)
    with site.session() as cursor:
        cursor.execute("SHOW data_directory")
        (directory,) = cursor.fetchone()
    postmaster = int(Path(directory, "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGQUIT)
    try:
        refused(running.result(), "unreachable", "log")
        assert restore_processes(site) == []
    finally:
        site.stack.update(server.stack.up(only=["postgres", "s3"]))
    (left,) = site.databases(f"{LARGE}_restore_")
    outcome = good(site.restore(LARGE))
    assert outcome["actions"][0] == f"dropped {left}, which a killed run left"


def test_a_deadline_ends_it_with_what_it_was_at(site, large):
    outcome = refused(site.restore(LARGE, timeout_s=0.5), "timeout", "timeout_s")
    assert outcome["state"]["phase"]
    nothing_is_left(site)


def test_of_two_at_once_the_second_names_the_first(site, large):
    running = restoring(site)
    refused(site.restore(LARGE), "locked", f"pid {running.pid}", "restore of large")
    os.kill(running.pid, signal.SIGTERM)
    running.result()
    nothing_is_left(site)


# --- a store that fails -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def in_s3(server, large_id) -> dict[str, Any]:
    """Options for the same backup in S3."""
    from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.postgres_backup import (
        POSTGRES_BACKUP,
    )

    s3 = server.site.stack["s3"]
    names = ("access_key", "secret_key")
    secrets = {name: Path(str(s3[f"{name}_file"])).read_text().strip() for name in names}
    settings = {"endpoint_url": s3["endpoint_url"], "region": s3["region"], **secrets}
    place = {"repository": f"s3://{s3['bucket']}/faults", "s3": settings}
    good(run_operation(POSTGRES_BACKUP, **{**server.site.options(LARGE, {}), **place}))
    return place


FAULTS = [
    ("500", Respond(500, "InternalError"), "unreachable"),
    ("slow down", Respond(503, "SlowDown"), "unreachable"),
    ("hanging", Hang(), "timeout"),
    ("wrong credentials", Respond(403, "InvalidAccessKeyId"), "auth"),
    ("reset", ResetRequest(0), "unreachable"),
]


@pytest.mark.parametrize(
    ("fault", "reason"), [each[1:] for each in FAULTS], ids=[each[0] for each in FAULTS]
)
def test_a_store_that_fails_in_the_middle_fails_it(site, large, in_s3, fault, reason):
    with FaultProxy(str(in_s3["s3"]["endpoint_url"])) as proxy:
        changes = {"endpoint_url": proxy.url, "max_attempts": 2, "read_timeout_s": 2}
        place = {**in_s3, "s3": {**in_s3["s3"], **changes}}
        proxy.inject(fault, method="GET", containing=".dat.zst", times=None)
        refused(site.restore(LARGE, **place), reason)
    nothing_is_left(site)


@pytest.mark.parametrize("fault", [ResetResponse(5_000_000), Respond(503, "SlowDown")])
def test_one_lost_answer_of_the_store_is_asked_for_again(site, large, in_s3, fault):
    with FaultProxy(str(in_s3["s3"]["endpoint_url"])) as proxy:
        place = {**in_s3, "s3": {**in_s3["s3"], "endpoint_url": proxy.url}}
        met = proxy.inject(fault, method="GET", containing=".dat.zst")
        good(site.restore(LARGE, **place))
        assert met.hits == 1


# --- what it needs ----------------------------------------------------------------------------


def test_a_value_of_150_mb_passes_in_bounded_memory(site, large):
    """Peak memory of the controller's own process, and of pg_restore's processes."""
    site.make("wide", "CREATE TABLE t AS SELECT repeat(md5('x'), 4687500) AS text")
    try:
        site.backup("wide")
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        running = site.start_restore("wide")
        good(running.result(120))
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        assert peak == before or peak < 130 * 1024
        (name,) = site.databases("wide_restore")
        assert site.ask(name, "SELECT length(text) FROM t") == 150_000_000
    finally:
        for name in site.databases("wide"):
            site.drop(name)
