# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An object in S3 being written: its parts are on their way while the next one is made."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from ..core.errors import OperationError, Reason
from .protocol import MAX_PARTS, MIN_PART
from .s3_bucket import checksum
from .s3_errors import S3Failure

if TYPE_CHECKING:
    from .s3_bucket import S3Bucket

T = TypeVar("T")

_PARTS_IN_FLIGHT = 2
_ABORT_PATIENCE_S = 10.0


class S3Upload:
    """A multipart upload, or a plain put where all of it is one part smaller than `MIN_PART`.

    At most two parts of it are in memory, and `room` bounds those of all uploads together.
    """

    def __init__(self, bucket: S3Bucket, key: str, room: threading.Semaphore) -> None:
        self._bucket = bucket
        self._key = key
        self._wanted = f"write {key} to {bucket.url}"
        self._room = room
        self._id = ""
        self._small: bytes | bytearray | None = None
        self._parts: list[Future[dict[str, Any]]] = []
        self._size = 0
        self._ended = False

    def write(self, part: bytes | bytearray) -> None:
        self._require_open()
        if self._small is not None:
            raise ValueError(f"a part of {len(self._small)} bytes can only be the last one")
        if not self._parts and len(part) < MIN_PART:
            self._small = part
            return
        self._begin()
        self._await_room()
        number = len(self._parts) + 1
        self._size += len(part)
        self._parts.append(_in_thread(lambda: self._store(number, part), self._room.release))

    def commit(self) -> None:
        self._require_open()
        if self._id:
            self._complete([part.result() for part in self._parts])
        else:
            self._put(self._small or b"")
        self._ended = True

    def abort(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._id:
            with contextlib.suppress(OperationError, FutureTimeoutError):
                _in_thread(self._abort).result(_ABORT_PATIENCE_S)

    def _require_open(self) -> None:
        if self._ended:
            raise OperationError(
                Reason.CANCELLED, self._wanted, "the upload was ended", "Run this again"
            )

    def _begin(self) -> None:
        if self._id:
            return
        answer = self._bucket.ask(
            self._wanted,
            "create_multipart_upload",
            Key=self._key,
            ChecksumAlgorithm="CRC32",
            **self._bucket.settings.stored_with(data=True),
        )
        self._id = answer["UploadId"]

    def _await_room(self) -> None:
        """Wait until one more part may be in memory; raises what a part has met."""
        if len(self._parts) == MAX_PARTS:
            raise OperationError(
                Reason.BUDGET,
                self._wanted,
                f"it has more than {MAX_PARTS} parts, S3's limit",
                "Store it in larger parts",
            )
        for part in self._parts[-_PARTS_IN_FLIGHT:]:
            if part.done():
                part.result()
        if len(self._parts) >= _PARTS_IN_FLIGHT:
            self._parts[-_PARTS_IN_FLIGHT].result()
        self._room.acquire()

    def _store(self, number: int, part: bytes | bytearray) -> dict[str, Any]:
        sum_of_part = checksum(part)
        answer = self._bucket.ask(
            self._wanted,
            "upload_part",
            Key=self._key,
            UploadId=self._id,
            PartNumber=number,
            Body=part,
            **sum_of_part,
        )
        return {"PartNumber": number, "ETag": answer["ETag"], **sum_of_part}

    def _put(self, data: bytes | bytearray) -> None:
        self._bucket.ask(
            self._wanted,
            "put_object",
            Key=self._key,
            Body=data,
            **checksum(data),
            **self._bucket.settings.stored_with(data=True),
        )

    def _complete(self, parts: list[dict[str, Any]]) -> None:
        try:
            self._bucket.ask(
                self._wanted,
                "complete_multipart_upload",
                Key=self._key,
                UploadId=self._id,
                MultipartUpload={"Parts": parts},
            )
        except S3Failure as failure:
            # An earlier attempt may have worked, and its answer was lost.
            if not (failure.code == "NoSuchUpload" and failure.retried and self._is_there()):
                raise

    def _is_there(self) -> bool:
        try:
            head = self._bucket.ask(self._wanted, "head_object", Key=self._key)
        except S3Failure:
            return False
        return bool(
            head["ContentLength"] == self._size
            and head["ETag"].strip('"').endswith(f"-{len(self._parts)}")
        )

    def _abort(self) -> None:
        wait(self._parts)  # a part that arrives later would stay
        self._bucket.ask(self._wanted, "abort_multipart_upload", Key=self._key, UploadId=self._id)


def _in_thread(work: Callable[[], T], then: Callable[[], None] = lambda: None) -> Future[T]:
    """The outcome of `work`, done in a daemon thread: a request that hangs keeps no process."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # raised again where the outcome is asked for
            outcome.set_exception(error)
        else:
            outcome.set_result(result)
        finally:
            then()

    threading.Thread(target=run, daemon=True).start()
    return outcome
