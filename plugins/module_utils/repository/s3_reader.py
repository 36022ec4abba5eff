# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An object in S3 as a stream that survives the loss of its connection."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..core.clock import Clock
from ..core.deadline import backoff
from ..core.errors import OperationError, Reason
from .protocol import NoSuchObject
from .s3_errors import CONFLICTS, MISSING, S3Failure

if TYPE_CHECKING:
    from .s3_bucket import S3Bucket


def pauses_after_loss() -> Iterator[float]:
    """Seconds to wait before each new attempt at a body."""
    return backoff(0.1, 2.0, 5.0)


class S3Reader:
    """`size` bytes of an object from `offset`; `NoSuchObject` at once.

    botocore repeats requests, not bodies. Here a body that breaks off goes on where it did, from
    the same version of the object, as long as it gets further within `max_attempts`.
    """

    def __init__(
        self, bucket: S3Bucket, key: str, offset: int, size: int | None, clock: Clock
    ) -> None:
        self._bucket = bucket
        self._key = key
        self._clock = clock
        self._wanted = f"read {key} of {bucket.url}"
        self._position = offset
        self._end = None if size is None else offset + size
        self._version = ""
        self._lost = 0
        self._pauses = pauses_after_loss()
        self._body: Any = self._request()

    def read(self, size: int) -> bytes:
        from botocore.exceptions import BotoCoreError

        while self._body is not None and size:
            try:
                data: bytes = self._body.read(size)
            except BotoCoreError as error:
                self._resume(error)
                continue
            if data:
                self._position += len(data)
                self._lost = 0
                self._pauses = pauses_after_loss()
                return data
            self.close()
        return b""

    def close(self) -> None:
        """End the connection where something is left to read on it."""
        body, self._body = self._body, None
        if body is not None:
            with contextlib.suppress(OSError):
                body.close()

    def _request(self) -> Any:
        """The body from the position on, or None where there is nothing any more."""
        if self._end is not None and self._position >= self._end:
            return None
        parameters = {"Key": self._key}
        if self._position or self._end is not None:
            last = "" if self._end is None else str(self._end - 1)
            parameters["Range"] = f"bytes={self._position}-{last}"
        if self._version:
            parameters["IfMatch"] = self._version
        try:
            answer = self._bucket.ask(self._wanted, "get_object", **parameters)
        except S3Failure as failure:
            if failure.code == "InvalidRange":
                return None
            raise self._judged(failure) from None
        self._version = answer["ETag"]
        self._end = self._position + answer["ContentLength"]
        return answer["Body"]

    def _judged(self, failure: S3Failure) -> Exception:
        if not self._version:
            return NoSuchObject(self._key) if failure.code in MISSING else failure
        if failure.code not in CONFLICTS + MISSING:
            return failure
        return OperationError(
            Reason.INTEGRITY,
            self._wanted,
            "it was replaced or removed while it was read",
            "Run this again, and keep others from changing the repository by hand",
        )

    def _resume(self, error: Any) -> None:
        self.close()
        self._lost += 1
        if self._lost >= self._bucket.max_attempts:
            raise self._bucket.failure(self._wanted, error) from error
        self._clock.sleep(next(self._pauses))
        self._body = self._request()
