"""`python -m engines teach | recognise | labels`: what is taught is kept, names files, can be renamed and deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.cli import main
from engines.lab.label_store import LabelFolder
from engines.protocol import Ability, CaptionRequest, EmbedRequest, EmbedResult, Progress, Request, Result
from tests.fake_host import FakeHost, embed_by_name


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("FUSION_STUDIO_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("a1", "a2", "a2.jpg", "a3.jpg", "b9.jpg", "z", "z.jpg", "broken", "broken.jpg", "a.jpg"):
        (tmp_path / name).write_bytes(b"media")
    return tmp_path / "labels"


def told(*arguments: str, host: FakeHost | None = None) -> int:
    """The exit code."""
    fake = host or FakeHost(scripts={EmbedRequest: embed_by_name})
    code = main(list(arguments), opener=lambda routes, settings: fake)
    assert fake.closed or not fake.requests
    return code


def test_what_is_taught_is_kept_and_names_new_files(capsys, home):
    assert told("teach", "Pets", "cat=a1.jpg,a2.jpg", "dog=b1.jpg") == 0
    assert capsys.readouterr().out == "Pets: cat (2), dog (1)\n"
    assert LabelFolder(home).load("pets").labels == ("cat", "dog")
    assert told("recognise", "pets", "b9.jpg", "z.jpg") == 0
    dog, none = capsys.readouterr().out.splitlines()
    assert dog.split()[1:3] == ["dog", "b9.jpg"] and "(nearest: b1.jpg 1.00, " in dog
    assert "(none of these)  z.jpg" in none


def test_a_label_may_be_given_again_and_have_any_letters(capsys):
    assert told("teach", "../🐾", "猫=a1.jpg", "a,b c=b1.jpg", "猫=a2.jpg") == 0
    assert capsys.readouterr().out == "../🐾: 猫 (2), a,b c (1)\n"
    assert told("recognise", "../🐾", "a3.jpg") == 0
    assert "猫" in capsys.readouterr().out


def test_a_file_may_have_a_comma_in_its_name(tmp_path, capsys):
    (tmp_path / "a, b.jpg").write_text("")
    assert told("teach", "Pets", f"cat={tmp_path / 'a, b.jpg'}", "dog=b1.jpg") == 0
    assert "cat (1)" in capsys.readouterr().out


def test_one_json_object_tells_it_all(capsys):
    assert told("teach", "Pets", "cat=a1,broken.jpg", "dog=b1", "--json") == 1
    plain = json.loads(capsys.readouterr().out)
    assert plain == {
        "name": "Pets",
        "labels": {"cat": 1, "dog": 1},
        "failures": {"broken.jpg": "broken.jpg is damaged."},
    }
    assert told("recognise", "Pets", "a2", "z", "broken", "--json") == 1
    plain = json.loads(capsys.readouterr().out)
    assert [each["label"] for each in plain["files"]] == ["cat", None] and "broken" in plain["failures"]
    found = plain["files"][0]
    assert sum(found["probabilities"].values()) + found["none"] == pytest.approx(1, abs=1e-3)
    assert found["nearest"][0] == {"label": "cat", "file": "a1", "cosine": 1.0}
    assert told("labels", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "sets": [{"name": "Pets", "labels": ["cat", "dog"], "n_examples": 2}]
    }


def test_what_cannot_be_read_is_said_beside_the_rest(capsys):
    assert told("teach", "Pets", "cat=a1,broken.jpg", "dog=b1") == 1
    assert capsys.readouterr() == ("Pets: cat (1), dog (1)\n", "broken.jpg is damaged.\n")
    assert told("recognise", "Pets", "broken.jpg", "a2") == 1
    out, err = capsys.readouterr()
    assert "cat  a2" in out and err == "broken.jpg is damaged.\n"


def test_sets_are_listed_renamed_and_deleted(home, capsys):
    assert told("labels") == 0
    assert capsys.readouterr().out == "(no label set yet; teach one)\n"
    told("teach", "Pets", "cat=a1", "dog=b1,b2")
    (home / "old.safetensors").write_bytes(b"junk")
    assert told("labels", "rename", "Pets", "My animals") == 0
    capsys.readouterr()
    assert told("labels", "list") == 0
    well, ill = capsys.readouterr().out.splitlines()
    assert well == "My animals: cat, dog (3 examples)"
    assert ill.startswith("old: The label set in old.safetensors is damaged")
    assert told("labels", "--json") == 0
    assert "failure" in json.loads(capsys.readouterr().out)["sets"][1]
    assert told("labels", "delete", "old") == told("labels", "delete", "my animals") == 0
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("teach Pets cat=a1", "One label cannot be told apart; teach 2 or more."),
        ("teach Pets cat=a1 dog=broken.jpg", "No example of 'dog' could be read; give it another file."),
        ("teach Pets " + " ".join(f"{n}=a" for n in range(500)), "There are 500 labels; at most 10"),
        ("teach Pets cat=a =b", "Give the label a name."),
        ("recognise Cars a.jpg", "No label set is called 'Cars'; there are: none yet."),
        ("labels rename Cars Vans", "No label set is called 'Cars'"),
        ("labels delete Cars", "No label set is called 'Cars'"),
    ],
)
def test_what_goes_wrong_is_one_sentence(arguments, sentence, capsys):
    assert told(*arguments.split()) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(sentence) and err.count("\n") == 1


@pytest.mark.parametrize("arguments", ["teach Pets cat", "teach Pets cat= dog=b", "teach Pets", "labels burn Pets"])
def test_wrong_usage_is_told_apart(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        told(*arguments.split())
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_a_set_of_another_model_and_a_host_without_vectors_are_sentences(capsys):
    told("teach", "Pets", "cat=a1", "dog=b1")
    blind = FakeHost(abilities=frozenset({Ability(CaptionRequest, "en")}))
    assert told("teach", "Pets", "cat=a1", "dog=b1", host=blind) == 1
    assert "makes no vectors to learn from" in capsys.readouterr().err
    assert told("recognise", "Pets", "a1", host=blind) == 1
    assert "makes no vectors to learn from" in capsys.readouterr().err


def ctrl_c(request: Request) -> Iterator[Result]:
    yield EmbedResult(request=request, progress=Progress("looking"))
    raise KeyboardInterrupt


def test_a_stop_in_the_middle_keeps_the_set_as_it_was(home, capsys):
    told("teach", "Pets", "cat=a1", "dog=b1")
    stopped = FakeHost(scripts={EmbedRequest: ctrl_c})
    assert told("teach", "Pets", "bird=c1", "fish=d1", host=stopped) == 130
    assert LabelFolder(home).load("Pets").labels == ("cat", "dog")
    assert "stopped" in capsys.readouterr().err
