"""What is measured of words in pictures: drawn from a seed, counted by characters, shown as a table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from engines.media import ocr
from scripts import measure_words


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are drawn in the font Pillow brings, whatever fonts there are here."""
    from PIL import ImageFont

    monkeypatch.setattr(measure_words, "font_of", lambda _name, size: ImageFont.load_default(size))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_lines_are_texts_of_the_page_without_marks(language: str) -> None:
    least, most = measure_words.LETTERS[language]
    lines = measure_words.texts(language)
    assert len(lines) > 50 and all(least <= len(line) <= most and "{" not in line for line in lines)


def test_a_photographed_picture_is_another_of_the_same_size_and_the_same_each_time(drawn: None) -> None:
    pictures = []
    for _ in range(2):
        rng = np.random.default_rng(3)
        plain = measure_words.rendered(["Platform 12"], "en", rng)
        pictures.append((plain, measure_words.photographed(plain, rng)))
    (plain, photo), (again, photo_again) = pictures
    assert plain.size == photo.size == measure_words.SIZE
    assert np.array_equal(plain, again) and np.array_equal(photo, photo_again)
    assert np.abs(np.asarray(plain, float) - np.asarray(photo, float)).mean() > 5


LINES = {
    "en": ["The train leaves", "Platform twelve", "Museum of glass", "Opening hours", "Bicycle repair", "Fresh bread"],
    "zh": ["火车站在前面", "博物馆开放时间", "自行车修理店", "新鲜面包咖啡", "请勿乱扔垃圾", "紧急出口在左边"],
}
"""What is drawn, whatever the page says today."""


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, drawn: None) -> Callable[[Callable[[str], str]], None]:
    """Have each picture be read as its own lines after a change to them."""
    shown: list[list[str]] = []
    draw = measure_words.rendered

    def rendered(lines: list[str], language: str, rng: np.random.Generator) -> Image.Image:
        shown.append(list(lines))
        return draw(lines, language, rng)

    def use(change: Callable[[str], str]) -> None:
        monkeypatch.setattr(measure_words, "texts", LINES.__getitem__)
        monkeypatch.setattr(measure_words, "rendered", rendered)
        monkeypatch.setattr(ocr, "lines_of", lambda _pixels: tuple(map(change, shown[-1])))

    return use


def test_what_is_read_without_error_is_all_right_and_found(reads: Callable[..., None]) -> None:
    reads(lambda line: line.replace(" ", ""))
    found = measure_words.measured("en", "rendered", 4, 0)
    assert (found["characters"], found["lines"], found["found"]) == (1.0, 1.0, 1.0)


def test_one_wrong_character_a_line_costs_every_line_and_few_characters(reads: Callable[..., None]) -> None:
    reads(lambda line: "#" + line[1:])
    found = measure_words.measured("zh", "rendered", 4, 0)
    assert found["lines"] == 0.0 and 0.75 < found["characters"] < 1.0
