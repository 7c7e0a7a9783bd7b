"""A map and its timeline as HTML, as JSON for the page's script, and as a table."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from engines import Hit, MapPoint, MapRequest, MapResult, SearchRequest, SearchResult, run
from studio import exports, routes
from studio.history_recorder import HistoryRecorder
from studio.registry import Registry
from studio.tabs.search import map_view
from tests.fake_host import FakeHost


@pytest.fixture
def drawn():
    result = run(FakeHost(), MapRequest(collection=Path("mine.db")))
    assert isinstance(result, MapResult)
    return result


def dated(result, *days):
    points = (replace(point, taken=f"{day}T12:00:00") for point, day in zip(result.points, days, strict=False))
    return replace(result, points=tuple(points))


def test_a_map_names_its_groups_in_both_languages_the_largest_first(drawn, downloads, info):
    card = map_view.map_card(drawn, None, downloads, info)
    dog, rain = re.findall(r'data-map-choose="\[([\d, ]+)\]"', card)
    assert dog == "0, 1, 2" and rain == "3"
    assert "dog" in card and "狗" in card
    assert "4 of 9" in card


def test_hits_of_the_last_search_that_fit_are_marked(drawn, downloads, info):
    hits = (Hit(Path("bark.wav"), "sound", 0.4, 0.9), Hit(Path("walk.mp4"), "clip", 0.1, 0.2))
    found = SearchResult(request=SearchRequest(query="dog", collection=Path("mine.db")), hits=hits, end="finished")
    assert 'data-lit="[1]"' in map_view.map_card(drawn, found, downloads, info)


def test_a_map_that_is_being_drawn_says_so_and_an_empty_one_too(drawn, downloads, info):
    first, *_ = FakeHost().stream(MapRequest(collection=Path("mine.db")))
    assert isinstance(first, MapResult)
    assert "drawing the map" in map_view.map_card(first, None, downloads, info)
    empty = replace(drawn, points=(), end="empty")
    for card in (map_view.map_card(empty, None, downloads, info), map_view.timeline(empty, downloads, info)):
        assert "nothing of the chosen kinds" in card


@pytest.mark.parametrize(
    ("days", "bars", "shown"),
    [
        (("2024-06-01", "2024-06-03"), 3, "1 June 2024"),
        (("2024-06-01", "2024-12-03"), 7, "December 2024"),
        (("2001-06-01", "2024-12-03"), 24, "2001年"),
        (("2024-06-01", "2024-06-01"), 1, "2024年6月1日"),
    ],
)
def test_a_timeline_has_a_bar_for_each_day_month_or_year_with_the_empty_ones(drawn, downloads, info, days, bars, shown):
    card = map_view.timeline(dated(drawn, *days), downloads, info)
    assert card.count('class="bar-of"') == bars and shown in card
    assert card.count("data-map-jump") == card.count("data-period") == len(set(days))


def test_a_date_that_is_none_costs_no_timeline(drawn, downloads, info):
    card = map_view.timeline(dated(drawn, "2024-06-01", "0000-00-00"), downloads, info)
    assert "dog.jpg" in card and "bark.wav" in card


def test_chosen_files_are_cards_without_a_measure_and_their_table_holds_only_them(drawn, downloads, info):
    card = map_view.chosen(drawn, [1, 2], downloads, info)
    assert "bark.wav" in card and "walk.mp4" in card and "dog.jpg" not in card and "meter" not in card
    (saved,) = re.findall(r"studio/save/([\w-]+)\.csv", card)
    table = str(exports.result_as(downloads.result(saved), "csv"))
    assert table.splitlines()[0] == "file,kind,x,y,cluster,taken"
    assert [line.split(",")[0] for line in table.splitlines()[1:]] == ["bark.wav", "walk.mp4"]


def test_of_many_chosen_files_some_are_shown_and_the_rest_is_counted(drawn, downloads, info):
    many = replace(drawn, points=drawn.points[:1] * 100)
    card = map_view.chosen(many, range(100), downloads, info)
    assert card.count("<article") == map_view.N_CARDS and "40 more" in card


def test_names_of_files_are_escaped_and_paths_never_reach_the_page(drawn, downloads, info):
    odd = MapPoint(Path("/home/me/<b>.jpg"), "photo", 0.5, 0.5, 0, "2024-06-01T12:00:00")
    result = replace(drawn, points=(odd,))
    cards = map_view.timeline(result, downloads, info) + map_view.chosen(result, [0], downloads, info)
    assert "<b>.jpg" not in cards and "&lt;b&gt;.jpg" in cards
    assert "/home/me" not in cards and "/home/me" not in str(map_view.as_json(result))


def test_the_server_gives_a_map_and_its_thumbnails_and_says_when_it_is_gone(drawn, downloads):
    app = FastAPI()
    routes.add_routes(app, downloads, Registry(1), HistoryRecorder())
    client, name = TestClient(app), downloads.add_result(drawn)
    given = client.get(f"/studio/map/{name}.json").json()
    assert given["points"][1] == [0.1, 0.5, "sound", "bark.wav", "2024-06-03", 0]
    assert [cluster["zh"] for cluster in given["clusters"]] == ["狗", "雨"]
    assert client.get(f"/studio/map/{name}/1").headers["content-type"] == "image/svg+xml"
    assert [client.get(f"/studio/map/{name}/{n}").status_code for n in (4, -1)] == [404, 404]
    assert client.get("/studio/map/other.json").status_code == 404
