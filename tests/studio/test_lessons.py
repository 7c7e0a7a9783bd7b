from pathlib import Path

import pytest

from studio.tabs.lab import lessons

LANGUAGES = ("en", "zh")


@pytest.mark.parametrize("name", [file.stem for file in sorted((lessons.LESSONS / "en").glob("*.md"))])
def test_every_lesson_is_there_in_both_languages_with_the_same_code_and_formulas(name):
    en, zh = ((lessons.LESSONS / language / f"{name}.md").read_text(encoding="utf-8") for language in LANGUAGES)
    assert lessons.PLACE.findall(en) == lessons.PLACE.findall(zh)
    assert all(
        place.startswith(("engines.", "studio.")) for place in lessons.PLACE.findall(en)
    )  # the wheel has no more
    assert en.count("$") == zh.count("$") > 0
    for language in LANGUAGES:
        assert "{{" not in lessons.lesson(name, language)


def test_a_lesson_shows_the_code_that_runs():
    shown = lessons.lesson("fusion", "en")
    source = (lessons.ROOT / "engines/model/fusion.py").read_text(encoding="utf-8")
    code = shown.split("```python\n")[1].split("\n```")[0]
    assert code.startswith("class SumFusion")
    assert code in source


def test_a_piece_of_code_says_where_it_stands():
    piece = lessons.source("studio.tabs.lab.lessons.Source")
    lines = Path(lessons.__file__).read_text(encoding="utf-8").splitlines()
    assert (piece.name, piece.file) == ("Source", "studio/tabs/lab/lessons.py")
    assert lines[piece.line - 1] == "@dataclass(frozen=True)" == piece.text.splitlines()[0]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("studio.tabs.lab.lessons.lesson", "@cache"),
        ("studio.tabs.lab.lessons.ROOT", "ROOT = "),
        ("engines.background.FairQueue.turn", "@contextmanager"),
        ("engines.lab.EXPERIMENTS", "EXPERIMENTS: Mapping"),
    ],
)
def test_functions_methods_and_constants_can_be_shown(name, first):
    assert lessons.source(name).text.startswith(first)


@pytest.mark.parametrize(
    "name",
    ["nowhere.at.all", "studio.tabs.lab.lessons.Gone", "engines.background.FairQueue.gone", "studio.tabs.lab.lessons"],
)
def test_code_that_is_no_longer_there_is_noticed(name, tmp_path):
    with pytest.raises(LookupError, match=name.split(".")[0]):
        lessons.source(name)
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "lost.md").write_text(f"Here:\n\n{{{{{name}}}}}\n", encoding="utf-8")
    with pytest.raises(LookupError):
        lessons.lesson("lost", "en", tmp_path)


def test_what_has_no_lesson_has_an_empty_one(tmp_path):
    assert lessons.lesson("fusion", "en", tmp_path) == ""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", [file.stem for file in sorted((lessons.LESSONS / "en").glob("*.md"))])
def test_every_lesson_ends_in_three_exercises_with_folded_answers(name, language):
    text = lessons.lesson(name, language)
    last = text.split("\n### ")[-1]
    assert last.startswith("Exercises" if language == "en" else "练习")
    assert last.count('<details class="exercise"><summary>') == last.count("</details>") == 3
    assert "open" not in [word.strip("<>") for word in last.split("summary>")[0].split()]
