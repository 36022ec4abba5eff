# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load generator counts what a client would see: nothing more, and nothing less."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.load.open_load import OpenLoad
from tests.load.report import percentile
from tests.waiting import LIMIT_S

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
RESET = struct.pack("ii", 1, 0)

# What a server does with the n-th request on a connection; False: and then it closes it.
Behaviour = Callable[[socket.socket, int], bool]


class Server:
    """A server on loopback that answers each request as it is told."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._thread = threading.Thread(target=self._accept)
        self._threads: list[threading.Thread] = []
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in [self._thread, *self._threads]:
            thread.join(10)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _address = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=[connection])
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        number = 0
        with connection, contextlib.suppress(ConnectionError):
            while connection.recv(4096):
                if not self._behaviour(connection, number):
                    return
                number += 1


@pytest.fixture
def serve() -> Iterator[Callable[[Behaviour], str]]:
    with contextlib.ExitStack() as servers:

        def start(behaviour: Behaviour) -> str:
            server = Server(behaviour)
            servers.callback(server.close)
            return server.url

        yield start


def answer(connection: socket.socket, _number: int) -> bool:
    connection.sendall(OK)
    return True


def load_of(url: str, count: int = 60) -> OpenLoad:
    with OpenLoad(url, rate=200, timeout_s=1) as load:
        load.wait_for(count)
    return load


def test_half_of_the_requests_go_on_kept_connections_and_half_on_new_ones(serve) -> None:
    report = load_of(serve(answer), 100).report
    assert report.failed == report.retried == 0
    assert report.sent >= 100
    assert abs(report.kept_alive - report.sent / 2) <= 1
    # One for each of the others, and the few that the kept ones share.
    assert report.sent - report.kept_alive < report.connections < 0.8 * report.sent


def test_requests_are_sent_at_the_asked_rate(serve) -> None:
    assert 0 < load_of(serve(answer), 200).report.rate < 201


def test_a_kept_connection_that_is_closed_before_the_answer_is_a_retry(serve) -> None:
    def close_at_the_third(connection: socket.socket, number: int) -> bool:
        return number < 2 and answer(connection, number)

    report = load_of(serve(close_at_the_third)).report
    assert report.failed == 0
    assert report.retried > 0


def close_at_once(_connection: socket.socket, _number: int) -> bool:
    return False


def reset(connection: socket.socket, _number: int) -> bool:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    return False


def cut_off(connection: socket.socket, _number: int) -> bool:
    connection.sendall(OK[:-1])
    return False


def say_unavailable(connection: socket.socket, _number: int) -> bool:
    connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
    return True


def say_nothing(_connection: socket.socket, _number: int) -> bool:
    return True


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (close_at_once, "closed without an answer"),
        (reset, "reset: Connection reset by peer"),
        (cut_off, "answer cut off"),
        (say_unavailable, "status 503"),
        (say_nothing, "no answer in 1 s"),
    ],
)
def test_every_way_to_fail_is_counted_with_its_name(serve, behaviour, kind) -> None:
    report = load_of(serve(behaviour)).report
    assert report.failed == report.sent
    assert [each for each in report.kinds if each.startswith(kind)], report.kinds
    assert {failure.kept_alive for failure in report.failures} == {True, False}


def test_a_failure_on_a_kept_connection_after_part_of_an_answer_is_no_retry(serve) -> None:
    def cut_off_the_third(connection: socket.socket, number: int) -> bool:
        return answer(connection, number) if number < 2 else cut_off(connection, number)

    report = load_of(serve(cut_off_the_third)).report
    assert report.failed > 0
    assert report.retried == 0


def test_nobody_listening_is_counted(serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert load_of(f"http://127.0.0.1:{port}/").report.kinds.keys() == {"connection refused"}


def test_a_server_that_stalls_is_met_by_all_the_requests_of_that_time(serve) -> None:
    released = threading.Event()

    def wait(connection: socket.socket, number: int) -> bool:
        released.wait(LIMIT_S)
        return answer(connection, number)

    with OpenLoad(serve(wait), rate=200) as load:
        # Some, and no answer yet: a closed loop would be waiting for the first.
        while load.report.sent < 100:
            assert load.answered == 0
        released.set()
        load.wait_for(100)
    assert load.report.failed == 0
    assert load.report.p50_ms > 100


@pytest.mark.parametrize("url", ["http://1.1.1.1/", "http://8.8.8.8:80/"])
def test_a_host_of_the_internet_is_refused(url) -> None:
    with pytest.raises(ValueError, match="private"):
        OpenLoad(url)


def test_a_rate_that_harms_is_refused() -> None:
    with pytest.raises(ValueError, match="500"):
        OpenLoad("http://127.0.0.1/", rate=501)


@pytest.mark.parametrize(
    ("values", "share", "wanted"),
    [([], 0.5, 0.0), ([7.0], 0.99, 7.0), ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0), ([1.0, 2.0], 1.0, 2.0)],
)
def test_percentiles_are_values_that_were_measured(values, share, wanted) -> None:
    assert percentile(values, share) == wanted
