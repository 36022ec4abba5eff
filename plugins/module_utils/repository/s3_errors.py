# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What went wrong with S3, in words and as a reason.

Codes are S3's own: "Error responses" in the Amazon S3 API reference.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.errors import OperationError, Reason

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

CONFLICTS = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
MISSING = ("NoSuchKey", "404")

_RUN_AGAIN = "Run this again once the server answers; see its state and its log"
_CHECK_KEYS = "Check access_key and secret_key, or AWS_ACCESS_KEY_ID, AWS_PROFILE and their like"
_GRANT = "Grant these credentials access to the bucket and, for aws:kms, to the key"
_RENEW = "Renew the session (a token, single sign-on or role), then run this again"
_SET_CLOCK = "Set this machine's clock (chrony or timedatectl), then run this again"
_CHANGED = "Run this again; if it repeats, look for a proxy between, or a failing disk"

_BY_CODE: dict[str, tuple[Reason, str]] = {
    "InvalidAccessKeyId": (Reason.AUTH, _CHECK_KEYS),
    "SignatureDoesNotMatch": (Reason.AUTH, "Check secret_key, and that no proxy changes requests"),
    "AccessDenied": (Reason.AUTH, _GRANT),
    "AllAccessDisabled": (Reason.AUTH, _GRANT),
    "AccountProblem": (Reason.AUTH, "See to the account that these credentials belong to"),
    "ExpiredToken": (Reason.AUTH, _RENEW),
    "TokenRefreshRequired": (Reason.AUTH, _RENEW),
    "InvalidToken": (Reason.AUTH, _RENEW),
    "RequestTimeTooSkewed": (Reason.PRECONDITION, _SET_CLOCK),
    "RequestExpired": (Reason.PRECONDITION, _SET_CLOCK),
    "NoSuchBucket": (Reason.PRECONDITION, "Create the bucket, or correct its name"),
    "InvalidBucketName": (Reason.INVALID_INPUT, "Correct the bucket's name"),
    "PermanentRedirect": (Reason.PRECONDITION, "Give the bucket's own region"),
    "AuthorizationHeaderMalformed": (Reason.PRECONDITION, "Give the bucket's own region"),
    "IllegalLocationConstraintException": (Reason.PRECONDITION, "Give the bucket's own region"),
    "InvalidObjectState": (Reason.PRECONDITION, "Restore the object from its archive tier first"),
    "InvalidStorageClass": (Reason.INVALID_INPUT, "Give a storage_class that this server has"),
    "NotImplemented": (Reason.PRECONDITION, "Use a server, or a setting of s3, that can do it"),
    "NoSuchUpload": (
        Reason.PRECONDITION,
        "Look for a lifecycle rule or another run that ends unfinished uploads, and run this again",
    ),
    "BadDigest": (Reason.INTEGRITY, _CHANGED),
    "InvalidDigest": (Reason.INTEGRITY, _CHANGED),
    "XAmzContentSHA256Mismatch": (Reason.INTEGRITY, _CHANGED),
    "XAmzContentChecksumMismatch": (Reason.INTEGRITY, _CHANGED),
    "QuotaExceeded": (Reason.BUDGET, "Raise the bucket's quota, or prune backups"),
    "XMinioStorageFull": (Reason.BUDGET, "Make room on the server, or prune backups"),
    "RequestTimeout": (Reason.TIMEOUT, _RUN_AGAIN),
}
# For an answer whose code says nothing: to HEAD, or from something between that is not S3.
_BY_STATUS: dict[int, tuple[Reason, str]] = {
    301: _BY_CODE["PermanentRedirect"],
    401: (Reason.AUTH, _CHECK_KEYS),
    403: (Reason.AUTH, _GRANT),
    404: (Reason.PRECONDITION, "Check the bucket's name"),
    408: (Reason.TIMEOUT, _RUN_AGAIN),
    429: (Reason.UNREACHABLE, _RUN_AGAIN),
    501: _BY_CODE["NotImplemented"],
    504: (Reason.TIMEOUT, _RUN_AGAIN),
    507: _BY_CODE["XMinioStorageFull"],
}


class S3Failure(OperationError):
    """What S3 answered; `code` is its own, `retried` whether an earlier attempt may have worked."""

    def __init__(self, answer: _Answer, wanted: str, bucket: str) -> None:
        self.code = answer.code
        self.retried = answer.attempts > 1
        reason, next_step = answer.judged()
        super().__init__(reason, wanted, answer.words(bucket), next_step)


@dataclass(frozen=True)
class _Answer:
    code: str
    status: int  # 0 for one that is inside another answer
    message: str
    attempts: int
    times: str

    @classmethod
    def of(cls, error: ClientError) -> _Answer:
        """What botocore made of the answer."""
        said: dict[str, Any] = error.response.get("Error", {})
        about: dict[str, Any] = error.response.get("ResponseMetadata", {})
        # `RequestTime` is this machine's, of the signature; the rest is the server's.
        server = said.get("ServerTime") or about.get("HTTPHeaders", {}).get("date", "")
        ours = said.get("RequestTime", "")
        return cls(
            code=str(said.get("Code", "")),
            status=int(about.get("HTTPStatusCode", 0)),
            message=str(said.get("Message", "")).strip().rstrip("."),
            attempts=int(about.get("RetryAttempts", 0)) + 1,
            times=f"; here it is {ours or 'another time'}, there {server}" if server else "",
        )

    def judged(self) -> tuple[Reason, str]:
        if "object lock" in self.message.lower() or "WORM" in self.message:
            return Reason.PRECONDITION, "Wait until the object's lock or legal hold has ended"
        if self.code in _BY_CODE:
            return _BY_CODE[self.code]
        if self.code.startswith("KMS."):
            return Reason.PRECONDITION, "Check kms_key_id, and that the key is enabled"
        if self.status in _BY_STATUS:
            return _BY_STATUS[self.status]
        if self.status >= 500:
            return Reason.UNREACHABLE, _RUN_AGAIN
        return Reason.FAILED_STATE, "See the server's log"

    def words(self, bucket: str) -> str:
        said = f"{self.code} ({self.message})" if self.message else self.code
        status = f"{self.status} " if self.status else ""
        seen = f"bucket {bucket} answered {status}{said}"
        if self.code in ("RequestTimeTooSkewed", "RequestExpired"):
            seen += self.times
        return seen + (f", {self.attempts} times" if self.attempts > 1 else "")


def request_failure(
    wanted: str, bucket: str, endpoint: str, error: BotoCoreError | ClientError
) -> OperationError:
    """The error for what a request met; an `S3Failure` where there was an answer."""
    from botocore.exceptions import ClientError

    if isinstance(error, ClientError):
        return S3Failure(_Answer.of(error), wanted, bucket)
    return _without_answer(wanted, endpoint, error)


def deletion_failure(
    wanted: str, bucket: str, prefix: str, errors: list[dict[str, Any]]
) -> OperationError:
    """The error for objects that a DeleteObjects request, which went well, left."""
    first = errors[0]
    answer = _Answer(first.get("Code", ""), 0, str(first.get("Message", "")).rstrip("."), 1, "")
    reason, next_step = answer.judged()
    key = str(first.get("Key", "")).removeprefix(prefix)
    return OperationError(
        reason,
        wanted,
        f"{len(errors)} of the objects stay; for {key}, {answer.words(bucket)}",
        next_step,
    )


def _without_answer(wanted: str, endpoint: str, error: BotoCoreError) -> OperationError:
    from botocore import exceptions as botocore

    cause = _cause(error)
    if isinstance(error, botocore.SSLError):
        return OperationError(
            Reason.UNREACHABLE,
            wanted,
            f"{endpoint}: {_words(cause)}",
            "Give the server's certificate authority as ca_file, or correct endpoint_url",
        )
    timeouts = (botocore.ConnectTimeoutError, botocore.ReadTimeoutError)
    if isinstance(error, timeouts) or isinstance(cause, (TimeoutError, socket.timeout)):
        doing = "answer" if isinstance(error, botocore.ReadTimeoutError) else "take"
        return OperationError(
            Reason.TIMEOUT,
            wanted,
            f"{endpoint} did not {doing} a request in time",
            "Check that the server runs and no firewall is between; a slow line needs a longer "
            "connect_timeout_s or read_timeout_s",
        )
    if isinstance(error, botocore.FlexibleChecksumError):
        return OperationError(
            Reason.INTEGRITY,
            wanted,
            "what was read is not what was stored, by its checksum",
            _CHANGED,
        )
    lost = (botocore.ConnectionError, botocore.HTTPClientError, botocore.IncompleteReadError)
    if isinstance(error, lost):
        return OperationError(
            Reason.UNREACHABLE,
            wanted,
            f"{endpoint}: {_words(cause)}",
            "Check endpoint_url, and that the server runs and its name resolves here",
        )
    return client_failure(wanted, error)


def client_failure(wanted: str, error: BotoCoreError | ValueError) -> OperationError:
    """The error for what stands in the way of asking at all: credentials, profile, settings."""
    from botocore import exceptions as botocore

    seen = " ".join(str(error).split()).rstrip(".")
    if isinstance(error, botocore.NoCredentialsError):
        return OperationError(
            Reason.AUTH,
            wanted,
            "no credentials were found in the options, the environment, a profile or a role",
            "Give access_key and secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a "
            "profile, a web identity or an instance role",
        )
    if isinstance(error, botocore.PartialCredentialsError):
        return OperationError(Reason.AUTH, wanted, seen, "Give the missing half of the key pair")
    if isinstance(error, botocore.ProfileNotFound):
        return OperationError(
            Reason.INVALID_INPUT, wanted, seen, "Correct profile, or the file ~/.aws/config"
        )
    credentials = (
        botocore.CredentialRetrievalError,
        botocore.MetadataRetrievalError,
        botocore.SSOError,
        botocore.TokenRetrievalError,
    )
    if isinstance(error, credentials):
        return OperationError(Reason.AUTH, wanted, seen, _RENEW)
    return OperationError(
        Reason.INVALID_INPUT, wanted, seen, "Correct the settings of S3 in the options or ~/.aws"
    )


def _cause(error: BotoCoreError) -> BaseException | None:
    """What the operating system said below the layers that wrapped it."""
    cause: BaseException | None = error.kwargs.get("error")
    below = cause
    for _layer in range(8):
        if below is None or isinstance(below, OSError):
            return below or cause
        cause = below
        nested = [each for each in below.args if isinstance(each, BaseException)]
        below = nested[0] if nested else below.__cause__ or below.__context__
    return cause


def _words(cause: BaseException | None) -> str:
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    said = str(cause.args[-1]) if cause is not None and cause.args else ""
    return " ".join(said.split()).rstrip(".") or "the connection was lost"
