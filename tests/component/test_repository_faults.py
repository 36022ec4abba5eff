# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What networks and servers do to a repository in S3: survived, or told by the right reason."""

from __future__ import annotations

import http.server
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest
import trustme
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    ABSENT,
    VersionConflict,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository import (
    MIN_PART,
    Repository,
    Upload,
    open_repository,
    state_store_of,
)

from tests.component.fault_proxy import (
    Action,
    Call,
    Corrupt,
    FaultProxy,
    Hang,
    LoseAnswer,
    ResetRequest,
    ResetResponse,
    Respond,
    Truncate,
)
from tests.component.s3_servers import S3Server, seaweedfs
from tests.waiting import eventually

CLOCK = SystemClock()
PART = os.urandom(MIN_PART)
IMPATIENT = {"connect_timeout_s": 5.0, "read_timeout_s": 1.0, "max_attempts": 2}
BOUND_S = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[S3Server]:
    with seaweedfs(tmp_path_factory.mktemp("s3")) as started:
        yield started


@pytest.fixture
def proxy(server) -> Iterator[FaultProxy]:
    with FaultProxy(server.s3["endpoint_url"]) as between:
        yield between


@pytest.fixture
def place(server) -> str:
    return f"s3://{server.bucket}/{time.monotonic_ns()}"


@pytest.fixture
def repository(server, proxy, place) -> Iterator[Repository]:
    """By way of the proxy, with little patience."""
    options = {"repository": place, "s3": server.at(proxy.url, **IMPATIENT)}
    with closing(open_repository(options, CLOCK)) as opened:
        yield opened


@pytest.fixture
def direct(server, place) -> Iterator[Repository]:
    """The same repository, without the proxy."""
    with closing(open_repository({"repository": place, "s3": server.s3}, CLOCK)) as opened:
        yield opened


@contextmanager
def bounded() -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < BOUND_S


def store(repository: Repository, *parts: bytes) -> None:
    upload = repository.upload("data")
    try:
        for part in parts:
            upload.write(part)
        upload.commit()
    finally:
        upload.abort()


def content(repository: Repository) -> bytes:
    pieces = []
    with repository.open("data") as reader:
        while piece := reader.read(1 << 18):
            pieces.append(piece)
    return b"".join(pieces)


USES: dict[str, Callable[[Repository], Any]] = {
    "read": lambda repository: repository.read("there"),
    "open": lambda repository: repository.open("there").__enter__(),
    "write": lambda repository: repository.write("new", b"1", expect=ABSENT),
    "upload": lambda repository: store(repository, PART, PART, b"rest"),
    "list": lambda repository: list(repository.list()),
    "list_folders": lambda repository: list(repository.list_folders("")),
    "delete": lambda repository: repository.delete(["there"]),
    "protection_of": lambda repository: repository.protection_of("there"),
    "abort_uploads": lambda repository: repository.abort_uploads(""),
}
every_use = pytest.mark.parametrize("use", USES.values(), ids=USES)


# --- faults that stay -------------------------------------------------------------------------

REFUSALS = [
    (500, "InternalError", Reason.UNREACHABLE),
    (503, "SlowDown", Reason.UNREACHABLE),
    (403, "AccessDenied", Reason.AUTH),
    (400, "ExpiredToken", Reason.AUTH),
    (403, "RequestTimeTooSkewed", Reason.PRECONDITION),
    (404, "NoSuchBucket", Reason.PRECONDITION),
]


asked_with_a_body = pytest.mark.parametrize(
    "use",
    [use for name, use in USES.items() if name != "protection_of"],
    ids=[name for name in USES if name != "protection_of"],
)


@asked_with_a_body  # an answer to HEAD has no body, so no code
@pytest.mark.parametrize(("status", "code", "reason"), REFUSALS, ids=str)
def test_what_the_server_answers_is_the_reason(repository, proxy, use, status, code, reason):
    proxy.inject(Respond(status, code), times=None)
    with bounded(), pytest.raises(OperationError, match=f"{status} {code}") as caught:
        use(repository)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("status", "reason"), [(500, Reason.UNREACHABLE), (403, Reason.AUTH)], ids=str
)
def test_an_answer_without_a_code_is_judged_by_its_status(repository, proxy, status, reason):
    proxy.inject(Respond(status, "Lost"), times=None)
    with bounded(), pytest.raises(OperationError, match=str(status)) as caught:
        repository.protection_of("there")
    assert caught.value.reason is reason


@every_use
def test_a_refused_connection_is_unreachable(repository, proxy, use):
    with proxy.refusing(), bounded(), pytest.raises(OperationError) as caught:
        use(repository)
    assert caught.value.reason is Reason.UNREACHABLE
    assert "Connection refused" in str(caught.value)


@every_use
@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (ResetRequest(), Reason.UNREACHABLE),
        (LoseAnswer(), Reason.UNREACHABLE),
        (Hang(), Reason.TIMEOUT),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_answer_is_told_in_bounded_time(repository, proxy, use, action, reason):
    proxy.inject(action, times=None)
    with bounded(), pytest.raises(OperationError) as caught:
        use(repository)
    assert caught.value.reason is reason
    assert repository.url in str(caught.value)


def test_a_name_that_does_not_resolve_is_unreachable(server, place):
    options = server.at("http://s3.nowhere.invalid:9000", **IMPATIENT)
    repository = open_repository({"repository": place, "s3": options}, CLOCK)
    with bounded(), pytest.raises(OperationError, match=r"s3\.nowhere\.invalid") as caught:
        repository.read("a")
    assert caught.value.reason is Reason.UNREACHABLE


def test_a_server_that_takes_no_more_bytes_is_a_timeout(server, place):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        options = server.at(url, connect_timeout_s=1.0, read_timeout_s=1.0, max_attempts=1)
        repository = open_repository({"repository": place, "s3": options}, CLOCK)
        with bounded(), pytest.raises(OperationError) as caught:
            repository.write("a", PART * 4)
    assert caught.value.reason is Reason.TIMEOUT


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"secret_key": "planted-secret"}, "SignatureDoesNotMatch"),
        ({"access_key": "nobody", "secret_key": "planted-secret"}, "InvalidAccessKeyId"),
    ],
    ids=["secret_key", "access_key"],
)
def test_wrong_credentials_are_told_and_not_repeated(server, place, changes, words):
    options = {"repository": place, "s3": {**server.s3, **changes}}
    repository = open_repository(options, CLOCK)
    with closing(repository), pytest.raises(OperationError, match=words) as caught:
        list(repository.list())
    assert caught.value.reason is Reason.AUTH
    assert "planted-secret" not in str(caught.value)


def test_no_credentials_at_all_are_told(server, place, monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    options = {"endpoint_url": server.s3["endpoint_url"]}
    repository = open_repository({"repository": place, "s3": options}, CLOCK)
    with pytest.raises(OperationError, match="no credentials were found") as caught:
        repository.read("a")
    assert caught.value.reason is Reason.AUTH


def test_a_bucket_that_does_not_exist_is_a_precondition(server):
    options = {"repository": f"s3://no-{time.monotonic_ns()}", "s3": server.s3}
    repository = open_repository(options, CLOCK)
    asked = pytest.raises(OperationError, match=r"NoSuchBucket.*Create the bucket")
    with closing(repository), asked as caught:
        list(repository.list())
    assert caught.value.reason is Reason.PRECONDITION


# --- faults that pass -------------------------------------------------------------------------

PASSING: list[Action] = [
    Respond(500, "InternalError"),
    Respond(503, "SlowDown"),
    ResetRequest(),
    ResetRequest(100_000),
    LoseAnswer(),
    Hang(),
]
passing = pytest.mark.parametrize("action", PASSING, ids=repr)
STAGES = {
    "begin": {"method": "POST", "containing": "?uploads"},
    "part": {"method": "PUT", "containing": "partNumber=2"},
    "complete": {"method": "POST", "containing": "?uploadId"},
}
every_stage = pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)


@passing
@every_stage
def test_an_upload_survives_what_happens_once(repository, proxy, direct, action, stage):
    fault = proxy.inject(action, **stage)
    store(repository, PART, PART[::-1], b"rest")
    assert fault.hits == 1
    assert content(direct) == PART + PART[::-1] + b"rest"


@passing
def test_a_small_upload_survives_what_happens_once(repository, proxy, direct, action):
    fault = proxy.inject(action, method="PUT")
    store(repository, b"small")
    assert fault.hits == 1
    assert content(direct) == b"small"


@passing
@pytest.mark.parametrize("existing", [False, True])
def test_a_conditional_write_survives_what_happens_once(
    repository, proxy, direct, action, existing
):
    expect = direct.write("a", b"old") if existing else ABSENT
    fault = proxy.inject(action, method="PUT")
    version = repository.write("a", b"new", expect=expect)
    assert fault.hits == 1
    entry = direct.read("a")
    assert (entry.data, entry.version) == (b"new", version)


def test_another_writers_entry_is_no_success_of_ours(repository, proxy, direct):
    other = proxy.inject(Call(lambda: direct.write("a", b"theirs", expect=ABSENT)), method="PUT")
    with pytest.raises(VersionConflict):
        repository.write("a", b"ours", expect=ABSENT)
    assert other.hits == 1
    assert direct.read("a").data == b"theirs"


@passing
def test_a_conditional_deletion_survives_what_happens_once(repository, proxy, direct, action):
    version = direct.write("a", b"1")
    fault = proxy.inject(action, method="DELETE")
    state_store_of(repository).delete("a", expect=version)
    assert fault.hits == 1
    assert list(direct.list()) == []


def test_a_server_without_conditional_deletion_is_asked_without(repository, proxy, direct):
    version = direct.write("a", b"1")
    proxy.inject(Respond(501, "NotImplemented"), method="DELETE")
    repository.delete_version("a", version)
    assert list(direct.list()) == []


BREAKS: list[Action] = [ResetResponse(2_000_000), Truncate(2_000_000), Hang(2_000_000)]
every_break = pytest.mark.parametrize("action", BREAKS, ids=lambda value: type(value).__name__)


@pytest.fixture
def patient(server, proxy, place) -> Iterator[Repository]:
    """A reset takes with it what was not read yet: without luck there is no progress in between."""
    options = {"repository": place, "s3": server.at(proxy.url, read_timeout_s=1.0)}
    with closing(open_repository(options, CLOCK)) as opened:
        yield opened


@every_break
def test_a_body_that_breaks_off_goes_on_where_it_did(patient, proxy, direct, action):
    store(direct, PART, PART[::-1])
    first = proxy.inject(action, method="GET")
    second = proxy.inject(action, method="GET")
    assert content(patient) == PART + PART[::-1]
    assert (first.hits, second.hits) == (1, 1)


@every_break
def test_a_part_of_an_object_that_breaks_off_goes_on_to_its_end(repository, proxy, direct, action):
    store(direct, PART)
    proxy.inject(action, method="GET")
    with repository.open("data", 1000, 3_000_000) as reader:
        pieces = []
        while piece := reader.read(1 << 20):
            pieces.append(piece)
    assert b"".join(pieces) == PART[1000:3_001_000]


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (ResetResponse(0), Reason.UNREACHABLE),
        (Truncate(0), Reason.UNREACHABLE),
        (Hang(0), Reason.TIMEOUT),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_body_that_never_comes_further_is_told(repository, proxy, direct, action, reason):
    store(direct, PART)
    proxy.inject(action, method="GET", times=None)
    for use in (content, lambda repository: repository.read("data")):
        with bounded(), pytest.raises(OperationError) as caught:
            use(repository)
        assert caught.value.reason is reason


def test_an_object_replaced_while_it_is_read_is_noticed(repository, proxy, direct):
    store(direct, PART)
    proxy.inject(ResetResponse(2_000_000), method="GET")
    proxy.inject(Call(lambda: direct.write("data", b"another")), method="GET")
    with pytest.raises(OperationError, match="replaced or removed") as caught:
        content(repository)
    assert caught.value.reason is Reason.INTEGRITY


def test_an_object_removed_while_it_is_read_is_noticed(repository, proxy, direct):
    store(direct, PART)
    proxy.inject(ResetResponse(2_000_000), method="GET")
    proxy.inject(Call(lambda: direct.delete(["data"])), method="GET")
    with pytest.raises(OperationError, match="replaced or removed") as caught:
        content(repository)
    assert caught.value.reason is Reason.INTEGRITY


def test_a_changed_byte_of_a_small_object_is_noticed(repository, proxy, direct):
    direct.write("manifest", b"{}")
    proxy.inject(Corrupt(1), method="GET", times=None)
    with pytest.raises(OperationError, match="is not what was stored") as caught:
        repository.read("manifest")
    assert caught.value.reason is Reason.INTEGRITY


# --- what is left behind ----------------------------------------------------------------------


def unfinished(server: S3Server, direct: Repository) -> int:
    prefix = direct.url.rpartition("/")[2]
    answer = server.client().list_multipart_uploads(Bucket=server.bucket, Prefix=prefix)
    return len(answer.get("Uploads", ()))


@every_stage
@pytest.mark.parametrize(
    "action", [Respond(500, "InternalError"), ResetRequest(), Hang()], ids=repr
)
def test_a_failed_upload_leaves_nothing(repository, proxy, direct, server, action, stage):
    proxy.inject(action, times=None, **stage)
    with bounded(), pytest.raises(OperationError):
        store(repository, PART, PART, PART)
    # Where the answer with the upload's id was lost, the next run has to clean up.
    assert direct.abort_uploads("") == 0 or (stage is STAGES["begin"] and action == Hang())
    assert unfinished(server, direct) == 0
    # A request that hangs is done all the same.
    assert list(direct.list()) == [] or (stage is STAGES["complete"] and action == Hang())


def test_an_abort_that_nobody_hears_ends_and_the_next_run_cleans_up(
    repository, proxy, direct, server
):
    upload = repository.upload("data")
    upload.write(PART)
    eventually(lambda: any("partNumber=1" in each for each in proxy.requests))
    with proxy.refusing(), bounded():
        upload.abort()
    assert unfinished(server, direct) == 1
    assert repository.abort_uploads("") == 1
    assert unfinished(server, direct) == 0


def test_an_abort_during_a_hang_ends_in_bounded_time(repository, proxy):
    proxy.inject(Hang(), times=None)
    upload = repository.upload("small")
    upload.abort()
    proxy.clear()
    upload = repository.upload("data")
    upload.write(PART)
    proxy.inject(Hang(), times=None)
    with bounded():
        upload.abort()


KILLED = """
import json, os, sys
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository import (
    open_repository
)
options, size = json.loads(sys.argv[1]), int(sys.argv[2])
upload = open_repository(options, SystemClock()).upload("data")
for _part in range(3):
    upload.write(os.urandom(size))
upload.commit()
"""


@every_stage
def test_a_killed_run_leaves_no_object_and_the_next_one_cleans_up(
    proxy, direct, server, place, stage
):
    options = {"repository": place, "s3": server.at(proxy.url, read_timeout_s=60.0)}
    fault = proxy.inject(Hang(), **stage)
    arguments = [sys.executable, "-c", KILLED, json.dumps(options), str(MIN_PART)]
    with subprocess.Popen(arguments) as process:
        assert fault.met.wait(30)
        process.kill()
    # A request that the server has got is done, whether somebody waits for its answer or not.
    left = 0 if stage is STAGES["complete"] else 1
    eventually(lambda: unfinished(server, direct) == left)
    assert direct.abort_uploads("") == left
    assert unfinished(server, direct) == 0


# --- bounds -----------------------------------------------------------------------------------


def test_at_most_two_parts_of_an_upload_and_four_in_all_are_on_their_way(server, proxy, place):
    options = {"repository": place, "s3": server.at(proxy.url, read_timeout_s=60.0)}
    repository = open_repository(options, CLOCK)
    proxy.inject(Hang(), method="PUT", times=None)

    def write(name: str) -> threading.Thread:
        def parts() -> None:
            upload = repository.upload(name)
            with suppress(OperationError):  # the proxy's end
                for _part in range(4):
                    upload.write(PART)

        thread = threading.Thread(target=parts, daemon=True)
        thread.start()
        return thread

    def on_their_way() -> int:
        return sum(request.startswith("PUT") for request in proxy.requests)

    write("one")
    eventually(lambda: on_their_way() == 2)
    time.sleep(0.2)
    assert on_their_way() == 2
    others = [write("two"), write("three")]
    eventually(lambda: on_their_way() == 4)
    time.sleep(0.2)
    assert on_their_way() == 4
    assert all(thread.is_alive() for thread in others)


def refusal(upload: Upload) -> Reason | None:
    """Why the next part is not taken."""
    try:
        upload.write(PART)
    except OperationError as error:
        return error.reason
    return None


def test_an_earlier_parts_error_is_raised_by_the_next_write(repository, proxy):
    fault = proxy.inject(Respond(403, "AccessDenied"), method="PUT", times=None)
    upload = repository.upload("data")
    upload.write(PART)
    assert fault.met.wait(10)
    assert next(filter(None, (refusal(upload) for _part in range(3)))) is Reason.AUTH
    upload.abort()


def test_a_small_object_is_one_request(repository, proxy):
    store(repository, b"small")
    repository.write("a", b"1", expect=ABSENT)
    assert [request.partition(" ")[0] for request in proxy.requests] == ["PUT", "PUT"]


def test_a_thousand_deletions_are_one_request(repository, proxy):
    repository.delete(f"{number}" for number in range(1000))
    assert len(proxy.requests) == 1


# --- certificates -----------------------------------------------------------------------------

EMPTY_LIST = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


class Answer(http.server.BaseHTTPRequestHandler):
    """An empty bucket."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(EMPTY_LIST)))
        self.end_headers()
        self.wfile.write(EMPTY_LIST)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def behind_tls(tmp_path) -> Iterator[tuple[str, str]]:
    """The URL of a server with a certificate, and the file of its authority."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{listening.server_port}", str(tmp_path / "ca.pem")
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize("trust", ["ca_file", "validate_certs", None])
def test_the_servers_certificate_counts(behind_tls, trust):
    url, ca_file = behind_tls
    s3: dict[str, Any] = {"endpoint_url": url, "access_key": "a", "secret_key": "b", **IMPATIENT}
    s3 |= {"ca_file": {"ca_file": ca_file}, "validate_certs": {"validate_certs": False}}.get(
        str(trust), {}
    )
    with closing(open_repository({"repository": "s3://bucket", "s3": s3}, CLOCK)) as repository:
        if trust:
            assert list(repository.list()) == []
            return
        with pytest.raises(OperationError, match=r"certificate verify failed.*ca_file") as caught:
            list(repository.list())
    assert caught.value.reason is Reason.UNREACHABLE
