"""Reading the shared layout: splits by name and by field, media by offset, and what is missing said plainly."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from engines.archives import (
    DatasetMissing,
    captions_only,
    decode_photo,
    decode_sound,
    fewshot,
    mono_zh,
    pairs,
    photos,
    sounds,
    speech,
    videos,
)
from engines.errors import MediaError
from engines.protocol import RATE_HZ
from tests.tiny_data import opus, webp, write_lines, write_rows, write_tar


def test_photos_come_with_their_pixels_and_the_captions_people_wrote(tmp_path):
    write_rows(
        tmp_path / "photos" / "flickr8k_dev.jsonl.gz",
        [{"image": "b", "en": ["A red photo ."], "zh": ["红色。"]}, {"image": "a", "en": ["Blue .", " "], "de": []}],
    )
    write_tar(tmp_path / "photos" / "flickr8k_dev.tar", {"b.webp": webp((250, 0, 0)), "a.webp": webp((0, 0, 250))})
    red, blue = photos(tmp_path, "dev")
    assert (red.id, red.corpus, dict(red.captions)) == ("b", "flickr8k", {"en": ("A red photo .",), "zh": ("红色。",)})
    assert dict(blue.captions) == {"en": ("Blue .",)}
    assert red.load().pixels.shape == (32, 48, 3)
    assert red.load().pixels[0, 0].argmax() == 0
    assert blue.load().pixels[0, 0].argmax() == 2


def test_a_split_in_several_parts_is_read_as_one_and_others_stay_out(tmp_path):
    for part, image in (("train_a", "one"), ("train_b", "two"), ("dev", "three")):
        write_rows(tmp_path / "photos" / f"flickr8k_{part}.jsonl.gz", [{"image": image, "en": ["A photo ."]}])
        write_tar(tmp_path / "photos" / f"flickr8k_{part}.tar", {f"{image}.webp": webp((9, 9, 9))})
    write_rows(tmp_path / "photos" / "captions_only.jsonl.gz", [{"image": "far", "en": ["Unseen ."], "de": ["Nie ."]}])
    assert [record.id for record in photos(tmp_path, "train")] == ["one", "two"]
    assert captions_only(tmp_path) == [{"en": ("Unseen .",), "de": ("Nie .",)}]
    with pytest.raises(DatasetMissing, match="no photos of the split test"):
        photos(tmp_path, "test")


def test_speech_is_split_by_field_and_decoded_to_16_khz(tmp_path):
    line = {"speaker": "s", "text": "one two", "seconds": 1.0, "corpus": "an4", "lang": "en", "shard": 0}
    write_rows(
        tmp_path / "speech" / "manifest.jsonl.gz",
        [{"id": "x.1", "split": "dev", "raw": "One, two.", **line}, {"id": "x.2", "split": "train", **line}],
    )
    write_tar(tmp_path / "speech" / "speech-00.tar", {"x.1.opus": opus(400.0), "x.2.opus": opus(800.0)})
    (dev,) = speech(tmp_path, "dev")
    (train,) = speech(tmp_path, "train")
    assert (dev.id, dev.raw, train.raw, dev.language) == ("x.1", "One, two.", "one two", "en")
    samples = dev.load().samples
    assert abs(len(samples) - RATE_HZ) < RATE_HZ // 50
    assert np.abs(np.fft.rfft(samples)).argmax() * RATE_HZ / len(samples) == pytest.approx(400.0, abs=5.0)


def test_sounds_carry_their_label(tmp_path):
    row = {"id": "bark", "label": "dog_bark", "corpus": "us8k", "split": "dev"}
    write_rows(tmp_path / "sounds" / "manifest.jsonl.gz", [row, {**row, "id": "gone"}])
    write_tar(tmp_path / "sounds" / "us8k-dev.tar", {"bark.opus": opus(300.0)})
    (record,) = sounds(tmp_path, "dev")
    assert (record.label, record.corpus) == ("dog_bark", "us8k")


def test_a_list_without_any_of_its_files_says_so(tmp_path):
    row = {"id": "bark", "label": "dog_bark", "corpus": "us8k", "split": "dev"}
    write_rows(tmp_path / "sounds" / "manifest.jsonl.gz", [row])
    with pytest.raises(DatasetMissing, match="no sounds of the split dev, though the list names some"):
        sounds(tmp_path, "dev")


def test_text_pairs_keep_their_corpus_and_skip_blank_sides(tmp_path):
    write_lines(
        tmp_path / "text" / "en-de.dev.tsv.gz",
        ['Say "hi".\tSag „hallo“.\ttatoeba', "A dog.\tEin Hund.\tmulti30k\t1.jpg", "Empty.\t \ttatoeba"],
    )
    write_lines(tmp_path / "text" / "en-de.train.core.tsv.gz", ["One.\tEins.\ttatoeba"])
    write_lines(tmp_path / "text" / "mono.zh.written.tsv.gz", ["小狗。\t1.jpg\twritten"])
    quoted, dog = pairs(tmp_path, "en-de", "dev")
    assert (quoted.source, quoted.corpus) == ('Say "hi".', "tatoeba")
    assert (dog.target, dog.corpus) == ("Ein Hund.", "multi30k")
    assert [pair.source for pair in pairs(tmp_path, "en-de", "train")] == ["One."]
    assert mono_zh(tmp_path) == ["小狗。"]
    with pytest.raises(DatasetMissing, match="no text pairs en-fr of the split dev"):
        pairs(tmp_path, "en-fr", "dev")


def test_fewshot_sheets_fall_into_tiles_and_photos_keep_their_labels(tmp_path):
    sheet = io.BytesIO()
    Image.new("1", (3 * 28, 2 * 28)).save(sheet, "png")
    row = {"id": "Greek", "file": "Greek.png", "classes": 2, "per_class": 3, "tile": 28, "split": "dev"}
    write_rows(tmp_path / "fewshot" / "omniglot28.jsonl.gz", [{**row, "corpus": "omniglot"}])
    write_rows(tmp_path / "fewshot" / "natural_dev.jsonl.gz", [{"id": "cat1", "label": "cat"}])
    write_tar(tmp_path / "fewshot" / "omniglot28.tar", {"Greek.png": sheet.getvalue()})
    write_tar(tmp_path / "fewshot" / "natural_dev.tar", {"cat1.webp": webp((5, 5, 5))})
    cat, *tiles = fewshot(tmp_path, "dev")
    assert (cat.corpus, cat.label, cat.box) == ("natural", "cat", None)
    assert [tile.label for tile in tiles] == ["Greek/0"] * 3 + ["Greek/1"] * 3
    assert tiles[4].box == (28, 28, 56, 56)


@pytest.mark.parametrize("in_tar", [True, False])
def test_clips_are_found_in_a_tar_or_beside_it_and_given_as_files(tmp_path, in_tar):
    row = {"id": "v1", "file": "v1.mp4", "caption": "A dog.", "qa": [{"q": "What is it?", "a": "a dog"}], "sound": None}
    write_rows(tmp_path / "data" / "video" / "mini.jsonl.gz", [row])
    if in_tar:
        write_tar(tmp_path / "data" / "video" / "mini.tar", {"v1.mp4": b"clip"})
    else:
        (tmp_path / "data" / "video" / "v1.mp4").write_bytes(b"clip")
    (record,) = videos(tmp_path / "data", "test")
    path = record.source.as_file(tmp_path)
    assert (path.name, path.read_bytes()) == ("v1.mp4", b"clip")
    assert record.questions == (("What is it?", "a dog"),)


def test_a_list_cannot_reach_outside_its_folder(tmp_path):
    (tmp_path / "secret.mp4").write_bytes(b"private")
    write_rows(tmp_path / "data" / "video" / "mini.jsonl.gz", [{"id": "v", "file": "../../secret.mp4", "qa": []}])
    with pytest.raises(DatasetMissing):
        videos(tmp_path / "data", "test")


@pytest.mark.parametrize("read", [photos, speech, sounds, fewshot, videos])
def test_an_empty_folder_is_a_missing_part(tmp_path, read):
    with pytest.raises(DatasetMissing, match="the data has no"):
        read(tmp_path, "dev")


@given(st.binary(max_size=200))
@example(b"\xff\n")  # the head of JPEG XL, whose plugin for Pillow raises RuntimeError where it is loaded
def test_bytes_that_are_no_media_are_one_sentence_in_two_languages(data):
    for decode in (decode_photo, decode_sound):
        with pytest.raises(MediaError, match=r"thing\.webp is not a (picture|sound) that can be read") as caught:
            decode(data, "thing.webp")
        assert "thing.webp" in caught.value.text("zh")
