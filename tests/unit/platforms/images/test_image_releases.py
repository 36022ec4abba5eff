# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The records of releases that are images."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    FileStateStore,
    VersionConflict,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.images.releases import (
    ImageRelease,
    ImageReleases,
)

FIRST = ImageRelease("cost-agent:1.4.1", "sha256:01", 10.0, image_id="sha256:a1")
SECOND = ImageRelease("cost-agent:1.4.2", "sha256:02", 20.0, image_id="sha256:a2")


@pytest.fixture
def store(tmp_path):
    return FileStateStore(tmp_path)


@pytest.fixture
def releases(store):
    return ImageReleases(store, "cost-agent")


def test_nothing_is_recorded_at_first(releases):
    assert releases.current() is None
    assert releases.releases() == []


def test_what_was_added_is_read_again_newest_first(releases, store):
    releases.add(FIRST)
    releases.add(SECOND)
    assert ImageReleases(store, "cost-agent").releases() == [SECOND, FIRST]
    assert ImageReleases(store, "other").releases() == []


def test_adding_makes_nothing_current_and_a_switch_does(releases):
    releases.add(FIRST)
    assert releases.current() is None
    releases.switch(FIRST.id)
    releases.add(SECOND)
    assert releases.current() == FIRST


def test_a_removed_release_is_gone_and_so_is_its_being_current(releases):
    releases.add(FIRST)
    releases.add(SECOND)
    releases.switch(FIRST.id)
    assert releases.remove([FIRST.id]) == []
    assert releases.releases() == [SECOND]
    assert releases.current() is None


def test_a_mark_holds_for_the_contents_that_it_was_given_for(releases):
    releases.add(FIRST)
    releases.mark_good(FIRST, 30.0)
    assert releases.releases()[0].good_at == 30.0
    releases.add(ImageRelease(FIRST.id, "sha256:03", 40.0))
    assert releases.releases()[0].good_at is None


def test_a_dropped_mark_is_gone(releases):
    releases.add(FIRST)
    releases.mark_good(FIRST, 30.0)
    releases.forget_good(FIRST.id)
    assert releases.releases() == [FIRST]


def test_two_writers_at_once_lose_nothing_of_each_other(store):
    class Interrupted(FileStateStore):
        """Another writer comes first, once, between this one's reading and writing."""

        interruptions = 1

        def write(self, key, data, expect="any"):
            if self.interruptions:
                self.interruptions -= 1
                ImageReleases(store, "cost-agent").add(FIRST)
                with pytest.raises(VersionConflict):
                    super().write(key, data, expect)
                raise VersionConflict(key)
            return super().write(key, data, expect)

    ImageReleases(Interrupted(store._folder), "cost-agent").add(SECOND)
    assert ImageReleases(store, "cost-agent").releases() == [SECOND, FIRST]


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"current": null, "releases": {"a": {}}}'])
def test_an_entry_that_is_not_ours_is_named_and_kept(releases, store, text):
    store.write("image-releases/cost-agent", text)
    with pytest.raises(OperationError) as raised:
        releases.add(FIRST)
    assert raised.value.reason is Reason.PRECONDITION
    assert "image-releases/cost-agent" in raised.value.seen
    assert store.read("image-releases/cost-agent").data == text
