# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs a release and makes it current, or records that the current one is good."""

from __future__ import annotations

DOCUMENTATION = r"""
module: agent_release
short_description: Install a release of the agent and make it current
version_added: 0.1.0
description:
  - Installs a release in its own folder with its own virtual environment, makes sure that the
    application is in it, and switches the C(current) link to it in one step.
  - Restarts nothing. M(optiinfra.cost_agent.agent), in its state V(started), brings the replicas
    to the current release.
  - What an id names never changes. The same id with other content is refused, the same id with
    the same content changes nothing.
  - Packages are installed with uv where it is found beside the interpreter or on C(PATH),
    otherwise with C(venv) and pip. Proxies, certificates and index settings in the environment
    hold for both.
  - A run that is killed leaves nothing that counts; the next run clears it away.
options:
  state:
    description:
      - V(current) installs the release unless it is installed, and makes it current.
        The newest O(keep) releases stay, and always the current one, the last good one besides
        it, and those that replicas run from.
      - V(good) records that the current release proved healthy with its present environment, so
        that M(optiinfra.cost_agent.agent_rollback) can go back to both. A release that is made
        current again has to prove itself again.
    type: str
    choices: [current, good]
    default: current
  release:
    description:
      - The release's id, of up to 64 letters, digits, dots, underscores, pluses and hyphens.
      - Required with O(state=current). With O(state=good) it must be the current release.
    type: str
  source:
    description:
      - Path on the managed host of a folder with the application, of a C(.tar.gz) of such a
        folder, or of a wheel.
      - C(.git), C(__pycache__) and a C(venv) or C(.venv) at its top are left out. Empty folders
        are not kept.
      - Required unless the release is installed already.
    type: path
  app:
    description: The application as uvicorn takes it, C(module:attribute).
    type: str
    default: src.main:app
  requirements:
    description:
      - Path, relative to O(source), of the file that names the packages to install. A wheel
        names its own.
      - Without a file of the default name nothing is installed. A file that carries hashes makes
        every package need one.
    type: str
    default: requirements.txt
  wheelhouse:
    description: Folder of wheels on the managed host, to install from instead of an index.
    type: path
  index_url:
    description:
      - URL of the package index. It is given to the installer in its environment, so it may hold
        a password.
    type: str
  python:
    description:
      - Path or name of the interpreter that the release will run on.
      - Without it, the interpreter that runs this module.
    type: path
  keep:
    description: How many releases stay installed.
    type: int
    default: 5
  migration:
    description:
      - A command of the release, as a list of arguments, that is run once before the release
        becomes current, for example to migrate the database. Replicas of the release before serve
        meanwhile, so the database must suit both.
      - Its program is looked for in the release's virtual environment first, and runs in the
        release's folder with the environment of the replicas.
      - When it fails, the run fails and the current release stays. A release that is current was
        migrated before, so it is not migrated again.
      - Refused on a platform that runs no command of a release.
    type: list
    elements: str
  environment:
    description:
      - Environment variables for O(migration), as M(optiinfra.cost_agent.agent) will give them to
        the replicas. They are not written here.
      - Without it, those that the replicas have.
    type: dict
  environment_secrets:
    description: Variables such as O(environment), whose values are never shown.
    type: dict
  timeout_s:
    description:
      - Seconds that everything may take, O(migration) and waiting for another run on this agent
        included.
    type: float
    default: 600
extends_documentation_fragment:
  - optiinfra.cost_agent.attributes
  - optiinfra.cost_agent.platform
  - optiinfra.cost_agent.docker
  - optiinfra.cost_agent.kubernetes
seealso:
  - module: optiinfra.cost_agent.agent
  - module: optiinfra.cost_agent.agent_rollback
author:
  - OptiInfra maintainers (@optiinfra)
"""

EXAMPLES = r"""
- name: Install release 1.4.2 from a folder on the host
  optiinfra.cost_agent.agent_release:
    release: 1.4.2
    source: /srv/releases/cost-agent-1.4.2

- name: Install a wheel on a host that reaches no package index
  optiinfra.cost_agent.agent_release:
    release: 1.5.0
    source: /srv/releases/cost_agent-1.5.0-py3-none-any.whl
    app: cost_agent.main:app
    wheelhouse: /srv/wheels

- name: Migrate the database before the release becomes current
  optiinfra.cost_agent.agent_release:
    release: 1.6.0
    source: /srv/releases/cost-agent-1.6.0
    migration: [alembic, upgrade, head]
    timeout_s: 3600

- name: Record that the current release is healthy
  optiinfra.cost_agent.agent_release:
    state: good
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: always
  type: list
  elements: str
  sample: ["Installed release 1.4.2 from /srv/releases/cost-agent-1.4.2",
           "Switched the current release from 1.4.1 to 1.4.2"]
state:
  description: The releases as they are after the run.
  returned: always
  type: dict
  contains:
    release:
      description: The current release. In check mode, the one that would be current.
      type: str
    previous:
      description: The release that was current before this run, null when there was none.
      type: str
    releases:
      description: The installed releases, newest first. Times are seconds since the epoch.
      type: list
      elements: dict
      sample: [{"id": "1.4.2", "installed_at": 1737590400.0, "good_at": null, "current": true,
                "digest": "9f2c"}]
    not_removed:
      description: What could not be removed, and why. It is tried again by the next run.
      type: list
      elements: str
summary:
  description: The result in one line.
  returned: success
  type: str
  sample: from 1.4.1, venv built in 6.1 s
duration:
  description: Seconds that the run took.
  returned: always
  type: float
reason:
  description: Why it failed, a word from the collection's closed list.
  returned: failure
  type: str
log_tail:
  description: The last lines that a failed installer or migration printed, redacted.
  returned: when an installer or a migration failed
  type: list
  elements: str
"""

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.module_runner import (
    run_module,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_release import (
    AGENT_RELEASE as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
