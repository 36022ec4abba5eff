# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A password that is given by an option, or by a file that holds it alone."""

from __future__ import annotations

from .errors import invalid_option
from .operation import Params


def given_password(params: Params) -> str | None:
    """The value of `password`, or the text in `password_file`; `invalid_input` if unreadable."""
    path = params["password_file"]
    if params["password"] is not None or path is None:
        password: str | None = params["password"]
        return password
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise invalid_option(
            "password_file",
            f"{path}: {getattr(error, 'strerror', None) or 'it is not text'}",
            "Give a file that this user can read and that holds the password alone",
        ) from error
