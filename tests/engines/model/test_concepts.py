"""From the concept head's probabilities to names: what is sure by itself, what only its group is, what goes unsaid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.encoder import MediaEncoder
from engines.model import checkpoint
from engines.model.checkpoint import Checkpoint
from engines.model.concepts import NameTable, likeliest, listed, names
from engines.model.config import Concept, ConceptGroup, ModelConfig
from engines.model.features import middle
from engines.model.fusion import FusionModel
from engines.protocol import EmbedRequest
from engines.tasks import search
from engines.text import fold_query

TABBY, TIGER, CUP = (
    Concept("tabby cat", "Tigerkatze", "chat tigré", "虎斑猫"),
    Concept("tiger cat", "getigerte Katze", "chat rayé", "虎纹猫"),
    Concept("cup", "Tasse", "tasse", "杯子"),
)
CAT = Concept("cat", "Katze", "chat", "猫")


@pytest.fixture(scope="module")
def knowing(checkpoint) -> Checkpoint:
    """The tiny model with a concept head of three classes, two of which are cats."""
    from engines.training.concept_groups import store_name_vectors

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = replace(
            checkpoint.model.config, concepts=(TABBY, TIGER, CUP), concept_groups=(ConceptGroup(CAT, (0, 1)),)
        )
        model = FusionModel(config).eval().requires_grad_(False)
    store_name_vectors(model, checkpoint.tokenizer)
    return replace(checkpoint, model=model)


@pytest.mark.parametrize(
    ("probabilities", "wanted"),
    [
        ((0.9, 0.05, 0.05), ["tabby cat"]),
        ((0.45, 0.4, 0.15), ["cat"]),  # no class is sure, but their group is
        ((0.15, 0.15, 0.1), ["cat"]),  # nor is any likely enough by itself
        ((0.3, 0.1, 0.1), ["tabby cat"]),
        ((0.1, 0.1, 0.35), ["cup"]),
        ((0.1, 0.1, 0.1), []),
    ],
)
def test_a_class_is_named_where_it_is_likely_and_else_its_group(knowing, probabilities, wanted):
    found = names(np.array(probabilities, np.float32), knowing.model.config)
    assert [name.text("en") for name in found] == wanted


def guessed(config: ModelConfig, *probabilities: float) -> list[tuple[str, float]]:
    best = likeliest(np.array(probabilities), config, 2)
    return [(name.text("en"), round(name.probability, 2)) for name in best]


def test_a_guess_is_a_class_or_a_group_of_which_no_class_has_most(knowing):
    config = knowing.model.config
    assert guessed(config, 0.12, 0.1, 0.15) == [("cat", 0.22), ("cup", 0.15)]
    assert guessed(config, 0.2, 0.02, 0.3) == [("cup", 0.3), ("tabby cat", 0.2)]


def test_two_classes_of_one_name_are_one_guess(knowing):
    twice = replace(knowing.model.config, concepts=(CUP, TABBY, CUP), concept_groups=())
    assert guessed(twice, 0.2, 0.25, 0.1) == [("cup", 0.3), ("tabby cat", 0.25)]


def test_names_are_listed_as_each_language_does():
    assert listed(["cup", "cat"], "en") == "cup, cat"
    assert listed(["杯子", "猫"], "zh") == "杯子、猫"


def test_a_picture_brings_its_names_as_a_stream_that_goes_with_it(knowing, photo):
    encoder = MediaEncoder(knowing)
    encoded = replace(encoder.encode(photo), names=names(np.array([0.0, 0.0, 1.0]), knowing.model.config))
    assert [stream.modality for stream in encoder.streams(encoded)] == ["picture", "names"]
    for hidden in ("names", "picture"):
        shown = encoder.streams(encoded, hide=frozenset({hidden}))
        assert "names" not in [stream.modality for stream in shown]


def test_a_photo_is_named_by_itself_and_its_middle_and_searched_for_by_itself(knowing, photo):
    encoder = MediaEncoder(knowing)
    encoded = encoder.encode(photo)
    assert middle(photo.pixels).shape[:2] == pytest.approx([0.75 * side for side in photo.pixels.shape[:2]], abs=1)
    with torch.inference_mode():
        (whole,), (closer,) = encoder.see([photo.pixels])[1], encoder.name([middle(photo.pixels)])
    assert np.allclose(encoded.shown, (whole + closer) / 2, atol=1e-6) and not np.allclose(whole, closer)
    assert np.allclose(encoded.concepts, whole), "vectors in collections stay as they are"


def test_the_middle_of_a_picture_of_one_pixel_is_that_pixel():
    assert middle(np.zeros((1, 1, 3), np.uint8)).shape == (1, 1, 3)


@pytest.mark.parametrize("text", ["cup", "Tasse", "杯子"])
def test_a_query_that_names_a_concept_in_any_language_is_moved_to_its_code(knowing, text):
    encoder = MediaEncoder(knowing)
    table = NameTable(knowing.model.config, knowing.model.concept_vectors.numpy())
    query = encoder.query_vector(text, "photo")
    assert int(np.argmax(table.codes @ query)) == 2
    assert np.allclose(encoder.query_vector(text, "sound"), encoder.text_vector(text))
    *_, for_photos = search.embed(encoder, EmbedRequest(media=text))
    *_, for_sounds = search.embed(encoder, EmbedRequest(media=text, against="sound"))
    assert np.allclose(for_photos.vector, encoder.query_vector(fold_query(text), "photo"))
    assert np.allclose(for_sounds.vector, encoder.text_vector(fold_query(text)))


def test_a_vector_that_resembles_no_name_has_no_code(knowing):
    table = NameTable(knowing.model.config, knowing.model.concept_vectors.numpy())
    assert table.found(-table.vectors.reshape(-1, table.vectors.shape[-1]).mean(0)) is None


def test_a_model_with_concepts_comes_back_from_disk_with_their_names(knowing, tmp_path):
    checkpoint.save(tmp_path, knowing.model, checkpoint.BUILTIN / checkpoint.TOKENIZER_FILE, licence="none")
    config = checkpoint.load(tmp_path).model.config
    assert config.concepts == (TABBY, TIGER, CUP) and config.concept_groups[0].name == CAT
