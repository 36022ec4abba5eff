# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a bucket below a prefix, and requests to it whose failures are in words."""

from __future__ import annotations

import base64
import threading
import zlib
from typing import TYPE_CHECKING, Any

from ..core.errors import OperationError
from .addresses import S3Address
from .s3_client import S3Settings, connect
from .s3_errors import request_failure

if TYPE_CHECKING:
    from botocore.client import BaseClient


class S3Bucket:
    """Asks S3; keys are the repository's own, without the prefix. The client is made when used."""

    def __init__(self, address: S3Address, settings: S3Settings) -> None:
        self.url = address.url
        self.prefix = address.prefix
        self.settings = settings
        self.max_attempts = settings.max_attempts
        self.name = address.bucket
        self._client: BaseClient | None = None
        self._connecting = threading.Lock()

    def ask(self, wanted: str, request: str, **parameters: Any) -> dict[str, Any]:
        """One request by its name in botocore; `wanted` continues "Failed to ...".

        Raises `S3Failure` for an answer that is an error, and `OperationError` without answer.
        """
        client = self._connected(wanted)
        from botocore.exceptions import BotoCoreError, ClientError

        if "Key" in parameters:
            parameters["Key"] = self.prefix + parameters["Key"]
        try:
            answer: dict[str, Any] = getattr(client, request)(Bucket=self.name, **parameters)
        except (BotoCoreError, ClientError) as error:
            raise self.failure(wanted, error) from error
        return answer

    def failure(self, wanted: str, error: Any) -> OperationError:
        """The error for one of botocore's."""
        endpoint = self._client.meta.endpoint_url if self._client is not None else self.url
        return request_failure(wanted, self.name, endpoint, error)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _connected(self, wanted: str) -> BaseClient:
        with self._connecting:
            if self._client is None:
                self._client = connect(self.settings, wanted)
            return self._client


def checksum(data: bytes | bytearray) -> dict[str, str]:
    """The CRC-32 that S3 compares what it stores with; other checksums cost more CPU."""
    return {"ChecksumCRC32": base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()}
