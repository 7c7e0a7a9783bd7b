from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from engines import RequestError
from engines.background import Queued
from engines.lab import EXPERIMENTS, AlignmentRequest, Findings, FusionRequest, MamlRequest, Picture, Table
from studio.tabs.lab import charts, view
from tests.studio.findings import REQUEST, finished, mapped, under_way

LOOKS = charts.looks_of(REQUEST)


def words(html: str) -> str:
    """What is read in English."""
    shown = re.sub(r'<(span|tspan) class="t" lang="zh-CN">.*?</\1>', "", html)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", shown))


# --- the result card -------------------------------------------------------------------------------------------------


def test_waiting_shows_preparing_or_the_position_in_the_queue():
    assert "is-busy" in view.waiting() and "Preparing" in words(view.waiting())
    assert "Queued, 2 ahead" in words(view.waiting(Queued(2)))


def test_a_run_under_way_says_what_it_does_and_how_far_it_is():
    html = view.findings(under_way())
    assert "is-busy" in html and "width:33.3%" in html
    assert "picture · step 40 of 120 · about 0:02 left" in words(html), "40 steps took a second"
    assert "studio/run" not in html, "there is nothing to save yet"


def test_a_curve_comes_first_then_the_table_then_the_sentence():
    html = view.findings(finished(), name="abc")
    places = [html.index(part) for part in ('class="chart', "<table", 'class="said"', "<img", "<footer")]
    assert places == sorted(places)
    assert "beats the better single modality (picture) by 3.0 points" in words(html)
    assert "注意力" in html


def test_a_finished_run_shows_its_seed_its_command_and_can_be_taken_along():
    html = view.findings(finished(), name="abc")
    assert "12.5 s · seed 7 · CPU" in words(html)
    assert "python -m engines.lab fusion --operator picture sound attention --n-steps 40 --seed 7" in html
    for form in ("csv", "json", "run"):
        assert f'href="./studio/run/abc.{form}"' in html


def test_a_run_that_was_stopped_keeps_what_it_has():
    html = view.findings(replace(under_way(), end="cancelled"), name="abc")
    assert "is-stopped" in html and 'class="chart' in html
    assert 'href="./studio/run/abc.run"' in html


def test_a_run_that_found_nothing_says_so():
    assert "There was no time to find anything" in words(view.findings(Findings(request=REQUEST, end="cancelled")))


def test_only_maps_of_what_was_learnt_can_be_closed_and_only_once_the_run_is_over():
    html = view.findings(mapped())
    assert html.count("data-gap") == 1
    assert html.count("--dx:") == 2, "both groups of the map after, none of the map before"
    assert "data-gap" not in view.findings(replace(mapped(), end=None))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_before_a_run_it_is_seen_what_will_come(name):
    html = view.empty(name, EXPERIMENTS[name].request)
    assert "is-empty" in html and "Run it" in words(html)
    assert 'aria-hidden="true"' in html and html.count('class="end"') >= 2


def test_while_it_runs_the_first_map_and_the_latest_are_seen_and_then_all():
    before, after = mapped().maps
    found = replace(mapped(), maps=(before, after, replace(after, key="both")))
    assert view.findings(replace(found, end=None)).count('class="plot map"') == 2
    assert view.findings(found).count('class="plot map"') == 3


@pytest.mark.parametrize(
    ("request_", "command"),
    [
        (FusionRequest(), "fusion --seed 0"),
        (
            AlignmentRequest(objective=("both",), temperature=0.25),
            "alignment --objective both --temperature 0.25 --seed 0",
        ),
        (MamlRequest(material="digits", n_ways=3, seed=5), "maml --material digits --n-ways 3 --seed 5"),
    ],
)
def test_the_command_runs_the_same(request_, command):
    from engines.lab.__main__ import _parser, request_of

    line = view.command(request_)
    assert line == f"python -m engines.lab {command}"
    assert request_of(_parser().parse_args(line.split()[3:])) == request_


def test_a_folder_of_ones_own_may_be_called_anything():
    bad = "<img src=x onerror=alert(1)>"
    found = replace(
        finished(),
        tables=(Table("fusion", ("operator", f"{bad} %"), ((bad, 0.5), ("sound", bad))),),
        pictures=(Picture(bad, bad, np.zeros((2, 2), np.float32)),),
    )
    html = view.findings(found, name="abc")
    assert "<img src=x" not in html


# --- opened again -----------------------------------------------------------------------------------------------------


def test_an_opened_run_says_whether_it_measures_the_same():
    kept = finished()
    assert "measuring it again" in words(view.again(kept, None))
    assert "measuring it again" in words(view.again(kept, Queued(1)))
    same = view.again(kept, kept.tables[:1])
    assert "the same numbers" in words(same) and "is-same" in same


def test_an_opened_run_that_measures_otherwise_says_what():
    kept = finished()
    rows = (("picture", 0.8, None, 0.9, 1000), *kept.tables[0].rows[1:])
    other = words(view.again(kept, (replace(kept.tables[0], rows=rows),)))
    assert "these differ (1)" in other
    assert "picture , accuracy : 90.0% → 80.0%" in other


def test_an_opened_run_that_cannot_be_measured_says_why():
    assert "Give its folder." in words(view.again(finished(), RequestError("test", "Give its folder.")))


# --- tables -----------------------------------------------------------------------------------------------------------


def test_the_best_of_a_column_is_marked_where_a_column_has_a_best():
    fusion, times = finished().tables
    assert view.best_rows(fusion, 1) == {2}
    assert view.best_rows(fusion, 4) == frozenset(), "more parameters are neither better nor worse"
    assert view.best_rows(times, 1) == {0}, "the least time is the best"


@pytest.mark.parametrize("values", [(0.5, 0.5), (0.5, None), (None, None), ("a", "b")])
def test_nothing_is_the_best_where_there_is_nothing_to_choose(values):
    table = Table("t", ("operator", "accuracy %"), tuple((str(n), value) for n, value in enumerate(values)))
    assert view.best_rows(table, 1) == frozenset()


def test_the_parts_of_an_answer_are_not_judged():
    columns = ("operator", "says", "right answer %", "picture's part %")
    table = Table("trust", columns, (("sum", "3", 0.9, 0.5), ("attention", "4", 0.2, 0.1)))
    assert all(view.best_rows(table, n) == frozenset() for n in range(4))


def test_the_time_of_a_step_stands_in_the_first_table():
    (whole,) = view.joined(finished().tables)
    assert whole.columns[-1] == "ms per step"
    assert whole.rows[0] == ("picture", 0.9, None, 0.9, 1000, 12.3)


def test_a_row_nobody_timed_has_no_time_and_other_rows_keep_their_own_table():
    first, times = finished().tables
    assert view.joined((first, replace(times, rows=times.rows[:1])))[0].rows[1][-1] is None
    models = replace(times, columns=("model", "ms per step"))
    assert view.joined((first, models)) == [first, models]
    wide = replace(first, columns=first.columns * 2, rows=tuple(row * 2 for row in first.rows))
    assert view.joined((wide, times)) == [wide, times], "it has no room left"
    assert view.joined((times,)) == [times]
    assert view.joined(()) == []


def test_what_does_not_apply_is_a_dash_and_shares_are_percent():
    html = view.table(finished().tables[0], LOOKS)
    assert "<td class=figure>–</td>" in html
    assert words(html).startswith(" operator accuracy (%) picture missing (%)")
    assert "<b>93.0</b>" in html and "1,000" in html
    assert html.count("★") == 3


# --- pictures ---------------------------------------------------------------------------------------------------------


def pixels_of(picture: Picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(view.data_uri(picture).split(",")[1]))))


def test_a_picture_is_shown_dot_for_dot():
    grey = np.array([[0.0, 0.5], [1.0, 2.0], [np.nan, -1.0]], np.float32)
    assert pixels_of(Picture("sound", "clean", grey)).tolist() == [[0, 128], [255, 255], [0, 0]]
    colours = np.zeros((4, 5, 3), np.float32)
    assert pixels_of(Picture("picture", "clean", colours)).shape == (4, 5, 3)


def test_weights_have_a_colour_for_each_sign():
    below, middle, above = pixels_of(Picture("filters", "cnn", np.array([[0.0, 0.5, 1.0]], np.float32)))[0].tolist()
    assert (below, middle, above) == (list(view.BLUE), list(view.NEUTRAL), list(view.ORANGE))


def test_pictures_of_one_kind_stand_together_and_have_a_text():
    flat = np.zeros((2, 2), np.float32)
    html = view.pictures(
        [Picture("sound", "noisy", flat), Picture("picture", "clean", flat), Picture("sound", "x", flat)]
    )
    assert html.count('class="over"') == 2
    assert 'alt="sound / 声音: with noise / 加噪声"' in html
    assert view.pictures([]) == ""


def test_decision_maps_stand_beside_each_other_with_the_asked_noise_outlined():
    cells = np.linspace(0, 1, 25, dtype=np.float32).reshape(5, 5)
    asked = FusionRequest(picture_noise=0.25, sound_noise=0.75)
    drawn = tuple(Picture("decisions", name, cells) for name in ("sum", "attention"))
    shown = view.findings(replace(finished(), request=asked, pictures=drawn))
    assert shown.count('class="plot decision-map"') == 2
    (outlined, *_) = re.findall(r'is-asked[^"]*"><rect[^>]*fill-opacity="([\d.]+)"', shown)
    assert float(outlined) == pytest.approx(cells[1, 1], abs=0.01)
    assert "Right decisions" in shown and "正确" in shown and "data:image" not in shown
