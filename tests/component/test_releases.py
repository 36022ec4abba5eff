# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases with real interpreters, real installers and a wheelhouse; no package index is asked.

Faults are put in with a stand-in for uv, and by ending the run at each of its steps.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.context import Context
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.operation import execute
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.progress import Progress
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_release import (
    AGENT_RELEASE,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.host import (
    release_install,
)
from ansible_collections.optiinfra.cost_agent.tests.component.process_platform import (
    as_ordinary_user,
)

from tests.component.operations import start
from tests.waiting import eventually

INSTALLERS = ["uv", "pip"]
PASSWORD = "Correct-Horse-9"

HOST = release_install.__package__


class Host:
    """A machine with a home for the agent, a source and a wheelhouse."""

    def __init__(self, root: Path) -> None:
        self.home = root / "agent"
        self.source = root / "source"
        self.wheelhouse = root / "wheels"
        self.tools = root / "tools"
        self.log = root / "uv.log"
        for folder in (self.source / "src", self.wheelhouse, self.tools):
            folder.mkdir(parents=True)
        (self.source / "src" / "main.py").write_text("import pricing\n\napp = pricing.RATE\n")
        (self.source / "requirements.txt").write_text("pricing==1.0\n")
        self.pricing = wheel(self.wheelhouse, "pricing", {"pricing.py": "RATE = 7\n"})

    def params(self, release: str, **given: Any) -> dict[str, Any]:
        wanted = {
            "home": str(self.home),
            "release": release,
            "source": str(self.source),
            "wheelhouse": str(self.wheelhouse),
            "timeout_s": 60,
            **given,
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def deploy(self, release: str, check: bool = False, **given: Any) -> dict[str, Any]:
        return deploy(self.params(release, **given), Context(check_mode=check))

    def in_process(self, release: str, before: str = "", **given: Any) -> subprocess.Popen[str]:
        """The same in a process of its own, after the code `before`; its output is the result."""
        code = f"""
import json, os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_releases
from {HOST} import release_install, releases
{before}
print(json.dumps(test_releases.deploy(json.loads(sys.argv[1]))))
"""
        return start(
            [sys.executable, "-c", code, json.dumps(self.params(release, **given))],
            stdout=subprocess.PIPE,
        )

    def stand_in_for_uv(self, script: str) -> str:
        """A uv that makes real venvs, and runs `script` in place of an installation."""
        path = self.tools / "uv"
        path.write_text(
            f"#!/bin/sh\necho $$ $* >> {self.log}\n"
            f'[ "$1" = venv ] && exec {sys.executable} -m venv --without-pip "$5"\n{script}\n'
        )
        path.chmod(0o755)
        return str(path)

    def installers(self) -> list[int]:
        """The processes that the stand-in for uv has been."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [int(line.split()[0]) for line in lines]

    def app(self) -> str:
        """What the current release's own interpreter makes of the app."""
        release = self.home / "current"
        asked = [release.resolve() / "venv" / "bin" / "python", "-c"]
        asked += ["from src.main import app; print(app)"]
        return subprocess.run(
            asked, cwd=release, capture_output=True, text=True, check=True
        ).stdout.strip()

    def entries(self) -> list[str]:
        folder = self.home / "releases"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def files(self) -> dict[str, bytes | None]:
        return {
            str(path): path.read_bytes() if path.is_file() else None
            for path in sorted(self.home.rglob("*"))
        }


def deploy(params: dict[str, Any], context: Context | None = None) -> dict[str, Any]:
    validator = ArgumentSpecValidator(AGENT_RELEASE.argument_spec, **AGENT_RELEASE.rules)
    validated = validator.validate(params)
    assert not validated.error_messages, validated.error_messages
    return execute(AGENT_RELEASE, validated.validated_parameters, context or Context())


def wheel(folder: Path, name: str, files: dict[str, str], requires: str = "") -> Path:
    """A pure Python wheel, version 1.0, written by hand (binary distribution format 1.0)."""
    info = f"{name}-1.0.dist-info"
    needed = f"Requires-Dist: {requires}\n" if requires else ""
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needed}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record = ""
    for path, text in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{path},sha256={digest.decode()},{len(text)}\n"
    target = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(target, "w") as archive:
        for path, text in {**content, f"{info}/RECORD": record + f"{info}/RECORD,,\n"}.items():
            archive.writestr(path, text)
    return target


def succeeded(result: dict[str, Any]) -> dict[str, Any]:
    assert not result.get("failed"), result
    return result


def result_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _errors = process.communicate(timeout=300)
    return dict(json.loads(output))


def is_running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def use_uv(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Make this the uv that is found; None for no uv."""

    def use(path: str | None) -> None:
        monkeypatch.setattr(release_install, "find_uv", lambda: path)

    return use


# --- installing -------------------------------------------------------------------------------


@pytest.mark.parametrize("installer", INSTALLERS)
def test_a_release_gets_its_own_venv_from_the_wheelhouse(host, use_uv, installer) -> None:
    if installer == "pip":
        use_uv(None)
    predicted = host.deploy("1.0", check=True)
    assert host.files() == {}
    result = succeeded(host.deploy("1.0"))
    assert host.app() == "7"
    assert host.entries() == ["1.0"]
    for key in ("changed", "actions", "diff"):
        assert result[key] == predicted[key]
    assert result["summary"].startswith("no release before, venv built in ")
    assert not succeeded(host.deploy("1.0"))["changed"]


def test_a_wheel_is_a_release_with_the_packages_it_names(host) -> None:
    built = wheel(
        host.wheelhouse.parent, "agent", {"src/main.py": "import pricing\napp = 8\n"}, "pricing"
    )
    succeeded(host.deploy("1.0", source=str(built)))
    assert host.app() == "8"


@pytest.mark.parametrize("installer", INSTALLERS)
def test_a_source_without_requirements_needs_neither_index_nor_pip(host, use_uv, installer) -> None:
    if installer == "pip":
        use_uv(None)
    (host.source / "requirements.txt").unlink()
    (host.source / "src" / "main.py").write_text("app = 9\n")
    succeeded(host.deploy("1.0", wheelhouse=None))
    assert host.app() == "9"
    assert not list((host.home / "releases" / "1.0" / "venv" / "bin").glob("pip*"))


def test_two_releases_stand_side_by_side(host) -> None:
    succeeded(host.deploy("1.0"))
    (host.source / "src" / "main.py").write_text("app = 2\n")
    result = succeeded(host.deploy("2.0"))
    assert host.app() == "2"
    assert result["diff"] == {"before": {"release": "1.0"}, "after": {"release": "2.0"}}
    succeeded(host.deploy("1.0", source=None))
    assert host.app() == "7"


def test_an_id_never_gets_other_content(host) -> None:
    succeeded(host.deploy("1.0"))
    (host.source / "src" / "main.py").write_text("app = 2\n")
    for check in (True, False):
        result = host.deploy("1.0", check=check)
        assert result["reason"] == "precondition"
        assert "new id" in result["msg"]
    assert host.app() == "7"


def test_a_package_whose_hash_is_another_one_is_not_installed(host) -> None:
    (host.source / "requirements.txt").write_text(f"pricing==1.0 --hash=sha256:{'0' * 64}\n")
    result = host.deploy("1.0")
    assert result["reason"] == "failed_state"
    assert result["log_tail"]
    assert host.entries() == []


def test_a_package_whose_hash_is_right_is_installed(host) -> None:
    digest = hashlib.sha256(host.pricing.read_bytes()).hexdigest()
    (host.source / "requirements.txt").write_text(f"pricing==1.0 --hash=sha256:{digest}\n")
    succeeded(host.deploy("1.0"))
    assert host.app() == "7"


@pytest.mark.parametrize("installer", INSTALLERS)
def test_a_package_that_cannot_be_found_is_named(host, use_uv, installer) -> None:
    if installer == "pip":
        use_uv(None)
    (host.source / "requirements.txt").write_text("no-such-package\n")
    result = host.deploy("1.0")
    assert result["reason"] == "failed_state"
    assert "no-such-package" in result["msg"]
    assert "no-such-package" in "\n".join(result["log_tail"])
    assert host.entries() == []
    assert not os.path.lexists(host.home / "current")


# --- what is refused before anything is switched -----------------------------------------------


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("given", "reason", "named"),
    [
        ({"app": "src.missing:app"}, "precondition", "src.missing"),
        ({"source": "/no/such/source"}, "precondition", "/no/such/source"),
        ({"source": f"/{'x' * 300}"}, "precondition", "/xxx"),
        ({"wheelhouse": "/no/such/wheels"}, "precondition", "/no/such/wheels"),
        ({"wheelhouse": f"/{'x' * 300}"}, "precondition", "/xxx"),
        ({"home": "/tmp/a\0b"}, "invalid_input", "read option home"),
        ({"requirements": "requirements-prod.txt"}, "precondition", "requirements-prod.txt"),
        ({"requirements": "../requirements.txt"}, "precondition", "../requirements.txt"),
        ({"python": "/no/such/python"}, "missing_program", "/no/such/python"),
        ({"python": "python-of-nobody"}, "missing_program", "python-of-nobody"),
        ({"python": "/etc/hostname"}, "missing_program", "/etc/hostname"),
    ],
)
def test_refuses_what_cannot_work(host, check, given, reason, named) -> None:
    succeeded(host.deploy("1.0"))
    (host.source / "src" / "main.py").write_text("app = 2\n")
    result = host.deploy("2.0", check=check, **given)
    assert result["reason"] == reason
    assert named in result["msg"]
    assert host.entries() == ["1.0"]
    assert host.app() == "7"


def test_an_interpreter_that_will_not_run_is_told_before_anything_is_made(host) -> None:
    shim = host.tools / "python3.9"
    shim.write_text("#!/bin/sh\necho 'version 3.9 is not installed' >&2\nexit 127\n")
    shim.chmod(0o755)
    result = host.deploy("1.0", python=str(shim))
    assert result["reason"] == "missing_program"
    assert "version 3.9 is not installed" in result["msg"]


@pytest.mark.parametrize(("module", "packages"), [("venv", False), ("ensurepip", True)])
def test_a_python_that_debian_split_up_is_told_what_to_install(
    host, use_uv, module, packages
) -> None:
    use_uv(None)
    facts = {"version": "3.11.2", "venv": True, "ensurepip": True, module: False}
    python = host.tools / "python3"
    python.write_text(f"#!/bin/sh\necho '{json.dumps(facts)}'\n")
    python.chmod(0o755)
    if not packages:
        (host.source / "requirements.txt").unlink()
    result = host.deploy("1.0", python=str(python))
    assert result["reason"] == "missing_library"
    assert "python3.11-venv" in result["msg"]


def test_an_app_that_only_its_interpreter_misses_leaves_no_release(host) -> None:
    (host.source / "src" / "__init__.py").write_text("import absent_package\n")
    result = host.deploy("1.0")
    assert result["reason"] == "precondition"
    assert "absent_package" in result["msg"]
    assert host.entries() == []
    assert not os.path.lexists(host.home / "current")


def test_the_app_is_found_without_being_run(host) -> None:
    (host.source / "src" / "main.py").write_text("raise SystemExit('it ran')\n")
    succeeded(host.deploy("1.0"))


@pytest.mark.parametrize("check", [True, False])
def test_a_home_that_cannot_be_is_a_precondition(host, tmp_path, check) -> None:
    (tmp_path / "file").write_text("")
    result = host.deploy("1.0", check=check, home=str(tmp_path / "file" / "agent"))
    assert result["reason"] == "precondition"
    assert str(tmp_path / "file") in result["msg"]


@pytest.mark.parametrize("check", [True, False])
def test_a_home_without_the_right_to_write_is_a_precondition(check) -> None:
    # Not in tmp_path, whose parents are closed to other users.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        machine = Path(folder) / "machine"
        host = Host(machine)
        host.home.mkdir(mode=0o500)
        result = as_ordinary_user(machine, lambda: host.deploy("1.0", check=check))
        assert result["reason"] == "precondition"


# --- faults while installing --------------------------------------------------------------------


def test_a_full_disk_is_told_as_such_and_gives_its_space_back(host, use_uv) -> None:
    use_uv(host.stand_in_for_uv("echo 'failed: No space left on device (os error 28)'; exit 2"))
    result = host.deploy("1.0")
    assert result["reason"] == "precondition"
    assert "space" in result["msg"]
    assert host.entries() == []


def test_an_installer_that_hangs_is_ended_with_all_it_started(host, use_uv) -> None:
    use_uv(host.stand_in_for_uv(f"echo waiting; sleep 60 & echo $! >> {host.log}; wait"))
    result = host.deploy("1.0", timeout_s=1.5)
    assert result["reason"] == "timeout"
    assert result["log_tail"] == ["waiting"]
    assert host.entries() == []
    eventually(lambda: not any(is_running(pid) for pid in host.installers()))


def test_a_long_installation_says_that_it_goes_on(host, use_uv) -> None:
    use_uv(host.stand_in_for_uv("sleep 0.5"))
    lines: list[str] = []
    progress = Progress(lines.append, SystemClock(), period_s=0.2)
    succeeded(deploy(host.params("1.0"), context=Context(progress=progress)))
    assert lines
    assert lines[0].startswith("install release 1.0: uv is running, ")


def test_a_cancelled_run_leaves_neither_installer_nor_release_nor_lock(host) -> None:
    uv = host.stand_in_for_uv("exec sleep 60")
    process = host.in_process("1.0", f"release_install.find_uv = lambda: {uv!r}")
    eventually(lambda: len(host.installers()) == 2)
    process.send_signal(signal.SIGTERM)
    assert result_of(process)["reason"] == "cancelled"
    assert not any(is_running(pid) for pid in host.installers())
    assert host.entries() == []
    assert not list((host.home / "state" / "locks").iterdir())


def test_a_run_that_is_cancelled_before_it_knows_its_installer_ends_it_too(host) -> None:
    """The signal comes after the fork, while Python still waits for the exec."""
    uv = host.stand_in_for_uv("exec sleep 60")
    signalled = """
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.host import program
end_with_parent = program._end_with_parent
def signal_the_parent():
    end_with_parent()
    os.kill(os.getppid(), signal.SIGTERM)
program._end_with_parent = signal_the_parent
"""
    process = host.in_process("1.0", f"release_install.find_uv = lambda: {uv!r}\n{signalled}")
    assert result_of(process)["reason"] == "cancelled"
    assert not any(is_running(pid) for pid in host.installers())
    assert host.entries() == []


def test_a_killed_run_takes_its_installer_with_it(host) -> None:
    uv = host.stand_in_for_uv("exec sleep 60")
    process = host.in_process("1.0", f"release_install.find_uv = lambda: {uv!r}")
    eventually(lambda: len(host.installers()) == 2)
    process.kill()
    process.communicate()
    eventually(lambda: not any(is_running(pid) for pid in host.installers()))
    succeeded(host.deploy("1.0"))
    assert host.app() == "7"
    assert host.entries() == ["1.0"]


STEPS = [
    ("before", "release_install.ReleaseSource.unpack"),
    ("after", "release_install.ReleaseSource.unpack"),
    ("after", "release_install.build_venv"),
    ("after", "release_install.find_app"),
    ("after", "releases.Releases.complete"),
    ("after", "releases.Releases.forget_good"),
    ("after", "releases.Releases.switch"),
    ("after", "releases.Releases.remove_all"),
]
KILL = """
def killed(*arguments, original={step}):
    if {when!r} == "after":
        original(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
{step} = killed
"""


@pytest.mark.parametrize(("when", "step"), STEPS, ids=lambda part: part.rpartition(".")[2])
def test_a_run_killed_at_any_step_is_repaired_by_the_next(host, when, step) -> None:
    succeeded(host.deploy("1.0"))
    (host.source / "src" / "main.py").write_text("app = 2\n")
    process = host.in_process("2.0", KILL.format(step=step, when=when))
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL
    assert host.app() in ("7", "2")
    succeeded(host.deploy("2.0"))
    assert host.app() == "2"
    assert host.entries() == ["1.0", "2.0"]
    assert not succeeded(host.deploy("2.0"))["changed"]


def test_what_a_killed_run_of_another_id_left_is_cleared_away(host) -> None:
    kill = KILL.format(step="release_install.find_app", when="after")
    host.in_process("1.0", kill).communicate(timeout=300)
    assert host.entries() == ["1.0"]
    predicted = host.deploy("2.0", check=True)
    result = succeeded(host.deploy("2.0"))
    assert result["actions"] == predicted["actions"]
    assert host.entries() == ["2.0"]


# --- more than one run --------------------------------------------------------------------------


def test_of_two_deploys_of_one_release_one_installs_and_both_succeed(host) -> None:
    results = [result_of(p) for p in [host.in_process("1.0"), host.in_process("1.0")]]
    assert sorted(succeeded(result)["changed"] for result in results) == [False, True]
    assert host.app() == "7"


def test_two_deploys_of_two_releases_come_one_after_the_other(host) -> None:
    results = [result_of(p) for p in [host.in_process("1.0"), host.in_process("2.0")]]
    assert all(succeeded(result)["changed"] for result in results)
    assert host.entries() == ["1.0", "2.0"]
    assert host.app() == "7"


# --- secrets ------------------------------------------------------------------------------------


def test_the_index_password_is_in_no_argument_result_or_file(host, use_uv) -> None:
    url = f"https://deployer:{PASSWORD}@packages.invalid/simple"
    use_uv(host.stand_in_for_uv(f"echo got $UV_INDEX_URL; echo {PASSWORD} failed; exit 2"))
    result = host.deploy("1.0", wheelhouse=None, index_url=url)
    assert result["log_tail"][0] == "got ********"
    assert PASSWORD not in host.log.read_text()
    assert not any(PASSWORD.encode() in (content or b"") for content in host.files().values())
