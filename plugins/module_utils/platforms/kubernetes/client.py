# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One place for all requests to an API server: retried, bounded in time, failures in words."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Callable
from urllib.parse import urlencode

from ...core.clock import Clock
from ...core.deadline import Deadline, backoff
from ...core.errors import OperationError, Reason
from .connection import Connection, Credentials
from .errors import TRANSIENT, Gone, NotFound, Refusal, refusal_error
from .options import ClusterAccess

MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"

FIELD_MANAGER = "optiinfra-cost-agent"
# How long a server may be away when no wait has a deadline of its own: kubectl's users give up
# about then, and an API server that restarts is back (measured 5 to 8 s).
PATIENCE_S = 10.0
_CONNECT_TIMEOUT_S = 5.0
_PAGE = 250  # objects; of pods about 2 MB, and five requests for a thousand
_LONGEST_RETRY_AFTER_S = 10.0

Document = dict[str, Any]


class KubernetesClient:
    """Requests to one API server. It connects with the first of them.

    Every method raises `unreachable` for a server that does not answer or stays overloaded,
    `auth` for 401 and 403, `NotFound`, `Conflict`, and `invalid_input` for what the server will
    not take. `wanted` continues "Failed to ...".
    """

    def __init__(self, access: ClusterAccess, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._connection: Connection | None = None
        self._deadline: Deadline | None = None
        self._remembered: dict[str, Document | NotFound] | None = None

    @contextlib.contextmanager
    def within(self, deadline: Deadline) -> Iterator[None]:
        """Retry until this deadline in the block, and no request outlasts it."""
        before, self._deadline = self._deadline, deadline
        try:
            yield
        finally:
            self._deadline = before

    @contextlib.contextmanager
    def remembering(self) -> Iterator[None]:
        """Read each object once in the block, and anew when something was written."""
        before = self._remembered
        self._remembered = {} if before is None else before
        try:
            yield
        finally:
            self._remembered = before

    # --- reading ------------------------------------------------------------------------------

    def get(self, path: str, wanted: str) -> Document:
        """One object, which is not to be changed in place."""
        if self._remembered is None:
            return self.request("GET", path, wanted)
        if path not in self._remembered:
            try:
                self._remembered[path] = self.request("GET", path, wanted)
            except NotFound as missing:
                self._remembered[path] = missing
        found = self._remembered[path]
        if isinstance(found, NotFound):
            raise found
        return found

    def find(self, path: str, wanted: str) -> Document | None:
        """One object, None where it is not there."""
        try:
            return self.get(path, wanted)
        except NotFound:
            return None

    def objects(
        self,
        path: str,
        wanted: str,
        *,
        labels: str = "",
        fields: str = "",
        keep: Callable[[Document], Any] | None = None,
        not_older_than: str = "",
    ) -> list[Any]:
        """All objects of a collection, page by page; `keep` reduces each as it arrives.

        A page whose continuation expired meanwhile (410) begins the list anew, once. With
        `not_older_than`, a `resourceVersion`, the server answers with what its cache has, if that
        is not older; "0" is whatever it has. Else it first makes sure that its cache is of this
        moment, for which it waits up to 0.1 s where little is written (docs/decisions/0095).
        """
        for attempt in (1, 2):
            found: list[Any] = []
            try:
                for page in self._pages(path, wanted, labels, fields, not_older_than):
                    found += [keep(each) for each in page] if keep else page
                return found
            except Gone:
                if attempt == 2:
                    raise
        return []

    def _pages(
        self, path: str, wanted: str, labels: str, fields: str, not_older_than: str
    ) -> Iterator[list[Document]]:
        query = {"limit": str(_PAGE)}
        if labels:
            query["labelSelector"] = labels
        if fields:
            query["fieldSelector"] = fields
        asked = dict(query)
        if not_older_than:  # of the first page; the others are of the same moment
            asked["resourceVersion"] = not_older_than
            asked["resourceVersionMatch"] = "NotOlderThan"
        while True:
            page = self.request("GET", path, wanted, query=asked)
            yield page.get("items") or []
            following = (page.get("metadata") or {}).get("continue")
            if not following:
                return
            asked = {**query, "continue": following}

    def text(self, path: str, wanted: str, query: Mapping[str, str], most_bytes: int) -> bytes:
        """An answer that is no JSON, the last `most_bytes` of it."""
        return self._answer("GET", path, wanted, query=query, most_bytes=most_bytes)

    # --- writing ------------------------------------------------------------------------------

    def create(self, path: str, body: Document, wanted: str) -> Document:
        """Create an object; raises `Conflict` where there is one of its name."""
        return self.request("POST", path, wanted, query=_MANAGED, body=body)

    def replace(self, path: str, body: Document, wanted: str) -> Document:
        """Replace an object; with its `resourceVersion` only that version, else `Conflict`."""
        return self.request("PUT", path, wanted, query=_MANAGED, body=body)

    def patch(self, path: str, body: Any, wanted: str, content_type: str = MERGE_PATCH) -> Document:
        """Change an object; with a `resourceVersion` in the body as for `replace`."""
        return self.request(
            "PATCH", path, wanted, query=_MANAGED, body=body, content_type=content_type
        )

    def delete(self, path: str, wanted: str, resource_version: str | None = None) -> bool:
        """Delete an object; False where it is not there."""
        body: Document = {"propagationPolicy": "Background"}
        if resource_version is not None:
            body["preconditions"] = {"resourceVersion": resource_version}
        try:
            self.request("DELETE", path, wanted, body=body)
        except NotFound:
            return False
        return True

    # --- one request --------------------------------------------------------------------------

    def credentials(self) -> Credentials:
        """Who we are to the server, for another client."""
        return self._connected("read the kubeconfig").credentials()

    def request(
        self,
        method: str,
        path: str,
        wanted: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Document:
        """A request whose answer is JSON."""
        if method != "GET" and self._remembered:
            self._remembered.clear()
        answer = self._answer(
            method, path, wanted, query=query, body=body, content_type=content_type
        )
        try:
            document = json.loads(answer)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise OperationError(
                Reason.UNREACHABLE,
                wanted,
                f"what answers at {self._connected(wanted).server} is no API server",
                "Check kubernetes.host, or the server in the kubeconfig",
            )
        return document

    def _answer(
        self,
        method: str,
        path: str,
        wanted: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        most_bytes: int | None = None,
    ) -> bytes:
        """Ask until there is an answer that is not transient, or time is over."""
        from urllib3.exceptions import HTTPError

        connection = self._connected(wanted)
        deadline = self._deadline or Deadline(self._clock, PATIENCE_S)
        url = connection.server + path + ("?" + urlencode(query) if query else "")
        headers = {"Accept": "application/json", "User-Agent": FIELD_MANAGER}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = content_type
        for pause in backoff(first=0.1, factor=2, longest=2.0):
            retry_after_s = 0.0
            try:
                refusal, answer, retry_after_s = self._ask(
                    connection, method, url, headers, data, deadline, most_bytes
                )
            except HTTPError as error:
                failure = _unreachable(wanted, connection.server, error)
                if _is_certificate_trouble(error):
                    raise failure from error
            else:
                if refusal is None:
                    return answer
                failure = refusal_error(wanted, refusal, connection.server, connection.token())
                if refusal.status not in TRANSIENT:
                    raise failure
            wait_s = max(pause, retry_after_s)
            if deadline.remaining <= wait_s:
                raise failure
            self._clock.sleep(wait_s)
        raise AssertionError("backoff is endless")

    def _ask(
        self,
        connection: Connection,
        method: str,
        url: str,
        headers: dict[str, str],
        data: bytes | None,
        deadline: Deadline,
        most_bytes: int | None,
    ) -> tuple[Refusal | None, bytes, float]:
        """One try: what was refused, the body, and how long the server asks us to stay away."""
        from urllib3 import Timeout

        # A request begun in the last second still gets one: what it asks is the last look.
        within_s = min(self._access.request_timeout_s, max(deadline.remaining, 1.0))
        response = connection.pool.request(
            method,
            url,
            body=data,
            headers={**headers, **connection.headers()},
            timeout=Timeout(connect=min(_CONNECT_TIMEOUT_S, within_s), read=within_s),
            preload_content=False,
            redirect=False,
        )
        try:
            content = _last_bytes(response, most_bytes) if most_bytes else response.read()
        finally:
            response.release_conn()
        if 200 <= response.status < 300:
            return None, content, 0.0
        path = url[len(connection.server) :]
        refusal = Refusal(response.status, method, path, content)
        return refusal, b"", _retry_after_s(response.headers.get("Retry-After"))

    def _connected(self, wanted: str) -> Connection:
        if self._connection is None:
            self._connection = Connection(self._access, wanted)
        return self._connection


_MANAGED = {"fieldManager": FIELD_MANAGER}


def _last_bytes(response: Any, most_bytes: int) -> bytes:
    """The end of an answer, of which no more than twice as much is ever in memory."""
    kept = bytearray()
    for piece in response.stream(64 * 1024):
        kept += piece
        if len(kept) > 2 * most_bytes:
            del kept[:-most_bytes]
    return bytes(kept[-most_bytes:])


def _retry_after_s(header: str | None) -> float:
    """Seconds that the server asks for; it sends no dates."""
    if header is None or not header.isdigit():
        return 0.0
    return min(float(header), _LONGEST_RETRY_AFTER_S)


def _is_certificate_trouble(error: Exception) -> bool:
    """What asking again does not mend."""
    from urllib3.exceptions import SSLError

    return isinstance(error, SSLError) and "certificate" in str(error).lower()


def _unreachable(wanted: str, server: str, error: Exception) -> OperationError:
    if _is_certificate_trouble(error):
        return OperationError(
            Reason.AUTH,
            wanted,
            f"the certificate of {server} is not to be trusted: {error}",
            "Give its CA as kubernetes.ca_cert, or in the kubeconfig",
        )
    return OperationError(
        Reason.UNREACHABLE,
        wanted,
        f"the API server {server} does not answer: {_reason_text(error)}",
        "See that it runs and is reached from here",
    )


def _reason_text(error: Exception) -> str:
    text = str(error).rpartition(": ")[2] or type(error).__name__
    return text.rstrip(".").lower()
