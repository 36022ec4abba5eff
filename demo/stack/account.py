"""The account that PostgreSQL runs under: it refuses to run as root.

As an ordinary user nothing is needed. As root, in this order:

1. a user namespace in which root has another uid (unshare of util-linux):
   files stay where they are and stay root's;
2. where namespaces are not allowed, or the folder cannot be reached in one:
   another account, with a private folder below /var/tmp.

Why: docs/decisions/0006-postgresql-as-root.md.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.stack.errors import StackError

PRIVATE_FOLDERS = Path("/var/tmp")
_PREFERRED = ("postgres", "nobody", "daemon")


@dataclass(frozen=True)
class Account:
    """How to run a program: words before the command, or another user and group."""

    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None

    def run(
        self, command: Sequence[str | Path], *, folder: Path, standard_input: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end in `folder`, with a small environment; the caller checks the exit code."""
        return subprocess.run(
            [*self.prefix, *map(str, command)],
            cwd=folder,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            input=standard_input,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            start_new_session=True,
            user=self.user,
            group=self.group,
            extra_groups=None if self.user is None else [],
        )

    def own(self, path: Path) -> None:
        """Give a file that we wrote to the account."""
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group)

    def can_use(self, folder: Path, program: Path) -> bool:
        """Whether the account reaches and may write `folder`, and can execute `program`."""
        probes: tuple[list[str | Path], ...] = (["test", "-w", folder], [program, "--version"])
        try:
            return all(self.run(probe, folder=Path("/")).returncode == 0 for probe in probes)
        except OSError:  # no unshare or test program, or a program out of reach
            return False


def _other_than_root() -> pwd.struct_passwd:
    """A known account that is not root: initdb wants its uid to have a name."""
    accounts = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    for name in (*_PREFERRED, *accounts):
        if name in accounts:
            return accounts[name]
    raise StackError(
        "postgres: PostgreSQL refuses to run as root, and /etc/passwd has no other account; "
        "add one, or run as an ordinary user"
    )


def _has_name(uid: int) -> bool:
    try:
        return bool(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return False


def choose_account(folder: Path, program: Path) -> Account:
    """The account for `program` with its data in `folder`.

    An account with `user` set means that `folder` must be a private one, see
    `private_folder`. Raises StackError when there is none.
    """
    if os.geteuid() != 0 and _has_name(os.geteuid()):
        return Account()
    entry = _other_than_root()
    mapped = Account(
        prefix=(
            "unshare",
            "--user",
            f"--map-user={entry.pw_uid}",
            f"--map-group={entry.pw_gid}",
            "--",
        )
    )
    if mapped.can_use(folder, program):
        return mapped
    if os.geteuid() != 0:
        raise StackError(
            f"postgres: uid {os.geteuid()} has no name in /etc/passwd and user namespaces are "
            "not allowed here; run as a user with a name"
        )
    return Account(user=entry.pw_uid, group=entry.pw_gid)


def private_folder(home: Path, account: Account) -> Path:
    """A folder of the account's own, always the same for one home, created if missing.

    Raises StackError when somebody else made one of that name.
    """
    digest = hashlib.sha256(bytes(home)).hexdigest()[:16]
    folder = PRIVATE_FOLDERS / f"cost-agent-demo-{digest}"
    try:
        folder.mkdir(mode=0o700)
        account.own(folder)
    except FileExistsError:
        seen = folder.lstat()
        if not stat.S_ISDIR(seen.st_mode) or seen.st_uid not in (0, account.user):
            raise StackError(
                f"postgres: wanted {folder} for the data, but uid {seen.st_uid} has put "
                "something there; remove it"
            ) from None
        account.own(folder)
    return folder


def copy_within_reach(installation: Path, folder: Path, account: Account, program: Path) -> Path:
    """The installation, or a copy in `folder` if the account cannot execute `program`."""
    if account.can_use(folder, program):
        return installation
    copy = folder / "installation"
    partial = folder / "installation.partial"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(installation, partial, symlinks=True)
    shutil.rmtree(copy, ignore_errors=True)
    partial.rename(copy)
    return copy
