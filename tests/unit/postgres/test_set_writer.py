# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Big files become objects, small files share bundles, and nothing stays of what is given up."""

from __future__ import annotations

import hashlib
import io
import os
import random
import threading

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.sealing import (
    compress,
    unseal,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.set_writer import (
    BUNDLE_BYTES,
    RateLimit,
    SetWriter,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository import MIN_PART
from pyrage import x25519

UNLIMITED = RateLimit(None, SystemClock())
PREFIX = "cost_agent/sets/1/"


class Upload:
    def __init__(self, store, key):
        self.store, self.key, self.parts, self.ended = store, key, [], False

    def write(self, part):
        assert all(len(each) >= MIN_PART for each in self.parts)
        self.parts.append(bytes(part))

    def commit(self):
        self.ended = True
        self.store.objects[self.key] = b"".join(self.parts)

    def abort(self):
        self.ended = True


class Store:
    def __init__(self):
        self.objects, self.uploads = {}, []

    def upload(self, key):
        self.uploads.append(Upload(self, key))
        return self.uploads[-1]

    def delete(self, keys):
        return sum(self.objects.pop(key, None) is not None for key in keys)


def raw_of(store, file, identities=None):
    stored = store.objects[PREFIX + file.object][file.offset : file.offset + file.size]
    assert hashlib.sha256(stored).hexdigest() == file.sha256
    raw = io.BytesIO()
    unseal(io.BytesIO(stored), identities, raw.write)
    assert len(raw.getvalue()) == file.raw_size
    return raw.getvalue()


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_pieces_in_any_order_and_from_any_thread_become_the_file(encrypted):
    key = x25519.Identity.generate()
    store = Store()
    recipients = [key.to_public()] if encrypted else []
    writer = SetWriter(store, PREFIX, 1, recipients, UNLIMITED)
    pieces = [os.urandom(1_500_000) for _each in range(20)]
    file = writer.big_file("3412.dat")
    order = list(enumerate(pieces))
    random.Random(4).shuffle(order)

    def put(mine):
        for index, piece in mine:
            file.put(index, compress(piece, 1), len(piece), last=index == len(pieces) - 1)

    threads = [threading.Thread(target=put, args=[order[n::3]]) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    (stored,) = writer.files
    assert raw_of(store, stored, [key] if encrypted else None) == b"".join(pieces)
    assert len(store.uploads[0].parts) > 1


def test_small_files_share_bundles_of_bounded_size():
    store = Store()
    writer = SetWriter(store, PREFIX, 1, [], UNLIMITED)
    contents = {f"{n}.dat": os.urandom(3_000_000) for n in range(8)}
    for name, raw in contents.items():
        writer.add_small(name, raw)
    writer.finish()
    assert len(store.objects) == 2
    assert max(map(len, store.objects.values())) < BUNDLE_BYTES + 3_100_000
    assert {file.name: raw_of(store, file) for file in writer.files} == contents


def test_nothing_stays_of_what_is_given_up():
    store = Store()
    writer = SetWriter(store, PREFIX, 1, [x25519.Identity.generate().to_public()], UNLIMITED)
    store.objects["cost_agent/manifests/1.json"] = b"{}"
    for number in range(6):
        writer.add_small(f"{number}.dat", os.urandom(3_000_000))
    writer.big_file("3412.dat").put(0, b"frame", 5, last=False)
    assert store.objects
    writer.abort("cost_agent/manifests/1.json")
    assert store.objects == {}
    assert all(upload.ended for upload in store.uploads)
    assert threading.active_count() == 1
