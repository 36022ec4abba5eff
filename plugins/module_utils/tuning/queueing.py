# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many connections a load needs, by queueing theory. Pure.

Requests arrive at lambda per second and hold a connection for W seconds on average. By Little's
law L = lambda x W connections are in use on average (J. D. C. Little, A Proof for the Queuing
Formula L = lambda W, Operations Research 9(3), 1961). For M/M/c, Erlang's C formula gives the
share of requests that find all c in use and have to wait (A. K. Erlang, 1917; as in Kleinrock,
Queueing Systems I, section 3.5). It hardly depends on how holding times are spread, as the mean
waiting time does.
"""

from __future__ import annotations

# 99 of 100 requests find a free connection at once.
WAITING_SHARE = 0.01
# Beyond this no pool of one worker is sensible; a bound for the search, not a recommendation.
_MOST_CONNECTIONS = 100_000


def offered_load(arrivals_per_s: float, held_mean_s: float) -> float:
    """Connections in use on average where none had to wait, in Erlang: Little's law."""
    return arrivals_per_s * held_mean_s


def erlang_b(connections: int, load: float) -> float:
    """The share that finds all in use where nobody waits; by the recursion, which is exact."""
    blocked = 1.0
    for number in range(1, connections + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked


def erlang_c(connections: int, load: float) -> float:
    """The share of requests that have to wait; 1 where the load is more than there is."""
    if load >= connections:
        return 1.0
    blocked = erlang_b(connections, load)
    return blocked / (1 - (load / connections) * (1 - blocked))


def connections_needed(load: float, waiting_share: float = WAITING_SHARE) -> int:
    """The fewest connections, 1 at least, with which no more than that share has to wait.

    Raises `ValueError` for a load beyond any pool.
    """
    blocked = 1.0
    for number in range(1, _MOST_CONNECTIONS + 1):
        blocked = load * blocked / (number + load * blocked)
        if number > load and blocked / (1 - (load / number) * (1 - blocked)) <= waiting_share:
            return number
    raise ValueError(f"a load of {load:g} needs more than {_MOST_CONNECTIONS} connections")
