"""The vocabulary: a SentencePiece BPE model of Whisper's own pieces, and the embedding rows each piece starts from.

Whisper's byte-level BPE (Radford et al. 2022, after GPT-2) is pruned to the pieces our texts use, closed under merges;
the merge rank becomes the SentencePiece score, so Latin text splits almost exactly as in Whisper and its embeddings
carry over. Chinese characters that Whisper only spells in bytes get pieces of their own; task, language and time
pieces are added. What is left is spelt in bytes.

    python -m scripts.make_vocabulary WHISPER_FOLDER DATA_FOLDER OUT_FOLDER [--min-count 2] [--min-count-zh 4]
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from engines import archives
from engines.text import CONTROLS, EOS, NO_SPEECH, NO_TIMES, PAD, SOT, TIMES, UNK
from engines.training.start import ROWS_FILE


def byte_characters() -> dict[str, int]:
    """GPT-2's printable stand-in for each byte (Radford et al. 2019): character -> byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    characters = [chr(byte) for byte in printable]
    for byte in range(256):
        if byte not in printable:
            characters.append(chr(256 + len(printable) - 188))
            printable.append(byte)
    return dict(zip(characters, printable, strict=True))


def training_texts(data: Path) -> Iterable[str]:
    """Every sentence the model is trained on, all languages."""
    for pair in ("en-de", "en-fr", "en-zh"):
        for record in archives.pairs(data, pair, "train"):
            yield record.source
            yield record.target
    for photo in archives.photos(data, "train"):
        for language in ("en", "de", "zh"):
            yield from photo.captions.get(language, ())
    for unseen in archives.captions_only(data):
        for sentences in unseen.values():
            yield from sentences
    for speech in archives.speech(data, "train"):
        yield speech.text
        yield speech.raw or ""
    yield from archives.mono_zh(data)


def build(whisper: Path, data: Path, *, min_count: int, min_count_zh: int) -> tuple[bytes, list[list[int]]]:
    """The SentencePiece model's bytes, and for each piece the Whisper rows whose mean its embedding starts from."""
    from sentencepiece import sentencepiece_model_pb2 as proto
    from transformers import AutoTokenizer

    teacher = AutoTokenizer.from_pretrained(str(whisper))
    bpe = json.loads((whisper / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    rows: dict[str, int] = bpe["vocab"]
    to_byte = byte_characters()
    from_byte = {byte: character for character, byte in to_byte.items()}
    parts = {a + b: (a, b) for a, b in (m.split(" ") if isinstance(m, str) else m for m in bpe["merges"])}

    counts: Counter[int] = Counter()
    characters: Counter[str] = Counter()
    batch: list[str] = []

    def count(batch: list[str]) -> None:
        for ids in teacher(batch, add_special_tokens=False)["input_ids"]:
            counts.update(ids)

    for text in training_texts(data):
        characters.update(c for c in text if ord(c) > 0x2E7F)
        batch.append(f" {text}")
        if len(batch) == 4000:
            count(batch)
            batch = []
    count(batch)

    kept: set[str] = set()

    def keep(piece: str) -> None:
        """A piece and, recursively, the two it is merged from: without them BPE could never reach it."""
        if piece not in kept:
            kept.add(piece)
            for part in parts.get(piece, ()):
                keep(part)

    by_row = {row: piece for piece, row in rows.items()}
    for row, n in counts.items():
        if n >= min_count and row in by_row:
            keep(by_row[row])

    model = proto.ModelProto()
    trainer, normalizer = model.trainer_spec, model.normalizer_spec
    trainer.model_type, trainer.byte_fallback = 2, True
    trainer.unk_id, trainer.bos_id, trainer.eos_id, trainer.pad_id = 0, 1, 2, 3
    normalizer.name, normalizer.add_dummy_prefix = "identity", True
    normalizer.remove_extra_whitespaces, normalizer.escape_whitespaces = False, True
    kind = proto.ModelProto.SentencePiece
    starts: list[list[int]] = []
    names: set[str] = set()

    def add(piece: str, type_: int, score: float, start: list[int]) -> None:
        if piece not in names:
            names.add(piece)
            model.pieces.add(piece=piece, type=type_, score=score)
            starts.append(start)

    def special(name: str) -> int:
        return int(teacher.convert_tokens_to_ids(name))

    end = special("<|endoftext|>")
    add(UNK, kind.UNKNOWN, 0.0, [end])
    add(SOT, kind.CONTROL, 0.0, [special("<|startoftranscript|>")])
    add(EOS, kind.CONTROL, 0.0, [end])
    add(PAD, kind.CONTROL, 0.0, [end])
    like = {"<|caption|>": "<|transcribe|>", "<|answer|>": "<|transcribe|>", NO_SPEECH: "<|nospeech|>"}
    first_time = special(NO_TIMES) + 1  # Whisper's <|0.00|>; its time pieces follow 0.02 s apart
    for piece in CONTROLS:
        if piece in TIMES:
            start = first_time + 10 * TIMES.index(piece)
        else:
            start = special(like.get(piece, piece))
            if start == end:  # older checkpoints call it <|nocaptions|>
                start = special("<|nocaptions|>")
        add(piece, kind.CONTROL, 0.0, [start])
    for byte in range(256):
        add(f"<0x{byte:02X}>", kind.BYTE, 0.0, [rows[from_byte[byte]]])
    for piece in sorted(kept, key=rows.__getitem__):
        try:
            text = bytes(to_byte[c] for c in piece).decode("utf-8")
        except UnicodeDecodeError:
            continue  # part of a character: byte fallback spells those
        if all(ord(c) >= 32 for c in text):
            add(text.replace(" ", "▁"), kind.NORMAL, -float(rows[piece]), [rows[piece]])
    common = [character for character, n in characters.most_common() if n >= min_count_zh]
    for rank, character in enumerate(common, start=len(rows)):
        add(character, kind.NORMAL, -float(rank), teacher(character, add_special_tokens=False)["input_ids"])
    trainer.vocab_size = len(model.pieces)
    return model.SerializeToString(), starts


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the vocabulary out of Whisper's pieces.")
    parser.add_argument("whisper", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--min-count", type=int, default=2)
    parser.add_argument("--min-count-zh", type=int, default=4)
    args = parser.parse_args()
    model, rows = build(args.whisper, args.data, min_count=args.min_count, min_count_zh=args.min_count_zh)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "tokenizer.model").write_bytes(model)
    (args.out / ROWS_FILE).write_text(json.dumps(rows))
    print(f"{len(rows):,} pieces")


if __name__ == "__main__":
    main()
