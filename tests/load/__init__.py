# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Load on what is tested, and the proxy in front of it.

`continuous` sends one request after the other, of any kind; `open_load` sends HTTP requests at a
fixed rate, whether or not the answers keep up.
"""
