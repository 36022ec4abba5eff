# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What S3 answers, as a reason and in words."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import Reason
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository import s3_errors
from botocore import exceptions as botocore

ENDPOINT = "http://s3.example:9000"


def answered(code, status, message="", attempts=1, **more):
    return botocore.ClientError(
        {
            "Error": {"Code": code, "Message": message, **more},
            "ResponseMetadata": {
                "HTTPStatusCode": status,
                "RetryAttempts": attempts - 1,
                "HTTPHeaders": {"date": "Thu, 23 Jan 2025 02:00:00 GMT"},
            },
        },
        "PutObject",
    )


def failure(error):
    return s3_errors.request_failure("list s3://bucket", "bucket", ENDPOINT, error)


@pytest.mark.parametrize(
    ("code", "status", "reason", "words"),
    [
        ("InvalidAccessKeyId", 403, Reason.AUTH, "AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", 403, Reason.AUTH, "Check secret_key"),
        ("AccessDenied", 403, Reason.AUTH, "Grant these credentials"),
        ("ExpiredToken", 400, Reason.AUTH, "Renew the session"),
        ("NoSuchBucket", 404, Reason.PRECONDITION, "Create the bucket"),
        ("PermanentRedirect", 301, Reason.PRECONDITION, "region"),
        ("InvalidObjectState", 403, Reason.PRECONDITION, "archive tier"),
        ("NoSuchUpload", 404, Reason.PRECONDITION, "lifecycle rule"),
        ("KMS.DisabledException", 400, Reason.PRECONDITION, "kms_key_id"),
        ("InvalidStorageClass", 400, Reason.INVALID_INPUT, "storage_class"),
        ("BadDigest", 400, Reason.INTEGRITY, "proxy between"),
        ("XAmzContentSHA256Mismatch", 400, Reason.INTEGRITY, "proxy between"),
        ("QuotaExceeded", 403, Reason.BUDGET, "quota"),
        ("SlowDown", 503, Reason.UNREACHABLE, "SlowDown"),
        ("InternalError", 500, Reason.UNREACHABLE, "its log"),
        ("502", 502, Reason.UNREACHABLE, "its log"),
        ("429", 429, Reason.UNREACHABLE, "its log"),
        ("504", 504, Reason.TIMEOUT, "its log"),
        ("403", 403, Reason.AUTH, "Grant"),
        ("404", 404, Reason.PRECONDITION, "bucket's name"),
        ("Unheard", 418, Reason.FAILED_STATE, "Unheard"),
    ],
)
def test_an_answer_has_a_reason_and_a_next_step(code, status, reason, words):
    error = failure(answered(code, status, "Said by the server."))
    assert error.reason is reason
    assert words in str(error)
    assert str(error).startswith("Failed to list s3://bucket: bucket bucket answered")


def test_attempts_are_told():
    assert "503 SlowDown (Please wait), 5 times." in str(
        failure(answered("SlowDown", 503, "Please wait.", attempts=5))
    )


def test_a_wrong_clock_is_told_with_both_times():
    error = failure(
        answered(
            "RequestTimeTooSkewed",
            403,
            RequestTime="20250123T010000Z",
            ServerTime="2025-01-23T02:00:00Z",
        )
    )
    assert error.reason is Reason.PRECONDITION
    assert "here it is 20250123T010000Z, there 2025-01-23T02:00:00Z" in str(error)
    assert "clock" in error.next_step


def test_an_object_under_lock_is_no_question_of_rights():
    error = failure(
        answered("AccessDenied", 403, "Access Denied because object protected by object lock.")
    )
    assert error.reason is Reason.PRECONDITION


def test_objects_that_a_deletion_left_are_told():
    error = s3_errors.deletion_failure(
        "delete from s3://bucket/p",
        "bucket",
        "p/",
        [{"Key": "p/a/b", "Code": "AccessDenied", "Message": "no"}, {"Key": "p/c"}],
    )
    assert error.reason is Reason.AUTH
    assert "2 of the objects stay; for a/b, bucket bucket answered AccessDenied (no)" in str(error)


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (
            botocore.EndpointConnectionError(
                endpoint_url=ENDPOINT, error=ConnectionRefusedError(111, "Connection refused")
            ),
            Reason.UNREACHABLE,
            f"{ENDPOINT}: Connection refused",
        ),
        (
            botocore.ConnectionClosedError(
                endpoint_url=ENDPOINT,
                error=Exception("aborted", ConnectionResetError(104, "Connection reset by peer")),
            ),
            Reason.UNREACHABLE,
            "Connection reset by peer",
        ),
        (
            botocore.ResponseStreamingError(error=Exception("Connection broken")),
            Reason.UNREACHABLE,
            "Connection broken",
        ),
        (botocore.HTTPClientError(error=None), Reason.UNREACHABLE, "connection was lost"),
        (
            botocore.IncompleteReadError(actual_bytes=1, expected_bytes=2),
            Reason.UNREACHABLE,
            "connection was lost",
        ),
        (
            botocore.SSLError(endpoint_url=ENDPOINT, error=Exception("certificate verify failed")),
            Reason.UNREACHABLE,
            "ca_file",
        ),
        (
            botocore.ConnectTimeoutError(endpoint_url=ENDPOINT, error=None),
            Reason.TIMEOUT,
            "did not take",
        ),
        (
            botocore.ReadTimeoutError(endpoint_url=ENDPOINT, error=None),
            Reason.TIMEOUT,
            "did not answer",
        ),
        (botocore.FlexibleChecksumError(error_msg="x"), Reason.INTEGRITY, "by its checksum"),
        (botocore.NoCredentialsError(), Reason.AUTH, "no credentials were found"),
        (
            botocore.PartialCredentialsError(provider="env", cred_var="aws_secret_access_key"),
            Reason.AUTH,
            "missing half",
        ),
        (
            botocore.CredentialRetrievalError(provider="process", error_msg="exit 1"),
            Reason.AUTH,
            "Renew",
        ),
        (botocore.ParamValidationError(report="x"), Reason.INVALID_INPUT, "settings of S3"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_no_answer_has_a_reason_and_a_next_step(error, reason, words):
    failed = failure(error)
    assert failed.reason is reason
    assert words in str(failed)
