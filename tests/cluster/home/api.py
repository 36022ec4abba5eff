# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few requests to the API that starting a cluster takes."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from tests.cluster.home.certificates import Certificates
from tests.cluster.home.errors import ClusterError
from tests.cluster.home.layout import API_SERVER

_TIMEOUT_S = 5.0
Document = dict[str, Any]


class Api:
    """The API server as its administrator sees it; also asks the other components how they are."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates

    def get(self, path: str) -> Document | None:
        """What is at `path`; None when there is nothing or nobody answers."""
        try:
            return json.loads(self._request("GET", path))
        except (OSError, ValueError):
            return None

    def apply(self, path: str, document: Document, part: str = "") -> None:
        """Server-side apply, of the object or of a `part` of it, as `/status`.

        Raises ClusterError when the API refuses or does not answer.
        """
        path = f"{path}/{document['metadata']['name']}{part}?fieldManager=home&force=true"
        try:
            self._request("PATCH", path, json.dumps(document).encode())
        except urllib.error.HTTPError as error:
            raise ClusterError(f"api: {path}: {error.read().decode(errors='replace')}") from error
        except OSError as error:
            raise ClusterError(f"api: {path}: {error}") from error

    def delete(self, path: str) -> bool:
        """Delete what is at `path`; False when there is nothing or nobody answers."""
        try:
            self._request("DELETE", path)
        except OSError:
            return False
        return True

    def answers(self, url: str) -> bool:
        """Whether a health endpoint of any component says 200."""
        try:
            self._open(urllib.request.Request(url))
        except OSError:
            return False
        return True

    def is_ready(self) -> bool:
        return self.answers(f"{API_SERVER}/readyz")

    def has_condition(self, path: str, condition: str) -> bool:
        """Whether the object at `path` has this condition with status True."""
        found = self.get(path) or {}
        return any(
            each["type"] == condition and each["status"] == "True"
            for each in found.get("status", {}).get("conditions", ())
        )

    def _request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        # JSON is YAML as well.
        headers = {"Content-Type": "application/apply-patch+yaml"} if body else {}
        return self._open(urllib.request.Request(API_SERVER + path, body, headers, method=method))

    def _open(self, request: urllib.request.Request) -> bytes:
        context = ssl.create_default_context(
            cafile=str(self._certificates.cluster.pair.certificate)
        )
        admin = self._certificates.admin()
        context.load_cert_chain(admin.certificate, admin.key)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            return answer.read()
