import pytest

from studio.tabs.lab import terms


@pytest.mark.parametrize(
    ("word", "en", "zh"),
    [
        ("attention", "attention", "注意力"),
        ("second_order", "MAML, second order", "MAML（二阶）"),
        ("picture missing", "picture missing", "缺图片"),
        ("written → spoken", "written → spoken", "手写 → 口述"),
        ("digit: together", "digit: together", "数字：一起"),
        ("my cat", "my cat", "my cat"),
    ],
)
def test_a_word_of_the_field_has_a_text_in_both_languages_and_anything_else_stays(word, en, zh):
    assert (terms.translated(word, "en"), terms.translated(word, "zh")) == (en, zh)


def test_the_key_of_a_word_is_what_the_locales_hold():
    assert terms.key_of("ms per step") == "ui.lab.word.msperstep"
    assert terms.key_of("n_steps", "field") == "ui.lab.field.nsteps"


def test_html_carries_both_languages_and_what_somebody_named_is_escaped():
    assert '<span class="t" lang="zh-CN">注意力</span>' in terms.as_html("attention")
    assert '<tspan class="t" lang="en">' in terms.as_html("attention", tag="tspan")
    assert terms.as_html("<b>") == "&lt;b&gt;"


def test_a_label_that_the_style_sheet_cannot_choose_from_says_both_at_once():
    assert terms.as_text("attention") == "attention / 注意力"
    assert terms.as_text("my cat") == "my cat"
