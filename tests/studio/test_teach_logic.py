from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines import EmbedRequest, Request, RequestError, Result
from engines.lab.fewshot import Example, LabelSet
from studio.app import open_state
from studio.state import AppState
from studio.tabs.teach import logic
from studio.tabs.teach.label_store import Draft, UploadedFile
from studio.tabs.teach.logic import TAB, open_set, recognise_files, spread_lines, teach_request
from tests.fake_host import FakeHost, embed_by_name

pytestmark = pytest.mark.usefixtures("plain_head")
ROWS = ["cat", "dog"]


@pytest.fixture
def host() -> FakeHost:
    return FakeHost(scripts={EmbedRequest: embed_by_name})


def drop(state: AppState, n: int, *names: str, session: str = "me") -> None:
    """Put files into a row, as if they had been uploaded."""
    folder = state.collections.routes.parent / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(name)
        state.label_store.draft(session).add(
            n, [UploadedFile(folder / name, "photo", state.downloads.add_file(folder / name))]
        )


def last(frames: logic.Frames) -> str:
    """What is shown in the end, after something was shown at once."""
    shown = list(frames)
    assert shown[0][1], "the first sign of life comes before the work"
    assert [goes_on for _, goes_on in shown[1:]] == [True] * (len(shown) - 2) + [False]
    return shown[-1][0]


def taught(state: AppState, name: str = "Pets", session: str = "me") -> str:
    drop(state, 0, "cat-1", "cat-2", session=session)
    drop(state, 1, "dog-1", session=session)
    return last(logic.teach_rows(state, session, name, ROWS))


def new(state: AppState, *names: str) -> list[UploadedFile]:
    return [UploadedFile(Path(name), "photo", f"id-{name}") for name in names]


# --- what the rows say ---------------------------------------------------------------------------------------------


def test_rows_are_a_lesson_and_an_untouched_one_is_left_out():
    draft = Draft()
    draft.show_rows(3)
    for n, name in enumerate(("cat.jpg", "dog.jpg")):
        draft.add(n, [UploadedFile(Path(name), "photo", name)])
    asked = teach_request(draft, "  Pets ", ["cat ", " dog", "  ", "not seen"])
    assert asked.name == "Pets"
    assert asked.files == (("cat", (Path("cat.jpg"),)), ("dog", (Path("dog.jpg"),)))


@pytest.mark.parametrize(
    ("name", "labels", "sentence"),
    [
        ("", ["cat", "dog"], "Give the label set a name."),
        (None, ["cat", "dog"], "Give the label set a name."),
        ("Pets", ["cat", ""], "Give label 2 a name."),
        ("Pets", ["cat", None], "Give label 2 a name."),
        ("Pets", ["cat", " cat"], "One label cannot be told apart"),
        ("Pets", ["cat", "dog\nbird"], "'bird' has no example"),
        ("Pets", ["cat", "\n".join(f"label {n}" for n in range(499))], "There are 500 labels; at most 10"),
        ("Pets", ["cat", "x" * 61], "has 61 letters; at most 60"),
    ],
)
def test_what_makes_no_set_is_one_sentence(name, labels, sentence):
    draft = Draft()
    for n in (0, 1):
        draft.add(n, [UploadedFile(Path(f"{n}.jpg"), "photo", str(n))])
    with pytest.raises(RequestError, match=sentence) as caught:
        teach_request(draft, name, labels)
    assert caught.value.zh != caught.value.en


def test_lines_pasted_into_one_label_become_labels_in_free_rows():
    draft = Draft()
    draft.add(2, [UploadedFile(Path("taken.jpg"), "photo", "taken")])
    typed = spread_lines(draft, ["cat\n dog \n\nbird", "", "", ""] + [""] * 6)
    assert typed[:4] == ["cat", "dog", "", "bird"]
    assert draft.n_rows == 4


def test_more_lines_than_free_rows_stay_where_they_were_pasted():
    draft, pasted = Draft(), "\n".join(f"label {n}" for n in range(500))
    assert spread_lines(draft, [pasted, "", *[""] * 8])[0] == pasted
    assert draft.n_rows == 2


# --- teaching ------------------------------------------------------------------------------------------------------


def test_what_lies_in_the_rows_is_taught_kept_and_in_use(state):
    shown = taught(state)
    assert "is-done" in shown and "“Pets” tells apart:" in shown
    assert state.label_store.draft("me").active == "Pets"
    assert not state.label_store.draft("me").is_unsaved
    (entry,) = state.label_store.sets("me").entries()
    assert (entry.labels, entry.n_examples) == (("cat", "dog"), 3)


def test_how_far_it_is_is_shown(state):
    drop(state, 0, "cat-1", "cat-2")
    drop(state, 1, "dog-1")
    shown = [frame for frame, _ in logic.teach_rows(state, "me", "Pets", ROWS)]
    assert any("2 of 3" in frame for frame in shown)


def test_a_file_that_cannot_be_read_is_named_and_left_out_and_stays_in_its_row(state):
    drop(state, 0, "broken.jpg")
    shown = taught(state)
    assert "broken.jpg is damaged." in shown
    assert state.label_store.sets("me").entries()[0].n_examples == 3
    assert len(state.label_store.draft("me").row(0)) == 3


def test_a_label_of_which_nothing_can_be_read_is_a_sentence_and_nothing_is_kept(state):
    drop(state, 0, "cat-1")
    drop(state, 1, "broken.jpg")
    shown = last(logic.teach_rows(state, "me", "Pets", ROWS))
    assert "is-error" in shown and "broken.jpg" in shown
    assert state.label_store.sets("me").entries() == []
    assert state.label_store.draft("me").active == ""
    assert len(state.label_store.draft("me").row(0)) == 1


def test_a_set_of_the_same_name_is_not_written_over_unless_it_is_the_one_in_use(state):
    taught(state)
    drop(state, 1, "dog-2")
    assert "is-done" in last(logic.teach_rows(state, "me", "pets", ROWS))
    assert state.label_store.sets("me").entries()[0].n_examples == 4
    shown = taught(state, "PETS", session="another page")
    assert "There is a label set &#x27;PETS&#x27; already" in shown
    assert state.label_store.sets("me").entries()[0].n_examples == 4


def test_a_host_without_vectors_is_one_sentence(tmp_path):
    state = open_state(FakeHost(abilities=frozenset()), home=tmp_path, devices=("cpu",))
    assert "makes no vectors to learn from" in taught(state)


def test_a_stop_in_the_middle_keeps_nothing_and_loses_nothing(state):
    drop(state, 0, "cat-1", "cat-2")
    drop(state, 1, "dog-1")
    frames = logic.teach_rows(state, "me", "Pets", ROWS)
    while "1 of 3" not in next(frames)[0]:
        pass
    state.running.stop("me", TAB)
    *_, (shown, goes_on) = frames
    assert not goes_on and "everything you dropped is still there" in shown
    assert state.label_store.sets("me").entries() == []
    assert [len(state.label_store.draft("me").row(n)) for n in (0, 1)] == [2, 1]
    assert not state.running.is_busy("me", TAB)


def test_examples_are_tried_against_each_other_but_not_the_only_one_of_a_label():
    def example(label: str, axis: int) -> Example:
        return Example(label, "a.jpg", "", "photo", np.eye(4, dtype=np.float32)[axis])

    seen = (*[("cat", 0)] * 3, ("cat", 1), ("dog", 1), ("dog", 1), ("bird", 2))
    labels = LabelSet("Pets", tuple(example(label, axis) for label, axis in seen), "digest")
    expected = {("cat", "cat"): 3, ("cat", "dog"): 1, ("dog", "dog"): 2}
    assert logic.leave_one_out(labels) == expected, "the last cat looks like a dog"


# --- naming --------------------------------------------------------------------------------------------------------


def test_each_new_file_is_named_by_the_set_in_use(state):
    taught(state)
    shown = last(recognise_files(state, "me", new(state, "cat-9", "dog-9", "zebra")))
    assert shown.count('<article class="named') == 3
    assert shown.count('<article class="named is-none">') == 1
    assert shown.index("cat-9") < shown.index("dog-9") < shown.index("zebra")


def test_the_nearest_examples_can_be_fetched_by_the_page_and_their_paths_are_not_shown(state):
    taught(state)
    shown = last(recognise_files(state, "me", new(state, "cat-9")))
    ids = [part.partition('"')[0] for part in shown.split("./studio/thumb/")[2:]]
    files = [state.downloads.file(name) for name in ids]
    assert [file.name for file in files if file is not None] == ["cat-1", "cat-2", "dog-1"]
    assert str(state.collections.routes.parent) not in shown


def test_a_file_that_cannot_be_read_costs_its_own_place_only(state):
    taught(state)
    shown = last(recognise_files(state, "me", new(state, "broken.jpg", "dog-9")))
    assert "broken.jpg is damaged." in shown
    assert shown.count("<article") == 2 and "is-done" in shown


def test_what_was_named_is_named_anew_when_the_set_is_taught_again(state):
    taught(state)
    last(recognise_files(state, "me", new(state, "zebra")))
    drop(state, 1, "zebra-1")
    shown = last(logic.teach_rows(state, "me", "Pets", ROWS))
    assert "tells apart:" in shown
    assert '<article class="named">' in shown and "zebra" in shown


def test_a_stop_in_the_middle_of_naming_keeps_the_names_there_are(state, host):
    def stop_at_the_second(request: Request) -> Iterator[Result]:
        assert isinstance(request, EmbedRequest) and isinstance(request.media, Path)
        if request.media.name == "dog-9":
            state.running.stop("me", TAB)
        yield from embed_by_name(request)

    taught(state)
    host.scripts[EmbedRequest] = stop_at_the_second
    shown = last(recognise_files(state, "me", new(state, "cat-9", "dog-9", "zebra")))
    assert "is-stopped" in shown
    assert "cat-9" in shown and "zebra" not in shown


def test_without_a_set_in_use_one_is_told_to_teach_or_open_one(state):
    assert "Teach a label set first, or open one." in last(recognise_files(state, "me", new(state, "cat-9")))


def test_a_set_that_another_page_deleted_is_one_sentence(state):
    taught(state)
    state.label_store.sets("another page").delete("Pets")
    assert "No label set is called" in last(recognise_files(state, "me", new(state, "cat-9")))


# --- opening -------------------------------------------------------------------------------------------------------


def lend(path: Path) -> str:
    """A copy beside the file, as gradio's cache gives one."""
    copy = path.parent / "lent" / path.name
    copy.parent.mkdir(exist_ok=True)
    copy.write_bytes(path.read_bytes())
    return str(copy)


def test_an_opened_set_lies_in_the_rows_and_names_at_once(state):
    taught(state)
    shown, labels = open_set(state, "another page", "pets", lend)
    draft = state.label_store.draft("another page")
    assert "“Pets” tells apart:" in shown
    assert labels == ["cat", "dog"]
    assert [[file.path.name for file in draft.row(n)] for n in (0, 1)] == [["cat-1", "cat-2"], ["dog-1"]]
    assert not draft.is_unsaved
    assert "is-done" in last(recognise_files(state, "another page", new(state, "dog-9")))


def test_an_opened_set_outlives_what_was_uploaded_and_can_be_taught_anew(state):
    taught(state)
    for file in (state.collections.routes.parent / "uploads").iterdir():
        file.unlink()
    _, labels = open_set(state, "me", "Pets", lend)
    assert "is-done" in last(logic.teach_rows(state, "me", "Pets", labels))
    assert state.label_store.sets("me").entries()[0].n_examples == 3


def test_an_example_that_is_gone_keeps_its_place_and_is_told_when_the_set_is_taught_again(state):
    taught(state)
    kept = state.label_store.sets("me").load("Pets")
    Path(kept.examples[0].path).unlink()
    open_set(state, "me", "Pets", lend)
    draft = state.label_store.draft("me")
    assert [file.kind for file in draft.row(0)] == [None, None]


def test_a_set_of_another_model_opens_with_the_advice_to_teach_it_again(state):
    taught(state)
    kept = state.label_store.sets("me").load("Pets")
    state.label_store.save("me", replace(kept, model_digest="another"))
    shown, labels = open_set(state, "me", "Pets", lend)
    assert "was taught with another model; teach it again" in shown
    assert "another model" in last(recognise_files(state, "me", new(state, "cat-9")))
    assert "another model" not in last(logic.teach_rows(state, "me", "Pets", labels))


# --- visitors ------------------------------------------------------------------------------------------------------


def test_a_visitor_neither_sees_the_owners_sets_nor_leaves_any_behind(state, host, tmp_path):
    taught(state)
    home = tmp_path / "home"
    before = sorted(path for path in (home / "labels").rglob("*"))
    shared = open_state(host, shared=True, home=home, devices=("cpu",))
    assert shared.label_store.sets("visitor").entries() == []
    shown = taught(shared, "Mine", session="visitor")
    assert "is-done" in shown and "engines recognise" not in shown
    assert "cat-9" in last(recognise_files(shared, "visitor", new(shared, "cat-9")))
    assert sorted(path for path in (home / "labels").rglob("*")) == before
    shared.label_store.forget("visitor")
    assert shared.label_store.sets("visitor").entries() == []


def test_what_a_file_is_is_seen_inside_it(state, photo_file, sound_file, tmp_path):
    (tmp_path / "notes.jpg").write_text("no photo")
    kinds = [logic.inspect(state, path).kind for path in (photo_file, sound_file, tmp_path / "notes.jpg")]
    assert kinds == ["photo", "sound", None]
    assert state.downloads.file(logic.inspect(state, photo_file).file_id) == photo_file
