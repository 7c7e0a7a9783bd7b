"""The vocabulary: Whisper's pieces pruned to what is used, splitting as before, each with the rows it starts from."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import Tokenizer as Bpe
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from engines.protocol import LANGUAGES
from engines.text import CONTROLS, NO_SPEECH, NO_TIMES, TIMES, Tokenizer
from scripts import make_vocabulary as vocabulary
from scripts.make_vocabulary import byte_characters, training_texts
from tests.tiny_data import CHINESE, PHOTOS, WORDS

FORGOTTEN = "zzzzxq zzzzxq zzzzxq"
"""What Whisper has pieces for and our texts never use."""


@pytest.fixture(scope="module")
def whisper(tmp_path_factory) -> Path:
    """A tokenizer made as Whisper's is: byte-level BPE, its special pieces, time pieces 0.02 s apart."""
    bpe = Bpe(models.BPE())
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    texts = [f" {text}" for text in (*PHOTOS.values(), *WORDS, FORGOTTEN)] * 3
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False))
    languages = [f"<|{language}|>" for language in LANGUAGES]
    special = ["<|endoftext|>", "<|startoftranscript|>", *languages, "<|translate|>", "<|transcribe|>"]
    special += ["<|nocaptions|>", NO_TIMES, *(f"<|{i * 0.02:.2f}|>" for i in range(1501))]
    folder = tmp_path_factory.mktemp("whisper")
    teacher = PreTrainedTokenizerFast(tokenizer_object=bpe, unk_token="<|endoftext|>")
    teacher.add_special_tokens({"additional_special_tokens": special})
    teacher.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def teacher(whisper) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(whisper)


@pytest.fixture(scope="module")
def made(whisper, data) -> tuple[bytes, list[list[int]]]:
    return vocabulary.build(whisper, data, min_count=1, min_count_zh=2)


@pytest.fixture(scope="module")
def pieces(made) -> dict[str, int]:
    return {piece.piece: i for i, piece in enumerate(proto.ModelProto.FromString(made[0]).pieces)}


def test_every_byte_has_the_stand_in_that_gpt_2_gave_it():
    characters = byte_characters()
    assert len(characters) == len(set(characters.values())) == 256
    assert set(characters) == set(pre_tokenizers.ByteLevel.alphabet())
    assert (characters["A"], characters["Ġ"], characters["Ċ"]) == (65, 32, 10)


def test_every_text_that_is_trained_on_is_counted(data):
    texts = list(training_texts(data))
    assert {*PHOTOS.values(), *CHINESE, *WORDS, "Unseen .", "Nie .", "Guten Morgen.", "Un chien court. 1"} <= set(texts)


def test_what_is_made_is_a_tokenizer_of_ours_that_loses_nothing(made):
    tokenizer = Tokenizer(made[0])
    assert tokenizer.vocab_size == len(made[1])
    for text in (*PHOTOS.values(), *CHINESE, "Ein Hund läuft. ÄÖ 🤷 𝄞"):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_english_splits_as_in_whisper_into_pieces_that_keep_their_rows(made, teacher):
    tokenizer = Tokenizer(made[0])
    for text in (*PHOTOS.values(), *WORDS):
        rows = [made[1][i] for i in tokenizer.encode(text)]
        assert rows == [[row] for row in teacher(f" {text}", add_special_tokens=False)["input_ids"]]


def test_pieces_our_texts_never_use_are_left_out(pieces, teacher):
    assert "Ġzzzzxq" in teacher.get_vocab()
    assert "▁zzzzxq" not in pieces
    assert "▁snow" in pieces


def test_a_piece_is_reached_through_those_it_is_merged_from(pieces, whisper):
    to_byte = byte_characters()
    for merge in json.loads((whisper / "tokenizer.json").read_text(encoding="utf-8"))["model"]["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        whole, *parts = (bytes(map(to_byte.__getitem__, part)) for part in (left + right, left, right))
        if whole.isascii() and whole.decode().replace(" ", "▁") in pieces:
            assert all(part.decode().replace(" ", "▁") in pieces for part in parts)


def test_common_chinese_characters_get_a_piece_that_starts_from_their_bytes(made, pieces, teacher):
    assert made[1][pieces["狗"]] == teacher("狗", add_special_tokens=False)["input_ids"]
    assert len(made[1][pieces["狗"]]) == 3


def test_rare_chinese_characters_stay_bytes(whisper, data):
    model, _ = vocabulary.build(whisper, data, min_count=1, min_count_zh=10_000)
    assert not any("狗" in piece.piece for piece in proto.ModelProto.FromString(model).pieces)
    assert Tokenizer(model).decode(Tokenizer(model).encode("一只狗")) == "一只狗"


def test_control_pieces_start_from_whispers_nearest(made, pieces, teacher):
    def row(name: str) -> list[int]:
        return [teacher.convert_tokens_to_ids(name)]

    starts = {name: made[1][pieces[name]] for name in ("<s>", "</s>", *CONTROLS)}
    assert starts["<s>"] == row("<|startoftranscript|>")
    assert starts["</s>"] == row("<|endoftext|>")
    assert starts["<|zh|>"] == row("<|zh|>")
    assert starts["<|caption|>"] == starts["<|answer|>"] == starts["<|transcribe|>"] == row("<|transcribe|>")
    assert starts[NO_SPEECH] == row("<|nocaptions|>")  # as older checkpoints call it
    assert starts["<|0.00|>"] == row("<|0.00|>")
    assert starts["<|30.00|>"] == row("<|30.00|>")
    assert all(b[0] - a[0] == 10 for a, b in pairwise(starts[time] for time in TIMES))


def test_every_byte_starts_from_its_own_row(made, pieces, teacher):
    rows = {bytes_: made[1][pieces[f"<0x{bytes_:02X}>"]] for bytes_ in range(256)}
    vocabulary_ = teacher.get_vocab()
    assert all(rows[byte] == [vocabulary_[character]] for character, byte in byte_characters().items())


def test_the_program_writes_tokenizer_and_rows(whisper, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["vocabulary", str(whisper), str(data), str(tmp_path / "run")])
    vocabulary.main()
    tokenizer = Tokenizer.load(tmp_path / "run" / "tokenizer.model")
    rows = json.loads((tmp_path / "run" / vocabulary.ROWS_FILE).read_text())
    assert len(rows) == tokenizer.vocab_size
    assert f"{tokenizer.vocab_size:,} pieces" in capsys.readouterr().out
