# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.images [--only agent|systemd]` makes what is not there yet and names the archives."""

from __future__ import annotations

import argparse
import sys

from tests.images import ImageError, archives, systemd_archive


def main() -> int:
    """Make the archives that are asked for; 1 when one could not be made."""
    parser = argparse.ArgumentParser(description="Make the images that the tests run.")
    parser.add_argument("--only", choices=["agent", "systemd"], help="default: both")
    only = parser.parse_args().only
    try:
        if only != "systemd":
            for name, path in archives().items():
                print(f"agent {name}: {path}")
        if only != "agent":
            print(f"systemd: {systemd_archive()}")
    except ImageError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
