# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two servers of S3 that share no code: SeaweedFS, and moto, which knows object locks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from demo.stack.stack import Stack
from tests.component.process_platform import reserve_ports
from tests.waiting import eventually


@dataclass(frozen=True)
class S3Server:
    """A bucket, and the options that reach it."""

    bucket: str
    s3: dict[str, Any]

    def at(self, endpoint_url: str, **changes: Any) -> dict[str, Any]:
        """The options to reach it by way of another address."""
        return {**self.s3, "endpoint_url": endpoint_url, **changes}

    def environment(self) -> dict[str, str]:
        """What gives the same to a program that takes no options."""
        return {
            "AWS_ENDPOINT_URL": self.s3["endpoint_url"],
            "AWS_ACCESS_KEY_ID": self.s3["access_key"],
            "AWS_SECRET_ACCESS_KEY": self.s3["secret_key"],
        }

    def client(self) -> Any:
        """botocore's client, to see and to prepare what the repository does not."""
        return botocore.session.Session().create_client(
            "s3",
            endpoint_url=self.s3["endpoint_url"],
            region_name="us-east-1",
            aws_access_key_id=self.s3["access_key"],
            aws_secret_access_key=self.s3["secret_key"],
            config=Config(s3={"addressing_style": "path"}),
        )


@contextmanager
def seaweedfs(folder: Path) -> Iterator[S3Server]:
    stack = Stack(folder)
    try:
        address = stack.up(only=["s3"])["s3"]
        yield S3Server(
            bucket=str(address["bucket"]),
            s3={
                "endpoint_url": address["endpoint_url"],
                "access_key": Path(str(address["access_key_file"])).read_text().strip(),
                "secret_key": Path(str(address["secret_key_file"])).read_text().strip(),
            },
        )
    finally:
        stack.down(purge=True)


@contextmanager
def moto() -> Iterator[S3Server]:
    port, reservation = reserve_ports(1)
    with (
        reservation,
        subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            server = S3Server("locked", {"endpoint_url": url, "access_key": "a", "secret_key": "b"})
            eventually(lambda: _has_bucket(server))
            yield server
        finally:
            process.kill()


def _has_bucket(server: S3Server) -> bool:
    try:
        server.client().create_bucket(Bucket=server.bucket, ObjectLockEnabledForBucket=True)
    except EndpointConnectionError:
        return False
    return True
