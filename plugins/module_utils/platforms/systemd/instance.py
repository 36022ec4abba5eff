# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one replica's units are started from: its files, and the record of what they hold.

Beside the template units of the agent, which role `deploy` installs, each replica has
- `<home>/run/cost-agent@8001.release`: link to the release that it runs
- `<home>/run/cost-agent@8001.environment`: its environment, mode 0600
- `<home>/run/cost-agent@8001.json`: the record of these files, written last
- drop-ins of its two units, with its limits and its address

They are the replica's own, so that one which systemd starts again after a crash or a boot is what
it was, whatever has become current since.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...core.state_store import write_atomically
from ..agent_options import Serving
from ..host import environment_file
from ..host.layout import Layout
from ..protocol import Specification

UNIT_FOLDER = Path("/etc/systemd/system")
_DROP_IN = "agent.conf"
_GRACE = "grace.conf"
_TITLE = "# Written by the agent module.\n"


@dataclass(frozen=True)
class Record:
    """What a replica's files hold; a process older than `written_us` was not started from them.

    Times are microseconds of the monotonic clock of the boot `boot`; a socket older than
    `address_us` listens on an earlier address. `earlier_release` is the one that the replica ran
    when the files were last changed. A record that is not `whole` was left by a killed run.
    """

    specification: Specification
    units: str
    boot: str
    written_us: int
    address_us: int
    earlier_release: str | None = None
    whole: bool = True

    def is_of(self, started_us: int, boot: str) -> bool:
        """Whether a process that was started then was started from these files."""
        return self.whole and (self.boot != boot or started_us >= self.written_us)

    def has_address_of(self, active_us: int, boot: str) -> bool:
        """Whether a socket that was opened then listens on the address in these files."""
        return self.boot != boot or active_us >= self.address_us


class Instance:
    """The units and files of one replica; `service` is its name everywhere."""

    def __init__(self, layout: Layout, service: str) -> None:
        self.service = service
        self.port = port_of(service)
        self._stem = service.rpartition(".")[0]
        self.socket = f"{self._stem}.socket"
        self._run = layout.run

    @property
    def record_file(self) -> Path:
        return self._run / f"{self._stem}.json"

    @property
    def environment_file(self) -> Path:
        return self._run / f"{self._stem}.environment"

    @property
    def release_link(self) -> Path:
        return self._run / f"{self._stem}.release"

    def record(self) -> Record | None:
        """The record; None without one that this code wrote. Raises `OSError`."""
        try:
            fields = dict(json.loads(self.record_file.read_text(encoding="utf-8")))
            names = ("release", "release_digest", "environment_digest", "options")
            specification = Specification(*(fields.pop(name) for name in names))
            return Record(specification, **fields)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TypeError, KeyError):
            return None

    def write_record(self, record: Record) -> None:
        fields = asdict(record)
        write_atomically(
            self.record_file, json.dumps({**fields.pop("specification"), **fields}).encode()
        )

    def lay_out(
        self, record: Record, serving: Serving, variables: dict[str, str], now_us: int
    ) -> bool:
        """Make the files what the next start shall find; whether systemd must read units again.

        The record is marked broken first and written last, so that a run which is killed in
        between leaves no record of what is not there. Raises `OSError`.
        """
        self._run.mkdir(parents=True, exist_ok=True)
        self._run.chmod(0o755)  # the agent's user passes through, whatever our umask
        self.write_record(replace(record, whole=False))
        _link(self.release_link, Path("..", "releases", record.specification.release))
        text = environment_file.assignments(variables)
        write_atomically(self.environment_file, text.encode(), mode=0o600)
        limits = _write_unit(self._drop_in(self.service, _DROP_IN), service_text(serving))
        address = _write_unit(
            self._drop_in(self.socket, _DROP_IN), socket_text(serving.host, self.port)
        )
        self.write_record(replace(record, address_us=now_us) if address else record)
        return limits or address

    def set_grace(self, grace_s: float) -> bool:
        """How long systemd lets the service drain; whether it must read units again."""
        # 0 would stand for no limit at all.
        text = f"[Service]\nTimeoutStopSec={max(grace_s, 0.001):g}\n"
        return _write_unit(self._drop_in(self.service, _GRACE), text)

    def clear_away(self) -> bool:
        """Remove every file of the replica, the record last; whether there was one."""
        found = False
        for unit in (self.service, self.socket):
            for name in (_DROP_IN, _GRACE):
                found |= _remove(self._drop_in(unit, name))
            with contextlib.suppress(OSError):  # what others put there keeps the folder
                self._drop_in(unit, "").rmdir()
        for path in (self.release_link, self.environment_file, self.record_file):
            found |= _remove(path)
        return found

    @staticmethod
    def _drop_in(unit: str, name: str) -> Path:
        return UNIT_FOLDER / f"{unit}.d" / name


def service_name(agent: str, port: int) -> str:
    """The name of the replica on a port, `cost-agent@8001.service`."""
    return f"{agent}@{port}.service"


def port_of(service: str) -> int:
    """The port in a service's name."""
    return int(service.rpartition("@")[2].partition(".")[0])


def service_text(serving: Serving) -> str:
    """The drop-in of a service: the limits that its control group shall have."""
    lines = ["[Service]"]
    if serving.memory_limit_mb is not None:
        lines += [f"MemoryMax={serving.memory_limit_mb}M", "MemorySwapMax=0"]
    if serving.cpu_limit_cores is not None:
        lines.append(f"CPUQuota={max(1, round(100 * serving.cpu_limit_cores))}%")
    return "\n".join([*lines, ""])


def socket_text(host: str, port: int) -> str:
    """The drop-in of a socket: the address, which systemd wants as numbers.

    Raises `OSError` for a host that does not resolve.
    """
    resolved = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    address = str(resolved[0][4][0])
    listen = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return f"[Socket]\nListenStream=\nListenStream={listen}\n"


def _write_unit(path: Path, text: str) -> bool:
    """Write a drop-in, unless it is as wanted; whether it was written."""
    text = _TITLE + text
    with contextlib.suppress(FileNotFoundError):
        if path.read_text(encoding="utf-8") == text:
            return False
    write_atomically(path, text.encode(), mode=0o644)
    return True


def _link(link: Path, target: Path) -> None:
    new = link.with_name(f".{link.name}.new")
    _remove(new)
    new.symlink_to(target)
    os.replace(new, link)


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def record_of(specification: Specification, before: Record | None, **fields: Any) -> Record:
    """A new record in the place of an earlier one."""
    earlier = before.specification.release if before else None
    if before is not None and not before.whole:
        earlier = before.earlier_release
    address_us = before.address_us if before and before.boot == fields["boot"] else 0
    return Record(specification, address_us=address_us, earlier_release=earlier, **fields)
