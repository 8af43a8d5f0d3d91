"""From all interactions to the chosen users' sequences, in SQL: DuckDB moves to the disk what exceeds its memory.

Users and items become integers. `pos` orders one user's interactions: the time, and at the same time the order in the
file, in one number (time · 2^40 + seq).
"""

from __future__ import annotations

import logging
import random
from typing import Any

from slim_app.errors import SlimError
from training.reviews.working_file import Work

log = logging.getLogger("prepare_data")
SEQ = 1 << 40
"""More lines than any file has."""


def encode(work: Work, min_title: int) -> dict[str, Any]:
    """`people`, `things` and `interactions` from `reviews` and `meta`; leaves out what has no title.

    An item described several times keeps its first description that has a title.

    Raises:
        SlimError: nothing is left.
    """
    work.run("CREATE OR REPLACE TABLE people AS SELECT row_number() OVER () AS uid, name "
             "FROM (SELECT DISTINCT name FROM reviews)")
    work.run(f"""
        CREATE OR REPLACE TABLE things AS
        WITH best AS (
            SELECT item, coalesce(min(line) FILTER (title <> ''), min(line)) AS line FROM meta GROUP BY item
        ), known AS (
            SELECT meta.* FROM meta JOIN best ON meta.line = best.line
        ), counted AS (
            SELECT item, count(*) AS times FROM reviews GROUP BY item
        )
        SELECT row_number() OVER () AS iid, counted.item, times, line, coalesce(brand, '') AS brand,
            coalesce(category, '') AS category,
            CASE WHEN length(title) >= {min_title} THEN title ELSE '' END AS title,
            CASE WHEN line IS NULL THEN 'not in the metadata'
                 WHEN title <> '' AND length(title) < {min_title} THEN 'title shorter than --min-title'
                 ELSE why END AS why
        FROM counted LEFT JOIN known ON counted.item = known.item""")
    titled = "AND title <> ''" if min_title else ""
    work.run(f"""
        CREATE OR REPLACE TABLE interactions AS
        SELECT uid, iid, time::HUGEINT * {SEQ} + seq AS pos
        FROM reviews JOIN people ON reviews.name = people.name JOIN things ON reviews.item = things.item {titled}""")
    counts = work.run("SELECT why, count(*), sum(times)::BIGINT FROM things WHERE title = '' GROUP BY why ORDER BY why")
    info = {
        "users": work.one("SELECT count(*) FROM people"),
        "items": work.one("SELECT count(*) FROM things"),
        "kept": work.one("SELECT count(*) FROM interactions"),
        "untitled": {why: {"items": items, "interactions": times} for why, items, times in counts},
    }
    if not info["kept"]:
        raise SlimError(
            f"None of the {info['items']:,} items has a usable title ({', '.join(info['untitled'])}). "
            "Do reviews and metadata belong together? Check --meta, or give --min-title 0 to go on without titles."
        )
    return info


def core(work: Work, k: int) -> dict[str, Any]:
    """`edges` (uid, iid, first pos): distinct pairs in which every user and every item occurs at least `k` times.

    Each round drops all users and items with fewer, until nothing changes: the largest such set, whatever the order.

    Raises:
        SlimError: nothing is left.
    """
    work.run("CREATE OR REPLACE TABLE edges AS SELECT uid, iid, min(pos) AS pos FROM interactions GROUP BY uid, iid")
    rounds = [_size(work)]
    log.info("%d distinct pairs of %d users and %d items", *rounds[0])
    while k > 1:
        work.run(f"""
            CREATE OR REPLACE TABLE remaining AS SELECT * FROM edges
            WHERE uid IN (SELECT uid FROM edges GROUP BY uid HAVING count(*) >= {k})
              AND iid IN (SELECT iid FROM edges GROUP BY iid HAVING count(*) >= {k})""")
        work.run("DROP TABLE edges")
        work.run("ALTER TABLE remaining RENAME TO edges")
        rounds.append(_size(work))
        log.info("%d-core, round %d: %d pairs of %d users and %d items left", k, len(rounds) - 1, *rounds[-1])
        if not rounds[-1][0]:
            pairs, users, items = rounds[0]
            raise SlimError(
                f"The {k}-core of {pairs:,} pairs of {users:,} users and {items:,} items is empty. Lower --k-core"
                " (0 keeps everything), or give more reviews."
            )
        if rounds[-1] == rounds[-2]:
            break
    return {"k": k, "rounds": rounds}


def sample(work: Work, users: int | None, seed: int, keep_repeats: bool) -> dict[str, Any]:
    """`chosen` (uid, place) and `final` (place, uid, iid, pos): the sequences that are written.

    With `users`: `random.Random(seed).sample(sorted(ids), users)`, the way the paper's Games sample was drawn; the
    draw's order is that of the file. Otherwise users stand in the order of their first interaction in the file.

    Raises:
        SlimError: more users asked for than there are.
    """
    there = work.one("SELECT count(DISTINCT uid) FROM edges")
    if users is not None:
        if users > there:
            raise SlimError(f"--users {users:,}, but only {there:,} are left. Lower --users, or leave it out for all.")
        drawn = random.Random(seed).sample(range(there), users)  # the same positions as sampling the sorted list
        work.run("""
            CREATE OR REPLACE TABLE chosen AS
            WITH ranked AS (
                SELECT uid, row_number() OVER (ORDER BY name) - 1 AS rank FROM people
                WHERE uid IN (SELECT uid FROM edges)
            ), drawn AS (SELECT unnest(?::BIGINT[]) AS rank, generate_subscripts(?::BIGINT[], 1) AS place)
            SELECT uid, place FROM ranked JOIN drawn ON ranked.rank = drawn.rank""", (drawn, drawn))
    else:
        work.run(f"CREATE OR REPLACE TABLE chosen AS SELECT uid, min(pos & {SEQ - 1}::HUGEINT)::BIGINT AS place "
                 "FROM edges GROUP BY uid")
    # Every pair of a user and an item that survived is an edge, so that two sets decide over repeats, too.
    rows = "interactions WHERE iid IN (SELECT iid FROM edges)" if keep_repeats else "edges"
    work.run("CREATE OR REPLACE TABLE final AS SELECT place, rows.uid, iid, pos "
             f"FROM (SELECT * FROM {rows}) AS rows JOIN chosen ON rows.uid = chosen.uid")
    return {"available": there, "users": users or there, "drawn": users is not None, "seed": seed}


def _size(work: Work) -> tuple[int, int, int]:
    """Pairs, users, items."""
    return work.run("SELECT count(*), count(DISTINCT uid), count(DISTINCT iid) FROM edges")[0]
