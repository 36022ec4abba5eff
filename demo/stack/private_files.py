"""Files that only their owner may read, replaced in one step."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write `path` with mode 0600, atomically; an equal file is left as it is."""
    try:
        if path.read_text() == text:
            return
    except FileNotFoundError:
        pass
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def password(path: Path) -> str:
    """The password kept in `path`; a new one of 32 hexadecimal digits when there is none."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        write_private(path, secrets.token_hex(16) + "\n")
        return path.read_text().strip()
