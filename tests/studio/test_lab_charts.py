from __future__ import annotations

import itertools
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from engines.lab import EXPERIMENTS, Chart, Curve, Dots, FusionRequest, Map, MultitaskRequest
from studio.tabs.lab import charts
from tests.studio.findings import curve, mapped


def chart(*curves: Curve, x: str = "step", percent: bool = True) -> Chart:
    return Chart("training", x, "accuracy" if percent else "loss", curves, percent)


def drawn(html: str) -> list[ElementTree.Element]:
    """Every SVG in a piece of HTML, which must be well formed."""
    return [ElementTree.fromstring(each) for each in re.findall(r"<svg.*?</svg>", html, re.S)]


LOOKS = charts.looks_of(FusionRequest())


@pytest.mark.parametrize("kind", [entry.request for entry in EXPERIMENTS.values()], ids=list(EXPERIMENTS))
def test_no_two_curves_of_an_experiment_look_alike_without_their_colour(kind):
    looks = charts.looks_of(kind())
    known = [word for each in kind.__dataclass_fields__.values() for word in each.metadata.get("known", ())]
    shapes = [(looks[name].marker, looks[name].dash) for name in known]
    assert len(set(shapes)) == len(shapes)


def test_a_modality_looks_the_same_wherever_it_is_drawn():
    for kind in (entry.request for entry in EXPERIMENTS.values()):
        looks = charts.looks_of(kind(), ["sound"])
        assert (looks["sound"].hue, looks["sound"].marker) == ("sound", "square")


def test_a_curve_keeps_its_look_whatever_else_is_drawn():
    assert charts.looks_of(FusionRequest(operator=("attention",)))["attention"] == LOOKS["attention"]


def test_two_sides_of_one_thing_share_colour_and_marker_and_differ_in_their_dash():
    looks = charts.looks_of(MultitaskRequest(), ["digit: together", "digit: alone", "parity: together"])
    one, other = looks["digit: together"], looks["digit: alone"]
    assert (one.hue, one.marker) == (other.hue, other.marker) == (looks["digit"].hue, looks["digit"].marker)
    assert one.dash != other.dash
    assert looks["parity: together"].dash == one.dash


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 300, [0, 100, 200, 300]), (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (-0.3, 0.9, [-0.5, 0, 0.5, 1])],
)  # fmt: skip
def test_axes_have_round_numbers(low, high, expected):
    assert charts.ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(("low", "high"), [(0, 0), (5, 5), (0, 1e-9), (0, 1e6)])
def test_an_axis_of_nothing_is_still_an_axis(low, high):
    found = charts.ticks(low, high)
    assert len(found) >= 2
    assert found == sorted(found) and found[-1] >= high


@pytest.mark.parametrize(
    ("value", "percent", "expected"),
    [
        (0.9321, True, "93.2%"),
        (-0.004, True, "−0.4%"),
        (-0.0001, True, "0.0%"),
        (12345, False, "12,345"),
        (12345.6, False, "12,346"),
        (0.02749, False, "0.0275"),
        (-1.5, False, "−1.5"),
        (math.nan, False, "–"),
        (math.inf, True, "–"),
    ],
)
def test_numbers_are_written_as_a_person_reads_them(value, percent, expected):
    assert charts.number(value, percent=percent) == expected


@pytest.mark.parametrize(
    "kind", sorted({look.marker for look in (*charts.MODALITY_LOOKS.values(), *charts.OTHER_LOOKS)})
)
def test_every_marker_is_drawn_within_its_place(kind):
    shape = ElementTree.fromstring(charts.marker(kind, 100.0, 50.0, 4.0))
    assert shape.tag in ("circle", "rect", "path")
    numbers = [float(n) for n in re.findall(r"-?\d+\.\d+", shape.get("d", ""))]
    assert all(abs(x - 100) < 6 for x in numbers[::2]) and all(abs(y - 50) < 6 for y in numbers[1::2])


def test_a_chart_is_drawn_in_two_sizes_and_says_its_numbers_to_those_who_do_not_see_it():
    html = charts.charts([chart(curve("attention", 0.2, 0.932), curve("picture", 0.5, 0.88))], LOOKS)
    wide, narrow, *swatches = drawn(html)
    assert wide.get("role") == narrow.get("role") == "img"
    assert "attention / 注意力 93.2%" in wide.get("aria-label", "")
    assert len(swatches) == 2
    ends = [each for each in wide.iter("text") if each.get("class") == "end"]
    assert len(ends) == 2, "each curve's name stands at its end"
    assert not [each for each in narrow.iter("text") if each.get("class") == "end"]


def test_nothing_is_drawn_of_a_chart_without_a_point():
    assert charts.charts([chart(), chart(Curve("sound"))], LOOKS) == ""


def test_a_number_that_is_none_leaves_a_gap_and_no_broken_picture():
    html = charts.charts([chart(curve("sound", 0.1, math.nan, 0.4)), chart(curve("picture", math.inf))], LOOKS)
    assert "nan" not in html and "inf" not in html
    assert len(drawn(html)) == 3


def test_the_axis_of_steps_stands_still_while_the_curve_grows():
    def tick_places(n: int) -> list[str | None]:
        (svg, *_) = drawn(charts.charts([chart(curve("sound", *[0.5] * n))], LOOKS, n_steps=300))
        return [each.get("x") for each in svg.iter("text") if each.get("class") == "tick"]

    assert tick_places(2) == tick_places(200)


def test_a_share_has_the_whole_scale_and_one_below_nothing_is_not_cut_off():
    def labels(*ys: float) -> list[str]:
        (svg, *_) = drawn(charts.charts([chart(curve("sound", *ys))], LOOKS))
        return ["".join(each.itertext()) for each in svg.iter("text") if each.get("text-anchor") == "end"]

    assert {"0", "100"} <= set(labels(0.4, 0.5))
    assert "−50" in labels(-0.15, 0.3)


def test_long_curves_have_few_markers():
    (wide, *_) = drawn(charts.charts([chart(curve("sound", *[0.5] * 1000))], LOOKS))
    assert 10 < len(list(wide.iter("title"))) <= charts.N_MARKED + 1


def test_the_names_at_the_ends_do_not_stand_on_each_other():
    placed = charts.spread([50.0, 51.0, 52.0, 90.0], 17.0, 26.0, 216.0)
    assert all(b - a >= 17.0 for a, b in itertools.pairwise(placed))
    low_down = charts.spread([210.0, 211.0, 212.0], 17.0, 26.0, 216.0)
    assert low_down[-1] <= 216.0
    assert all(b - a >= 17.0 for a, b in itertools.pairwise(low_down))
    assert charts.spread([], 17.0, 0.0, 1.0) == []


def test_a_long_name_finds_room():
    assert charts.wide(["pre-training and then fine-tuning"]).right > charts.wide(["sum"]).right
    assert charts.wide([]).right == charts.LEAST_RIGHT
    assert charts.text_width("注意力") > charts.text_width("att")


def test_names_from_a_folder_of_ones_own_are_escaped():
    bad = "<script>&\"'"
    looks = charts.looks_of(FusionRequest(), [bad])
    dots = Dots(bad, np.zeros((2, 2), np.float32), (bad, bad))
    html = charts.charts([chart(curve(bad, 0.5))], looks) + charts.scatter(Map(bad, bad, (dots,)), looks)
    assert "<script" not in html
    assert len(drawn(html)) == 4


@pytest.mark.parametrize(("n", "per_dot"), [(6, True), (300, False)])
def test_a_map_labels_each_dot_or_where_it_is_crowded_each_class(n, per_dot):
    found = mapped(n).maps[1]
    (svg,) = drawn(charts.scatter(found, charts.looks_of(mapped().request, ["written", "spoken"])))
    assert len(list(svg.iter("circle"))) == n, "those written, as all that is seen"
    assert len(list(svg.iter("text"))) == (2 * n if per_dot else 2 * 10)
    assert f"{n} written / 手写" in svg.get("aria-label", "")


def test_closing_the_gap_moves_every_group_to_the_middle_of_all():
    found = mapped().maps[1]
    html = charts.scatter(found, charts.looks_of(mapped().request, ["written", "spoken"]), can_close=True)
    moves = [tuple(map(float, each)) for each in re.findall(r"--dx:(-?[\d.]+)px;--dy:(-?[\d.]+)px", html)]
    (ax, ay), (bx, by) = moves
    assert ax == pytest.approx(-bx, abs=0.2) and ay == pytest.approx(-by, abs=0.2)
    assert ax > 0 > ay, "the first group is left of and below the other"


def test_a_map_with_nothing_to_see_is_no_map():
    nowhere = Dots("written", np.full((2, 2), np.nan, np.float32), ("1", "2"))
    looks = charts.looks_of(mapped().request, ["written"])
    assert charts.scatter(Map("m", "before", ()), looks) == ""
    assert charts.scatter(Map("m", "before", (nowhere,)), looks) == ""


def test_a_dot_that_is_nowhere_is_left_out():
    some = Dots("written", np.array([[0, 0], [np.nan, 1], [1, 1]], np.float32), ("1", "2", "3"))
    html = charts.scatter(Map("m", "before", (some,)), charts.looks_of(mapped().request, ["written"]), can_close=True)
    assert "nan" not in html
    assert html.count("<title>") == 2
