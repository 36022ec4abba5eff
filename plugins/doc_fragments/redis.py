# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that talk to Redis; mirrors redis/connection.py."""

from __future__ import annotations


class ModuleDocFragment:
    """How to reach the servers."""

    DOCUMENTATION = r"""
options:
  host:
    description:
      - Name or address of the server. When left out, V(127.0.0.1).
    type: str
  port:
    description: Port of the server.
    type: int
    default: 6379
  username:
    description: The ACL user to log in as.
    type: str
  password:
    description: The password to log in with.
    type: str
  password_file:
    description: A file that holds the password alone, read where the module runs.
    type: path
  tls:
    description: Whether the servers, and sentinels if there are any, speak TLS.
    type: bool
    default: false
  validate_certs:
    description: Whether the servers' certificates are checked.
    type: bool
    default: true
  ca_file:
    description: Certificates of the issuers to trust, PEM. When left out, the system's.
    type: path
  client_cert:
    description: The certificate to present, PEM.
    type: path
  client_key:
    description: The key of O(client_cert), PEM, without a passphrase.
    type: path
  sentinel:
    description: Asks sentinels where the primary is, in place of O(host).
    type: dict
    suboptions:
      hosts:
        description: Their addresses, C(HOST) or C(HOST:PORT); the first that answers is believed.
        type: list
        elements: str
        required: true
      service:
        description: The name that they know the primary by.
        type: str
        default: mymaster
      username:
        description: The ACL user to log in to them as.
        type: str
      password:
        description: The password to log in to them with.
        type: str
      password_file:
        description: A file that holds this password alone.
        type: path
  scope:
    description:
      - V(all) is the server, what replicates from it over any number of levels, and all nodes of
        its cluster, of which any one may be given. V(server) is that server alone.
      - The others are reached at the addresses that they announce, with the same login.
    type: str
    choices: [all, server]
    default: all
  timeout_s:
    description:
      - Seconds for the whole. No request is begun after that, and one answer is waited for half of
        it, or 5 s at most.
    type: float
    default: 10.0
requirements:
  - redis
"""
