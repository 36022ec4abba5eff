# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings changed on a server: all of them or none, kept over a restart where that can be."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..core.clock import Clock
from ..core.deadline import Deadline, backoff, poll
from ..core.errors import OperationError, Reason
from .connection import is_missing_command, is_missing_right
from .known_settings import kind_of
from .node import Command, Look
from .settings import Change
from .topology import Member
from .values import InvalidValue

_RELATED = re.compile(r"related to argument '(?P<name>[^']+)'\) - (?P<why>.*)")
_UNSUPPORTED = re.compile(r"Unsupported CONFIG parameter: (?P<name>\S+)")
_OLD_REFUSAL = re.compile(r"for CONFIG SET '(?P<name>[^']+)' - (?P<why>.*)")
_IMMUTABLE = "can't set immutable config"


@dataclass
class NodeChange:
    """The change of one server, and how far it has come."""

    member: Member
    changes: list[Change]
    needs_restart: list[Change]
    is_applied: bool = False  # or may be, while it is being done
    is_rewritten: bool = False
    is_restarted: bool = False  # meanwhile, and has what is wanted
    persisted: bool | None = None
    not_persisted_because: str | None = None
    now: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, member: Member, changes: list[Change]) -> NodeChange:
        return cls(
            member,
            [each for each in changes if not each.needs_restart],
            [each for each in changes if each.needs_restart],
        )


def apply_all(
    parts: list[NodeChange], persist: bool, deadline: Deadline, clock: Clock
) -> None:  # fmt: skip
    """Change every server, one after the other, then persist; a failure undoes all of it.

    Raises `invalid_input` for a value that a server refuses, `failed_state` for a server that was
    restarted meanwhile, else what the connection met.
    """
    for part in parts:
        if part.changes:
            _Applying(part, deadline, clock).apply()
    for part in parts:
        if part.changes:
            _Applying(part, deadline, clock).persist_and_look(persist)


def undo(part: NodeChange, deadline: Deadline, clock: Clock) -> None:
    """Bring one server back to what it had, by a deadline of its own; raises where it cannot be."""
    part.member.node.deadline = deadline
    _Applying(part, deadline, clock).undo()


def foretell_persistence(part: NodeChange, persist: bool) -> None:
    """What a real run would say of persistence, as far as the server tells."""
    if part.changes and persist:
        part.persisted = bool(part.member.look.config_file)
        if not part.persisted:
            part.not_persisted_because = _NO_FILE


_NO_FILE = "it runs without a configuration file, so that a restart forgets the change"


class _Applying:
    """Talks to one server about its change."""

    def __init__(self, part: NodeChange, deadline: Deadline, clock: Clock) -> None:
        self._part = part
        self._node = part.member.node
        self._look = part.member.look
        self._deadline = deadline
        self._clock = clock
        self._purpose = f"change {', '.join(each.name for each in part.changes) or 'nothing'}"

    def apply(self) -> None:
        """All or none."""
        self._part.is_applied = True
        try:
            if self._look.takes_batches:
                self._apply_batch()
            else:
                self._apply_one_by_one()
        except OperationError as error:
            if error.reason not in (Reason.UNREACHABLE, Reason.TIMEOUT):
                raise
            self._after_silence(error)
        if not self._part.changes:  # all of it turned out to need a restart
            self._part.is_applied = False
            self._part.persisted = self._part.not_persisted_because = None

    def _apply_batch(self) -> None:
        part = self._part
        while part.changes:
            refusal = self._set(part.changes, "after")
            if refusal is None:
                return
            if not self._set_aside(refusal):
                self.undo()  # the server has done that; a proxy before it may not have
                raise self._refused(refusal, part.changes)

    def _apply_one_by_one(self) -> None:
        for change in list(self._part.changes):
            refusal = self._set([change], "after")
            if refusal is not None and not self._set_aside(refusal):
                self.undo()
                raise self._refused(refusal, [change])

    def _set(self, changes: list[Change], which: str) -> Exception | None:
        """Set these settings in one command; the server's refusal, or None."""
        values = [text for each in changes for text in (each.name, getattr(each, which))]
        command: Command = ("CONFIG SET", *values)
        [answer] = self._node.answers(self._purpose, [command])
        if not isinstance(answer, Exception):
            return None
        if is_missing_right(answer) or is_missing_command(answer):
            self._node.check(self._purpose, command, answer)
        return answer

    def _set_aside(self, refusal: Exception) -> bool:
        """Move what turned out to be immutable to the settings that need a restart."""
        words, part = str(refusal), self._part
        match = _RELATED.search(words)
        name = match["name"] if match and _IMMUTABLE in match["why"] else None
        unsupported = _UNSUPPORTED.search(words)
        name = unsupported["name"] if unsupported else name
        moved = [each for each in part.changes if each.name == name]
        part.changes = [each for each in part.changes if each.name != name]
        part.needs_restart += moved
        return bool(moved)

    def _refused(self, refusal: Exception, asked: list[Change]) -> OperationError:
        words = " ".join(str(refusal).split()).rstrip(".")
        match = _RELATED.search(words) or _OLD_REFUSAL.search(words)
        name = match["name"] if match else asked[0].name
        known = {each.name for each in asked}
        option = f"settings.{name}" if name in known else "settings"
        why = match["why"] if match else words
        return OperationError(
            Reason.INVALID_INPUT,
            f"read option {option}",
            f"{self._node.address} refuses it: {why}; nothing is changed",
            "See the server's redis.conf for what it takes",
        )

    def undo(self) -> None:
        """Set back what is not as it was."""
        part = self._part
        seen = self._node.look(self._purpose, [each.name for each in part.changes])
        off = [each for each in part.changes if not _holds(each.name, each.before, seen)]
        steps = [off] if self._look.takes_batches else [[each] for each in reversed(off)]
        for step in filter(None, steps):
            refusal = self._set(step, "before")
            if refusal is not None:
                raise OperationError(
                    Reason.FAILED_STATE,
                    f"undo the change of {', '.join(each.name for each in step)}",
                    f"{self._node.address} refuses it: {refusal}",
                    "Set them by CONFIG SET to what diff.before shows",
                )
        if part.is_rewritten:
            self._node.ask(self._purpose, ("CONFIG REWRITE",))
        part.is_applied = False

    def persist_and_look(self, persist: bool) -> None:
        """Write the configuration file, and see in the same round trip that all holds."""
        part, names = self._part, [each.name for each in self._part.changes]
        rewrite: list[Command] = [("CONFIG REWRITE",)] if persist else []
        looks: list[Command] = [("INFO", "server"), *(("CONFIG GET", name) for name in names)]
        try:
            answers = self._node.answers(self._purpose, rewrite + looks)
        except OperationError as error:
            if error.reason not in (Reason.UNREACHABLE, Reason.TIMEOUT):
                raise
            self._after_silence(error)
            answers = self._node.answers(self._purpose, rewrite + looks)
        if persist:
            answer = answers.pop(0)
            part.persisted = part.is_rewritten = not isinstance(answer, Exception)
            if isinstance(answer, Exception):
                part.not_persisted_because = _why_not_persisted(
                    answer, self._look.config_file, self._node.server.username
                )
        for command, answer in zip(looks, answers):
            self._node.check(self._purpose, command, answer)
        info, *found = answers
        part.now = {name: each.get(name, "") for name, each in zip(names, found)}
        seen = Look(info, part.now)
        part.is_restarted = seen.run_id != self._look.run_id
        lost = [each for each in part.changes if not _holds(each.name, each.after, seen)]
        if lost and part.is_restarted:
            raise self._restarted(seen)
        if lost:
            raise OperationError(
                Reason.FAILED_STATE,
                self._purpose,
                f"{self._node.address} took it and shows {_told(lost, seen)}",
                "See who else changes it, such as an operator or a sentinel",
            )

    def _after_silence(self, silence: OperationError) -> None:
        """Find out what holds after a connection broke; goes on if the change was made."""
        names = [each.name for each in self._part.changes]

        def look() -> Look | None:
            try:
                return self._node.look(self._purpose, names)
            except OperationError as error:
                if error.reason in (Reason.AUTH, Reason.PRECONDITION):
                    raise
                return None

        seen = poll(look, self._deadline, self._clock, backoff(0.05, 1.5, 0.5))
        if seen is None:
            raise OperationError(
                silence.reason,
                self._purpose,
                f"{silence.seen}, and it has not come back; what holds there is not known",
                "See that the server runs, then run this again",
            )
        if all(_holds(each.name, each.after, seen) for each in self._part.changes):
            return
        if seen.run_id != self._look.run_id:
            raise self._restarted(seen)
        self.undo()
        raise OperationError(
            silence.reason, self._purpose, f"{silence.seen}; nothing is changed", "Run it again"
        )

    def _restarted(self, seen: Look) -> OperationError:
        self._part.now = seen.settings
        self._part.is_applied = False
        return OperationError(
            Reason.FAILED_STATE,
            self._purpose,
            f"{self._node.address} was restarted meanwhile, and holds "
            f"{_told(self._part.changes, seen)} now",
            "See why it restarted, then run this again",
        )


def _holds(name: str, canonical: str, seen: Look) -> bool:
    """Whether a server shows this value."""
    text = seen.settings.get(name)
    try:
        return text is not None and kind_of(name, text).canonical(text) == canonical
    except InvalidValue:
        return False


def _told(changes: list[Change], seen: Look) -> str:
    return ", ".join(f"{each.name} {seen.settings.get(each.name) or '(empty)'}" for each in changes)


def _why_not_persisted(refusal: Exception, file: str, username: str | None) -> str:
    words = str(refusal)
    if "without a config file" in words:
        return _NO_FILE
    if is_missing_right(refusal):
        user = username or "default"
        return f"user {user} may not run CONFIG REWRITE: ACL SETUSER {user} +config|rewrite"
    if is_missing_command(refusal) or "unknown subcommand" in words.lower():
        return "it has no CONFIG REWRITE: change its configuration file, or the provider's group"
    why = words.rpartition(": ")[2].rstrip(".")
    return f"it cannot write {file or 'its configuration file'}: {why}"
