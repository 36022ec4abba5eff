# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup and restore beside the guide's own commands, in one run on one stack.

    python tests/bench/backup.py                            everything, 1.5 GB, 3 rounds
    python tests/bench/backup.py backup restore --scale 0.2 --rounds 1

Prints what each command cost and the figures with their limits; exits 1 when one is not kept.
PostgreSQL has the settings that demo/stack gives it, S3 is SeaweedFS on the same machine.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # run as a script: the checkout's own packages come from there

from tests.bench.backup_site import BackupSite  # noqa: E402
from tests.bench.figures import Figure, at_least, at_most, machine, say, show  # noqa: E402
from tests.bench.measurement import Cost, median  # noqa: E402
from tests.bench.thousand_backups import count_deletes, fill_repository  # noqa: E402
from tests.load.continuous import Load, http_sender  # noqa: E402

CACHE = ROOT / ".cache" / "bench"
SCRATCH_MB, MEMORY_MB = 150, 250
SMALL_TABLES = 10_000
BACKUPS = 1000
AGENT_PATHS = ("/recommendations", "/ready")
RESTORED = "restored"


class Bench:
    """What the sections share: the site, and how much of everything there is to be."""

    def __init__(self, site: BackupSite, scale: float, rounds: int) -> None:
        self.site, self.scale, self.rounds = site, scale, rounds
        self._filled = False

    def fill(self) -> None:
        """The data, once, in the agent's own database."""
        if not self._filled:
            self._filled = True
            self.site.fill(self.site.database, self.scale)

    def turns(self, *ways: Callable[[], Cost]) -> list[Cost]:
        """The medians of these ways, which take turns in the same weather."""
        rounds = [[way() for way in ways] for _round in range(self.rounds)]
        return [median(costs) for costs in zip(*rounds, strict=True)]

    def backup(self, database: str, **variables: Any) -> tuple[Cost, dict[str, Any]]:
        """backup.yml, and the result of its one task."""
        variables["cost_agent_database_name"] = database
        return self.site.play("backup", variables, "postgres_backup")


def backup(bench: Bench) -> Iterator[Figure]:
    """The guide's backup, the floor under all that use pg_dump, and backup.yml."""
    bench.fill()
    site, durations = bench.site, []

    def ours() -> Cost:
        cost, result = bench.backup(site.database)
        durations.append(Cost(wall_s=result["duration"]))
        return cost

    guide, floor, playbook = bench.turns(
        lambda: site.guide_backup(site.database),
        lambda: site.dump(site.database, "--format=custom", "--compress=0"),
        ours,
    )
    operation = median(durations)
    head("backup")
    row("the guide: pg_dump, gzip, aws s3 cp", guide)
    row("floor: pg_dump -Z0 > /dev/null", floor)
    row("backup.yml", playbook)
    row("  postgres_backup in it", operation)
    yield at_least("the guide / backup.yml", guide.wall_s / playbook.wall_s, 3.8, "x")
    yield Figure("the guide / postgres_backup", f"{guide.wall_s / operation.wall_s:.2f} x")
    yield Figure(
        "postgres_backup / floor", f"{operation.wall_s / floor.wall_s:.2f} x", "aim 1.15 x"
    )
    yield from bounded("backup.yml", playbook)


def restore(bench: Bench) -> Iterator[Figure]:
    """The guide's restore, and restore.yml into a new database with its rows compared."""
    bench.fill()
    site, durations = bench.site, []
    site.guide_backup(site.database)
    bench.backup(site.database)

    def ours() -> Cost:
        site.drop(RESTORED)
        variables = {"cost_agent_restore_target": RESTORED}
        cost, result = site.play("restore", variables, "postgres_restore")
        durations.append(Cost(wall_s=result["duration"]))
        return cost

    guide, playbook = bench.turns(lambda: site.guide_restore(RESTORED), ours)
    site.drop(RESTORED)
    operation = median(durations)
    head("restore")
    row("the guide: aws s3 cp, gunzip, psql", guide)
    row("restore.yml, rows compared, analyzed", playbook)
    row("  postgres_restore in it", operation)
    yield at_least("the guide / restore.yml", guide.wall_s / playbook.wall_s, 1.5, "x")
    yield Figure(
        "the guide / postgres_restore", f"{guide.wall_s / operation.wall_s:.2f} x", "aim 2 x"
    )
    yield at_most("restore.yml, temporary disk", playbook.disk_mb, 1, "MB")
    yield at_most("restore.yml, memory (RSS)", playbook.rss_mb, MEMORY_MB, "MB")


def swap(bench: Bench) -> Iterator[Figure]:
    """restore.yml in place, with two replicas of the agent under load."""
    bench.fill()
    site = bench.site
    agents = site.deploy_agent()
    bench.backup(site.database)
    senders = [http_sender(f"{agent}{path}") for agent in agents for path in AGENT_PATHS]
    variables = {
        "cost_agent_restore_swap": True,
        "cost_agent_restore_confirm": site.database,
    }
    with Load(senders, pause_s=0.01) as load:
        load.wait_for(100)
        _cost, result = site.play("restore", variables, "postgres_restore")
        load.wait_for(100)
    done = result["state"]["swap"]
    outside = load.failed_outside(done["down_from"], done["down_until"])
    yield Figure("requests answered during restore.yml", f"{len(load.answered)}")
    yield Figure("requests failed during the swap", f"{len(load.failed) - len(outside)}")
    none = not outside
    yield Figure("requests failed outside of it", f"{len(outside)}", "none", none)
    yield Figure("downtime of the swap", f"{done['downtime_s']:.2f} s")
    share = 100 * done["downtime_s"] / result["duration"]
    yield at_most("downtime of the swap / the restore", share, 5, "%")
    site.drop(done["kept"])


def tables(bench: Bench) -> Iterator[Figure]:
    """10,000 small tables, against pg_dump alone."""
    site, name = bench.site, "many_tables"
    site.allow_locks(8 * SMALL_TABLES)
    site.create(name)
    site.fill_small_tables(name, SMALL_TABLES)
    results: list[dict[str, Any]] = []

    def ours() -> Cost:
        cost, result = bench.backup(name)
        results.append(result)
        return cost

    # Not removed before the end: ext4 walks past each inode that was freed a minute ago, so that
    # whoever makes files next would pay for it.
    dumps = (site.folder / f"dump_{number}" for number in itertools.count())
    plain, playbook = bench.turns(
        lambda: site.dump(name, "--format=directory", "--jobs=2", f"--file={next(dumps)}"), ours
    )
    head(f"{SMALL_TABLES} small tables")
    row("pg_dump -Fd -j2", plain)
    row("backup.yml", playbook)
    yield at_most("backup.yml / pg_dump -Fd -j2", playbook.wall_s / plain.wall_s, 2.0, "x")
    yield Figure("objects that hold them", f"{results[-1]['state']['objects']}")
    site.drop(name)


def one(bench: Bench) -> Iterator[Figure]:
    """One table of 90 % of the data, which pg_dump reads by one connection."""
    site, name = bench.site, "one_table"
    site.create(name)
    site.fill(name, bench.scale / 2, pgbench_share=0.2, rows_share=1.8)
    results: list[dict[str, Any]] = []

    def ours() -> Cost:
        cost, result = bench.backup(name)
        results.append(result)
        return cost

    guide, floor, playbook = bench.turns(
        lambda: site.guide_backup(name),
        lambda: site.dump(name, "--format=custom", "--compress=0"),
        ours,
    )
    head("one table of 90 % of the data")
    row("the guide: pg_dump, gzip, aws s3 cp", guide)
    row("floor: pg_dump -Z0 > /dev/null", floor)
    row("backup.yml", playbook)
    yield Figure("the guide / backup.yml", f"{guide.wall_s / playbook.wall_s:.2f} x")
    said = any("one connection" in note for note in results[-1]["state"]["notes"])
    yield Figure("says that one connection reads it", "yes" if said else "no", "yes", said)
    site.drop(name)


def catalog(bench: Bench) -> Iterator[Figure]:
    """A list and a prune of 1,000 backups."""
    site, name = bench.site, "catalog"
    site.create(name)
    bench.backup(name)
    place = {"cost_agent_database_name": name}
    one = site.play_unrecorded("backups", place)
    fill_repository(site.addresses, f"ours/{name}/", BACKUPS - 2)
    cold = site.play_unrecorded("backups", place)
    bench.backup(name)
    every = {**place, "cost_agent_backup_list_limit": ""}
    warm, long = bench.turns(
        lambda: site.play_unrecorded("backups", place),
        lambda: site.play_unrecorded("backups", every),
    )
    _cost, listed = site.play("backups", every, "postgres_backup_info")
    keep = {f"cost_agent_backup_keep_{each}": 0 for each in ("daily", "weekly", "monthly")}
    keep = {**place, **keep, "cost_agent_backup_keep_last": 3}
    with count_deletes(site.addresses) as counted:
        s3 = {"endpoint_url": counted.endpoint_url, "region": site.s3["region"]}
        variables = {**keep, "cost_agent_repository_s3": s3}
        prune, pruned = site.play("prune", variables, "postgres_backup_prune")
    head(f"{BACKUPS} backups")
    row("backups.yml of one backup", one)
    row("backups.yml, nothing cached", cold)
    row("backups.yml, the newest 50", warm)
    row("backups.yml, every one", long)
    row("  postgres_backup_info in it", Cost(wall_s=listed["duration"]))
    row("prune.yml, keeping 3", prune)
    yield Figure("backups listed", f"{len(listed['state']['backups'])}")
    yield at_most("backups.yml, the newest 50 / of one", warm.wall_s / one.wall_s, 2.0, "x")
    yield at_most("backups.yml, every one / of one", long.wall_s / one.wall_s, 2.0, "x")
    yield Figure("prune.yml", pruned["summary"].partition(",")[0].removeprefix("removed "))
    yield at_most("requests for the deletes", counted.deletes, 10, "")
    site.drop(name)


def sizes(bench: Bench) -> Iterator[Figure]:
    """Scratch disk and memory for a fifth, once and twice the data."""
    site, name = bench.site, "sized"
    head("disk and memory against size")
    for factor in (0.2, 1.0, 2.0):
        site.create(name)
        site.fill(name, factor * bench.scale)
        cost, result = bench.backup(name)
        size = f"{result['state']['raw_size_bytes'] / 1e9:.1f} GB"
        row(f"backup.yml of {size}", cost)
        yield from bounded(size, cost)
        site.drop(name)


def bounded(what: str, cost: Cost) -> Iterator[Figure]:
    yield at_most(f"{what}, scratch disk", cost.disk_mb, SCRATCH_MB, "MB")
    yield at_most(f"{what}, memory (RSS)", cost.rss_mb, MEMORY_MB, "MB")


SECTIONS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    each.__name__: each for each in (backup, restore, swap, tables, one, catalog, sizes)
}


def head(title: str) -> None:
    say()
    say(f"{title:<36}{'wall':>7}{'client':>7}{'server':>7}{'s3':>5}{'disk':>6}{'PSS':>5}{'RSS':>5}")


def row(what: str, cost: Cost) -> None:
    """Seconds, then megabytes; what was not measured is left out."""
    cells = [(cost.wall_s, 7, 1), (cost.client_s, 7, 1), (cost.server_s, 7, 1), (cost.s3_s, 5, 1)]
    cells += [(cost.disk_mb, 6, 0), (cost.pss_mb, 5, 0), (cost.rss_mb, 5, 0)]
    if not cost.client_s:
        cells = cells[:1]
    say(f"{what:<36}" + "".join(f"{value:{width}.{digits}f}" for value, width, digits in cells))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 1.5 GB as SQL")
    parser.add_argument("--rounds", type=int, default=3, help="medians are of so many")
    given = parser.parse_args()
    unknown = sorted(set(given.sections) - set(SECTIONS))
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    return given


def main() -> int:
    given = arguments()
    say(machine())
    CACHE.mkdir(parents=True, exist_ok=True)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        site = BackupSite(Path(folder))
        try:
            site.up()
            say(site.settings())
            bench = Bench(site, given.scale, given.rounds)
            for section in given.sections or SECTIONS:
                for figure in SECTIONS[section](bench):
                    show(figure)
                    figures.append(figure)
        finally:
            site.down()
    missed = [figure for figure in figures if figure.kept is False]
    say()
    say(f"{len(missed)} limits missed" if missed else "every limit is kept")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
