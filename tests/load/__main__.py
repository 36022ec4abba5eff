# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.load URL [--rate N] [--seconds N]`: the figures of an open load, as JSON.

For a place that only another process can enter, as a network namespace. Ends early at SIGTERM or
SIGINT, with the figures so far. Exit code 0 when no request has failed, 1 when one has.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from types import FrameType

from tests.load.open_load import MOST_SECONDS, OpenLoad


def main() -> int:
    """Run the load to its end."""
    parser = argparse.ArgumentParser(description="Send requests at a fixed rate.")
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=150, help="requests a second")
    parser.add_argument("--seconds", type=float, default=MOST_SECONDS)
    arguments = parser.parse_args()
    ending = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ending.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with OpenLoad(arguments.url, arguments.rate) as load:
        ending.wait(min(arguments.seconds, MOST_SECONDS))
    print(load.report.as_json())
    print(load.report, file=sys.stderr)
    return 1 if load.report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
