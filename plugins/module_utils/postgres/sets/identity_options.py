# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The private key that opens encrypted backups; documented in doc_fragments/identity.py."""

from __future__ import annotations

from typing import Any

from ...core.errors import invalid_option
from ...core.operation import Params
from .sealing import read_identities


def identity_arguments() -> dict[str, dict[str, Any]]:
    """The options of every module that may read what is encrypted."""
    return {
        "identity": {"type": "str", "no_log": True},
        "identity_file": {"type": "path"},
    }


def given_identities(params: Params) -> list[Any] | None:
    """The private keys in a module's options, None where it has none; raises `invalid_input`."""
    text, path = params["identity"], params["identity_file"]
    if text is None and path is not None:
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise invalid_option(
                "identity_file",
                f"{path}: {getattr(error, 'strerror', None) or 'it is not text'}",
                "Give a file with a private key of age that this user can read",
            ) from error
    return None if text is None else read_identities(text)
