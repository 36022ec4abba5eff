# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that the modules of the platforms area share; mirrors platforms/arguments.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Which agent, on which platform; C(LISTENING) adds where replicas listen, C(SERVING) how many."""

    DOCUMENTATION = r"""
options:
  platform:
    description:
      - Where the agent runs.
      - A play says this, and the options like it, once for all its tasks with
        C(group/optiinfra.cost_agent.platform) in C(module_defaults).
      - V(process) runs each replica as a uvicorn process with a pid file on the managed host.
      - V(systemd) runs each replica as a service C(cost-agent@8001.service) of systemd, whose socket
        outlives its restarts. Needs root, and the units that role C(deploy) installs.
      - V(kubernetes) runs them as the pods of a Deployment or StatefulSet, which the role deploy
        applies. It needs the Python library kubernetes where the module runs.
      - V(docker) runs each as a container that publishes a port of its own. It needs the Python
        library docker where the module runs, and nothing on the engine's machine.
    type: str
    choices: [process, systemd, docker, kubernetes]
    default: process
  name:
    description:
      - The agent's name, and the first part of its replicas' names.
      - Lower case letters, digits and hyphens.
    type: str
    default: cost-agent
  home:
    description: The agent's folder on the managed host, for its releases, environment and logs.
    type: path
    default: /opt/cost-agent
  state_store:
    description:
      - Where locks and intent are kept, C(file:///folder) or C(s3://bucket/prefix).
      - S3 needs boto3 1.36 or newer on the managed host. Its credentials and endpoint come from the
        environment (E(AWS_ACCESS_KEY_ID), E(AWS_PROFILE), E(AWS_ENDPOINT_URL), ...), C(~/.aws) or a
        role.
      - Without it, the folder C(state) below O(home), and on Kubernetes ConfigMaps of the
        agent's namespace.
    type: str
"""

    LISTENING = r"""
options:
  host:
    description: Address that the replicas listen on.
    type: str
    default: 0.0.0.0
  port:
    description: Port of the first replica.
    type: int
    default: 8001
  app:
    description: The application as uvicorn takes it, C(module:attribute).
    type: str
    default: src.main:app
"""

    SERVING = r"""
options:
  replicas:
    description:
      - How many replicas run, on consecutive ports from O(port).
      - Without it, the count that was asked for last, and 3 where there was none.
      - V(0) is refused, since that would be a stop.
    type: int
"""
