# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository that is a bucket, or a part of one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from ..core.clock import Clock
from ..core.readable import utc_text
from ..core.state_store import ABSENT, ANY, Entry, VersionConflict
from .addresses import S3Address
from .keys import require_folder, require_key
from .protocol import NoSuchObject, Reader, StoredObject, Upload
from .s3_bucket import S3Bucket, checksum
from .s3_client import S3Settings
from .s3_errors import CONFLICTS, MISSING, S3Failure, deletion_failure
from .s3_reader import S3Reader, pauses_after_loss
from .s3_upload import S3Upload

_KEYS_A_DELETION = 1000  # S3's own limit of DeleteObjects
_PARTS_IN_FLIGHT = 4
_NO_OBJECT_LOCK = "ObjectLockConfigurationNotFoundError"


class S3Repository:
    """Objects are S3's, their versions ETags. Nothing is loaded or asked before it is used."""

    def __init__(self, address: S3Address, settings: S3Settings, clock: Clock) -> None:
        self.url = address.url
        self._bucket = S3Bucket(address, settings)
        self._clock = clock
        self._room = threading.Semaphore(_PARTS_IN_FLIGHT)
        self._locks_objects: bool | None = None
        self._asking = threading.Lock()

    def read(self, key: str) -> Entry:
        wanted = f"read {require_key(key)} of {self.url}"
        pauses = islice(pauses_after_loss(), self._bucket.max_attempts - 1)
        while True:
            answer = self._get(wanted, key)
            from botocore.exceptions import BotoCoreError

            try:
                with contextlib.closing(answer["Body"]) as body:
                    return Entry(body.read(), answer["ETag"])
            except BotoCoreError as error:
                pause = next(pauses, None)
                if pause is None:
                    raise self._bucket.failure(wanted, error) from error
                self._clock.sleep(pause)

    @contextlib.contextmanager
    def open(self, key: str, offset: int = 0, size: int | None = None) -> Iterator[Reader]:
        reader = S3Reader(self._bucket, require_key(key), offset, size, self._clock)
        try:
            yield reader
        finally:
            reader.close()

    def write(self, key: str, data: bytes, expect: str = ANY) -> str:
        condition = {} if expect == ANY else {"IfMatch": expect}
        if expect == ABSENT:
            condition = {"IfNoneMatch": "*"}
        try:
            answer = self._bucket.ask(
                f"write {key} to {self.url}",
                "put_object",
                Key=require_key(key),
                Body=data,
                **checksum(data),
                **condition,
                **self._bucket.settings.stored_with(),
            )
        except S3Failure as failure:
            if not condition or failure.code not in CONFLICTS + MISSING:
                raise
            return self._written_before(key, data, failure)
        version: str = answer["ETag"]
        return version

    def upload(self, key: str) -> Upload:
        return S3Upload(self._bucket, require_key(key), self._room)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        require_folder(prefix.rpartition("/")[0] + "/" if "/" in prefix else "")
        found = []
        for page in self._pages(prefix):
            for each in page.get("Contents", ()):
                key = each["Key"][len(self._bucket.prefix) :]
                if not any(name == "" or name.startswith(".") for name in key.split("/")):
                    modified_at = each["LastModified"].timestamp()
                    found.append(StoredObject(key, each["Size"], modified_at, each["ETag"]))
        # SeaweedFS lists folder by folder, which puts a/b before a-b.
        return iter(sorted(found, key=lambda each: each.key))

    def list_folders(self, prefix: str) -> Iterator[str]:
        above = len(self._bucket.prefix + require_folder(prefix))
        for page in self._pages(prefix, Delimiter="/"):
            for each in page.get("CommonPrefixes", ()):
                name = each["Prefix"][above:].rstrip("/")
                if name and not name.startswith("."):
                    yield name

    def delete(self, keys: Iterable[str]) -> int:
        wanted = f"delete from {self.url}"
        waiting = iter([require_key(key) for key in keys])
        deleted = 0
        while batch := list(islice(waiting, _KEYS_A_DELETION)):
            objects = [{"Key": self._bucket.prefix + key} for key in batch]
            answer = self._bucket.ask(
                wanted, "delete_objects", Delete={"Objects": objects, "Quiet": True}
            )
            if answer.get("Errors"):
                bucket = self._bucket
                raise deletion_failure(wanted, bucket.name, bucket.prefix, answer["Errors"])
            deleted += len(batch)
        return deleted

    def delete_version(self, key: str, version: str) -> None:
        wanted = f"delete {key} from {self.url}"
        head = self._head(wanted, require_key(key))
        # Not every server minds the condition of a deletion.
        if head.get("ETag") != version:
            raise VersionConflict(key)
        try:
            self._bucket.ask(wanted, "delete_object", Key=key, IfMatch=version)
        except S3Failure as failure:
            if failure.code == "NotImplemented":
                self._bucket.ask(wanted, "delete_object", Key=key)
            elif failure.code not in CONFLICTS + MISSING:
                raise
            elif not failure.retried or self._head(wanted, key):
                raise VersionConflict(key) from None

    def unfinished_uploads(self, prefix: str) -> int:
        wanted = f"list unfinished uploads of {self.url}"
        return sum(1 for _upload in self._unfinished(wanted, require_folder(prefix)))

    def abort_uploads(self, prefix: str) -> int:
        wanted = f"clean up {self.url}"
        aborted = 0
        for upload in [*self._unfinished(wanted, require_folder(prefix))]:
            key = upload["Key"][len(self._bucket.prefix) :]
            try:
                self._bucket.ask(
                    wanted, "abort_multipart_upload", Key=key, UploadId=upload["UploadId"]
                )
            except S3Failure as failure:
                if failure.code != "NoSuchUpload":
                    raise
            else:
                aborted += 1
        return aborted

    def protection_of(self, key: str) -> str:
        wanted = f"see the protection of {require_key(key)} in {self.url}"
        if not self._may_protect(wanted):
            return ""
        head = self._head(wanted, key)
        if head.get("ObjectLockLegalHoldStatus") == "ON":
            return "a legal hold"
        until = head.get("ObjectLockRetainUntilDate")
        if head.get("ObjectLockMode") and until and until.timestamp() > self._clock.now():
            return f"an object lock until {utc_text(until.timestamp())}"
        return ""

    def _may_protect(self, wanted: str) -> bool:
        """Whether this bucket can lock or hold objects; most cannot, and no object need be asked.

        A bucket that does not say, for want of s3:GetBucketObjectLockConfiguration, may.
        """
        with self._asking:
            if self._locks_objects is None:
                self._locks_objects = True
                try:
                    self._bucket.ask(wanted, "get_object_lock_configuration")
                except S3Failure as failure:
                    self._locks_objects = failure.code != _NO_OBJECT_LOCK
            return self._locks_objects

    def close(self) -> None:
        self._bucket.close()

    def _get(self, wanted: str, key: str) -> dict[str, Any]:
        try:
            return self._bucket.ask(wanted, "get_object", Key=key, ChecksumMode="ENABLED")
        except S3Failure as failure:
            if failure.code in MISSING:
                raise NoSuchObject(key) from None
            raise

    def _head(self, wanted: str, key: str) -> dict[str, Any]:
        """What S3 knows of the object; empty where there is none."""
        try:
            return self._bucket.ask(wanted, "head_object", Key=key)
        except S3Failure as failure:
            if failure.code in MISSING:
                return {}
            raise

    def _written_before(self, key: str, data: bytes, failure: S3Failure) -> str:
        """The version, where an earlier attempt worked and its answer was lost.

        The retry then met the entry that it had written itself.
        """
        if failure.retried:
            with contextlib.suppress(NoSuchObject):
                entry = self.read(key)
                if entry.data == data:
                    return entry.version
        raise VersionConflict(key) from failure

    def _pages(self, prefix: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        while True:
            page = self._bucket.ask(
                f"list {self.url}",
                "list_objects_v2",
                Prefix=self._bucket.prefix + prefix,
                **parameters,
            )
            yield page
            if not page.get("IsTruncated"):
                return
            parameters["ContinuationToken"] = page["NextContinuationToken"]

    def _unfinished(self, wanted: str, prefix: str) -> Iterator[dict[str, Any]]:
        markers: dict[str, str] = {}
        while True:
            page = self._bucket.ask(
                wanted, "list_multipart_uploads", Prefix=self._bucket.prefix + prefix, **markers
            )
            yield from page.get("Uploads", ())
            if not page.get("IsTruncated"):
                return
            markers = {
                "KeyMarker": page["NextKeyMarker"],
                "UploadIdMarker": page["NextUploadIdMarker"],
            }
