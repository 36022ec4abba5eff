# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a replica, and what their record says of a process."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_options import (
    Serving,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.host.layout import (
    Layout,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.protocol import (
    Specification,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.systemd import instance
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.systemd.instance import (
    Instance,
    Record,
    record_of,
    service_text,
    socket_text,
)

SERVICE = "cost-agent@8001.service"
SERVING = Serving("127.0.0.1", 8001, "src.main:app", 1, "/ready", 512, 1.5)
RECORD = Record(
    Specification("1.4.1", "digest", "environment", SERVING.started_with()), "units", "boot", 50, 20
)


@pytest.fixture
def replica(tmp_path, monkeypatch):
    monkeypatch.setattr(instance, "UNIT_FOLDER", tmp_path / "units")
    return Instance(Layout(tmp_path / "home", "cost-agent"), SERVICE)


def lay_out(replica, record=RECORD, serving=SERVING):
    return replica.lay_out(record, serving, {"TEXT": "two\nlines"}, now_us=70)


def test_a_replica_is_laid_out_with_files_of_its_own(replica):
    assert lay_out(replica)
    assert replica.record() == dataclasses.replace(RECORD, address_us=70)
    assert str(replica.release_link.readlink()) == "../releases/1.4.1"
    assert replica.environment_file.stat().st_mode & 0o777 == 0o600
    assert replica.record_file.stat().st_mode & 0o777 == 0o600


def test_laying_out_the_same_again_needs_no_reload(replica):
    lay_out(replica)
    assert not lay_out(replica)
    assert replica.record().address_us == RECORD.address_us  # the socket has not moved


def test_another_address_is_told_from_another_limit(replica):
    lay_out(replica)
    assert lay_out(replica, serving=dataclasses.replace(SERVING, memory_limit_mb=1024))
    assert replica.record().address_us == RECORD.address_us
    assert lay_out(replica, serving=dataclasses.replace(SERVING, host="0.0.0.0"))
    assert replica.record().address_us == 70


def test_a_run_killed_while_it_lays_out_leaves_a_record_that_counts_for_nothing(
    replica, monkeypatch
):
    lay_out(replica)

    def killed(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(instance, "_link", killed)
    with pytest.raises(KeyboardInterrupt):
        lay_out(replica, record_of(RECORD.specification, RECORD, units="", boot="", written_us=90))
    left = replica.record()
    assert not left.is_of(10**9, "boot")
    assert left.earlier_release == "1.4.1"


def test_clearing_away_leaves_nothing(replica, tmp_path):
    lay_out(replica)
    replica.set_grace(5)
    assert replica.clear_away()
    assert not [path for path in tmp_path.rglob("*") if not path.is_dir()]
    assert not list((tmp_path / "units").iterdir())
    assert not replica.clear_away()


def test_what_others_put_beside_our_drop_ins_stays(replica, tmp_path):
    lay_out(replica)
    other = tmp_path / "units" / f"{SERVICE}.d" / "other.conf"
    other.write_text("")
    replica.clear_away()
    assert other.exists()


@pytest.mark.parametrize("text", ["", "nonsense", "{}", '{"release": "1.4.1"}', "[]", "3"])
def test_a_record_that_is_not_ours_is_none(replica, text):
    lay_out(replica)
    replica.record_file.write_text(text)
    assert replica.record() is None


@pytest.mark.parametrize(
    ("started_us", "boot", "is_of"), [(50, "boot", True), (49, "boot", False), (1, "next", True)]
)
def test_a_process_from_before_the_files_were_written_runs_something_else(started_us, boot, is_of):
    assert RECORD.is_of(started_us, boot) == is_of


def test_the_release_before_is_remembered_until_the_next_change():
    second = Specification("1.4.2", "digest", "environment", None)
    record = record_of(second, RECORD, units="units", boot="boot", written_us=60)
    assert (record.earlier_release, record.address_us) == ("1.4.1", 20)
    broken = dataclasses.replace(record, whole=False)
    again = record_of(second, broken, units="units", boot="boot", written_us=70)
    assert again.earlier_release == "1.4.1"
    assert record_of(second, record, units="u", boot="next", written_us=1).address_us == 0


def test_limits_become_those_of_the_control_group():
    assert service_text(SERVING) == "[Service]\nMemoryMax=512M\nMemorySwapMax=0\nCPUQuota=150%\n"
    without = dataclasses.replace(SERVING, memory_limit_mb=None, cpu_limit_cores=None)
    assert service_text(without) == "[Service]\n"


@pytest.mark.parametrize(
    ("host", "listen"),
    [("0.0.0.0", "0.0.0.0:8001"), ("::1", "[::1]:8001"), ("localhost", "127.0.0.1:8001")],
)
def test_a_socket_listens_on_numbers(host, listen):
    assert socket_text(host, 8001).endswith(f"ListenStream=\nListenStream={listen}\n") or (
        host == "localhost" and "[::1]:8001" in socket_text(host, 8001)
    )


def test_a_grace_of_nothing_is_no_endless_one(replica):
    assert replica.set_grace(0)
    assert not replica.set_grace(0)
    drop_in = instance.UNIT_FOLDER / f"{SERVICE}.d" / "grace.conf"
    assert "TimeoutStopSec=0.001" in drop_in.read_text()
