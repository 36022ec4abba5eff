"""The command line: up, down, status."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from demo.stack.errors import StackError
from demo.stack.ports import LOOPBACK
from demo.stack.stack import COMPONENTS, Stack, Status

EXIT_OK, EXIT_FAILED, EXIT_NOT_UP = 0, 1, 3


def _components(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or not set(names) <= set(COMPONENTS):
        raise argparse.ArgumentTypeError(f"wanted some of {','.join(COMPONENTS)}, got {text!r}")
    return names


def _parser(default_home: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python demo/stack",
        description="Real PostgreSQL, Redis and S3 servers for the demo and the tests.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="up|down|status")
    up = actions.add_parser("up", help="start what does not run; write stack.json")
    down = actions.add_parser("down", help="stop everything")
    status = actions.add_parser("status", help="show a table; exit 0 when all are up, 3 when not")
    for action in (up, down, status):
        action.add_argument(
            "--home",
            type=Path,
            default=default_home,
            metavar="DIR",
            help="folder for data, passwords and logs (default: .demo/stack of the checkout)",
        )
    for action in (up, status):
        action.add_argument(
            "--only",
            type=_components,
            metavar="NAMES",
            help=f"some of {','.join(COMPONENTS)}, with commas (default: all)",
        )
    up.add_argument(
        "--host",
        default=LOOPBACK,
        metavar="ADDRESS",
        help="where the servers listen (default: %(default)s)",
    )
    down.add_argument("--purge", action="store_true", help="remove data, passwords and logs too")
    return parser


def _table(rows: Sequence[Status]) -> str:
    lines = [("component", "address", "pid", "state")]
    lines += [(row.component, row.address, str(row.pid or "-"), row.state) for row in rows]
    widths = [max(len(line[column]) for line in lines) + 2 for column in range(4)]
    return "\n".join(
        "".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _run(arguments: argparse.Namespace) -> int:
    host = getattr(arguments, "host", LOOPBACK)
    stack = Stack(arguments.home, report=lambda line: print(line, flush=True), host=host)
    start = time.monotonic()
    if arguments.action == "status":
        rows = stack.status(arguments.only)
        print(_table(rows))
        return EXIT_OK if all(row.state == "up" for row in rows) else EXIT_NOT_UP
    if arguments.action == "up":
        stack.up(arguments.only)
        print(f"up in {time.monotonic() - start:.1f} s, addresses in {stack.file}")
    else:
        stack.down(purge=arguments.purge)
        print(f"down in {time.monotonic() - start:.1f} s")
    return EXIT_OK


def main(default_home: Path, words: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 (failed) or 3 (status: not all up)."""
    try:
        return _run(_parser(default_home).parse_args(words))
    except (StackError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("interrupted; run down to stop what was started", file=sys.stderr)
        return EXIT_FAILED
