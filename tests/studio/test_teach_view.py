import re
from pathlib import Path

import numpy as np
import pytest

from engines import MediaError, Progress, UserError
from engines.lab.fewshot import Example, LabelSet, Prediction
from engines.lab.label_store import Entry
from studio.tabs.teach import view
from studio.tabs.teach.label_store import UploadedFile

WILD = "<b>&'\".jpg"
VECTOR = np.ones(1, np.float32)


def example(label: str, path: str = "/home/me/secret/dog.jpg") -> Example:
    return Example(label, Path(path).name, path, "photo", VECTOR)


def named(label: str | None, none: float = 0.1) -> Prediction:
    near = ((example("dog"), 0.9), (example("c<a>t"), -0.001))
    return Prediction(label, 0.7, (("dog", 0.7), ("c<a>t", 0.2)), none, near)


NEAR = [UploadedFile(Path("dog.jpg"), "photo", "near-1"), UploadedFile(Path("cat.jpg"), "photo", "near-2")]


# --- what was dropped ----------------------------------------------------------------------------------------------


def test_a_sound_has_a_player_a_photo_has_none_and_what_cannot_be_read_says_so():
    assert "data-play" in view.tile(UploadedFile(Path("bark.wav"), "sound", "s"))
    assert "data-play" in view.tile(UploadedFile(Path("hello.wav"), "speech", "s"))
    assert "data-play" not in view.tile(UploadedFile(Path("dog.jpg"), "photo", "s"))
    assert "unreadable" in view.tile(UploadedFile(Path("notes.txt"), None, "s"))


def test_what_was_too_many_is_said_below_the_row():
    assert "3 left out" in view.tiles(NEAR, 3)
    assert "left out" not in view.tiles(NEAR)
    assert "3 files were left out" in view.not_taken(3)
    assert view.not_taken(0) == ""


def test_names_of_files_are_text():
    for shown in (
        view.tile(UploadedFile(Path(WILD), "photo", "s"), can_go=True),
        view.tiles([UploadedFile(Path(WILD), None, "s")]),
        view.card(UploadedFile(Path(WILD), "photo", "id"), named("c<a>t"), NEAR),
    ):
        assert "<b>&" not in shown and "c<a>t" not in shown
        assert "&lt;b&gt;&amp;" in shown


# --- the label sets there are --------------------------------------------------------------------------------------


def test_a_set_is_listed_with_what_it_holds_and_the_one_in_use_is_marked():
    entries = [Entry("Pets", ("cat", "dog"), 6), Entry("<i>Mugs", ("mine", "yours"), 4)]
    shown = view.sets(entries, "pets")
    assert "2 labels, 6 examples" in shown
    assert shown.count("is-used") == 1
    assert "<i>" not in shown and 'data-set="&lt;i&gt;Mugs"' in shown


def test_a_damaged_set_says_so_and_can_only_be_deleted():
    failure = UserError("label_set_damaged", "The label set in pets.safetensors is damaged.")
    shown = view.sets([Entry("pets", failure=failure)])
    assert "is damaged" in shown and "已损坏" in shown
    assert re.findall(r'data-do="(\w+)"', shown) == ["delete"]


# --- what was taught and named -------------------------------------------------------------------------------------


TRIED = {("dog", "dog"): 2, ("dog", None): 1}


def test_a_wrong_example_brings_the_table_of_what_was_taken_for_what():
    labels = LabelSet("Pets", (*[example("dog")] * 3, example("c<a>t")), "digest")
    shown = view.label_set(labels, TRIED, saved="id7")
    assert shown.count("<tr>") == 2, "the only cat was not tried"
    assert '<td class="number yes">2</td><td class="number">·</td><td class="number wrong">1</td>' in shown
    assert "c&lt;a&gt;t" in shown and "none of these" in shown and "./studio/labels/id7.zip" in shown
    assert "<table" not in view.label_set(labels, {("dog", "dog"): 3})


def test_what_was_taught_is_told_by_label_and_what_was_left_out_with_its_reason():
    labels = LabelSet("<Pets>", (example("dog"), example("dog"), example("c<a>t")), "digest")
    failures = [("notes.txt", MediaError("test", "notes.txt is no photo."))]
    shown = view.label_set(labels, TRIED, failures)
    assert '>dog<b class="number">2</b>' in shown and '>c&lt;a&gt;t<b class="number">1</b>' in shown
    assert "notes.txt is no photo." in shown
    assert "“&lt;Pets&gt;” tells apart:" in shown
    assert "2 of 3 recognised correctly" in shown
    assert "left-out" not in view.label_set(labels, TRIED)
    assert "recognised" not in view.label_set(labels, {})


def test_a_named_photo_has_a_bar_for_each_label_and_for_none_of_them():
    shown = view.card(UploadedFile(Path("new.jpg"), "photo", "id"), named("dog"), NEAR)
    assert re.findall(r'style="width:([\d.]+)%"', shown) == ["70.0", "20.0", "10.0"]
    assert shown.count("is-best") == 1
    assert "none of these" in shown and "都不是" in shown


def test_the_nearest_examples_are_shown_with_their_label_and_likeness_and_never_their_path():
    shown = view.card(UploadedFile(Path("/tmp/upload/new.jpg"), "photo", "id"), named("dog"), NEAR)
    assert "near-1" in shown and "near-2" in shown
    assert "0.90" in shown and "0.00" in shown and "-0.00" not in shown
    assert "secret" not in shown and "/tmp" not in shown


def test_none_of_these_is_an_answer_too():
    shown = view.card(UploadedFile(Path("new.jpg"), "photo", "id"), named(None, none=0.7), NEAR)
    assert 'class="named is-none"' in shown
    (said,) = re.findall(r'class="named-label".*?</p>', shown)
    assert "none of these" in said and "dog" not in said


@pytest.mark.parametrize(
    ("kind", "part"), [("photo", "<img"), ("sound", "<audio"), ("speech", "<audio"), ("clip", "<video")]
)
def test_what_was_named_can_be_seen_or_heard_again(kind, part):
    file = UploadedFile(Path("new"), kind, "id")
    assert part in view.card(file, named("dog"), NEAR)


def test_a_result_is_busy_stopped_or_done_and_only_ended_ones_have_a_foot():
    busy = view.results("", ["<article></article>"], Progress("looking", 1, 3, "files"), foot="FOOT")
    assert "is-busy" in busy and "1 of 3" in busy and "FOOT" not in busy
    stopped = view.results("", ["<article></article>"], foot="FOOT", end="cancelled")
    assert "is-stopped" in stopped and "<article>" in stopped and "FOOT" in stopped
    assert "is-done" in view.results("HEAD", [], end="finished")


def test_the_foot_tells_seconds_and_host_and_gives_names_or_a_command_to_copy(info):
    names = view.foot(info, 1.25, end="cancelled")
    assert "1.2 s · CPU · fake" in names and "stopped" in names and "data-copy" in names
    command = view.foot(info, 1.0, end="finished", command=("recognise", "my 'pets'"))
    assert "data-copied>recognise" in command and "&#x27;" in command
    assert "stopped" not in command
    assert "data-copy" not in view.foot(info, 1.0, end="finished", command=())
