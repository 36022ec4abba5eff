# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a URL of a repository names, and opening it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ..core.clock import Clock, SystemClock
from ..core.errors import invalid_option
from ..core.operation import Params
from ..core.redact import redact_text
from ..core.state_store import FileStateStore, StateStore

if TYPE_CHECKING:
    from .protocol import Repository

_BUCKET = r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}\Z"


@dataclass(frozen=True)
class S3Address:
    """`s3://bucket/prefix`; the prefix is empty or ends in /."""

    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def read_address(option: str, url: str) -> Path | S3Address:
    """The folder or the part of a bucket that this option's URL names; raises `invalid_input`."""
    scheme, _colon, rest = url.partition("://")
    if scheme == "file":
        folder = unquote(rest)
        if folder.startswith("/") and "\0" not in folder:
            return Path(folder)
    elif scheme == "s3":
        bucket, _slash, prefix = rest.partition("/")
        names = prefix.strip("/").split("/") if prefix.strip("/") else []
        if re.match(_BUCKET, bucket) and all(_is_name(name) for name in names):
            return S3Address(bucket, "".join(f"{name}/" for name in names))
    raise invalid_option(
        option,
        f"{redact_text(url)!r} is neither file:///folder nor s3://bucket/prefix",
        "Give one such as file:///var/lib/cost-agent/backups or s3://my-backups/cost-agent, "
        "without credentials in it",
    )


def _is_name(name: str) -> bool:
    return bool(name) and not name.startswith(".") and name.isprintable() and "?" not in name


def open_repository(params: Params, clock: Clock) -> Repository:
    """The repository that a module's options name; asks nothing yet. Raises `invalid_input`."""
    address = read_address("repository", params["repository"])
    # One of the two, and the client of S3 takes long to load.
    if isinstance(address, S3Address):
        from .s3_client import S3Settings
        from .s3_repository import S3Repository

        return S3Repository(address, S3Settings.of(params.get("s3")), clock)
    from .file_repository import FileRepository

    return FileRepository(address)


def open_state_store(url: str) -> StateStore:
    """The store at `url`: `file:///folder` or `s3://bucket/prefix`; else `invalid_input`.

    S3's settings come from the environment and the profile: `AWS_ENDPOINT_URL`,
    `AWS_ACCESS_KEY_ID`, `AWS_PROFILE`, ...
    """
    address = read_address("state_store", url)
    if isinstance(address, S3Address):
        from .s3_client import S3Settings
        from .s3_repository import S3Repository
        from .state_store import state_store_of

        return state_store_of(S3Repository(address, S3Settings(), SystemClock()))
    return FileStateStore(address)
