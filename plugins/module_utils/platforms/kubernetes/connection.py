# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to an API server: the library's configuration, and urllib3's pool for it.

The library `kubernetes` reads the kubeconfig, runs its credential plugins and refreshes tokens.
Requests go through urllib3, which it uses too: its generated classes would make objects of a
thousand pods that nobody looks at (docs/decisions/0058).
"""

from __future__ import annotations

import os
import ssl
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import OperationError, Reason
from .options import ClusterAccess

if TYPE_CHECKING:
    from urllib3 import PoolManager

_POD_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_MAX_CONNECTIONS = 8
# The library has one table of such files for the process: another thread would be handed ours.
_READING = threading.Lock()


@dataclass(frozen=True)
class Credentials:
    """Who we are to the server, as another HTTP client takes it; certificates are PEM texts."""

    server: str
    token: str | None
    ca_cert: str | None
    client_cert: str | None
    client_key: str | None
    validate_certs: bool


class Connection:
    """The server's address, a pool of connections to it, and the token of this moment."""

    def __init__(self, access: ClusterAccess, wanted: str) -> None:
        """Read the configuration; nothing is asked yet. `wanted` continues "Failed to ...".

        Raises `missing_library`, `invalid_input` for a kubeconfig that cannot be used, `auth` for
        credentials that cannot be had.
        """
        # The library writes the kubeconfig's keys to files, and leaves them when it is forked.
        with _READING, tempfile.TemporaryDirectory(prefix="cost-agent-kube-") as folder:
            self._configuration = _configuration(access, folder, wanted)
            self.server: str = self._configuration.host.rstrip("/")
            self._files = _read_files(self._configuration)
            self.pool = _pool(self._configuration, wanted)

    def token(self) -> str | None:
        """The bearer token, refreshed where the kubeconfig says how."""
        if self._configuration.refresh_api_key_hook is not None:
            self._configuration.refresh_api_key_hook(self._configuration)
        for setting in self._configuration.auth_settings().values():
            if str(setting.get("key")).lower() == "authorization" and setting.get("value"):
                value = str(setting["value"])
                return value[7:] if value.lower().startswith("bearer ") else None
        return None

    def headers(self) -> dict[str, str]:
        """What authenticates a request, where no client certificate does."""
        token = self.token()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def credentials(self) -> Credentials:
        """The same for another client."""
        return Credentials(
            server=self.server,
            token=self.token(),
            ca_cert=self._files.get("ssl_ca_cert"),
            client_cert=self._files.get("cert_file"),
            client_key=self._files.get("key_file"),
            validate_certs=bool(self._configuration.verify_ssl),
        )


def _configuration(access: ClusterAccess, folder: str, wanted: str) -> Any:
    try:
        from kubernetes import client, config
    except ImportError:
        raise OperationError(
            Reason.MISSING_LIBRARY,
            wanted,
            "the Python library kubernetes is not installed here",
            "Install kubernetes for the Python that runs this",
        ) from None
    found = client.Configuration()
    if access.host is not None:
        found.host = access.host
        if access.api_key is not None:
            found.api_key["authorization"] = f"Bearer {access.api_key}"
        found.cert_file, found.key_file = access.client_cert, access.client_key
    else:
        _load(config, access, folder, found, wanted)
    if access.ca_cert is not None:
        found.ssl_ca_cert = access.ca_cert
    if not access.validate_certs:
        found.verify_ssl = False
    return found


def _load(config: Any, access: ClusterAccess, folder: str, found: Any, wanted: str) -> None:
    """From the kubeconfig that is named, else the usual one, else the pod's service account."""
    import yaml  # the library's own dependency

    file = access.kubeconfig or os.environ.get("KUBECONFIG") or None
    usual = Path("~/.kube/config").expanduser()
    try:
        if file is None and access.context is None and not usual.is_file():
            if not os.path.isfile(_POD_TOKEN):
                raise OperationError(
                    Reason.INVALID_INPUT,
                    wanted,
                    f"no kubeconfig is given, there is no {usual}, and this is not inside a pod",
                    "Give kubernetes.kubeconfig, kubernetes.host or the variable KUBECONFIG",
                )
            config.load_incluster_config(client_configuration=found)
            return
        config.load_kube_config(
            config_file=file or str(usual),
            context=access.context,
            client_configuration=found,
            persist_config=False,
            temp_file_path=folder,
        )
    except config.ConfigException as error:
        raise OperationError(
            Reason.INVALID_INPUT,
            wanted,
            f"the kubeconfig {file or usual} cannot be used: {error}",
            "Correct it, or name one of its contexts in kubernetes.context",
        ) from error
    except (OSError, ValueError) as error:
        raise OperationError(
            Reason.INVALID_INPUT,
            wanted,
            f"the kubeconfig {file or usual} cannot be read: {type(error).__name__}",
            "Give a kubeconfig that kubectl can use",
        ) from error
    except yaml.YAMLError as error:
        raise OperationError(
            Reason.INVALID_INPUT,
            wanted,
            f"the kubeconfig {file or usual} is not YAML",
            "Give a kubeconfig that kubectl can use",
        ) from error


def _read_files(configuration: Any) -> dict[str, str]:
    found = {}
    for name in ("ssl_ca_cert", "cert_file", "key_file"):
        path = getattr(configuration, name, None)
        if path:
            found[name] = Path(path).read_text(encoding="ascii", errors="replace")
    return found


def _pool(configuration: Any, wanted: str) -> PoolManager:
    """Connections with the certificates loaded once, so that their files need not stay."""
    import urllib3

    try:
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
    except (OSError, ssl.SSLError) as error:
        raise OperationError(
            Reason.INVALID_INPUT,
            wanted,
            f"the certificates for the API server cannot be used: {error}",
            "Check ca_cert, client_cert and client_key, or the kubeconfig",
        ) from error
    settings: dict[str, Any] = {
        "ssl_context": context,
        "maxsize": _MAX_CONNECTIONS,
        "retries": False,
    }
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        settings["cert_reqs"] = "CERT_NONE"
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    if getattr(configuration, "tls_server_name", None):
        settings["server_hostname"] = configuration.tls_server_name
    if getattr(configuration, "assert_hostname", None) is not None:
        settings["assert_hostname"] = configuration.assert_hostname
    if configuration.proxy and not _bypasses_proxy(configuration):
        return urllib3.ProxyManager(
            configuration.proxy, proxy_headers=configuration.proxy_headers, **settings
        )
    return urllib3.PoolManager(**settings)


def _bypasses_proxy(configuration: Any) -> bool:
    """Whether NO_PROXY names the server (the library's own rule changes between versions)."""
    from urllib.parse import urlsplit
    from urllib.request import proxy_bypass

    names = configuration.no_proxy
    host = urlsplit(configuration.host).hostname or ""
    return bool(names) and bool(proxy_bypass(host, {"no": names}))
