"""Teach it: a few examples make a set, a head adapts to them, new files are named, and strangers are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from engines.errors import AbilityError, Cancelled, MediaError, RequestError
from engines.lab import fewshot as module
from engines.lab.fewshot import (
    MAX_EXAMPLES,
    MIXED,
    Example,
    Head,
    LabelSet,
    Lesson,
    Taught,
    adapt,
    answer,
    check_digest,
    head_for,
    heads,
    name_file,
    recognise,
    softmax,
    teach,
    tidy,
)
from engines.protocol import Ability, Cancel, CaptionRequest, EmbedRequest, EmbedResult, Progress, Request, Result
from tests.fake_host import FakeHost

D = 16
STEPS = np.full(5, 0.1, np.float32)
PLAIN = Head(None, None, np.float32(10), STEPS, 0 * STEPS, np.array([0.5, 0, 0, 0, 0], np.float32))


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "heads", lambda: ("no model", {MIXED: PLAIN}))


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


# --- what makes a set ----------------------------------------------------------------------------------------------


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
def test_what_makes_no_set_is_one_sentence(name: str, labels: list[str], sentence: str, zh: str) -> None:
    with pytest.raises(RequestError, match=sentence) as caught:
        Lesson(name, tuple((label, (Path("a.jpg"),)) for label in labels))
    assert zh in caught.value.zh


@pytest.mark.parametrize(
    ("n_files", "sentence"),
    [(0, "The label 'dog' has no example; give it 1 to 5"), (21, "The label 'dog' has 21 examples; 1 to 5 are enough")],
)
def test_a_label_has_some_examples_and_not_too_many(n_files: int, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        Lesson("Pets", (("cat", (Path("a.jpg"),)), ("dog", (Path("b.jpg"),) * n_files)))


def test_a_label_given_twice_is_one_label_with_all_its_files() -> None:
    a, b, c = (Path(name) for name in "abc")
    lesson = Lesson("Pets", (("cat", (a,)), ("dog", (b,)), (" cat ", (c,))))
    assert lesson.by_label() == {"cat": [a, c], "dog": [b]}
    with pytest.raises(RequestError, match=f"'cat' has {MAX_EXAMPLES + 1} examples"):
        Lesson("Pets", (("cat", (a,) * MAX_EXAMPLES), ("dog", (b,)), ("cat", (c,))))


def test_names_may_be_of_any_language_and_are_shown_on_one_line() -> None:
    assert tidy(" 猫\n和\t狗 🐶\x07 ") == "猫 和 狗 🐶"
    Lesson("../🐱", (("🐱", (Path("a"),)), ("-rf /", (Path("b"),))))


# --- the head ------------------------------------------------------------------------------------------------------


def hot(*places: int) -> np.ndarray:
    return np.eye(max(places) + 1, dtype=np.float32)[list(places)]


def numbers(**changes: Any) -> Head:
    """A head with a centre and a metric, everything drawn at random."""
    rng = np.random.default_rng(0)
    parts: dict[str, Any] = {
        "centre": rng.normal(0, 0.1, D).astype(np.float32),
        "metric": (np.eye(D) + rng.normal(0, 0.1, (D, D))).astype(np.float32),
        "scale": np.float32(8),
        "rates": rng.uniform(0.05, 0.2, 5).astype(np.float32),
        "slopes": rng.normal(0, 0.3, 5).astype(np.float32),
        "refusal": rng.normal(0, 0.1, 5).astype(np.float32),
    }
    return Head(**(parts | changes))


def some_task(n_labels: int = 3, n_shots: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Examples (n, D) and owners (n, C)."""
    places = np.repeat(np.arange(n_labels), n_shots)
    vectors = np.stack([towards(n, off=0.4, seed=i) for i, n in enumerate(places)])
    return vectors, np.eye(n_labels, dtype=np.float32)[places]


def test_without_steps_the_head_is_the_nearest_prototype() -> None:
    head, (vectors, owners) = numbers(rates=np.zeros(0), slopes=np.zeros(0)), some_task()
    adapted = adapt(head, vectors, owners)
    centre = (vectors.mean(0) + head.centre) / 2
    placed = (vectors - centre) @ head.metric
    placed /= np.linalg.norm(placed, axis=-1, keepdims=True)
    means = np.stack([placed[own == 1].mean(0) for own in owners.T])
    np.testing.assert_allclose(adapted.weights, means / np.linalg.norm(means, axis=-1, keepdims=True), atol=1e-5)
    query = (towards(1) - centre) @ head.metric
    near = adapted.weights @ query / np.linalg.norm(query)
    np.testing.assert_allclose(answer(adapted, towards(1)[None])[0, :-1], 8 * near, atol=1e-4)


def test_a_step_goes_down_the_slope_of_the_cross_entropy() -> None:
    """The gradient is written out by hand; torch's own finds the same."""
    vectors, owners = map(torch.from_numpy, some_task())
    free = Head(None, None, torch.tensor(8.0), torch.tensor([0.3]), torch.zeros(1), torch.zeros(5))
    still = Head(None, None, torch.tensor(8.0), torch.zeros(1), torch.zeros(1), torch.zeros(5))
    start = adapt(still, vectors, owners, torch)
    weights = start.weights.clone().requires_grad_()
    placed = torch.nn.functional.normalize(vectors - start.centre, dim=-1)
    loss = torch.nn.functional.cross_entropy(8 * placed @ weights.mT, owners)
    (slope,) = torch.autograd.grad(loss, weights)
    moved = adapt(free, vectors, owners, torch).weights
    torch.testing.assert_close(moved, weights.detach() - 0.3 / 8 * slope, atol=1e-5, rtol=1e-4)


def test_numpy_and_torch_find_the_same_and_tasks_may_come_in_batches() -> None:
    head, (vectors, owners) = numbers(), some_task()
    alone = answer(adapt(head, vectors, owners), vectors)
    parts = {name: torch.from_numpy(np.asarray(value)) for name, value in vars(head).items()}
    batch = [torch.from_numpy(np.stack([part, part])) for part in (vectors, owners)]
    both = answer(adapt(Head(**parts), batch[0], batch[1], torch), batch[0], torch)
    np.testing.assert_allclose(both[1].numpy(), alone, atol=1e-4)


def test_a_row_of_zeros_is_no_example() -> None:
    head, (vectors, owners) = numbers(), some_task()
    owners[1] = owners[-1] = 0
    kept = owners.any(-1)
    np.testing.assert_allclose(
        answer(adapt(head, vectors, owners), vectors),
        answer(adapt(head, vectors[kept], owners[kept]), vectors),
        atol=1e-4,
    )


def test_a_label_with_many_examples_does_not_drown_one_with_one() -> None:
    labels = some_set({"cat": 10, "dog": 1})
    assert recognise(labels, towards(1)).label == "dog"


def test_chances_are_chances_however_large_the_logits() -> None:
    np.testing.assert_allclose(softmax(np.array([[1e4, 1e4, -1e4]])), [[0.5, 0.5, 0.0]])


# --- naming --------------------------------------------------------------------------------------------------------


def test_what_is_like_the_examples_of_a_label_is_named_so() -> None:
    found = recognise(some_set({"cat": 2, "dog": 3, "🐦": 1}), towards(2, off=0.1, seed=9))
    assert found.label == "🐦" and found.confidence == found.chances[0][1] > 0.5
    assert found.chances[0][0] == "🐦" and len(found.chances) == 3
    assert sum(chance for _, chance in found.chances) + found.none == pytest.approx(1.0)
    assert found.nearest[0][0].label == "🐦" and found.nearest[0][1] >= found.nearest[1][1] >= found.nearest[2][1]


def test_a_stranger_is_none_of_these() -> None:
    found = recognise(some_set({"cat": 2, "dog": 2}), towards(7))
    assert found.label is None and found.confidence == found.none > 0.5
    assert len(found.nearest) == 3, "what comes nearest is shown even so"


def test_two_labels_with_the_same_example_are_both_as_likely() -> None:
    same = towards(0)
    labels = LabelSet("Pets", tuple(Example(name, "a", "", "photo", same) for name in ("cat", "dog")), "fake0000")
    found = recognise(labels, same)
    chances = dict(found.chances)
    assert np.isfinite(found.none) and chances["cat"] == pytest.approx(chances["dog"])


# --- which head ----------------------------------------------------------------------------------------------------


@pytest.fixture
def three_heads(monkeypatch: pytest.MonkeyPatch) -> dict[str, Head]:
    known = {space: numbers() for space in ("photo", "sound", MIXED)}
    monkeypatch.setattr(module, "heads", lambda: ("known", known))
    return known


@pytest.mark.parametrize(
    ("kinds", "digest", "space"),
    [
        (["photo", "clip"], "known", "photo"),
        (["sound"], "known", "sound"),
        (["photo", "sound"], "known", MIXED),
        (["speech"], "known", MIXED),
        (["photo"], "another model", MIXED),
    ],
)
def test_examples_of_one_sense_have_a_head_of_their_own_if_it_was_learnt_for_the_model(
    kinds: list[Any], digest: str, space: str, three_heads: dict[str, Head]
) -> None:
    assert head_for(kinds, digest) is three_heads[space]


def test_vectors_of_another_width_are_no_trouble_for_the_plain_head() -> None:
    wide = [Example(label, "a", "", "photo", np.eye(384, dtype=np.float32)[n]) for n, label in enumerate(("a", "b"))]
    assert recognise(LabelSet("x", tuple(wide), "another"), wide[1].vector).label == "b"


def test_what_was_learnt_is_read_from_its_file(tmp_path: Path) -> None:
    parts = {f"{MIXED}.{name}": np.ones((), np.float16) for name in ("scale", "rates", "slopes", "refusal")}
    save_file(parts | {"photo.centre": np.ones(3)}, tmp_path / "a", {"about": json.dumps({"model_digest": "abc"})})
    digest, known = heads(tmp_path / "a")
    assert digest == "abc" and known.keys() == {"photo", MIXED}
    assert known[MIXED].centre is None and known[MIXED].scale == 1.0


@pytest.mark.parametrize("content", [None, b"", b"junk"])
def test_a_missing_or_damaged_file_of_heads_is_a_sentence(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "heads.safetensors").write_bytes(content)
    with pytest.raises(RequestError, match=r"assets/lab/heads.safetensors is missing or damaged") as caught:
        heads(tmp_path / "heads.safetensors")
    assert "缺失或已损坏" in caught.value.zh


def test_a_file_of_heads_of_nobody_is_damaged(tmp_path: Path) -> None:
    save_file({"plain.scale": np.ones(1)}, tmp_path / "a", {"about": "{}"})
    with pytest.raises(RequestError, match="missing or damaged"):
        heads(tmp_path / "a")


# --- files ---------------------------------------------------------------------------------------------------------


def by_name(request: Request) -> Iterator[Result]:
    """Files are alike when the first letters of their names are; "broken" ones cannot be read."""
    assert isinstance(request, EmbedRequest) and isinstance(request.media, Path)
    name = request.media.name
    if name.startswith("broken"):
        raise MediaError("test", f"{name} is damaged.")
    yield EmbedResult(request=request, progress=Progress("looking"))
    yield EmbedResult(request=request, kind="photo", vector=towards(ord(name[0]) % D), end="finished")


@pytest.fixture
def host() -> FakeHost:
    return FakeHost(scripts={EmbedRequest: by_name})


def lesson(**files: str) -> Lesson:
    return Lesson("Pets", tuple((label, tuple(map(Path, names.split()))) for label, names in files.items()))


def test_a_lesson_is_learnt_file_by_file(host: FakeHost) -> None:
    *before, last = teach(host, lesson(cat="a1 a2", dog="b1"))
    assert [(step.progress.done, step.progress.total) for step in before if step.progress] == [(0, 3), (1, 3), (2, 3)]
    assert last.end == "finished" and last.labels is not None and last.failures == ()
    assert last.labels.labels == ("cat", "dog") and last.labels.model_digest == "fake0000"
    example = last.labels.examples[1]
    assert (example.label, example.file, example.kind) == ("cat", "a2", "photo")
    assert Path(example.path) == Path("a2").absolute()


def test_a_file_that_cannot_be_read_is_named_and_left_out(host: FakeHost) -> None:
    *_, last = teach(host, lesson(cat="a1 broken.jpg", dog="b1"))
    ((name, error),) = last.failures
    assert name == "broken.jpg" and error.en == "broken.jpg is damaged."
    assert last.labels is not None and len(last.labels.examples) == 2


def test_a_label_of_which_nothing_can_be_read_is_a_sentence_with_its_own_reason(host: FakeHost) -> None:
    with pytest.raises(RequestError) as caught:
        list(teach(host, lesson(cat="a1 broken0.jpg", dog="broken1.jpg broken2.jpg")))
    said = "No example of 'dog' could be read; give it another file. The last one: broken2.jpg is damaged."
    assert caught.value.en == said
    assert caught.value.zh == "“dog”的示例都无法读取；请换一个文件。最后一个：broken2.jpg is damaged."


def test_a_stop_before_the_next_file_ends_the_lesson(host: FakeHost) -> None:
    cancel, seen = Cancel(), list[Taught]()
    for step in teach(host, lesson(cat="a1 a2", dog="b1"), cancel):
        seen.append(step)
        if len(seen) == 2:
            cancel.set()
    assert seen[-1].end == "cancelled" and seen[-1].labels is None
    assert len(host.requests) == 1


def cut_off(request: Request) -> Iterator[Result]:
    yield EmbedResult(request=request, end="cancelled")


def test_a_stop_inside_a_file_ends_the_lesson_and_the_naming() -> None:
    host = FakeHost(scripts={EmbedRequest: cut_off})
    *_, last = teach(host, lesson(cat="a1", dog="b1"), Cancel())
    assert last.end == "cancelled" and last.labels is None
    with pytest.raises(Cancelled):
        name_file(host, some_set({"cat": 1, "dog": 1}), Path("a"), Cancel())


def test_a_file_is_named_by_what_was_taught(host: FakeHost) -> None:
    *_, last = teach(host, lesson(cat="a1 a2", dog="b1"))
    assert last.labels is not None
    assert name_file(host, last.labels, Path("b-new")).label == "dog"
    assert name_file(host, last.labels, Path("zebra")).label is None
    with pytest.raises(MediaError, match=r"broken\.jpg is damaged"):
        name_file(host, last.labels, Path("broken.jpg"))


def test_a_set_taught_with_another_model_names_nothing(host: FakeHost) -> None:
    labels = some_set({"cat": 1, "dog": 1}, digest="older")
    with pytest.raises(RequestError, match="'Pets' was taught with another model; teach it again") as caught:
        name_file(host, labels, Path("a"))
    assert "用另一个模型教的" in caught.value.zh and host.requests == []
    check_digest(labels, "older")


def test_a_host_that_makes_no_vectors_teaches_and_names_nothing() -> None:
    host = FakeHost(abilities=frozenset({Ability(CaptionRequest, "en")}))
    with pytest.raises(AbilityError, match="fake makes no vectors to learn from"):
        list(teach(host, lesson(cat="a1", dog="b1")))
    with pytest.raises(AbilityError, match="choose the built-in model for search"):
        name_file(host, some_set({"cat": 1, "dog": 1}), Path("a"))
