# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the docker platform: what they default to, and what is refused."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.docker.options import (
    read_docker_options,
)


def test_nothing_given_is_the_engine_of_this_machine():
    options = read_docker_options({}, {})
    assert options.connection.host == "unix:///var/run/docker.sock"
    assert not options.connection.uses_tls
    assert options.connection.machine is None
    assert options.container.restart_policy == "unless-stopped"
    assert options.compose is None


def test_the_variables_of_the_docker_command_are_read(tmp_path):
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_text("")
    variables = {
        "DOCKER_HOST": "tcp://engine.example:2376",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": str(tmp_path),
    }
    connection = read_docker_options({}, variables).connection
    assert connection.host == "tcp://engine.example:2376"
    assert connection.uses_tls
    assert connection.validate_certs
    assert connection.client_key == str(tmp_path / "key.pem")
    assert connection.machine == "engine.example"


def test_an_option_comes_before_a_variable():
    given = {"docker_host": "ssh://deploy@engine.example", "validate_certs": False}
    variables = {"DOCKER_HOST": "tcp://other:2376", "DOCKER_TLS_VERIFY": "1"}
    connection = read_docker_options(given, variables).connection
    assert connection.host == "ssh://deploy@engine.example"
    assert not connection.uses_tls


@pytest.mark.parametrize(
    ("host", "machine"),
    [
        ("unix:///run/docker.sock", None),
        ("tcp://127.0.0.1:2376", None),
        ("tcp://localhost:2376", None),
        ("tcp://[::1]:2376", None),
        ("tcp://192.0.2.7:2376", "192.0.2.7"),
        ("tcp://[2001:db8::7]:2376", "2001:db8::7"),
        ("ssh://deploy@engine.example", "engine.example"),
        ("ssh://deploy@engine.example:2222/", "engine.example"),
    ],
)
def test_the_machine_of_an_engine_is_told_by_its_address(host, machine):
    assert read_docker_options({"docker_host": host}, {}).connection.machine == machine


@pytest.mark.parametrize(
    ("option", "given"),
    [
        ("docker.docker_host", {"docker_host": "engine.example"}),
        ("docker.client_cert", {"client_cert": "/cert.pem"}),
        ("docker.timeout", {"timeout": -1}),
        ("docker.container_port", {"container_port": 70000}),
        ("docker.volumes", {"volumes": ["no-target"]}),
        ("docker.volumes", {"volumes": ["/a:relative"]}),
        ("docker.labels", {"labels": {"optiinfra.cost_agent.agent": "mine"}}),
        ("docker.labels", {"labels": {"nested": {"a": 1}}}),
        ("docker.log_options", {"log_options": {"max-size": ["10m"]}}),
        ("docker.compose.files", {"compose": {"project": "shop", "files": ["compose.yml"]}}),
    ],
)
def test_bad_input_is_named(option, given):
    with pytest.raises(OperationError) as raised:
        read_docker_options(given, {})
    assert raised.value.reason is Reason.INVALID_INPUT
    assert option in str(raised.value)


def test_options_that_mean_the_same_are_the_same():
    one = read_docker_options({"log_options": {"max-file": 3}}, {}).container.started_with()
    two = read_docker_options({"log_options": {"max-file": "3"}}, {}).container.started_with()
    assert one == two
