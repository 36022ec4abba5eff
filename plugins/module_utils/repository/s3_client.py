# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How to reach S3, and botocore's client for it.

botocore and not boto3: the same requests, credential chain and settings, loaded in 0.19 s of CPU
instead of 0.25 (docs/decisions/0025).
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..core.errors import OperationError, Reason, invalid_option

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.loaders import Loader

_OLDEST_BOTOCORE = (1, 36)  # conditional writes and the say over checksums
_MAX_CONNECTIONS = 32
_DEFAULT_REGION = "us-east-1"  # any will do for a server that is not AWS


@dataclass(frozen=True)
class S3Settings:
    """The suboptions of `s3`; what is None comes from the environment and the profile.

    `connect_timeout_s` is for connecting, and for sending one part; `read_timeout_s` for each
    wait for an answer.
    """

    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    session_token: str | None = None
    path_style: bool | None = None
    ca_file: str | None = None
    validate_certs: bool = True
    sse: str | None = None
    kms_key_id: str | None = None
    storage_class: str | None = None
    connect_timeout_s: float = 30.0
    read_timeout_s: float = 30.0
    max_attempts: int = 5

    @classmethod
    def of(cls, options: dict[str, Any] | None) -> S3Settings:
        """The settings in a module's option; raises `invalid_input`."""
        known = {field.name for field in fields(cls)}
        given = {k: v for k, v in (options or {}).items() if v is not None and k in known}
        settings = cls(**given)
        settings._check()
        return settings

    def _check(self) -> None:
        if self.endpoint_url is not None:
            _check_endpoint(self.endpoint_url)
        if (self.access_key is None) != (self.secret_key is None):
            raise invalid_option(
                "s3", "access_key and secret_key go together", "Give both, or none of them"
            )
        if self.session_token is not None and self.access_key is None:
            raise invalid_option(
                "s3.session_token", "it belongs to an access_key", "Give its keys with it"
            )
        if self.kms_key_id is not None and self.sse != "aws:kms":
            raise invalid_option("s3.kms_key_id", "sse is not aws:kms", "Set sse to aws:kms")
        if self.ca_file is not None and not os.path.isfile(self.ca_file):
            raise invalid_option(
                "s3.ca_file", f"there is no file {self.ca_file}", "Give a file of certificates"
            )
        for name in ("connect_timeout_s", "read_timeout_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise invalid_option(
                    f"s3.{name}", f"{getattr(self, name):g} is no time", "Give seconds above 0"
                )
        if self.max_attempts < 1:
            raise invalid_option(
                "s3.max_attempts", f"{self.max_attempts} is less than 1", "Give 1 or more"
            )

    def stored_with(self, data: bool = False) -> dict[str, str]:
        """Parameters of a request that makes an object; `data` is what may be in a cold class."""
        given = {
            "ServerSideEncryption": self.sse,
            "SSEKMSKeyId": self.kms_key_id,
            "StorageClass": self.storage_class if data else None,
        }
        return {name: value for name, value in given.items() if value is not None}


def _check_endpoint(url: str) -> None:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    else:
        if parts.username is not None or parts.password is not None:
            raise invalid_option(
                "s3.endpoint_url", "it has credentials in it", "Give them as access_key, secret_key"
            )
    if not valid:
        raise invalid_option(
            "s3.endpoint_url", f"{url!r} is no URL of a server", "Give one such as http://host:8333"
        )


def connect(settings: S3Settings, wanted: str) -> BaseClient:
    """A client, which asks nothing yet; `wanted` continues "Failed to ...".

    Raises `missing_library`, `invalid_input` for a profile that does not exist, `auth` for
    credentials that cannot be read.
    """
    _require_botocore(wanted)
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    from .s3_errors import client_failure

    if not settings.validate_certs:
        _silence_urllib3()
    try:
        session = botocore.session.Session(profile=settings.profile)
        session.register_component("data_loader", _models(session.get_config_variable("data_path")))
        return session.create_client(
            "s3",
            region_name=settings.region or session.get_config_variable("region") or _DEFAULT_REGION,
            endpoint_url=settings.endpoint_url,
            verify=settings.ca_file if settings.validate_certs else False,
            aws_access_key_id=settings.access_key,
            aws_secret_access_key=settings.secret_key,
            aws_session_token=settings.session_token,
            config=Config(
                connect_timeout=settings.connect_timeout_s,
                read_timeout=settings.read_timeout_s,
                retries={"mode": "standard", "total_max_attempts": settings.max_attempts},
                max_pool_connections=_MAX_CONNECTIONS,
                tcp_keepalive=True,
                user_agent_extra="optiinfra-cost-agent",
                # We give a CRC-32 with everything that we store, and verify what we read.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={**_addressing(settings), "payload_signing_enabled": False},
            ),
        )
    except (BotoCoreError, ValueError) as error:
        raise client_failure(wanted, error) from error


@functools.cache
def _models(data_path: str | None) -> Loader:
    """Where botocore reads what S3 is: once in a process, as it takes 0.2 s for every client."""
    from botocore.loaders import create_loader

    return create_loader(data_path)


def _silence_urllib3() -> None:
    """No warning for each request whose certificate is not looked at: that was asked for."""
    import urllib3

    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


def _addressing(settings: S3Settings) -> dict[str, str]:
    """Path style where it is asked for, or a server other than AWS is: few have a name a bucket."""
    path_style = settings.path_style
    if path_style is None:
        variables = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
        if not (settings.endpoint_url or any(os.environ.get(name) for name in variables)):
            return {}
        path_style = True
    return {"addressing_style": "path" if path_style else "virtual"}


def _require_botocore(wanted: str) -> None:
    try:
        import botocore
    except ImportError:
        found = "is not installed here"
    else:
        numbers = botocore.__version__.split(".")[:2]
        if tuple(int(number) for number in numbers) >= _OLDEST_BOTOCORE:
            return
        found = f"is too old: {botocore.__version__}"
    oldest = ".".join(str(number) for number in _OLDEST_BOTOCORE)
    raise OperationError(
        Reason.MISSING_LIBRARY,
        wanted,
        f"the Python library botocore {found}",
        f"Install boto3 {oldest} or newer for the Python that runs this",
    )
