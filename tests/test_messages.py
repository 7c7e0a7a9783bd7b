"""The catalogue of messages: every key the program names is in zh.json with the same {names}, and none is left over."""

from __future__ import annotations

import ast
import json
import pickle
import re
import string
from collections.abc import Iterator
from pathlib import Path

import launch
from engines import errors
from engines.errors import MediaError, Message, RequestError, UserError
from engines.hosts import hub, openai_client
from engines.media import refusals

ROOT = Path(__file__).resolve().parents[1]
CHINESE = json.loads((ROOT / "assets" / "locales" / "zh.json").read_text(encoding="utf-8"))
SOURCES = {
    str(file.relative_to(ROOT)): ast.parse(file.read_text(encoding="utf-8"))
    for file in (
        *(file for folder in ("engines", "studio", "scripts") for file in (ROOT / folder).rglob("*.py")),
        ROOT / "launch.py",
    )
}


def _errors() -> set[str]:
    """The names of UserError and of the classes that are one."""
    found = {kind.__name__ for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, UserError)}
    for tree in SOURCES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and any(
                isinstance(base, ast.Name) and base.id in found for base in node.bases
            ):
                found.add(node.name)
    return found


ERRORS = _errors()


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every place of the program that makes an error for people or a message."""
    for file, tree in SOURCES.items():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in {*ERRORS, "Message", "SetupError"}
            ):
                yield f"{file}:{node.lineno}", node


PASSED_ON = {
    "engines/errors.py": "prefixes the key of an error",
    "engines/index/history.py": "makes a kept message again",
    "engines/cli/process.py": "takes a refused request for wrong usage",
    "engines/hosts/openai_client.py": "takes key and sentence from its table",
    "engines/media/refusals.py": "takes key and sentence from its table",
    "engines/media/child.py": "makes the error of another process again",
    "studio/tabs/lab/form.py": "names a field by the key the page has for it",
}
"""The files that make an error or a message from a key which stands elsewhere."""


def literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def sentences() -> dict[str, set[str]]:
    """The English sentences of every key that the program names."""
    found: dict[str, set[str]] = {}
    for place, call in calls():
        key, english = literal(call.args[0]), literal(call.args[1])
        file = place.split(":")[0]
        if key is None or english is None:
            assert file in PASSED_ON, f"{place}: key and sentence are literal"
        else:
            assert isinstance(call.func, ast.Name)
            found.setdefault(key if call.func.id == "Message" else f"error.{key}", set()).add(english)
    for prefix, table in (
        ("media", refusals.SENTENCES),
        ("hub", hub.SENTENCES),
        ("server", openai_client.SENTENCES),
    ):
        for key, english in table.items():
            found[f"error.{prefix}_{key}"] = {english}
    found["error.old_python"] = {launch.OLD_PYTHON}
    found |= {f"note.{key}": {english} for key, english in refusals.NOTES.items()}
    return found


def placeholders(sentence: str) -> set[str]:
    """The {names} of a sentence. How each is quoted is the language's own: 'a' in English, “a” in Chinese."""
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def test_every_message_has_its_chinese_and_no_chinese_is_left_over():
    kept = {key for key in CHINESE if not key.startswith("ui.")}
    assert sentences().keys() - kept == set(), "named in the program, not in zh.json"
    assert kept - sentences().keys() == set(), "in zh.json, not named in the program"


def test_a_key_stands_for_one_sentence():
    assert {key: sorted(english) for key, english in sentences().items() if len(english) > 1} == {}


def test_both_languages_have_the_same_placeholders():
    odd = {
        key: english
        for key, all_english in sentences().items()
        for english in all_english
        if placeholders(english) != placeholders(CHINESE.get(key, ""))
    }
    assert odd == {}


def test_every_value_a_sentence_needs_is_given():
    for place, call in calls():
        english = literal(call.args[1])
        if english is not None and not any(given.arg is None for given in call.keywords):
            names = {name for _, name, _, _ in string.Formatter().parse(english) if name}
            assert not call.keywords or names == {given.arg for given in call.keywords}, place
            assert call.keywords or not names, f"{place}: {names} are not given"


def test_what_is_chinese_reads_as_chinese():
    said = {key: sentence for key, sentence in CHINESE.items() if key.startswith("error.")}
    assert [key for key, sentence in said.items() if not re.search("[\u4e00-\u9fff]", sentence)] == []


def test_values_are_shown_in_each_language():
    names = Message("word.none_yet", "none yet")
    error = RequestError(
        "label_set_unknown", "No label set is called {name!r}; there are: {known}.", name="a", known=names
    )
    assert error.en == "No label set is called 'a'; there are: none yet." and "还没有" in error.zh
    listed = RequestError("kinds_unknown", "Unknown kinds {odd}; known are {known}.", odd=["x"], known=["a", "b"])
    assert listed.en == "Unknown kinds x; known are a, b." and "a、b" in listed.zh


def test_an_error_inside_another_is_shown_in_each_language():
    inner = MediaError("sound_empty", "The sound is empty; record or choose another.")
    outer = RequestError("no_example_readable", "No {label} ({reason})", label="dog", reason=inner)
    assert inner.en in outer.en and inner.zh in outer.zh


def test_braces_in_a_value_stay_as_they_are():
    error = MediaError(
        "media_missing", "There is no file {name}; check the path or choose it again.", name="{0}{name}.jpg"
    )
    assert "{0}{name}.jpg" in error.en and "{0}{name}.jpg" in error.zh


def test_an_error_comes_whole_out_of_another_process():
    error = MediaError("media_missing", "There is no file {name}; check the path or choose it again.", name="a.jpg")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is MediaError and (again.en, again.zh) == (error.en, error.zh)
    made = MediaError(*error.parts()[:2], **json.loads(json.dumps(error.parts()[2])))
    assert (made.en, made.zh) == (error.en, error.zh)
