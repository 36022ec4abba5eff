# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks of backup and restore, as an operator, a survey and a timer run them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import psycopg2
import pytest

from demo.stack import Stack
from demo.stack.stack import Addresses
from tests.component.agent_site import AGENT_SOURCE, Site
from tests.component.backup_place import backup_variables, s3_keys, secret
from tests.component.playbook_run import Run

DATABASE = "cost_agent"
TABLES = """
    SET ROLE cost_agent;
    CREATE TABLE accounts (id int PRIMARY KEY, name text);
    INSERT INTO accounts SELECT i, 'Team ' || i FROM generate_series(1, 100) AS i
"""
# Lets in whoever is not the agent.
REFUSE_THE_AGENT = """
    CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        IF current_setting('application_name') LIKE 'cost-agent %' THEN
            RAISE EXCEPTION 'no agent here';
        END IF;
    END $$;
    CREATE EVENT TRIGGER refuse ON login EXECUTE FUNCTION refuse();
    ALTER EVENT TRIGGER refuse ENABLE ALWAYS
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Iterator[Addresses]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    try:
        yield stack.up()
    finally:
        stack.down(purge=True)


class BackupSite(Site):
    """A site whose playbooks find the repository, below a prefix of its own."""

    def __init__(self, folder: Path, stack: Addresses, more: dict[str, Any] | None = None) -> None:
        self.stack, self.prefix = stack, folder.name
        variables = {**backup_variables(stack, self.prefix), **(more or {})}
        super().__init__(folder, stack, variables)

    def run(self, playbook: str, variables: dict[str, Any] | None = None, *options: str) -> Run:
        """Run it with extra variables; the result says when it did not end with 0."""
        extra = ["-e", json.dumps(variables)] if variables else []
        return self.play(playbook, *extra, *options, **s3_keys(self.stack))

    def done(self, playbook: str, variables: dict[str, Any] | None = None, *options: str) -> Run:
        run = self.run(playbook, variables, *options)
        assert run.code == 0, run.output
        return run

    def sql(self, statement: str, database: str = DATABASE) -> list[tuple[Any, ...]]:
        server = self.stack["postgres"]
        connection = psycopg2.connect(
            host=server["host"],
            port=server["port"],
            user=server["superuser"],
            password=secret(server["superuser_password_file"]),
            dbname=database,
        )
        connection.autocommit = True
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def create(self, database: str, contents: str = TABLES) -> str:
        """A database of the agent's role."""
        self.sql(f'CREATE DATABASE "{database}" OWNER "{self.stack["postgres"]["user"]}"')
        self.sql(contents, database)
        return database

    def objects(self) -> dict[str, bytes]:
        """Everything that the site's repository holds."""
        s3 = self.stack["s3"]
        client = boto3.client(
            "s3",
            endpoint_url=s3["endpoint_url"],
            region_name=s3["region"],
            aws_access_key_id=secret(s3["access_key_file"]),
            aws_secret_access_key=secret(s3["secret_key_file"]),
        )
        bucket = str(s3["bucket"])
        listed = client.list_objects_v2(Bucket=bucket, Prefix=f"{self.prefix}/").get("Contents", [])
        keys = [each["Key"] for each in listed]
        return {k: client.get_object(Bucket=bucket, Key=k)["Body"].read() for k in keys}


@pytest.fixture
def site(tmp_path, stack) -> Iterator[BackupSite]:
    """A site with a database of its own, named as the test's folder."""
    database = tmp_path.name
    site = BackupSite(tmp_path, stack, {"cost_agent_database_name": database})
    site.database = site.create(database)
    try:
        yield site
    finally:
        site.close()


def results_of(run: Run, action: str) -> list[dict[str, Any]]:
    name = f"optiinfra.cost_agent.{action}"
    results = [r["result"] for r in run.results if r["action"] == name]
    return [result for result in results if not result.get("skipped")]


def failure(run: Run) -> dict[str, Any]:
    assert run.code == 2, run.output
    return next(r["result"] for r in run.results if r["status"] == "failed")


def hook(folder: Path, name: str, text: str) -> str:
    """A file of tasks that leaves a line behind."""
    path = folder / f"{name}.yml"
    task = {
        "name": f"Note {name}",
        "ansible.builtin.copy": {"dest": str(folder / name), "content": text, "mode": "0600"},
    }
    path.write_text(json.dumps([task]))
    return str(path)


def test_check_mode_tells_and_stores_nothing(site):
    run = site.done("backup", None, "--check", "--diff")
    assert run.changed == ["Backup"]
    assert site.objects() == {}
    assert sorted(p.name for p in site.folder.iterdir()) == ["inventory.yml", "results.jsonl"]


def test_a_young_enough_backup_is_enough(site):
    site.done("backup")
    again = site.done("backup", {"cost_agent_backup_max_age": "1h"})
    assert again.changed == []
    assert site.done("backup").changed == ["Backup"]


def test_hosts_that_share_a_database_share_its_backup(site):
    other = site.create(f"{site.database}_2")
    inventory = json.loads(site.inventory.read_text())
    [variables] = inventory["all"]["children"]["cost_agent"]["hosts"].values()
    hosts = dict.fromkeys(("a", "b"), variables)
    hosts["c"] = {**variables, "cost_agent_database_name": other}
    inventory["all"]["children"]["cost_agent"]["hosts"] = hosts
    site.inventory.write_text(json.dumps(inventory))
    made = results_of(site.done("backup"), "postgres_backup")
    assert sorted(each["state"]["database"] for each in made) == [site.database, other]
    assert len(results_of(site.done("drill"), "postgres_drill")) == 2
    assert "2 databases" in " ".join(failure(site.run("restore"))["msg"].split())


def test_hooks_run_around_a_backup(site):
    outcome = "cost_agent_backup_outcome"
    after = f"{{{{ {outcome} is failed }}}} {{{{ {outcome}.reason | default('') }}}}"
    hooks = {
        "cost_agent_backup_before": hook(site.folder, "before", "begun"),
        "cost_agent_backup_after": hook(site.folder, "after", after),
    }
    site.done("backup", hooks)
    assert (site.folder / "before").read_text() == "begun"
    assert (site.folder / "after").read_text() == "False "


@pytest.mark.parametrize(
    ("playbook", "role", "wrong", "outcome"),
    [
        ("backup", "backup", {"cost_agent_database_name": "none"}, "True precondition"),
        ("backup", "backup", {"cost_agent_backup_before": "/none.yml"}, "True not begun"),
        ("restore", "restore", {"cost_agent_restore_backup": "latest"}, "True precondition"),
    ],
    ids=["backup fails", "hook before fails", "restore fails"],
)
def test_the_hook_after_runs_after_a_failure(site, playbook, role, wrong, outcome):
    result = f"cost_agent_{role}_outcome"
    text = f"{{{{ {result} is failed }}}} {{{{ {result}.reason | default('not begun') }}}}"
    run = site.run(
        playbook, {f"cost_agent_{role}_after": hook(site.folder, "after", text), **wrong}
    )
    assert run.code == 2, run.output
    assert (site.folder / "after").read_text() == outcome


@pytest.mark.parametrize("confirm", ["", "another"])
@pytest.mark.parametrize("what", ["swap", "undo"])
def test_nothing_in_place_without_its_name(site, what, confirm):
    wanted = {
        f"cost_agent_restore_{what}": True,
        "cost_agent_restore_confirm": confirm,
        "cost_agent_health_timeout_s": 1,
    }
    failed = failure(site.run("restore", wanted))
    assert failed["reason"] == "precondition"
    assert f"confirm: {site.database}" in failed["msg"]


def test_a_restore_leaves_the_database_in_use_alone(site):
    site.done("backup")
    site.sql("DROP TABLE accounts", site.database)
    check = site.done("restore", None, "--check", "--diff")
    assert check.changed == ["Restore"]
    restored = site.done("restore", {"cost_agent_restore_target": f"{site.database}_new"})
    assert restored.result_of("postgres_restore")["state"]["rows"] == 100
    assert site.sql("SELECT count(*) FROM accounts", f"{site.database}_new") == [(100,)]
    assert site.sql("SELECT to_regclass('accounts')", site.database) == [(None,)]


def test_a_drill_proves_the_newest_backup_and_the_list_says_so(site):
    site.done("backup")
    checks = [{"name": "teams", "query": "SELECT count(*) FROM accounts", "expect": "100"}]
    site.done("drill", {"cost_agent_drill_checks": checks, "cost_agent_drill_max_age": "1h"})
    listed = site.done("backups").result_of("postgres_backup_info")["state"]
    assert listed["count"] == 1
    assert listed["newest_good"]["drill"] == "ok"
    assert [name for (name,) in site.sql("SELECT datname FROM pg_database")].count("drill") == 0
    wrong = [{**checks[0], "expect": "101"}]
    failed = failure(site.run("drill", {"cost_agent_drill_checks": wrong}))
    assert failed["reason"] == "integrity"


def test_prune_keeps_what_the_rules_keep(site):
    for _turn in range(3):
        site.done("backup")
    site.done("verify")
    rules = {
        "cost_agent_backup_keep_last": 2,
        "cost_agent_backup_keep_daily": 0,
        "cost_agent_backup_keep_weekly": 0,
        "cost_agent_backup_keep_monthly": 0,
    }
    check = site.done("prune", rules, "--check", "--diff")
    assert check.changed == ["Prune"]
    count = site.done("backups").result_of("postgres_backup_info")["state"]["count"]
    assert count == 3
    assert site.done("prune", rules).changed == ["Prune"]
    assert site.done("prune", rules).changed == []
    assert site.done("backups").result_of("postgres_backup_info")["state"]["count"] == 2


@pytest.mark.parametrize("playbook", ["backup", "backups", "verify", "restore", "drill", "prune"])
def test_a_run_that_reaches_no_host_fails(site, playbook):
    run = site.run(playbook, None, "--limit", "nobody")
    assert run.code != 0
    assert not results_of(run, "postgres_backup")


@pytest.mark.slow
def test_a_survey_gives_the_same_runs(site):
    """AWX sends every answer as a string, and an unanswered question as an empty one."""
    inventory = json.loads(site.inventory.read_text())
    [variables] = inventory["all"]["children"]["cost_agent"]["hosts"].values()
    answers = {
        "cost_agent_repository_s3": json.dumps(variables["cost_agent_repository_s3"]),
        "cost_agent_database_port": str(variables["cost_agent_database_port"]),
        "cost_agent_database_sslmode": "",
        "cost_agent_backup_jobs": "3",
        "cost_agent_backup_compression_level": "2",
        "cost_agent_backup_max_age": "",
        "cost_agent_backup_exclude_tables": "",
        "cost_agent_backup_recipients": "[]",
        "cost_agent_backup_rate_limit_mb_s": "50",
        "cost_agent_backup_timeout_s": "60",
        "cost_agent_backup_keep_last": "1",
        "cost_agent_backup_keep_yearly": "",
        "cost_agent_restore_swap": "false",
        "cost_agent_restore_undo": "",
        "cost_agent_restore_analyze": "no",
        "cost_agent_restore_restart": "",
        "cost_agent_restore_undo_on_failure": "",
        "cost_agent_restore_timeout_s": "60",
        "cost_agent_drill_checks": "",
        "cost_agent_drill_amcheck": "yes",
        "cost_agent_drill_max_duration_s": "60",
    }
    for playbook in ("backup", "restore", "drill", "verify", "prune", "backups"):
        site.done(playbook, answers)


def test_no_secret_is_left_anywhere(site):
    password = secret(site.stack["postgres"]["password_file"])
    keys = s3_keys(site.stack)
    identity = {
        "cost_agent_database_password": password,
        "cost_agent_database_password_file": "",
        "cost_agent_repository_s3": {
            "endpoint_url": site.stack["s3"]["endpoint_url"],
            "region": site.stack["s3"]["region"],
            "access_key": keys["AWS_ACCESS_KEY_ID"],
            "secret_key": keys["AWS_SECRET_ACCESS_KEY"],
        },
        "cost_agent_backup_textfile": str(site.folder / "backup.prom"),
    }
    # By file: an argument list is everybody's to read, and -vvv prints it.
    given = site.folder / "secrets.json"
    given.write_text(json.dumps(identity))
    secrets = [password, keys["AWS_SECRET_ACCESS_KEY"]]
    printed = ""
    for playbook in ("backup", "verify", "restore", "drill", "backups", "prune"):
        run = site.play(playbook, "-e", f"@{given}", "-vvv", "--diff")
        assert run.code == 0, run.output
        printed += run.output + json.dumps(run.results)
    given.unlink()
    kept = [path.read_bytes() for path in site.folder.rglob("*") if path.is_file()]
    stored = list(site.objects().values())
    assert kept
    assert stored
    for each in (printed.encode(), *kept, *stored):
        for planted in secrets:
            assert planted.encode() not in each


@pytest.fixture
def serving(tmp_path, stack) -> Iterator[BackupSite]:
    """A site whose agent serves from the database of its own schema."""
    site = BackupSite(tmp_path, stack)
    try:
        deployed = site.deploy("1.4.1", AGENT_SOURCE)
        assert deployed.code == 0, deployed.output
        yield site
    finally:
        site.play("stop", "-e", "cost_agent_stop_grace_s=5")
        site.close()


def test_a_restore_in_place_brings_back_what_was_lost_or_what_was_there(serving):
    site = serving
    site.done("backup")
    site.sql("DROP TABLE cost.recommendations")
    in_place = {"cost_agent_restore_swap": "true", "cost_agent_restore_confirm": DATABASE}

    restored = site.done("restore", in_place)
    assert restored.result_of("health_info")["state"]["verdict"] == "healthy"
    assert restored.result_of("postgres_restore")["state"]["swap"]["downtime_s"] > 0
    assert site.sql("SELECT count(*) FROM cost.recommendations") == [(60,)]

    undone = {"cost_agent_restore_undo": "true", "cost_agent_restore_confirm": DATABASE}
    site.done("restore", undone)
    assert site.sql("SELECT to_regclass('cost.recommendations')") == [(None,)]

    # What it does not work with is taken out again.
    site.create("broken", REFUSE_THE_AGENT)
    limits = {"cost_agent_health_wait_s": 2, "cost_agent_timeout_s": 8}
    run = site.run("restore", {**in_place, **limits, "cost_agent_restore_swap_from": "broken"})
    assert run.code == 2, run.output
    assert "The old database is back and the agent is healthy" in " ".join(run.output.split())
    assert site.sql("SELECT count(*) FROM pg_event_trigger") == [(0,)]
