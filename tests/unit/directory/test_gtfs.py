"""Stops out of feeds and lists: where people wait, what serves them, and a reason for every other row."""

import zipfile
from pathlib import Path

import pytest

from relais_directory.formats.gtfs import Fault, StopRow, stops
from relais_directory.formats.reading import UnreadableFile

FEED = {
    "stops.txt": "stop_id,stop_name,stop_lat,stop_lon,location_type,parent_station\n"
    "a,GARE  DU NORD,  50.860134,   4.359946,0,S\n"
    'b,"Rue de l\'Étang, 3",50.41,4.44,,\n'
    "c,Nowhere,50.42,4.45,,\n"
    "S,Gare,50.86,4.36,1,\n"
    "e,Entrée,50.86,4.36,2,S\n"
    "n,,50.86,4.36,3,S\n",
    "routes.txt": "route_id,route_short_name,route_type\nr1,1,3\nr2,2,1\nr3,3,1000\nr4,4,109\n",
    "trips.txt": "route_id,service_id,trip_id\nr1,w,t1\nr2,w,t2\nr3,w,t3\nr4,w,t4\n",
    "stop_times.txt": "trip_id,arrival_time,stop_id,stop_sequence\n"
    "t1,08:00,a,1\nt2,08:00,a,1\nt1,08:05,b,2\nt3,08:00,c,1\nt9,08:00,c,1\n",
}


def feed(folder: Path, *, packed: bool, without: str = "", **changes: str) -> Path:
    """Write a feed as a folder or a zip, some tables changed."""
    tables = {name: changes.get(name.removesuffix(".txt"), text) for name, text in FEED.items() if name != without}
    if packed:
        with zipfile.ZipFile(folder / "feed.zip", "w") as archive:
            for name, text in tables.items():
                archive.writestr(f"gtfs/{name}", "\ufeff" + text)
        return folder / "feed.zip"
    for name, text in tables.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_a_feed_is_its_stops_and_what_serves_them(tmp_path: Path, *, packed: bool) -> None:
    *taken, entrance, node = stops(feed(tmp_path, packed=packed))
    assert taken == [
        StopRow(2, "a", "Gare Du Nord", 50.860134, 4.359946, "metro", "S"),
        StopRow(3, "b", "Rue de l'Étang, 3", 50.41, 4.44, "bus", None),
        StopRow(4, "c", "Nowhere", 50.42, 4.45, None, None),
        # What serves a platform serves its station.
        StopRow(5, "S", "Gare", 50.86, 4.36, "metro", None),
    ]
    assert entrance == Fault(6, "e", "location_type", "An entrance, no stop.", skipped=True)
    assert node == Fault(7, "n", "location_type", "A point inside a station, no stop.", skipped=True)


@pytest.mark.parametrize("without", ["routes.txt", "trips.txt", "stop_times.txt"])
def test_a_feed_in_part_tells_stops_all_the_same(tmp_path: Path, without: str) -> None:
    found = [one for one in stops(feed(tmp_path, packed=False, without=without)) if isinstance(one, StopRow)]
    assert [one.kind for one in found] == [None] * 4


def test_routes_of_one_kind_need_no_trips(tmp_path: Path) -> None:
    routes = "route_id,route_type\nr1,3\nr2,700\n"
    path = feed(tmp_path, packed=True, without="trips.txt", routes=routes)
    assert {one.kind for one in stops(path) if isinstance(one, StopRow)} == {"bus"}
    ferries = feed(tmp_path, packed=True, routes="route_id,route_type\nr1,4\n")
    assert {one.kind for one in stops(ferries) if isinstance(one, StopRow)} == {None}


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        ("x,X,200,4", "stop_lat", "not on earth"),
        ("x,X,50,-181", "stop_lon", "not on earth"),
        ("x,X,inf,4", "stop_lat", "not on earth"),
        ("x,X,50,nan", "stop_lon", "not on earth"),
        ("x,X,0,0.0", "stop_lat", "sea off Africa"),
        ("x,X,,4", "stop_lat", "No point"),
        ("x,X,50,", "stop_lon", "No point"),
        ('x,X,"50,1",4', "stop_lat", "Not a number"),
        (" ,X,50,4", "stop_id", "No id"),
        ("x, ,50,4", "stop_name", "No name"),
        ("b,X,50,4", "stop_id", "Twice"),
    ],
)
def test_a_faulty_stop_says_where_and_why(tmp_path: Path, line: str, field: str, reason: str) -> None:
    (tmp_path / "stops.txt").write_text(f"stop_id,stop_name,stop_lat,stop_lon\nb,B,50.5,4.5\n{line}\nc,C,0,4\n")
    first, fault, last = stops(tmp_path / "stops.txt")
    assert isinstance(fault, Fault)
    assert (fault.line, fault.field, fault.skipped) == (3, field, False)
    assert reason in fault.reason
    assert isinstance(first, StopRow)
    assert isinstance(last, StopRow)


def test_lists_that_are_no_feed_are_known_by_their_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("stop_index;stop_name;lat;lon\n0;BLANDAIN Eglise;50.6;3.3\n1;Y;95;3\n")
    stop, fault = stops(tmp_path / "a.csv")
    assert stop == StopRow(2, "0", "BLANDAIN Eglise", 50.6, 3.3)
    assert fault == Fault(3, "1", "lat", "A point that is not on earth.")
    (tmp_path / "b.json").write_text('[{"URI": "u#1", "name": "Aalter", "latitude": 51, "longitude": "3.4"}, 7]')
    found = stops(tmp_path / "b.json")
    assert next(found) == StopRow(1, "u#1", "Aalter", 51, 3.4)
    with pytest.raises(UnreadableFile, match="is a table"):
        next(found)


@pytest.mark.parametrize(
    ("table", "content", "said"),
    [
        ("stops", "stop_id,stop_name\na\n", "Line 2: fewer cells"),
        ("stops", 'stop_id,stop_name\n"a,b\n', "broken CSV"),
        ("trips", "trip_id,trip_id\n1,2\n", "two columns have one name"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_feed_that_breaks_says_where(tmp_path: Path, table: str, content: str, said: str, *, packed: bool) -> None:
    with pytest.raises(UnreadableFile, match=said):
        list(stops(feed(tmp_path, packed=packed, **{table: content})))


def test_an_endless_line_inside_a_zip_is_not_held(tmp_path: Path) -> None:
    content = "stop_id,stop_name,stop_lat,stop_lon\na,b,50,4\n" + "x" * (9 << 20)
    with pytest.raises(UnreadableFile, match=r"stops\.txt in feed\.zip: Line 3: a row longer"):
        list(stops(feed(tmp_path, packed=True, without="routes.txt", stops=content)))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("stops.txt", b"stop_id,stop_name,stop_lat,stop_lon\na,\xe9,50,4\n")
    with pytest.raises(UnreadableFile, match="utf-8"):
        list(stops(tmp_path / "b.zip"))
