# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.cluster.home build | up | down [--purge] | status | run COMMAND`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from demo.stack.errors import StackError
from tests.cluster.home import kind, network
from tests.cluster.home.home import Home, missing_need
from tests.cluster.home.layout import Layout
from tests.images import ImageError

EXIT_OK, EXIT_FAILED, EXIT_NOT_UP = 0, 1, 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.home",
        description="A real one-node Kubernetes in a network namespace of its own.",
    )
    actions = parser.add_subparsers(dest="action", required=True)
    build = actions.add_parser("build", help="build programs and images that are not cached")
    up = actions.add_parser("up", help="start what does not run")
    down = actions.add_parser("down", help="stop everything")
    down.add_argument("--purge", action="store_true", help="remove images, certificates and logs")
    status = actions.add_parser("status", help="a table; exit 0 when all are up, 3 when not")
    run = actions.add_parser(
        "run",
        help="run COMMAND where it reaches a cluster: the one of KUBECONFIG, of kind, or ours, "
        "which is started and stopped for it unless it is up",
    )
    for action in (build, up, down, status, run):
        action.add_argument(
            "--folder",
            type=Path,
            default=Layout().run,
            metavar="DIR",
            help="what a running cluster writes (default: .cache/cluster/run of the checkout)",
        )
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    return parser


def _act(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    layout = Layout(arguments.folder.absolute())
    home = Home(layout, report=lambda line: print(line, flush=True))
    start = time.monotonic()
    if arguments.action == "build":
        home.build()
    elif arguments.action == "up":
        _up(home, words)
    elif arguments.action == "down":
        home.down(purge=arguments.purge)
    elif arguments.action == "status":
        return _status(home, words)
    else:
        return _run(home, arguments.command)
    print(f"{arguments.action} in {time.monotonic() - start:.1f} s", flush=True)
    return EXIT_OK


def _up(home: Home, words: Sequence[str]) -> None:
    if not network.is_inside(home.layout.name):
        home.prepare()
        _go_on_inside(home, words)
    home.up()
    print(f"KUBECONFIG={home.layout.kubeconfig}")


def _status(home: Home, words: Sequence[str]) -> int:
    if not network.exists(home.layout.name):
        print("down")
        return EXIT_NOT_UP
    if not network.is_inside(home.layout.name):
        _go_on_inside(home, words)
    rows = home.status()
    for row in rows:
        print(f"{row.name:<26}{row.pid or '-':>8}  {row.state}")
    return EXIT_OK if all(row.state == "up" for row in rows) else EXIT_NOT_UP


def _go_on_inside(home: Home, words: Sequence[str]) -> None:
    network.enter(home.layout.name, [sys.executable, "-m", "tests.cluster.home", *words])


def _run(home: Home, command: Sequence[str]) -> int:
    if os.environ.get("KUBECONFIG"):
        return subprocess.run(command, check=False).returncode
    if kind.is_installed():
        with kind.cluster() as kubeconfig:
            environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
            return subprocess.run(command, env=environment, check=False).returncode
    if missing_need() is not None:
        # The tests say so, each of them: skipped with the reason, or failed under CI.
        return subprocess.run(command, check=False).returncode
    return _run_in_ours(home, command)


def _run_in_ours(home: Home, command: Sequence[str]) -> int:
    was_up = home.is_up()
    try:
        if not was_up:
            up = [sys.executable, "-m", "tests.cluster.home", "up", "--folder", home.layout.run]
            if (code := subprocess.run(up, check=False).returncode) != EXIT_OK:
                return code
        environment = {**os.environ, "KUBECONFIG": str(home.layout.kubeconfig)}
        inside = [*network.enter_prefix(home.layout.name), *command]
        return subprocess.run(inside, env=environment, check=False).returncode
    finally:
        if not was_up:
            home.down()


def main(words: Sequence[str]) -> int:
    """Run one command; returns the exit code: 0, 1 (failed), 3 (status: not all up), or COMMAND's.

    A program that cannot be executed, or a file that cannot be written, is a failure in words.
    """
    try:
        return _act(_parser().parse_args(words), words)
    except (StackError, ImageError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("interrupted; `down` stops what was started", file=sys.stderr)
        return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
