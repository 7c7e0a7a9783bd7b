import re

import pytest

from studio import theme


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, WCAG 2.2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def colours(selector: str) -> dict[str, str]:
    block = re.search(rf"^{re.escape(selector)} \{{(.*?)\n\}}", (theme.ASSETS / "style.css").read_text(), re.S | re.M)
    assert block is not None
    return dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block.group(1)))


@pytest.mark.parametrize("selector", [":root", ".dark"])
@pytest.mark.parametrize("text", ["ink", "quiet", "accent", "warning", "error"])
@pytest.mark.parametrize("ground", ["paper", "panel", "wash"])
def test_text_can_be_read_on_every_ground(selector, text, ground):
    palette = colours(selector)
    assert contrast(palette[text], palette[ground]) >= 4.5


def test_each_modality_has_a_shape_of_its_own():
    assert len(set(theme.SHAPES.values())) == len(theme.SHAPES)
    assert set(theme.MODALITY_OF_KIND.values()) == set(theme.SHAPES)


def test_nothing_of_ours_points_to_another_host():
    for text in (theme.style(), theme.head(), theme.early_script(), theme.plain_page("")):
        assert not re.search(r"https?://(?!www\.w3\.org)", text)
        assert "@import" not in text


def test_this_gradio_can_change_the_language_of_a_running_page():
    assert re.search(r'"core": "\./assets/core-[\w-]+\.js"', theme.early_script())


def test_the_words_of_the_drop_areas_are_there_in_both_languages():
    assert '--drop-photo:"Drop a photo' in theme.style()
    assert '--drop-photo:"拖入图片' in theme.style()
