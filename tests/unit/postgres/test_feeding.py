# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files through FIFOs to a reader that opens them as it likes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.restore.feeding import (
    Feeder,
)

LARGE = bytes(range(256)) * 20_000


def fifos(folder, names) -> list[str]:
    for name in names:
        os.mkfifo(folder / name)
    return list(names)


def content(name: str, write: Callable[[bytes], None]) -> None:
    write(name.encode())
    write(LARGE)


@pytest.mark.parametrize("order", [1, -1], ids=["as expected", "backwards"])
def test_a_reader_gets_every_file_whole_in_whatever_order(tmp_path, order):
    names = fifos(tmp_path, [f"{number}.dat" for number in range(50)])
    feeder = Feeder(tmp_path, names, content)
    feeder.start()
    for name in names[::order]:
        assert (tmp_path / name).read_bytes() == name.encode() + LARGE
    feeder.stop()
    feeder.raise_failure()
    assert feeder.unopened == []
    assert feeder.fed == sum(len(name) + len(LARGE) for name in names)


def test_a_reader_that_opens_one_within_another_gets_both(tmp_path):
    names = fifos(tmp_path, ["blobs_1.toc", "blob_1.dat"])
    feeder = Feeder(tmp_path, names, content)
    feeder.start()
    with (tmp_path / "blobs_1.toc").open("rb") as listing:
        listing.read(3)
        assert len((tmp_path / "blob_1.dat").read_bytes()) > len(LARGE)
        assert listing.read().endswith(LARGE)
    feeder.stop()


def test_a_reader_that_goes_away_is_no_failure(tmp_path):
    names = fifos(tmp_path, ["1.dat", "2.dat"])
    feeder = Feeder(tmp_path, names, content)
    feeder.start()
    with (tmp_path / "1.dat").open("rb") as opened:
        opened.read(10)
    feeder.stop()
    feeder.raise_failure()
    assert feeder.unopened == ["2.dat"]


def raise_failure_of(feeder: Feeder) -> None:
    while True:
        feeder.raise_failure()


def test_a_file_that_fails_never_looks_like_a_whole_one(tmp_path):
    """The reader must see no end of it before somebody has ended the reader."""

    class Damaged(Exception):
        pass

    failed = threading.Event()

    def damaged(name: str, write: Callable[[bytes], None]) -> None:
        write(b"some rows\n")
        failed.set()
        raise Damaged(name)

    names = fifos(tmp_path, ["1.dat"])
    feeder = Feeder(tmp_path, names, damaged)
    feeder.start()
    reader = os.open(tmp_path / "1.dat", os.O_RDONLY)
    try:
        assert os.read(reader, 100) == b"some rows\n"
        assert failed.wait(10)
        os.set_blocking(reader, False)
        with pytest.raises(BlockingIOError):
            os.read(reader, 100)
        with pytest.raises(Damaged):
            raise_failure_of(feeder)
        feeder.stop()
        assert os.read(reader, 100) == b""
    finally:
        os.close(reader)
