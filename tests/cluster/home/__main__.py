# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.cluster.home build | up | down [--purge] | status | run COMMAND`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence

from demo.stack.errors import StackError
from tests.cluster.home import network
from tests.cluster.home.errors import ClusterError
from tests.cluster.home.home import Home
from tests.images import ImageError

EXIT_OK, EXIT_FAILED, EXIT_NOT_UP = 0, 1, 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.home",
        description="A real one-node Kubernetes in a network namespace of its own.",
    )
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("build", help="build programs and images, as far as they are not cached")
    actions.add_parser("up", help="start what does not run")
    down = actions.add_parser("down", help="stop everything")
    down.add_argument("--purge", action="store_true", help="remove images, certificates and logs")
    actions.add_parser("status", help="a table; exit 0 when all are up, 3 when not")
    run = actions.add_parser(
        "run", help="run a command inside the namespace, with KUBECONFIG; start and stop as needed"
    )
    run.add_argument("command", nargs=argparse.REMAINDER)
    return parser


def _act(arguments: argparse.Namespace, words: Sequence[str]) -> int:
    home = Home(report=lambda line: print(line, flush=True))
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
        network.enter(home.layout.name, [sys.executable, "-m", "tests.cluster.home", *words])
    home.up()
    print(f"KUBECONFIG={home.layout.kubeconfig}")


def _status(home: Home, words: Sequence[str]) -> int:
    if not network.exists(home.layout.name):
        print("down")
        return EXIT_NOT_UP
    if not network.is_inside(home.layout.name):
        network.enter(home.layout.name, [sys.executable, "-m", "tests.cluster.home", *words])
    rows = home.status()
    for row in rows:
        print(f"{row.name:<26}{row.pid or '-':>8}  {row.state}")
    return EXIT_OK if all(row.state == "up" for row in rows) else EXIT_NOT_UP


def _run(home: Home, command: Sequence[str]) -> int:
    """Runs a command inside; stops the cluster afterwards if it was started for it."""
    was_up = home.is_up()
    if not was_up:
        subprocess.run([sys.executable, "-m", "tests.cluster.home", "up"], check=True)
    try:
        prefix = network.enter_prefix(home.layout.name)
        return subprocess.run([*prefix, *command], check=False).returncode
    finally:
        if not was_up:
            home.down()


def main(words: Sequence[str]) -> int:
    """Run one command; returns the exit code: 0, 1 (failed) or 3 (status: not all up)."""
    try:
        return _act(_parser().parse_args(words), words)
    except (ClusterError, StackError, ImageError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED
    except subprocess.CalledProcessError as error:
        return error.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
