# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images that the tests of Docker, systemd and Kubernetes run, made here: no registry is asked.

`archives()` makes the images of the demo agent, `systemd_archive()` a machine with systemd. Both
return docker-archive tars, for `docker load` and for `ctr images import`, kept in `.cache/images`.
"""

from tests.images.agent import AGENT_UID, archives
from tests.images.errors import ImageError
from tests.images.systemd import systemd_archive

__all__ = ["AGENT_UID", "ImageError", "archives", "systemd_archive"]
