import re
from pathlib import Path
from string import Formatter
from types import SimpleNamespace

import pytest

from studio import i18n

STUDIO = Path(i18n.__file__).parent


def test_both_languages_hold_the_same_keys():
    assert i18n.texts("en").keys() == i18n.texts("zh").keys()


def test_both_languages_leave_the_same_places_to_fill_in():
    def places(text: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(text) if name}

    for key, text in i18n.texts("en").items():
        assert places(text) == places(i18n.texts("zh")[key]), key


def test_every_key_has_the_prefix_that_keeps_gradio_from_translating_plain_words():
    assert all(re.fullmatch(r"ui(\.[a-z0-9_-]+)+", key) for key in i18n.texts("en"))


def test_every_key_written_out_in_the_source_exists():
    for file in STUDIO.rglob("*.py"):
        for key in re.findall(r'["\'](ui\.[a-z0-9.]+[a-z0-9])["\']', file.read_text(encoding="utf-8")):
            assert i18n.knows(key), f"{key} in {file.name}"


def test_the_chinese_is_chinese():
    plain = {"ui.switch.language"}
    assert all(
        re.search("[\u4e00-\u9fff]", text)
        for key, text in i18n.texts("zh").items()
        if "{done}" not in text and key not in plain
    )


def test_an_unknown_key_is_noticed_when_the_page_is_built():
    with pytest.raises(KeyError):
        i18n.label("ui.no.such.key")


def test_html_holds_both_languages_and_escapes_what_is_filled_in():
    shown = i18n.both("ui.of", done="<b>", total=2)
    assert "&lt;b&gt; of 2" in shown
    assert '<span class="t" lang="zh-CN">' in shown


@pytest.mark.parametrize(
    ("cookies", "headers", "language"),
    [
        ({}, {}, "en"),
        ({}, {"accept-language": "zh-CN,zh;q=0.9"}, "zh"),
        ({}, {"accept-language": "de-DE"}, "en"),
        ({i18n.COOKIE: "en"}, {"accept-language": "zh-CN"}, "en"),
        ({i18n.COOKIE: "zh"}, {"accept-language": "en"}, "zh"),
    ],
)
def test_the_cookie_of_the_page_counts_before_the_browser(cookies, headers, language):
    assert i18n.page_language(SimpleNamespace(cookies=cookies, headers=headers)) == language


def test_gradio_gets_chinese_under_the_one_name_its_browser_side_looks_for():
    assert set(i18n.translations().translations_dict) == {"en", "zh-CN"}
