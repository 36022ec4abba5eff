# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that ask replicas over HTTP; mirrors health/arguments.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Which replicas are asked, and how."""

    DOCUMENTATION = r"""
options:
  agent:
    description: Name of the agent in messages, history and metrics.
    type: str
    default: cost-agent
  targets:
    description:
      - The replicas to ask. An empty list means nothing, not everything, and is refused where
        there is nothing else to ask.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the replica; the address from its O(targets[].url) when left out.
        type: str
      url:
        description: Base address, to which the paths are appended.
        type: str
        required: true
      not_running:
        description:
          - Why the replica's platform says that it does not run. Such a replica is down and is
            not asked, since whatever answers at its address is not the replica.
        type: str
      usage:
        description:
          - What the replica uses, as M(optiinfra.cost_agent.agent_info) tells it.
            Without it memory and CPU are not measured.
        type: dict
        suboptions:
          memory_bytes:
            description: Memory in use.
            type: float
          memory_limit_bytes:
            description: Memory limit; leave out where nothing limits it.
            type: float
          cpu_seconds:
            description: CPU time since the replica started.
            type: float
          uptime_s:
            description: Seconds since the replica started.
            type: float
          cpu_percent:
            description:
              - Average CPU in percent of its limit, else of one core, where it was watched for a
                while.
            type: float
          cpu_window_s:
            description: The seconds that O(targets[].usage.cpu_percent) is the average of.
            type: float
          cpu_limit_cores:
            description: The cores that it is limited to.
            type: float
  headers:
    description: Headers for the requests to O(targets), for example a token. Never shown.
    type: dict
  validate_certs:
    description: Whether to check the certificates of HTTPS servers.
    type: bool
    default: true
  ca_file:
    description:
      - Certificates of the issuers to trust for HTTPS.
      - When left out, E(CURL_CA_BUNDLE), E(SSL_CERT_FILE) or the system's.
    type: path
  client_cert:
    description: Client certificate for the requests to O(targets), PEM.
    type: path
  client_key:
    description: Key of O(client_cert), PEM, without a passphrase.
    type: path
"""
