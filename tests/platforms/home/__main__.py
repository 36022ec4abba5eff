# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.platforms.home build | up | down [--purge] | run COMMAND`: an engine to use."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

from demo.stack.errors import StackError
from tests.cluster.home.build import build
from tests.cluster.home.errors import ClusterError
from tests.images import ImageError, archives, systemd_archive
from tests.platforms.home import Engine, OwnEngine, running_engine
from tests.platforms.home.compose import COMPOSE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.platforms.home",
        description="A Docker engine with the images that the tests run.",
    )
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("build", help="make the images and the compose plugin, where not cached")
    actions.add_parser("up", help="start an engine, if none runs, and load the images into it")
    down = actions.add_parser("down", help="remove the tests' containers; stop our own engine")
    down.add_argument("--purge", action="store_true", help="remove our own engine's images too")
    run = actions.add_parser("run", help="up, run a command with DOCKER_HOST, down")
    run.add_argument("command", nargs=argparse.REMAINDER)
    return parser


def _up() -> Engine:
    engine = running_engine()
    if engine is None:
        engine = OwnEngine()
        engine.start()
    for archive in (archives()["releases"], systemd_archive()):
        engine.load(archive)
    print(f"DOCKER_HOST={engine.url}", flush=True)
    print(f"GATEWAY={engine.gateway()}", flush=True)
    return engine


def _down(*, purge: bool) -> None:
    own = OwnEngine()
    engine = running_engine()
    if engine is not None and engine.url != own.url:
        engine.remove_containers()
        engine.close()
    if purge:
        own.purge()
    else:
        own.stop()


def _run(command: Sequence[str]) -> int:
    try:
        environment = os.environ | _up().environment
        return subprocess.run(command, env=environment, check=False).returncode
    finally:
        _down(purge=False)


def main(words: Sequence[str]) -> int:
    """Run one command; returns the exit code, `run` its command's."""
    arguments = _parser().parse_args(words)
    try:
        if arguments.action == "build":
            archives()
            systemd_archive()
            build((COMPOSE,), print)
        elif arguments.action == "up":
            _up().close()
        elif arguments.action == "down":
            _down(purge=arguments.purge)
        else:
            return _run(arguments.command)
    except (StackError, ImageError, ClusterError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
