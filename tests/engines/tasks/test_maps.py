"""Maps of collections: files of all kinds by what they are about, in named clusters, with their dates."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from engines.errors import CollectionError, RequestError
from engines.index import Collection, Row
from engines.protocol import MapRequest, Metadata
from engines.tasks import maps

TOPICS = ("dog", "rain", "street")
CORNER = {"photo": 10, "sound": 11, "text": 12}
"""Each kind lies in its own corner of the space, far from the others."""
FITS = 0.1
"""The cosine of a text with a photo or sound of its topic is larger, with others smaller."""


class Space:
    """A space of 16 numbers: one for each topic, one for each kind; a text is its topic."""

    model_digest = "m1"

    def text_vector(self, text):
        vector = np.full(16, 0.01, np.float32)
        vector[TOPICS.index(text) if text in TOPICS else 9] = 1.0
        vector[CORNER["text"]] = 3.0
        return vector / np.linalg.norm(vector)

    def query_vector(self, text, kind):
        return self.text_vector(text)

    def fit(self, score, query, row):
        return min(1.0, max(0.0, 0.5 + 4.0 * (score - FITS)))

    def names(self):
        return [("dog", "狗")], np.stack([self.text_vector("dog")])


def vector_of(kind, topic, n):
    vector = 0.05 * np.random.default_rng(n).standard_normal(16)
    vector[TOPICS.index(topic)] += 1.0
    vector[CORNER[kind]] += 2.0
    return vector.astype(np.float32)


def collection_in(folder, seed=0):
    """Six photos and six sounds of each topic."""
    file = folder / f"{seed}.db"
    with Collection(file, model_digest="m1", create=True) as made:
        for n, (kind, topic, i) in enumerate((k, t, i) for k in ("photo", "sound") for t in TOPICS for i in range(6)):
            path = folder / f"{topic}-{kind}-{i}"
            made.put(path, "", [Row(str(path), kind, 0.0, 0.0, vector_of(kind, topic, n + 1000 * seed))])
    return file


@pytest.fixture
def collection(tmp_path):
    return collection_in(tmp_path)


def drawn(collection, **options):
    *_, last = maps.stream(Space(), MapRequest(collection=collection, **options))
    return last


def test_files_lie_by_what_they_are_about_and_not_by_what_they_are_made_of(tmp_path):
    of_one_topic, of_one_kind = [], []
    for seed in range(4):  # where one file ends up depends on how a processor rounds
        result = drawn(collection_in(tmp_path, seed))
        places = np.array([(point.x, point.y) for point in result.points])
        topics = np.array([point.path.name.split("-")[0] for point in result.points])
        kinds = np.array([point.kind for point in result.points])
        distance = np.linalg.norm(places[:, None] - places[None], axis=2)
        np.fill_diagonal(distance, np.inf)
        nearest = distance.argsort(1)[:, :5]
        of_one_topic.append((topics[nearest] == topics[:, None]).mean())
        of_one_kind.append((kinds[nearest] == kinds[:, None]).mean())
        assert result.method == "tsne" and places.min() == 0.0 and places.max() == 1.0
    assert np.mean(of_one_topic) > 0.95
    assert 0.2 < np.mean(of_one_kind) < 0.7


def test_clusters_are_named_by_what_sets_them_apart_in_both_languages(collection):
    result = drawn(collection)
    names = {(cluster.en, cluster.zh) for cluster in result.clusters}
    assert {("dog", "狗"), ("rain", "雨"), ("street", "街道")} <= names
    for point in result.points:
        name = result.clusters[point.cluster].en
        assert name in ("", point.path.name.split("-")[0])
    assert sum(cluster.n_files for cluster in result.clusters) == len(result.points) == result.n_files == 36


def test_a_cluster_has_no_name_that_a_search_would_not_find_its_files_by(collection, monkeypatch):
    monkeypatch.setattr(Space, "fit", lambda self, score, query, row: 0.4)
    assert {(cluster.en, cluster.zh) for cluster in drawn(collection).clusters} == {("", "")}


def test_of_a_large_collection_an_even_part_is_drawn(collection):
    result = drawn(collection, n_most=9)
    assert len(result.points) == 9 and result.n_files == 36
    assert {point.path.name.split("-")[0] for point in result.points} == set(TOPICS)


def test_only_the_kinds_asked_for_are_drawn(collection):
    result = drawn(collection, kinds=frozenset({"sound"}))
    assert result.n_files == 18 and {point.kind for point in result.points} == {"sound"}


def test_a_file_of_several_rows_is_one_point_of_the_kind_that_most_of_them_have(collection, tmp_path):
    path = tmp_path / "talk"
    rows = [Row(str(path), kind, 0.0, 0.0, vector_of(kind, "rain", 99)) for kind in ("sound", "text", "sound")]
    with Collection(collection) as opened:
        opened.put(path, "", rows)
    (point,) = (point for point in drawn(collection).points if point.path == path)
    assert point.kind == "sound"


def test_a_point_has_the_date_that_its_file_carries_or_else_that_of_its_last_change(tmp_path):
    dated, plain = tmp_path / "dated.jpg", tmp_path / "plain.jpg"
    for path in (dated, plain):
        path.write_bytes(b"x")
        os.utime(path, (1.7e9, 1.7e9))  # 14 November 2023
    file = tmp_path / "mine.db"
    with Collection(file, model_digest="m1", create=True) as made:
        for path, metadata in ((dated, Metadata(taken="2019-02-03T04:05:06")), (plain, Metadata())):
            made.put(path, "", [Row(str(path), "photo", 0.0, 0.0, vector_of("photo", "dog", 1))], metadata)
    first, second = drawn(file).points
    assert first.taken == "2019-02-03T04:05:06" and second.taken.startswith("2023-11-1")


def test_few_files_are_laid_out_without_tsne(tmp_path):
    file = tmp_path / "mine.db"
    with Collection(file, model_digest="m1", create=True) as made:
        made.put(tmp_path / "a", "", [Row(str(tmp_path / "a"), "photo", 0.0, 0.0, vector_of("photo", "dog", 1))])
    result = drawn(file)
    assert result.method == "pca" and [(point.x, point.y) for point in result.points] == [(0.5, 0.5)]


def test_a_collection_with_nothing_of_the_kinds_is_empty(collection):
    result = drawn(collection, kinds=frozenset({"speech"}))
    assert result.end == "empty" and result.points == ()


def test_progress_is_told_so_that_a_stop_is_heard(collection):
    steps = [*maps.stream(Space(), MapRequest(collection=collection))]
    told = [step.progress.done for step in steps if step.progress is not None and step.progress.total > 0.0]
    assert told == sorted(told) and len(told) > 100


def test_a_map_of_another_models_collection_is_refused(collection):
    space = Space()
    space.model_digest = "m2"
    with pytest.raises(CollectionError, match="another model"):
        list(maps.stream(space, MapRequest(collection=collection)))


@pytest.mark.parametrize("options", [{"n_most": 0}, {"n_most": 5001}, {"kinds": frozenset()}])
def test_an_impossible_map_is_refused_when_it_is_asked_for(options):
    with pytest.raises(RequestError):
        MapRequest(collection=Path("mine.db"), **options)


def test_the_everyday_words_are_pairs_of_two_languages_each_once():
    words = [pair.strip().rsplit(" ", 1) for pair in maps.EVERYDAY.replace("\n", " ").split(",")]
    assert all(len(pair) == 2 and pair[0].isascii() and not pair[1].isascii() for pair in words)
    assert len({en for en, _ in words}) == len(words)
