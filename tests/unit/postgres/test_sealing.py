# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sealed comes back, and nothing else does."""

from __future__ import annotations

import io
import os

import pytest
import zstandard
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.sealing import (
    DamagedBytes,
    Encryptor,
    WrongKey,
    compress,
    read_identities,
    read_recipients,
    seal,
    unseal,
)
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from pyrage import decrypt, x25519

RAW = b"1\tone\n" * 100_000


@pytest.fixture(scope="module")
def key() -> x25519.Identity:
    return x25519.Identity.generate()


def opened(sealed: bytes, identities=None) -> bytes:
    raw = io.BytesIO()
    unseal(io.BytesIO(sealed), identities, raw.write)
    return raw.getvalue()


@pytest.mark.parametrize("raw", [b"", b"x", RAW], ids=["empty", "one byte", "long"])
def test_what_is_sealed_comes_back(raw, key):
    assert opened(seal(raw, 1, [])) == raw
    assert opened(seal(raw, 1, [key.to_public()]), [key]) == raw


def test_frames_one_after_the_other_are_one_file():
    assert opened(compress(RAW, 1) + compress(b"", 1) + compress(b"end", 3)) == RAW + b"end"


def test_the_encryptor_makes_one_age_file_of_what_is_written_to_it(key):
    stored = io.BytesIO()
    encryptor = Encryptor([key.to_public()], stored)
    for piece in (compress(RAW, 1), compress(b"end", 1)):
        encryptor.write(piece)
    encryptor.close()
    assert opened(stored.getvalue(), [key]) == RAW + b"end"
    frames = decrypt(stored.getvalue(), [key])
    reader = zstandard.ZstdDecompressor().stream_reader(frames, read_across_frames=True)
    assert reader.readall() == RAW + b"end"


def test_an_encryptor_whose_sink_fails_tells_the_writer(key):
    class Full:
        def write(self, data: bytes) -> None:
            raise OSError("no room")

    encryptor = Encryptor([key.to_public()], Full())

    def write_much() -> None:
        for _each in range(100):
            encryptor.write(os.urandom(1 << 17))

    with pytest.raises(OSError, match="no room"):
        write_much()
    encryptor.abort()


def test_an_encryptor_that_is_given_up_ends_its_thread(key):
    encryptor = Encryptor([key.to_public()], io.BytesIO())
    encryptor.write(b"x")
    encryptor.abort()
    assert not encryptor._thread.is_alive()


def test_a_flipped_byte_is_noticed(key):
    for sealed, identities in ((seal(RAW, 1, []), None), (seal(RAW, 1, [key.to_public()]), [key])):
        for position in (len(sealed) // 2, len(sealed) - 1):
            damaged = bytearray(sealed)
            damaged[position] ^= 1
            with pytest.raises(DamagedBytes):
                opened(bytes(damaged), identities)


def test_a_missing_end_is_noticed(key):
    for sealed, identities in ((seal(RAW, 1, []), None), (seal(RAW, 1, [key.to_public()]), [key])):
        with pytest.raises(DamagedBytes):
            opened(sealed[:-3], identities)


def test_another_key_does_not_open_it(key):
    with pytest.raises(WrongKey):
        opened(seal(RAW, 1, [key.to_public()]), [x25519.Identity.generate()])


def test_what_the_sink_of_an_encrypted_file_raises_arrives_unchanged(key):
    def full(data: bytes) -> None:
        raise BrokenPipeError("gone")

    with pytest.raises(BrokenPipeError, match="gone"):
        unseal(io.BytesIO(seal(RAW, 1, [key.to_public()])), [key], full)


def test_a_key_file_may_hold_comments_and_several_keys(key):
    another = x25519.Identity.generate()
    text = f"# created: today\n# public key: {key.to_public()}\n{key}\n\n{another}\n"
    identities = read_identities(text)
    assert len(identities) == 2
    assert opened(seal(RAW, 1, [key.to_public()]), identities) == RAW


def test_ssh_keys_do_as_well():
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert opened(seal(RAW, 1, read_recipients([public])), read_identities(private)) == RAW


@pytest.mark.parametrize("text", ["", "age1nonsense", "ssh-ed25519 AAAA", "AGE-SECRET-KEY-1QQ"])
def test_what_is_no_public_key_is_refused(text):
    with pytest.raises(OperationError) as failure:
        read_recipients([text])
    assert failure.value.reason is Reason.INVALID_INPUT


@pytest.mark.parametrize(
    "text", ["", "# only a comment", "age1nonsense", "-----BEGIN OPENSSH PRIVATE KEY-----\nx"]
)
def test_what_is_no_private_key_is_refused_without_showing_it(text):
    with pytest.raises(OperationError) as failure:
        read_identities(text)
    assert failure.value.reason is Reason.INVALID_INPUT
    assert "nonsense" not in str(failure.value)
