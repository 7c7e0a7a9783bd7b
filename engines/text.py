"""Text as the model sees it (one SentencePiece vocabulary) and as the metrics see it (normalised).

The vocabulary is made of Whisper's own tokens (Radford et al. 2022, MIT), so that its decoder keeps what it knows; see
`scripts/make_vocabulary.py`. Control tokens carry the task, the language and the time; they are never produced by
`encode`, so text typed by a person cannot smuggle one in.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from engines.errors import CheckpointError
from engines.protocol import LANGUAGES

Task: TypeAlias = Literal["transcribe", "translate", "caption", "answer"]
TASKS: tuple[Task, ...] = ("transcribe", "translate", "caption", "answer")

TIME_STEP_S = 0.2
"""Seconds between two time tokens; Whisper's are 0.02 s apart, of which every tenth is kept."""
MAX_TIME_S = 30.0

SOT, EOS, PAD, UNK = "<s>", "</s>", "<pad>", "<unk>"
NO_SPEECH, NO_TIMES = "<|nospeech|>", "<|notimestamps|>"
TIMES = tuple(f"<|{i * TIME_STEP_S:.2f}|>" for i in range(round(MAX_TIME_S / TIME_STEP_S) + 1))
CONTROLS = (*(f"<|{name}|>" for name in (*LANGUAGES, *TASKS)), NO_SPEECH, NO_TIMES, *TIMES)


class Tokenizer:
    """Text to token ids and back."""

    def __init__(self, model: bytes) -> None:
        import sentencepiece

        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model or b"\0")  # b"" would mean "later"
        except RuntimeError as error:
            raise CheckpointError(
                "tokenizer_damaged", "The tokenizer file is damaged; fetch the model again."
            ) from error
        missing = [token for token in (SOT, EOS, PAD, *CONTROLS) if not self._processor.is_control(self._id(token))]
        if missing:
            raise CheckpointError(
                "tokenizer_lacks_tokens",
                "The tokenizer lacks {n} control tokens, {first} first; it belongs to another model.",
                n=len(missing),
                first=missing[0],
            )
        self.digest = hashlib.sha256(model).hexdigest()
        self.vocab_size: int = self._processor.vocab_size()
        self.sot_id, self.eos_id, self.pad_id = (self._id(token) for token in (SOT, EOS, PAD))
        self.no_speech_id, self.no_times_id = self._id(NO_SPEECH), self._id(NO_TIMES)
        self.language_ids = {language: self._id(f"<|{language}|>") for language in LANGUAGES}
        self.task_ids = {task: self._id(f"<|{task}|>") for task in TASKS}
        self.time_ids = [self._id(token) for token in TIMES]
        self.special_ids = frozenset(
            i for i in range(self.vocab_size) if self._processor.is_control(i) or self._processor.is_unknown(i)
        )

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Read a `.model` file; CheckpointError when it is missing, damaged or of another family."""
        try:
            return cls(path.read_bytes())
        except OSError as error:
            raise CheckpointError(
                "tokenizer_unreadable",
                "The tokenizer file {name} cannot be read; fetch the model again.",
                name=path.name,
            ) from error

    def _id(self, token: str) -> int:
        return int(self._processor.piece_to_id(token))

    def encode(self, text: str) -> list[int]:
        """Text tokens only. Any text can be encoded: what has no token of its own is spelt in bytes.

        Runs of white space become one space, half surrogate pairs a question mark.
        """
        whole = text.encode("utf-8", "replace").decode("utf-8")
        return list(self._processor.encode(" ".join(whole.split())))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the tokens; control tokens are dropped, bytes that form no character become U+FFFD."""
        return str(self._processor.decode([int(i) for i in ids if int(i) not in self.special_ids])).strip()

    def prefix(self, task: Task, language: str) -> list[int]:
        """What the decoder starts from; `language` is that of the output. Whisper's order is kept."""
        return [self.sot_id, self.language_ids[language], self.task_ids[task], self.no_times_id]

    def time_s(self, token_id: int) -> float | None:
        """Seconds a time token stands for, None for any other token."""
        first = self.time_ids[0]
        return (token_id - first) * TIME_STEP_S if first <= token_id <= self.time_ids[-1] else None


# --- one spelling for the model ----------------------------------------------------------------------------------

_FULL_STOPS = frozenset("，；：！？（）…²³¹¼½¾™")
"""Compatibility characters that mean something else without their form, or that the model knows as they are."""
_ZERO_WIDTH_JOINER = "\u200d"


def fold(text: str) -> str:
    """Text in the letters the model was trained on: full-width and other compatibility letters become ordinary ones
    (NFKC), invisible characters go. Chinese punctuation stays, and so does what joins emoji."""
    text = unicodedata.normalize("NFC", text)
    kept = []
    for i, c in enumerate(text):
        joins = c == _ZERO_WIDTH_JOINER and i > 0 and unicodedata.category(text[i - 1]) in ("So", "Sk", "Mn")
        if unicodedata.category(c) != "Cf" or joins:
            kept.append(c if c in _FULL_STOPS else unicodedata.normalize("NFKC", c))
    return unicodedata.normalize("NFC", "".join(kept))


def is_capitals(text: str) -> bool:
    """Whether a text shouts: five capital letters or more, or several words of them, and no small letter.

    A short word alone may be an abbreviation ("USA").
    """
    letters = [c for c in text if c.isalpha()]
    n_capitals = sum(c.isupper() for c in letters)
    return not any(c.islower() for c in letters) and (n_capitals >= 5 or (n_capitals > 1 and len(text.split()) > 1))


def fold_query(text: str) -> str:
    """A text to be searched with, or among: folded, and small letters where all are capitals."""
    folded = fold(text)
    return folded.lower() if is_capitals(folded) else folded


def sentence_case(text: str) -> str:
    """A sentence of capitals as it is usually written: only its first letter is one, and the English I."""
    lower = re.sub(r"\bi\b", "I", text.lower())
    first = next((n for n, c in enumerate(lower) if c.isalpha()), 0)
    return lower[:first] + lower[first : first + 1].upper() + lower[first + 1 :]


def is_written_in(text: str, language: str) -> bool:
    """Whether a text has letters, at least half of them of the language's script: Chinese or Latin. Japanese and Korean
    are not taken for Chinese; a Latin word in a Chinese text counts like one letter."""
    text = re.sub(r"[A-Za-zÀ-ÿ]+", "x", text) if language == "zh" else text
    names = [unicodedata.name(c, "") for c in text if c.isalpha()]
    if language == "zh" and any(name.startswith(("HIRAGANA", "KATAKANA", "HANGUL")) for name in names):
        return False
    script = "CJK" if language == "zh" else "LATIN"
    own = sum(name.startswith(script) for name in names)
    return own > 0 and 2 * own >= len(names)


_FUNCTION_WORDS = {
    "en": "the and of to is are was you that it not with this have what he she we they my your on at",
    "de": "der die das und ist nicht ein eine zu ich du er sie wir es mit auf den dem was im wie für",
    "fr": "le la les et est une des que je tu il elle nous vous pas pour dans ce du au qui c'est sur",
}


FUNCTION_WORDS = frozenset(word for words in _FUNCTION_WORDS.values() for word in words.split())
"""Words that say little by themselves."""


def language_of(text: str) -> str | None:
    """The likeliest language of a text, by its script and its commonest words; None where that is not clear."""
    if is_written_in(text, "zh"):
        return "zh"
    words = re.findall(r"[a-zà-ÿ']+", text.lower())
    counts = {language: sum(map(words.count, own.split())) for language, own in _FUNCTION_WORDS.items()}
    best = max(counts, key=lambda language: counts[language])
    return best if list(counts.values()).count(counts[best]) == 1 else None


def tidy(text: str, language: str) -> str:
    """A written text without blanks before its punctuation. French keeps them before ! ? ; and :."""
    marks = ".,…" + ("" if language == "fr" else "!?;:")
    return re.sub(rf"(?<=\S)\s+(?=[{marks}]+(?:\s|$)|[。，、！？；：])", "", text)


_WITH_CAPITALS = """
Afghan African Airedale Alaskan American Asian Australian Belgian Bernese Boston Brittany Brussels Cardigan
Chihuahua Chinese Christmas Dalmatian Dane Doberman Dutch Egyptian English European French German Gila Gordon
Ibizan Indian Irish Italian Japanese Komodo Labrador Leonberger Malinois Maltese Mexican Newfoundland Norfolk
Norwegian Norwich Pekingese Pembroke Persian Polaroid Pomeranian Pyrenees Rhodesian Rottweiler Russian Samoyed
Scottish Siamese Siberian Spanish Swiss Tibetan Weimaraner Yorkshire iPod
"""
_CAPITALS = {word.lower(): word for word in _WITH_CAPITALS.split()}


def with_capitals(text: str, language: str) -> str:
    """An English text whose adjectives of places and names of breeds begin as they are written: "an Egyptian cat".

    The vocabulary of captions is small letters throughout, as the data it was learnt from.
    """
    if language != "en":
        return text
    return re.sub(r"[A-Za-z]+", lambda word: _CAPITALS.get(word[0], word[0]), text)


# --- for the metrics ---------------------------------------------------------------------------------------------

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def spell_number(n: int) -> str:
    """English words of 0 to 999,999, without "and" or hyphens: 1234 -> one thousand two hundred thirty four."""
    if n < 20:
        return _ONES[n]
    if n < 100:
        return _TENS[n // 10] + (f" {_ONES[n % 10]}" if n % 10 else "")
    if n < 1000:
        return f"{_ONES[n // 100]} hundred" + (f" {spell_number(n % 100)}" if n % 100 else "")
    return f"{spell_number(n // 1000)} thousand" + (f" {spell_number(n % 1000)}" if n % 1000 else "")


def _spoken(digits: str) -> str:
    """A numeral as a number, a long one (a telephone number) digit by digit."""
    return spell_number(int(digits)) if len(digits) < 7 else " ".join(_ONES[int(digit)] for digit in digits)


def normalise(text: str, language: str) -> str:
    """Lower case, no punctuation, one space between words; English numerals spelt out, Chinese cut into characters.

    Both sides of a word error rate and of a caption metric go through it, so that spelling habits do not count.
    """
    text = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    if language == "en":
        text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
        text = re.sub(r"\d+", lambda m: f" {_spoken(m[0])} ", text)
    kept = [c if c == "'" or unicodedata.category(c)[0] in "LNM" else " " for c in text]
    text = "".join(kept)
    if language == "zh":
        text = re.sub(r"([㐀-鿿豈-﫿])", r" \1 ", text)
    text = re.sub(r"(?<!\w)'|'(?!\w)", " ", text)
    return " ".join(text.split())
