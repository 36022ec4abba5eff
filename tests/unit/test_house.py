# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of the house: what is written twice agrees, and what is not wanted stays out."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.version import VERSION

ROOT = Path(__file__).parents[2]
COLLECTION = "optiinfra.cost_agent"


def stems(folder: str) -> list[str]:
    return sorted(path.stem for path in ROOT.joinpath("plugins", folder).glob("[!_]*.py"))


MODULES = stems("modules")
ROLES = sorted(path.name for path in ROOT.joinpath("roles").glob("*/"))
TASK_FILES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("playbooks/**/*.yml", "roles/*/tasks/**/*.yml", "roles/*/handlers/**/*.yml")
    for path in ROOT.glob(pattern)
)


class TaskLoader(yaml.SafeLoader):
    """Plain YAML that also reads Ansible's tags, as the text behind them."""


TaskLoader.add_multi_constructor("!", lambda loader, suffix, node: node.value)


def load(path: str | Path) -> Any:
    return yaml.load(ROOT.joinpath(path).read_text(), TaskLoader)


def operation_of(module: str) -> Any:
    code = importlib.import_module(f"ansible_collections.{COLLECTION}.plugins.modules.{module}")
    return code.OPERATION


# --- modules ----------------------------------------------------------------------------------


def test_action_group_names_every_module() -> None:
    assert sorted(load("meta/runtime.yml")["action_groups"]["all"]) == MODULES


@pytest.mark.parametrize(
    ("group", "option"),
    [
        ("platform", "platform"),
        ("budget", "others_at_peak"),
        ("redis", "sentinel"),
        ("replicas", "targets"),
    ],
)
def test_a_group_names_every_module_that_is_told_the_same(group: str, option: str) -> None:
    told = [module for module in MODULES if option in operation_of(module).argument_spec]
    assert sorted(load("meta/runtime.yml")["action_groups"][group]) == told


def test_the_engine_knows_its_version() -> None:
    assert load("galaxy.yml")["version"] == VERSION


def test_every_module_has_an_action_plugin_of_its_name() -> None:
    assert stems("action") == MODULES


@pytest.fixture(scope="module")
def documentation() -> dict[str, Any]:
    """What users read: the options of every module, with the shared fragments merged in."""
    names = [f"{COLLECTION}.{module}" for module in MODULES]
    listing = subprocess.run(
        [Path(sys.executable).with_name("ansible-doc"), "--json", "--type", "module", *names],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return {
        name.removeprefix(f"{COLLECTION}."): entry["doc"]
        for name, entry in json.loads(listing.stdout).items()
    }


def described(options: dict[str, Any] | None, nested: str) -> dict[str, Any]:
    """Reduce documented or specified options to what both of them state."""
    return {
        name: {
            "type": option.get("type", "str"),
            "elements": option.get("elements"),
            "required": option.get("required", False),
            "default": option.get("default"),
            "choices": sorted(option.get("choices") or [], key=str),
            "aliases": sorted(option.get("aliases") or []),
            "options": described(option.get(nested), nested),
        }
        for name, option in (options or {}).items()
    }


@pytest.mark.parametrize("module", MODULES)
def test_documented_options_are_the_argument_spec(
    module: str, documentation: dict[str, Any]
) -> None:
    assert described(documentation[module].get("options"), "suboptions") == described(
        operation_of(module).argument_spec, "options"
    )


# --- roles and playbooks ----------------------------------------------------------------------


def role_options(role: str) -> dict[str, Any]:
    specs = load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]
    return {name: option for entry in specs.values() for name, option in entry["options"].items()}


@pytest.mark.parametrize("role", ROLES)
def test_role_defaults_are_the_optional_arguments(role: str) -> None:
    optional = {name for name, option in role_options(role).items() if not option.get("required")}
    assert set(load(f"roles/{role}/defaults/main.yml")) == optional


@pytest.mark.parametrize("role", ROLES)
def test_role_documents_the_defaults_it_has(role: str) -> None:
    documented = {
        name: option["default"]
        for name, option in role_options(role).items()
        if "default" in option
    }
    defaults = load(f"roles/{role}/defaults/main.yml")
    assert documented == {name: defaults[name] for name in documented}


def keys(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from node
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from keys(item)


@pytest.mark.parametrize("path", TASK_FILES)
def test_tasks_use_no_shell_and_hide_no_error(path: str) -> None:
    unwanted = {"shell", "ansible.builtin.shell", "ignore_errors"}
    assert not unwanted & set(keys(load(path)))


# --- files ------------------------------------------------------------------------------------


def repository_files() -> list[Path]:
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    paths = (ROOT / name for name in listing.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def test_no_plugin_file_is_a_drawer_for_everything() -> None:
    drawers = {"common", "helper", "helpers", "misc", "util", "utils"}
    assert not [path for path in ROOT.glob("plugins/**/*.py") if path.stem.strip("_") in drawers]


def test_nothing_names_one_machine_or_package_host() -> None:
    # The brackets keep these patterns from finding themselves.
    bound = re.compile(rb"/wor[k]/|/hom[e]/[a-z]|py[p]i\.org|pythonhoste[d]|--index-ur[l] ")
    found = [
        f"{path.relative_to(ROOT)}: {match.group().decode()}"
        for path in repository_files()
        for match in bound.finditer(path.read_bytes())
    ]
    assert not found
