# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replicas that are asked through the API server, by a client of another area.

Their addresses hold no credentials. Those are given to that client for a block, and only for
addresses of the very server that they belong to.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.errors import invalid_option
from ...core.scratch import scratch_folder
from .connection import Connection, Credentials
from .options import ClusterAccess

_PROXIED = re.compile(r"https?://.+/api/v1/namespaces/[^/]+/pods/[^/]+/proxy(/|\Z)")


@dataclass(frozen=True)
class ServerAccess:
    """What an HTTP client needs to be let through; `headers` are lines, and secret.

    The files are there for the block only.
    """

    headers: tuple[str, ...] = field(repr=False)
    ca_file: str | None
    client_cert: str | None
    client_key: str | None
    validate_certs: bool


@contextlib.contextmanager
def access_through_server(
    option: Mapping[str, Any] | None, urls: Sequence[str]
) -> Iterator[ServerAccess | None]:
    """The access to these addresses; None where they are the replicas' own.

    Raises `invalid_input` for addresses of which some lead through another server, or none.
    """
    if not any(_PROXIED.match(url) for url in urls):
        yield None
        return
    connection = Connection(ClusterAccess.of(option), "ask the replicas through the API server")
    for url in urls:
        if not (url.startswith(connection.server + "/") and _PROXIED.match(url)):
            raise invalid_option(
                "targets",
                f"{url} does not lead through the API server {connection.server}",
                "Give the targets of one agent_info, and the same kubernetes option as to it",
            )
    with scratch_folder(None) as folder:
        yield _access(connection.credentials(), folder)


def _access(credentials: Credentials, folder: Path) -> ServerAccess:
    token = credentials.token
    return ServerAccess(
        headers=(f"Authorization: Bearer {token}",) if token else (),
        ca_file=_written(folder / "ca.pem", credentials.ca_cert),
        client_cert=_written(folder / "client.pem", credentials.client_cert),
        client_key=_written(folder / "client.key", credentials.client_key),
        validate_certs=credentials.validate_certs,
    )


def _written(path: Path, text: str | None) -> str | None:
    if text is None:
        return None
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
    return str(path)
