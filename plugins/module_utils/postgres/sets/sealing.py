# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a file's bytes are stored: zstd frames, inside one age file where there are recipients.

`age --decrypt | zstd --decompress` gives the file back without this collection.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from typing import Any, Callable, Protocol

from ...core.errors import OperationError, Reason, invalid_option

_READ_BYTES = 256 * 1024
_thread = threading.local()


class ByteSource(Protocol):
    """Where stored bytes come from."""

    def read(self, size: int) -> bytes:
        """At most `size` bytes, empty at the end."""


class DamagedBytes(Exception):
    """Stored bytes that are not what was sealed."""


class WrongKey(Exception):
    """None of the identities opens it, or it is encrypted and there are none."""


def zstandard() -> Any:
    """The library; `missing_library` where it is not installed."""
    try:
        import zstandard as library
    except ImportError as error:
        raise _missing("zstandard", "compress the backup") from error
    return library


def pyrage() -> Any:
    """The library; `missing_library` where it is not installed."""
    try:
        import pyrage as library
    except ImportError as error:
        raise _missing("pyrage", "encrypt the backup") from error
    return library


def _missing(package: str, wanted: str) -> OperationError:
    return OperationError(
        Reason.MISSING_LIBRARY,
        wanted,
        f"the Python library {package} is not installed here",
        f"Install {package} for the Python that runs this",
    )


def read_recipients(texts: Sequence[str]) -> list[Any]:
    """Public keys, `age1...` or `ssh-...`; `invalid_input` for anything else."""
    return [_recipient(text.strip()) for text in texts]


def _recipient(text: str) -> Any:
    kind = pyrage().ssh if text.startswith("ssh-") else pyrage().x25519
    try:
        return kind.Recipient.from_str(text)
    except pyrage().RecipientError as error:
        raise invalid_option(
            "recipients",
            f"{text[:20]!r} is not a public key of age",
            "Give the public keys that age-keygen prints (age1...), or ssh-ed25519 ones",
        ) from error


def read_identities(text: str) -> list[Any]:
    """The private keys in an age key file or an SSH private key; `invalid_input` if none is one."""
    try:
        if "PRIVATE KEY-----" in text:
            return [pyrage().ssh.Identity.from_buffer(text.encode())]
        lines = (line.strip() for line in text.splitlines())
        keys = [line for line in lines if line and not line.startswith("#")]
        identities = [pyrage().x25519.Identity.from_str(key) for key in keys]
    except pyrage().IdentityError as error:
        raise _not_an_identity() from error
    if not identities:
        raise _not_an_identity()
    return identities


def _not_an_identity() -> OperationError:
    return invalid_option(
        "identity",
        "it holds no private key of age",
        "Give what age-keygen wrote, or an SSH private key without passphrase",
    )


def compress(raw: bytes | bytearray | memoryview, level: int) -> bytes:
    """One zstd frame that carries its size and checksum."""
    compressor = getattr(_thread, "compressor", None)
    if compressor is None or _thread.level != level:
        compressor = zstandard().ZstdCompressor(level=level, write_checksum=True)
        _thread.compressor, _thread.level = compressor, level
    frame: bytes = compressor.compress(raw)
    return frame


def seal(raw: bytes, level: int, recipients: Sequence[Any]) -> bytes:
    """A whole small file as it is stored."""
    frame = compress(raw, level)
    if not recipients:
        return frame
    sealed: bytes = pyrage().encrypt(frame, list(recipients))
    return sealed


def unseal(
    source: ByteSource, identities: Sequence[Any] | None, write: Callable[[bytes], Any]
) -> None:
    """Give a stored file's own bytes to `write`, piece by piece, in bounded memory.

    `identities` is None where the backup is not encrypted. Raises `DamagedBytes`, `WrongKey`,
    and what `source` and `write` raise. A file that ends between two frames is not noticed
    here: compare its size.
    """
    frames = _Frames(write)
    if identities is None:
        while data := source.read(_READ_BYTES):
            frames.write(data)
    else:
        _decrypt(source, identities, frames)
    frames.close()


class _Frames:
    """Decompresses frame after frame."""

    def __init__(self, write: Callable[[bytes], Any]) -> None:
        self._library = zstandard()
        self._decompressor = self._library.ZstdDecompressor()
        self._frame = self._decompressor.decompressobj()
        self._within = False
        self._write = write

    def write(self, data: bytes) -> int:
        rest = data
        try:
            while rest:
                self._within = True
                raw = self._frame.decompress(rest)
                rest = b""
                if self._frame.eof:
                    rest = self._frame.unused_data
                    self._frame = self._decompressor.decompressobj()
                    self._within = False
                if raw:
                    self._write(raw)
        except self._library.ZstdError as error:
            raise DamagedBytes(f"they do not decompress ({error})") from error
        return len(data)

    def flush(self) -> None:
        """pyrage calls it; nothing is held back."""

    def close(self) -> None:
        if self._within:
            raise DamagedBytes("they end within a zstd frame")


class _Guard:
    """Remembers the exception of a callback, which pyrage turns into one of its own."""

    def __init__(self, source: ByteSource, sink: Any) -> None:
        self._source = source
        self._sink = sink
        self.raised: BaseException | None = None

    def read(self, size: int) -> bytes:
        data: bytes = self._remember(self._source.read, size)
        return data

    def write(self, data: bytes) -> int:
        self._remember(self._sink.write, data)
        return len(data)

    def flush(self) -> None:
        """pyrage calls it; nothing is held back."""

    def _remember(self, call: Callable[[Any], Any], argument: Any) -> Any:
        try:
            return call(argument)
        except BaseException as error:
            self.raised = error
            raise


def _decrypt(source: ByteSource, identities: Sequence[Any], frames: _Frames) -> None:
    guard = _Guard(source, frames)
    try:
        pyrage().decrypt_io(guard, guard, list(identities))
    except (pyrage().DecryptError, OSError) as error:  # OSError: within the stream
        if guard.raised is not None:
            raise guard.raised from None
        if "No matching keys" in str(error):
            raise WrongKey("none of the given keys opens it") from error
        raise DamagedBytes(f"they do not decrypt ({error})") from error


class Encryptor:
    """Encrypts what is written to it, in order, into `sink`; a thread of its own does it."""

    def __init__(self, recipients: Sequence[Any], sink: Any) -> None:
        self._library = pyrage()
        self._recipients = list(recipients)
        self._sink = sink
        self._pieces: queue.Queue[bytes] = queue.Queue(maxsize=1)
        self._rest = memoryview(b"")
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Hand over the next bytes; raises what went wrong with earlier ones."""
        while self._error is None:
            try:
                return self._pieces.put(data, timeout=0.1)
            except queue.Full:
                continue
        raise self._error

    def close(self) -> None:
        """Wait until everything is encrypted and written."""
        self.write(b"")
        self._thread.join()
        if self._error is not None:
            raise self._error

    def abort(self) -> None:
        """Let the thread end; what it has written is of no use."""
        if self._error is None:
            self._error = DamagedBytes("it was given up")
        while self._thread.is_alive():
            try:
                self._pieces.put(b"", timeout=0.1)
            except queue.Full:
                continue
            self._thread.join(0.1)

    def read(self, size: int) -> bytes:
        """What pyrage pulls; empty at the end, which an empty piece is."""
        if self._error is not None:
            raise self._error
        if not self._rest and not self._ended:
            self._rest = memoryview(self._pieces.get())
            self._ended = not self._rest
        data = bytes(self._rest[:size])
        self._rest = self._rest[size:]
        return data

    def _run(self) -> None:
        guard = _Guard(self, self._sink)
        try:
            self._library.encrypt_io(guard, guard, self._recipients)
        except BaseException as error:  # handed to the thread that writes
            self._error = guard.raised or error
