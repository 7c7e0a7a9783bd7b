"""Exact search in memory finds what a sorted list would, while it grows and shrinks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.index.matrix import Matrix, unit

PHOTO, SOUND = 0, 1
WIDTH = 8


def directions(n: int, seed: int = 0) -> np.ndarray:
    """(n, WIDTH) random vectors of length 1."""
    vectors = np.random.default_rng(seed).standard_normal((n, WIDTH)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def empty() -> Matrix:
    return Matrix([], [], [], np.zeros((0, 0), np.float32))


def ids(found: list[tuple[int, float, np.ndarray]]) -> list[int]:
    return [row_id for row_id, _, _ in found]


def test_the_nearest_is_found_with_its_cosine():
    vectors = directions(50)
    matrix = Matrix(range(50), range(50), [PHOTO] * 50, vectors.copy())
    query = unit(vectors[7] + 0.3 * vectors[8])
    found = matrix.nearest(query, [PHOTO], 3)
    assert ids(found) == np.argsort(-(vectors @ query))[:3].tolist()
    assert found[0][1] == pytest.approx(float((vectors @ query).max()), abs=1e-6)
    assert np.allclose(found[0][2], vectors[found[0][0]])


def test_vectors_are_made_length_one_so_that_scores_are_cosines():
    matrix = Matrix([0], [0], [PHOTO], 5 * directions(1))
    assert matrix.nearest(directions(1)[0], [PHOTO], 1)[0][1] == pytest.approx(1)


@given(st.data())
def test_any_growing_and_shrinking_leaves_what_a_plain_list_would(data):
    matrix, plain = empty(), dict[int, tuple[int, int, np.ndarray]]()
    next_id = 0
    for step in range(data.draw(st.integers(1, 12))):
        file = data.draw(st.integers(0, 5))
        if data.draw(st.booleans()):
            n = data.draw(st.integers(1, 600))
            vectors, kinds = directions(n, seed=step), [i % 2 for i in range(n)]
            matrix.append(range(next_id, next_id + n), file, kinds, vectors)
            plain |= {next_id + i: (file, kinds[i], vectors[i]) for i in range(n)}
            next_id += n
        else:
            matrix.drop(file)
            plain = {row_id: row for row_id, row in plain.items() if row[0] != file}
    query = directions(1, seed=99)[0]
    assert matrix.n_rows == len(plain)
    wanted = sorted(
        (row_id for row_id, row in plain.items() if row[1] == SOUND), key=lambda i: -float(plain[i][2] @ query)
    )
    files = [plain[row_id][0] for row_id in wanted]
    first = [row_id for i, row_id in enumerate(wanted) if files[i] not in files[:i]]
    assert ids(matrix.nearest(query, [SOUND], max(1, len(first))))[: len(first)] == first
    assert set(ids(matrix.nearest(query, [SOUND], len(wanted) + 1))) == set(wanted)


def test_similar_files_are_named_with_the_one_before_that_they_resemble_most():
    a, b = directions(2, seed=4)
    vectors = np.stack([a, b, unit(a + 0.05 * b), unit(a + 0.04 * b)])
    matrix = Matrix(range(4), [10, 11, 12, 13], [PHOTO] * 4, vectors)
    assert [(x, y) for x, y, _ in matrix.similar(PHOTO, [], 0.97)] == [(10, 12), (12, 13)]
    assert [(x, y) for x, y, _ in matrix.similar(PHOTO, [12], 0.97)] == [(10, 13)]
    assert list(matrix.similar(SOUND, [], 0.97)) == []


def test_files_of_several_rows_are_similar_by_their_mean():
    a, b, c = directions(3, seed=4)
    matrix = Matrix(range(6), [1, 1, 2, 2, 3, 3], [SOUND] * 6, np.stack([a, b, b, a, a, c]))
    assert [(x, y) for x, y, _ in matrix.similar(SOUND, [], 0.999)] == [(1, 2)]


def test_similar_files_are_found_across_blocks():
    vectors = directions(2_500, seed=1)
    vectors[2_400] = vectors[3]
    matrix = Matrix(range(2_500), range(2_500), [PHOTO] * 2_500, vectors)
    assert [(x, y, round(score, 4)) for x, y, score in matrix.similar(PHOTO, [], 0.9999)] == [(3, 2_400, 1.0)]


@pytest.mark.parametrize("vector", [np.zeros(4), np.array([np.nan, 1.0]), np.array([np.inf, 1.0]), np.ones((2, 2))])
def test_what_has_no_direction_is_refused(vector):
    with pytest.raises(ValueError, match="has no direction"):
        unit(vector)
