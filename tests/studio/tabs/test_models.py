import json
from pathlib import Path

import pytest

from engines import Ability, CaptionRequest, DeviceError, HostInfo
from studio.desk import Desk
from studio.tabs import models
from tests.fake_host import FakeHost


class Stuck(FakeHost):
    """A host that does not move."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.reason = error

    def move(self, device: str) -> None:
        raise self.reason


def test_the_host_moves_and_says_why_it_is_there(desk: Desk) -> None:
    info, sentence = models.move(desk, "cpu", "en")
    assert (info.device, info.device_reason, sentence) == ("cpu", "asked for", None)


@pytest.mark.parametrize(("language", "words"), [("en", "no CUDA device"), ("zh", "没有")])
def test_a_device_that_fails_is_one_sentence_and_the_host_stays(desk: Desk, language: str, words: str) -> None:
    host = Stuck(DeviceError("There is no CUDA device here.", "这里没有 CUDA 设备。"))
    moved = Desk(host=host, rules=desk.rules, library=desk.library)
    info, sentence = models.move(moved, "cuda:0", language)
    assert info.device == "cpu"
    assert sentence is not None
    assert words in sentence


def test_a_defect_while_moving_is_a_calm_sentence(desk: Desk) -> None:
    moved = Desk(host=Stuck(RuntimeError("/home/me")), rules=desk.rules, library=desk.library)
    sentence = models.move(moved, "cpu", "en")[1]
    assert sentence is not None
    assert "/home" not in sentence


def test_the_switches_show_where_the_host_is_whatever_was_asked_for(desk: Desk) -> None:
    models.move(desk, "auto", "en")
    assert models.where(desk) == "cpu"


def test_abilities_are_shown_as_declared() -> None:
    from dataclasses import replace

    info = replace(FakeHost().info, abilities=frozenset({Ability(CaptionRequest, "zh")}))
    assert models.abilities_view(info).count('class="yes"') == 1


def test_the_card_names_what_counts(info: HostInfo) -> None:
    shown = models.card_view(info)
    for fact in ("fake", "1.0 M", "cpu · float32", "no CUDA device was found", "Apache-2.0", "fake0000"):
        assert fact in shown


def test_measured_figures_are_a_table(tmp_path: Path) -> None:
    file = tmp_path / "evaluation.json"
    measured = {"value": 41.254, "unit": "points", "n": 185}
    skipped = {"skipped": "no data"}
    file.write_text(json.dumps({"about": {"seed": 0}, "caption.en.cider": measured, "speech.x": skipped}))
    assert models.figures(file) == [("caption.en.cider", "41.25 points")]
    assert "caption.en.cider" in models.measured_view(file)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_missing_or_damaged_table_is_a_sentence(tmp_path: Path, content: str) -> None:
    file = tmp_path / "evaluation.json"
    file.write_text(content)
    assert "No measurements came with this model" in models.measured_view(file)
    assert "No measurements" in models.measured_view(tmp_path / "absent.json")


def test_devices_are_offered_by_name_after_the_automatic_choice(desk: Desk) -> None:
    assert [value for _, value in models.choices(desk)] == ["auto", "cpu"]
