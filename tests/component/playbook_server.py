# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-playbook in a process forked off one that has imported Ansible already.

Two hundred playbooks are run by the tests, and each spends 0.4 of a second of a processor on that
import. What is forked off then calls what the program `ansible-playbook` calls.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path


class PlaybookServer:
    """The process that has imported Ansible, with the ANSIBLE_ variables of an environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                env=dict(environment),
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        atexit.register(self.close)

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, timeout_s: float
    ) -> tuple[int, str]:  # fmt: skip
        """The exit code and the output of `ansible-playbook ARGUMENTS` in this folder."""
        request = {"arguments": arguments, "environment": environment, "folder": str(folder)}
        try:
            with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
                data = json.dumps(request, default=str).encode()
                socket.send_fds(self._socket, [len(data).to_bytes(8, "big")], [output.fileno()])
                self._socket.settimeout(timeout_s)
                self._socket.sendall(data)
                code = int.from_bytes(_received(self._socket, 2), "big", signed=True)
                output.seek(0)
                return code, output.read()
        except BaseException:
            self.close()  # or the next one would get this one's answer
            raise

    def close(self) -> None:
        """End it, with the playbook that it runs."""
        self._socket.close()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    @property
    def is_open(self) -> bool:
        return self._process.poll() is None


def _received(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def _serve(connection: socket.socket) -> None:
    import gc

    from ansible.cli.playbook import main

    gc.freeze()  # or each fork copies what it shares, only to look for garbage in it
    while True:
        size, descriptors, _flags, _address = socket.recv_fds(connection, 8, 1)
        if not size:
            return
        request = json.loads(_received(connection, int.from_bytes(size, "big")))
        [output] = descriptors
        pid = os.fork()
        if pid == 0:
            for standard in (1, 2):
                os.dup2(output, standard)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.chdir(request["folder"])
            os.environ.clear()
            os.environ.update(request["environment"])
            sys.argv = ["ansible-playbook", *request["arguments"]]
            code = 1
            try:
                main()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        os.close(output)
        _pid, status = os.waitpid(pid, 0)
        connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(2, "big", signed=True))


if __name__ == "__main__":
    with socket.socket(fileno=os.dup(0)) as parent:
        _serve(parent)
