# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many replicas the load asks for, by the rules of the Kubernetes HorizontalPodAutoscaler.

What decides is pure: `formula` from CPU to a count, `decision` from that count to the one
that may be taken now. Around it stand what measures and what remembers.
"""
