# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the states of a replica's units mean, in the words of people."""

from __future__ import annotations

import signal

from .systemctl import Unit

_CLD_EXITED = 1
# systemd.exec(5), "Process Exit Codes": steps of systemd's own before the program runs.
_STEPS = {
    200: "its folder cannot be entered (CHDIR)",
    203: "its program cannot be run (EXEC)",
    217: "its user does not exist (USER)",
    226: "its sandbox cannot be set up (NAMESPACE)",
    228: "its system call filter cannot be set (SECCOMP)",
}
_RESULTS = {
    "oom-kill": "the kernel ended it for want of memory",
    "resources": "systemd lacks a file or a resource to start it",
    "timeout": "it outlived its grace and was killed",
    "watchdog": "it missed its watchdog",
}


def ending(service: Unit) -> str:
    """How the last process of a service ended."""
    if service.result in _RESULTS:
        return _RESULTS[service.result]
    if service.exit_code == 0:
        return f"systemd says {service.result}"
    if service.exit_code == _CLD_EXITED:
        step = _STEPS.get(service.exit_status)
        return f"{step}" if step else f"it exited with code {service.exit_status}"
    return f"it was ended by {_signal_name(service.exit_status)}"


def rest(service: Unit, socket: Unit, is_recorded: bool) -> str:
    """Why a service does not run; no text for one that nobody asked for."""
    if "masked" in (service.load_state, socket.load_state):
        return "its unit is masked"
    if service.sub_state == "auto-restart":
        return f"{ending(service)}, and systemd starts it again"
    given_up = "start-limit-hit"
    if service.result == given_up or socket.result == f"service-{given_up}":
        return f"{ending(service)}, too often for systemd, which gave it up ({given_up})"
    if service.active_state == "failed":
        return ending(service)
    if socket.active_state == "failed":
        return f"its socket failed: {socket.result}"
    if socket.is_active:
        return "its socket listens, and the next request starts it"
    return "it was stopped by hand" if is_recorded else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
