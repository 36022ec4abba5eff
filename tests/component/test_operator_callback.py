# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees of a playbook run: in a file, on a terminal, with -v, when it fails."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PLAYBOOKS = Path(__file__).resolve().parent / "operator_callback"
THREE_HOSTS = "web1,web2,web3,"

DEPLOYED = """\
deploy  cost-agent  process, 3 replicas
  preflight          ok        python 3.11, port range 8001-8003 free
  release 1.4.2      changed   from 1.4.1, venv built in 6.1 s
  restart            changed   3 of 3, none below 2 ready
  health             healthy
    indicator    limit      p50      p95   verdict
    api         100 ms   3.1 ms   4.4 ms   healthy
    database     50 ms   0.8 ms   1.2 ms   healthy
    cache        10 ms   0.2 ms   0.3 ms   healthy
    memory        80 %     22 %     22 %   healthy
    cpu           70 %      3 %      9 %   healthy
healthy in # s
"""


def command(playbook: str, *options: str, hosts: str = "localhost,") -> list[str]:
    program = Path(sys.executable).parent / "ansible-playbook"
    python = f"ansible_python_interpreter={sys.executable}"
    path = str(PLAYBOOKS / playbook)
    return [str(program), path, "-i", hosts, "-c", "local", "-e", python, *options]


def environment(scratch: Path, **settings: str) -> dict[str, str]:
    configuration = scratch / "ansible.cfg"
    configuration.touch()
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "COLUMNS"))}
    return inherited | {
        "TERM": "xterm",
        "ANSIBLE_CONFIG": str(configuration),
        "ANSIBLE_HOME": str(scratch / "ansible"),
        "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".venv" / "collections"),
        "ANSIBLE_STDOUT_CALLBACK": "optiinfra.cost_agent.operator",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        **settings,
    }


@pytest.fixture
def play(tmp_path):
    """Run a playbook with its output in a pipe; returns exit code, stdout and stderr."""

    def run(*arguments: str, hosts: str = "localhost,", **settings: str) -> tuple[int, str, str]:
        done = subprocess.run(
            command(*arguments, hosts=hosts),
            env=environment(tmp_path, **settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        output = re.sub(r"^(\w+ in )\d+\.\d(?= s)", r"\1#", done.stdout, flags=re.M)
        return done.returncode, output, done.stderr

    return run


def on_a_terminal(scratch: Path, *arguments: str, **settings: str) -> str:
    """Everything that a playbook run writes to a terminal, escape sequences included."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        command(*arguments),
        env=environment(scratch, **settings),
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    written = b""
    try:
        while chunk := os.read(controller, 65536):
            written += chunk
    except OSError:  # Linux says so when the last writer has closed the terminal
        pass
    os.close(controller)
    assert process.wait(timeout=300) == 0
    return written.decode()


def test_a_run_is_one_line_per_step_with_its_tables_and_a_verdict(play):
    assert play("deploy.yml") == (0, DEPLOYED, "")


def test_check_and_diff_say_what_would_change(play):
    _code, output, _errors = play("deploy.yml", "--check", "--diff")
    assert "3 replicas (check)\n" in output
    assert "venv built in 6.1 s\n    release: 1.4.1 -> 1.4.2\n  restart" in output
    assert output.endswith("\nhealthy in # s (check)\n")


def test_files_hold_no_colour_codes_even_when_colour_is_forced(play, tmp_path):
    log = tmp_path / "log"
    _code, output, _errors = play(
        "deploy.yml", ANSIBLE_FORCE_COLOR="true", ANSIBLE_LOG_PATH=str(log)
    )
    assert "\x1b[" in output
    logged = log.read_text()
    assert "\x1b" not in logged
    assert "healthy in " in logged


def test_failures_are_told_in_full_and_censored(play):
    code, output, errors = play("failures.yml")
    assert code == 2
    assert output.isascii()
    assert "planted-secret" not in output + errors
    assert (
        """\
  release 1.4.3      failed    timeout
    Failed to start release 1.4.3: replica 8001 did not become ready within
    30 s. Read the log tail, then deploy a release that starts.
    replica   state
       8001   starting
    log tail:
      Traceback (most recent call last):
        File "src/main.py", line 3, in <module>
      ModuleNotFoundError: No module named 'caf\\xe9'
"""
        in output
    )
    assert "pid" not in output
    assert "  rollback to 1.4.2  changed   3 of 3 run 1.4.2\n" in output
    assert re.search(r"  crash +failed +\(ignored\)\n    .*defect in an action\n", output)
    assert re.search(r"  options +failed +\(ignored\)\n    missing required arguments", output)
    assert "  items (b)          changed   s b\n  items (c)          failed\n    m c\n" in output
    assert "approve with -e approved=true\n" in output
    assert "    rc: 3\n" in output
    assert "    stdout:\n      one\n      two\n" in output
    last = output[output.rindex("\nfailed in # s") :]
    assert "1 failure rescued, 4 failures ignored" in last
    assert "last health healthy" in last


def test_with_v_nothing_of_the_default_callback_is_missing(play):
    def lines(output: str) -> set[str]:
        return set(re.sub(r'"(start|end|delta)": "[^"]*"', "", output).splitlines())

    options = ("failures.yml", "-v", "--skip-tags", "secret")
    _code, ours, _errors = play(*options)
    _code, default, _errors = play(*options, ANSIBLE_STDOUT_CALLBACK="default")
    assert lines(default) - lines(ours) == set()
    assert "\n  rollback to 1.4.2  changed   3 of 3 run 1.4.2\n" in ours


@pytest.mark.parametrize("verbosity", ["-v", "-vvv"])
def test_verbosity_does_not_uncensor_a_failure(play, verbosity):
    # The default callback of ansible-core 2.19 to 2.21 prints its message.
    _code, output, errors = play("failures.yml", verbosity, "--tags", "secret")
    assert "censored" in output
    assert "planted-secret" not in output + errors


def test_failures_go_to_stderr_where_that_is_asked_for(play):
    _code, output, errors = play(
        "hosts.yml", hosts=THREE_HOSTS, ANSIBLE_DISPLAY_FAILED_STDERR="true"
    )
    assert "port 8001 is taken" in errors
    assert "port 8001 is taken" not in output


def test_hosts_that_agree_share_a_line_and_the_others_are_named(play):
    code, output, _errors = play("hosts.yml", hosts=THREE_HOSTS)
    assert code == 2
    assert re.sub(r"task path: .*\n(?=  restart)", "task path: #\n", output) == (
        """\
restart  cost-agent
  preflight          ok        3 hosts: same everywhere
  release            changed   web1, web3
                     ok        web2: took web2
  health             healthy   web1, web2
    indicator   verdict
    api         healthy
                     degraded  web3: checked web3
    indicator   verdict
    api         degraded
  restart            failed    web2: precondition
    Failed to restart: port 8001 is taken. Free it.
    changed: true
    summary: ready
    task path: #
  restart            changed   2 hosts: ready
  After              changed   2 hosts: ready
failed in # s on web2 (1 of 3 hosts), last health degraded: restart:
  precondition
"""
    )


def test_batches_loops_and_the_free_strategy_keep_their_hosts_apart(play):
    _code, output, _errors = play("batches.yml", hosts="web1,web2,")
    rolling, _free, lockstep = re.split(r"^(?=free|lockstep)", output, flags=re.M)
    assert rolling == (
        "rolling\n"
        "  restart            changed   web1: ready\n"
        "  restart            changed   web2: ready\n"
    )
    assert "  unchanged          ok        web2: 2 items\n" in output
    assert lockstep == (
        "lockstep\n"
        "  unchanged          ok        2 hosts: 2 items\n"
        "  items (1)          changed   web1: ready 1\n"
        "  items              ok        web2: 2 items\n"
        "  once               changed   web1: ready\n"
        "done in # s, 4 steps changed\n"
    )


def test_no_host_is_said_plainly(play):
    _code, output, _errors = play("hosts.yml", hosts="/dev/null")
    assert output.splitlines()[-1] == "no host matched: nothing was done"


def test_a_terminal_shows_the_running_step_and_whole_progress_lines(tmp_path):
    written = on_a_terminal(tmp_path, "slow.yml")
    assert "\r  backup             running   0 s" in written
    assert "\r  backup             running   1 s" in written
    # The running line is erased before any other: each begins at the left edge, and is whole.
    assert re.search(r"\r +\r    dump, 1 of 2 GB, about 2 s left\r\n", written)
    assert re.search(r"\r +\r  backup +\x1b\[[0-9;]*33mchanged\x1b\[\d+m   2 GB\r\n", written)
    assert re.search(
        r"\r\n\x1b\[[0-9;]*32mdone\x1b\[\d+m in \d+\.\d s, 1 step changed\r\n$", written
    )


@pytest.mark.parametrize(
    ("name", "value"), [("TERM", "dumb"), ("AWX_ISOLATED_DATA_DIR", "/runner")]
)
def test_nothing_is_redrawn_where_every_write_is_kept(tmp_path, name, value):
    written = on_a_terminal(tmp_path, "slow.yml", **{name: value, "ANSIBLE_NOCOLOR": "true"})
    assert "running" not in written
    assert "\x1b" not in written
