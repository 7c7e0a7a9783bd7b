"""Teach it: a few examples make a label set, new files are classified by it, and out-of-set files are rejected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from engines.errors import AbilityError, Cancelled, MediaError, RequestError
from engines.lab import fewshot_head
from engines.lab.fewshot import (
    MAX_EXAMPLES,
    Example,
    LabelSet,
    TeachRequest,
    TeachResult,
    check_digest,
    recognise,
    recognise_file,
    teach,
    tidy,
)
from engines.lab.fewshot_head import MIXED, Head
from engines.protocol import Ability, Cancel, CaptionRequest, EmbedRequest, EmbedResult, Request, Result
from tests.fake_host import FakeHost, embed_by_name

D = 16
PLAIN = Head(
    None, None, torch.tensor(10.0), torch.full((5,), 0.1), torch.zeros(5), torch.tensor([0.5, 0.0, 0.0, 0.0, 0.0])
)


@pytest.fixture(autouse=True)
def plain(monkeypatch) -> None:
    monkeypatch.setattr(fewshot_head, "load_heads", lambda: ("no model", {MIXED: PLAIN}))


def towards(n: int, *, off: float = 0.0, seed: int = 0) -> np.ndarray:
    """A vector of length 1 near the n-th axis."""
    vector = np.random.default_rng([n, seed]).normal(0, off, D)
    vector[n] += 1
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def some_set(counts: dict[str, int], *, digest: str = "fake0000", off: float = 0.1) -> LabelSet:
    """Label n lies near axis n."""
    examples = [
        Example(label, f"{label}-{i}.jpg", f"/x/{label}-{i}.jpg", "photo", towards(n, off=off, seed=i))
        for n, (label, count) in enumerate(counts.items())
        for i in range(count)
    ]
    return LabelSet("Pets", tuple(examples), digest)


# --- label sets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "labels", "sentence", "zh"),
    [
        ("Pets", ["cat"], "One label cannot be told apart; teach 2 or more", "只有一个标签"),
        ("Pets", [], "No labels can be told apart", "没有标签"),
        ("Pets", [f"label {n}" for n in range(500)], "There are 500 labels; at most 10", "共有 500 个标签"),
        ("", ["cat", "dog"], "Give the label set a name", "请给标签集起个名字"),
        (" \n\x00", ["cat", "dog"], "Give the label set a name", "请给标签集起个名字"),
        ("x" * 61, ["cat", "dog"], "The name of the label set has 61 letters; at most 60", "最多 60 个"),
        ("Pets", ["cat", "   "], "Give the label a name", "请给标签起个名字"),
        ("Pets", ["cat", "狗" * 61], "The name of the label has 61 letters", "标签的名称有 61 个字符"),
        ("Pets", ["cat", " cat\t"], "One label cannot be told apart", "只有一个标签"),
    ],
)
def test_what_cannot_be_a_label_set_is_one_sentence(name, labels, sentence, zh):
    with pytest.raises(RequestError, match=sentence) as caught:
        TeachRequest(name, tuple((label, (Path("a.jpg"),)) for label in labels))
    assert zh in caught.value.zh


@pytest.mark.parametrize(
    ("n_files", "sentence"),
    [(0, "The label 'dog' has no example; give it 1 to 5"), (21, "The label 'dog' has 21 examples; 1 to 5 are enough")],
)
def test_a_label_has_some_examples_and_not_too_many(n_files, sentence):
    with pytest.raises(RequestError, match=sentence):
        TeachRequest("Pets", (("cat", (Path("a.jpg"),)), ("dog", (Path("b.jpg"),) * n_files)))


def test_a_label_given_twice_is_one_label_with_all_its_files():
    a, b, c = (Path(name) for name in "abc")
    request = TeachRequest("Pets", (("cat", (a,)), ("dog", (b,)), (" cat ", (c,))))
    assert request.by_label() == {"cat": [a, c], "dog": [b]}
    with pytest.raises(RequestError, match=f"'cat' has {MAX_EXAMPLES + 1} examples"):
        TeachRequest("Pets", (("cat", (a,) * MAX_EXAMPLES), ("dog", (b,)), ("cat", (c,))))


def test_names_may_be_of_any_language_and_are_shown_on_one_line():
    assert tidy(" 猫\n和\t狗 🐶\x07 ") == "猫 和 狗 🐶"
    TeachRequest("../🐱", (("🐱", (Path("a"),)), ("-rf /", (Path("b"),))))


# --- recognition -------------------------------------------------------------------------------------------------


def test_a_label_with_many_examples_does_not_outweigh_one_with_one():
    labels = some_set({"cat": 10, "dog": 1})
    assert recognise(labels, towards(1)).label == "dog"


def test_embeddings_of_any_width_are_recognised_by_the_plain_head():
    wide = [Example(label, "a", "", "photo", np.eye(384, dtype=np.float32)[n]) for n, label in enumerate(("a", "b"))]
    assert recognise(LabelSet("x", tuple(wide), "another"), wide[1].vector).label == "b"


def test_an_embedding_like_a_labels_examples_gets_that_label():
    found = recognise(some_set({"cat": 2, "dog": 3, "🐦": 1}), towards(2, off=0.1, seed=9))
    assert found.label == "🐦" and found.confidence == found.probabilities[0][1] > 0.5
    assert found.probabilities[0][0] == "🐦" and len(found.probabilities) == 3
    assert sum(probability for _, probability in found.probabilities) + found.none == pytest.approx(1.0)
    assert found.nearest[0][0].label == "🐦" and found.nearest[0][1] >= found.nearest[1][1] >= found.nearest[2][1]


def test_an_out_of_set_embedding_is_none_of_these():
    found = recognise(some_set({"cat": 2, "dog": 2}), towards(7))
    assert found.label is None and found.confidence == found.none > 0.5
    assert len(found.nearest) == 3, "the nearest are shown nevertheless"


def test_two_labels_with_the_same_example_are_equally_likely():
    same = towards(0)
    labels = LabelSet("Pets", tuple(Example(name, "a", "", "photo", same) for name in ("cat", "dog")), "fake0000")
    found = recognise(labels, same)
    probabilities = dict(found.probabilities)
    assert np.isfinite(found.none) and probabilities["cat"] == pytest.approx(probabilities["dog"])


# --- files ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def host() -> FakeHost:
    return FakeHost(scripts={EmbedRequest: embed_by_name})


def pets(**files: str) -> TeachRequest:
    return TeachRequest("Pets", tuple((label, tuple(map(Path, names.split()))) for label, names in files.items()))


def test_a_label_set_is_taught_file_by_file(host):
    *before, last = teach(host, pets(cat="a1 a2", dog="b1"))
    assert [(step.progress.done, step.progress.total) for step in before if step.progress] == [(0, 3), (1, 3), (2, 3)]
    assert last.end == "finished" and last.labels is not None and last.failures == ()
    assert last.labels.labels == ("cat", "dog") and last.labels.model_digest == "fake0000"
    example = last.labels.examples[1]
    assert (example.label, example.file, example.kind) == ("cat", "a2", "photo")
    assert Path(example.path) == Path("a2").absolute()


def test_a_file_that_cannot_be_read_is_named_and_left_out(host):
    *_, last = teach(host, pets(cat="a1 broken.jpg", dog="b1"))
    ((name, error),) = last.failures
    assert name == "broken.jpg" and error.en == "broken.jpg is damaged."
    assert last.labels is not None and len(last.labels.examples) == 2


def test_a_label_of_which_nothing_can_be_read_is_a_sentence_with_its_own_reason(host):
    with pytest.raises(RequestError) as caught:
        list(teach(host, pets(cat="a1 broken0.jpg", dog="broken1.jpg broken2.jpg")))
    said = "No example of 'dog' could be read; give it another file. The last one: broken2.jpg is damaged."
    assert caught.value.en == said


def test_a_stop_before_the_next_file_ends_teaching(host):
    cancel, seen = Cancel(), list[TeachResult]()
    for step in teach(host, pets(cat="a1 a2", dog="b1"), cancel):
        seen.append(step)
        if len(seen) == 2:
            cancel.set()
    assert seen[-1].end == "cancelled" and seen[-1].labels is None
    assert len(host.requests) == 1


def cut_off(request: Request) -> Iterator[Result]:
    yield EmbedResult(request=request, end="cancelled")


def test_a_stop_inside_a_file_ends_teaching_and_recognition():
    host = FakeHost(scripts={EmbedRequest: cut_off})
    *_, last = teach(host, pets(cat="a1", dog="b1"), Cancel())
    assert last.end == "cancelled" and last.labels is None
    with pytest.raises(Cancelled):
        recognise_file(host, some_set({"cat": 1, "dog": 1}), Path("a"), Cancel())


def test_a_file_is_recognised_by_what_was_taught(host):
    *_, last = teach(host, pets(cat="a1 a2", dog="b1"))
    assert last.labels is not None
    assert recognise_file(host, last.labels, Path("b-new")).label == "dog"
    assert recognise_file(host, last.labels, Path("zebra")).label is None
    with pytest.raises(MediaError, match=r"broken\.jpg is damaged"):
        recognise_file(host, last.labels, Path("broken.jpg"))


def test_a_set_taught_with_another_model_is_refused(host):
    labels = some_set({"cat": 1, "dog": 1}, digest="older")
    with pytest.raises(RequestError, match="'Pets' was taught with another model; teach it again"):
        recognise_file(host, labels, Path("a"))
    assert host.requests == []
    check_digest(labels, "older")


def test_a_host_without_embeddings_is_refused():
    host = FakeHost(abilities=frozenset({Ability(CaptionRequest, "en")}))
    with pytest.raises(AbilityError, match="fake makes no vectors to learn from"):
        list(teach(host, pets(cat="a1", dog="b1")))
    with pytest.raises(AbilityError, match="choose the built-in model for search"):
        recognise_file(host, some_set({"cat": 1, "dog": 1}), Path("a"))
