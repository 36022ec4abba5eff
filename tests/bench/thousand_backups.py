# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository with very many backups, and a count of what it takes to remove them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import boto3

from demo.stack import Addresses
from tests.component.backup_place import secret
from tests.component.fault_proxy import FaultProxy

_THREADS = 8
_APART = timedelta(hours=8)
_ID_TIME = "%Y%m%dT%H%M%SZ"


def fill_repository(stack: Addresses, folder: str, count: int) -> None:
    """Copy the one backup below the folder as so many older ones, eight hours apart."""
    client, bucket = _client(stack), str(stack["s3"]["bucket"])
    listing = client.list_objects_v2(Bucket=bucket, Prefix=folder)
    keys = [each["Key"] for each in listing["Contents"]]
    [manifest] = [key for key in keys if "/manifests/" in key]
    made = manifest.rpartition("/")[2].removesuffix(".json")
    bodies = {
        key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys if made in key
    }
    begun, _dash, rest = made.partition("-")
    moment = datetime.strptime(begun, _ID_TIME)

    def copy(number: int) -> None:
        wanted = f"{moment - number * _APART:{_ID_TIME}}-{rest}"
        for key, body in bodies.items():
            data = body.replace(made.encode(), wanted.encode()) if key == manifest else body
            client.put_object(Bucket=bucket, Key=key.replace(made, wanted), Body=data)

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(copy, range(1, count + 1)))


@dataclass
class Counted:
    """Where to send requests so that they are counted, and how many removed something."""

    endpoint_url: str
    deletes: int = 0


@contextlib.contextmanager
def count_deletes(stack: Addresses) -> Iterator[Counted]:
    """Count the requests that delete, until the block ends."""
    with FaultProxy(str(stack["s3"]["endpoint_url"])) as proxy:
        counted = Counted(proxy.url)
        yield counted
        counted.deletes = sum(
            request.startswith("DELETE ") or (request.startswith("POST ") and "?delete" in request)
            for request in proxy.requests
        )


def _client(stack: Addresses) -> Any:
    s3 = stack["s3"]
    return boto3.client(
        "s3",
        endpoint_url=s3["endpoint_url"],
        region_name=s3["region"],
        aws_access_key_id=secret(s3["access_key_file"]),
        aws_secret_access_key=secret(s3["secret_key_file"]),
    )
