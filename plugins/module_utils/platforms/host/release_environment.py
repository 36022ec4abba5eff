# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program of a release is started with on a machine."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from ..environment import RELEASE_VARIABLE, Environment
from .releases import InstalledRelease


def release_environment(
    release: InstalledRelease, home: Path, environment: Environment
) -> dict[str, str]:
    """A small environment that does not depend on who starts the program, and the agent's."""
    try:
        user_home = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # a user without an entry, as in some containers
        user_home = str(home)
    return {
        "PATH": f"{release.python.parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": user_home,
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",  # or the last words of a dying agent are lost
        **environment.variables(),
        RELEASE_VARIABLE: release.id,
    }
