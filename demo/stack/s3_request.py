"""One S3 request without a body, signed with AWS Signature Version 4.

boto3 would do the same and takes half a second to import.
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
from dataclasses import dataclass
from datetime import UTC, datetime

_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Credentials:
    access_key: str
    secret_key: str
    region: str


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _signed_headers(
    method: str, host: str, path: str, credentials: Credentials, now: datetime
) -> dict[str, str]:
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    day = stamp[:8]
    headers = {"host": host, "x-amz-content-sha256": _EMPTY_SHA256, "x-amz-date": stamp}
    names = ";".join(headers)
    header_lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"{method}\n{path}\n\n{header_lines}\n{names}\n{_EMPTY_SHA256}"
    scope = f"{day}/{credentials.region}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope},"
        f"SignedHeaders={names},Signature={_hmac(key, to_sign).hex()}"
    )
    return headers


def request(
    method: str, host: str, port: int, path: str, credentials: Credentials, timeout_s: float
) -> int:
    """Send the request over plain HTTP and return the status code.

    `path` is sent as it is: it must not need percent-encoding.
    Raises OSError or http.client.HTTPException when no answer can be had.
    """
    now = datetime.now(UTC)
    headers = _signed_headers(method, f"{host}:{port}", path, credentials, now)
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request(method, path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()
