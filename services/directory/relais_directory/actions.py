"""The verbs of the directory that prepare it: its vocabularies, its gazetteer, its cards."""

import json
from struct import Struct

from relais_directory import cards, gazetteer, writing
from relais_directory.data import audiences, themes
from relais_directory.domain.geo import position
from relais_directory.domain.words import plain
from relais_directory.judging import points
from relais_directory.store import Connection
from relais_shared.settings import SettingsProblem


async def load_vocabularies(connection: Connection) -> bool:
    """Bring themes and audiences to what the package and the territory say; a term keeps its number for ever.

    Raises:
        SettingsProblem: A theme that services still bear is no longer there.
    """
    wanted = [
        (
            "themes",
            theme.slug,
            theme.parent,
            json.dumps(dict(theme.labels)),
            theme.sensitive,
            theme.shape,
            theme.symbol,
        )
        for theme in themes().values()
    ] + [("audiences", one.slug, None, json.dumps(dict(one.labels)), False, None, None) for one in audiences().values()]
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(hashtext('vocabularies'))")
        there = {row["code"] for row in await connection.fetch("select code from taxonomy_term")}
        await connection.executemany(
            """
            insert into taxonomy_term (id, taxonomy, code, parent, labels, sensitive, shape, symbol)
            select coalesce((select id from taxonomy_term where code = $2),
                (select coalesce(max(id), 0) + 1 from taxonomy_term)), $1, $2, $3, $4, $5, $6, $7
            on conflict (id) do update set parent = excluded.parent, labels = excluded.labels,
                sensitive = excluded.sensitive, shape = excluded.shape, symbol = excluded.symbol
            """,
            wanted,
        )
        gone = sorted(there - {row[1] for row in wanted})
        if gone:
            # Over every service, but only where somebody took a theme away.
            await connection.execute("set local statement_timeout = 0")
        borne = [
            code
            for code in gone
            if await connection.fetchval(
                "select exists (select from service where record -> 'themes' ? $1 or record -> 'audiences' ? $1)", code
            )
        ]
        if borne:
            raise SettingsProblem(
                f"Services still bear {', '.join(borne)}: put it back into the file that RELAIS_DIRECTORY_THEMES names,"
                " or give those services another theme first."
            )
    return {row[1] for row in wanted} != there


async def load_gazetteer(connection: Connection) -> int:
    """Load the places that come with the package, unless this version is there; answer how many were loaded."""
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(hashtext('gazetteer'))")
        there = await connection.fetchval("select version from loaded where name = 'gazetteer'")
        if there == gazetteer.VERSION:
            return 0
        await connection.execute("set local statement_timeout = 0")
        schema = await connection.fetchval(
            "select typnamespace::regnamespace::text from pg_type where oid = 'cube'::regtype"
        )
        await connection.set_type_codec("cube", encoder=_point, decoder=bytes, schema=schema, format="binary")
        columns = [
            "code", "kind", "parent", "country", "region", "province", "name", "name_fr", "name_nl", "name_de",
            "names", "postcodes", "latitude", "longitude", "precision", "population", "position",
        ]  # fmt: skip
        # Made while the database writes the ones before.
        rows = (
            (
                place.code, place.kind, place.parent or None, place.country, place.region, place.province, place.name,
                place.name_fr, place.name_nl, place.name_de, _names(place), place.postcodes, place.latitude,
                place.longitude, place.precision, place.population, position(place.latitude, place.longitude),
            )
            for place in points()
        )  # fmt: skip
        await connection.execute("delete from place")
        copied = await connection.copy_records_to_table("place", records=rows, columns=columns)
        await connection.execute(
            "insert into loaded values ('gazetteer', $1) on conflict (name) do update set version = excluded.version",
            gazetteer.VERSION,
        )
    # What a plan depends on: a start waits for it. The other columns are looked at by the server in its own time.
    await connection.execute("analyze place (position)")
    return int(copied.removeprefix("COPY "))


CARDS_AT_ONCE = 500
"""Services whose cards are made anew in one transaction."""


async def renew_cards(connection: Connection) -> int:
    """Make every card anew where they are of another version, and where services are given; answer of how many."""
    there = await connection.fetchval("select version from loaded where name = 'cards'")
    if there == cards.VERSION:
        return 0
    ids = [row["id"] for row in await connection.fetch("select id from service order by id")]
    for start in range(0, len(ids), CARDS_AT_ONCE):
        async with connection.transaction():
            await writing.rebuild(connection, ids[start : start + CARDS_AT_ONCE])
    await connection.execute(
        "insert into loaded values ('cards', $1) on conflict (name) do update set version = excluded.version",
        cards.VERSION,
    )
    return len(ids)


def _names(place: gazetteer.Place) -> str:
    every = (place.name, place.name_fr, place.name_nl, place.name_de, *place.other_names)
    return "|" + "|".join(dict.fromkeys(plain(name) for name in dict.fromkeys(every) if name)) + "|"


def _point(at: tuple[float, float, float]) -> bytes:
    """Answer a cube that is one point as PostgreSQL's binary format has it: a flag, three dimensions, their values."""
    return _POINT.pack(1 << 31 | len(at), *at)


_POINT = Struct("!I3d")
