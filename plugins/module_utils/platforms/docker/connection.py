# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of the engine, and what its failures mean.

The Docker SDK is imported here alone, and only once an engine is asked for something.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any

from ...core.errors import OperationError, Reason, invalid_option
from .options import Connection

# More than observers that ask at the same time: a pool that is full opens connections anew.
_POOL = 32
_OLDEST_API = "1.41"  # one-shot statistics; Docker 20.10
_DENIED = (401, 403)


class Gone(Exception):
    """The engine knows no such thing: a container, an image, a network."""

    def __init__(self, said: str) -> None:
        self.said = said
        super().__init__(said)


class Refused(Exception):
    """The engine will not do it: `status` is its HTTP status, `said` its words."""

    def __init__(self, status: int, said: str) -> None:
        self.status = status
        self.said = said
        super().__init__(said)


def connect(connection: Connection) -> Any:
    """A client that has spoken to the engine once.

    Raises `missing_library`, `unreachable`, `auth`, `invalid_input` for certificates that are
    not to be read, `precondition` for an engine that is too old.
    """
    try:
        import docker
    except ImportError as error:
        raise OperationError(
            Reason.MISSING_LIBRARY,
            "speak to the Docker engine",
            f"the Python library docker is not installed: {error}",
            "Install it beside Ansible on the controller: pip install docker",
        ) from error
    with speaking(connection, "reach the engine"):
        client = docker.APIClient(
            base_url=_base_url(connection),
            version=connection.api_version,
            timeout=connection.timeout_s,
            tls=_tls(connection),
            use_ssh_client=connection.use_ssh_client,
            max_pool_size=_POOL,
        )
        if connection.api_version != "auto":  # which nobody has asked the engine about yet
            client.ping()
    if _number(client.api_version) < _number(_OLDEST_API):
        raise OperationError(
            Reason.PRECONDITION,
            f"use the engine at {connection.host}",
            f"it speaks version {client.api_version} of the API, and {_OLDEST_API} is needed",
            "Give it Docker 20.10 or newer",
        )
    return client


@contextlib.contextmanager
def speaking(connection: Connection, wanted: str) -> Iterator[None]:
    """Turn the SDK's errors into `Gone`, `Refused`, or an `OperationError` that says all."""
    from docker import errors
    from requests import exceptions

    try:
        yield
    except errors.APIError as error:
        raise _answered(connection, wanted, error) from error
    except exceptions.SSLError as error:
        raise OperationError(
            Reason.AUTH,
            wanted,
            f"{connection.host} and this user do not trust each other: {_cause(error)}",
            "Check ca_path, client_cert, client_key and tls_hostname",
        ) from error
    except (errors.DockerException, exceptions.RequestException, OSError) as error:
        raise _unanswered(connection, wanted, error) from error


def _answered(connection: Connection, wanted: str, error: Any) -> Exception:
    status = error.status_code or 0
    said = str(error.explanation or error).strip().rstrip(".")
    if status in _DENIED:
        return OperationError(
            Reason.AUTH, wanted, f"{connection.host} refuses: {said}", "Use another identity"
        )
    if status == 404:
        return Gone(said)
    return Refused(status, said)


def _unanswered(connection: Connection, wanted: str, error: Exception) -> OperationError:
    text = _cause(error)
    if "paramiko" in text:
        return OperationError(
            Reason.MISSING_LIBRARY,
            wanted,
            "the Python library paramiko is not installed",
            "Install it on the controller, also for use_ssh_client: pip install docker[ssh]",
        )
    if "Permission denied" in text:
        return OperationError(
            Reason.AUTH,
            wanted,
            f"{connection.host}: permission denied",
            "Run this as a user who may use the engine, for example one of the group docker",
        )
    if any(word in text for word in ("CERTIFICATE", "certificate", "doesn't match")):
        return OperationError(
            Reason.AUTH,
            wanted,
            f"{connection.host} and this user do not trust each other: {text}",
            "Check ca_path, client_cert, client_key and tls_hostname",
        )
    return OperationError(
        Reason.UNREACHABLE,
        wanted,
        f"{connection.host} does not answer: {text}",
        "See that the engine runs, and that docker_host or DOCKER_HOST names it",
    )


def _cause(error: BaseException) -> str:
    """The innermost reason of a chain of wrapped errors, which alone says something."""
    inner: BaseException = error
    while inner.__cause__ or inner.__context__:
        inner = inner.__cause__ or inner.__context__  # type: ignore[assignment]
    return _first_line(inner) or _first_line(error) or type(inner).__name__


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else ""


def _base_url(connection: Connection) -> str:
    if connection.uses_tls and connection.host.startswith("tcp://"):
        return connection.host.replace("tcp://", "https://", 1)
    return connection.host


def _tls(connection: Connection) -> Any:
    if not connection.uses_tls:
        return False
    from docker.tls import TLSConfig

    _require_readable(connection)
    certificate = None
    if connection.client_cert and connection.client_key:
        certificate = (connection.client_cert, connection.client_key)
    tls = TLSConfig(
        client_cert=certificate,
        ca_cert=connection.ca_path if connection.validate_certs else None,
        verify=connection.validate_certs,
    )
    configure = tls.configure_client

    def configure_client(client: Any) -> None:
        configure(client)
        # Or REQUESTS_CA_BUNDLE, where it is set, is trusted in place of ca_path.
        client.trust_env = not connection.ca_path
        if connection.tls_hostname and connection.validate_certs:
            client.mount("https://", _adapter_for(connection.tls_hostname))

    tls.configure_client = configure_client
    return tls


def _adapter_for(name: str) -> Any:
    """What has the engine's certificate checked against another name than its address.

    The SDK has had no option for it since version 7.
    """
    from requests.adapters import HTTPAdapter

    class NamedAdapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            super().init_poolmanager(
                *arguments, **options, assert_hostname=name, server_hostname=name
            )

    return NamedAdapter(pool_connections=_POOL)


def _require_readable(connection: Connection) -> None:
    for option in ("ca_path", "client_cert", "client_key"):
        path = getattr(connection, option)
        if path is not None and not (os.path.isfile(path) and os.access(path, os.R_OK)):
            raise invalid_option(
                f"docker.{option}",
                f"{path} is no file that this user can read",
                "Give the path of a PEM file on the machine where the module runs",
            )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
