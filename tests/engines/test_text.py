"""Text: whatever goes in comes out, nothing typed becomes a control piece, and metrics see it plain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2 as proto

from engines.errors import CheckpointError
from engines.model.checkpoint import BUILTIN, TOKENIZER_FILE
from engines.protocol import LANGUAGES
from engines.text import (
    CONTROLS,
    TASKS,
    TIMES,
    Tokenizer,
    fold,
    fold_query,
    language_of,
    normalise,
    spell_number,
    tidy,
    with_capitals,
)

texts = st.text(st.characters(exclude_categories=["Cs"]))
sentences = st.text(alphabet=" '’,.!?-0123456789abcXYZäößéœÇ我们在雪里。，", max_size=40)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load(BUILTIN / TOKENIZER_FILE)


def as_written(text: str) -> str:
    """What a round trip keeps: SentencePiece's own mark for a space, and any run of white space, is one space."""
    return " ".join(text.replace("▁", " ").split())


# --- there and back ----------------------------------------------------------------------------------------------


@given(text=texts)
def test_every_text_comes_back(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == as_written(text)


@given(
    text=st.text()
    | st.sampled_from([*CONTROLS, "<s>", "</s>", "<pad>", "<unk>"])
    | st.from_regex(r"(<\|[a-z0-9]+\|> ?)+")
)
def test_no_control_token_can_be_typed(tokenizer, text):
    assert not tokenizer.special_ids.intersection(tokenizer.encode(text))


def test_control_tokens_leave_no_trace_in_the_text(tokenizer):
    prefix, dog = tokenizer.prefix("caption", "en"), tokenizer.encode("A dog.")
    assert tokenizer.decode([*prefix, *dog, tokenizer.time_ids[4], tokenizer.eos_id, tokenizer.pad_id]) == "A dog."


def test_bytes_that_form_no_character_are_shown_as_such(tokenizer):
    broken = tokenizer.encode("🤷")[:-1]
    assert "\ufffd" in tokenizer.decode(broken)


@given(ids=st.lists(st.integers(0, 20_000)))
def test_whatever_a_model_writes_is_text(tokenizer, ids):
    tokenizer.decode(ids).encode("utf-8")


# --- control tokens ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("task", TASKS)
def test_the_decoder_starts_from_language_task_and_no_times(tokenizer, task, language):
    assert tokenizer.prefix(task, language) == [
        tokenizer.sot_id,
        tokenizer.language_ids[language],
        tokenizer.task_ids[task],
        tokenizer.no_times_id,
    ]


def test_every_control_token_has_an_id_of_its_own(tokenizer):
    ids = [tokenizer.sot_id, tokenizer.eos_id, tokenizer.pad_id, tokenizer.no_speech_id, tokenizer.no_times_id]
    ids += [*tokenizer.language_ids.values(), *tokenizer.task_ids.values(), *tokenizer.time_ids]
    assert len(set(ids)) == len(ids) == len(CONTROLS) + 3
    assert tokenizer.special_ids == {*ids, 0}  # and <unk>


def test_times_go_from_0_to_30_s_in_steps_of_a_fifth(tokenizer):
    assert (TIMES[0], TIMES[1], TIMES[-1], len(TIMES)) == ("<|0.00|>", "<|0.20|>", "<|30.00|>", 151)
    assert tokenizer.time_s(tokenizer.time_ids[7]) == pytest.approx(1.4)
    assert tokenizer.time_s(tokenizer.eos_id) is None


# --- files that are no tokenizer of ours -------------------------------------------------------------------------


def test_the_digest_tells_tokenizers_apart(tokenizer):
    other = proto.ModelProto.FromString((BUILTIN / TOKENIZER_FILE).read_bytes())
    other.pieces.add(piece="▁zzzz", type=proto.ModelProto.SentencePiece.NORMAL, score=-1e6)
    changed = Tokenizer(other.SerializeToString())
    assert changed.vocab_size == tokenizer.vocab_size + 1
    assert changed.digest != tokenizer.digest == Tokenizer.load(BUILTIN / TOKENIZER_FILE).digest


@pytest.mark.parametrize("keep", [0, 4, 1000, -10])
def test_a_damaged_tokenizer_says_so(keep):
    with pytest.raises(CheckpointError) as caught:
        Tokenizer((BUILTIN / TOKENIZER_FILE).read_bytes()[:keep])
    assert caught.value.en == "The tokenizer file is damaged; fetch the model again."


def test_a_tokenizer_of_another_model_says_what_it_lacks():
    other = proto.ModelProto.FromString((BUILTIN / TOKENIZER_FILE).read_bytes())
    for piece in other.pieces:
        if piece.piece in ("<|zh|>", "<|answer|>"):
            piece.piece = piece.piece.upper()
    with pytest.raises(CheckpointError) as caught:
        Tokenizer(other.SerializeToString())
    assert caught.value.en == "The tokenizer lacks 2 control tokens, <|zh|> first; it belongs to another model."


def test_a_missing_tokenizer_is_called_by_its_bare_name(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        Tokenizer.load(tmp_path / "tokenizer.model")
    assert caught.value.en == "The tokenizer file tokenizer.model cannot be read; fetch the model again."


# --- numbers in words --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (40, "forty"),
        (99, "ninety nine"),
        (100, "one hundred"),
        (315, "three hundred fifteen"),
        (1234, "one thousand two hundred thirty four"),
        (20_007, "twenty thousand seven"),
        (999_999, "nine hundred ninety nine thousand nine hundred ninety nine"),
    ],
)
def test_numbers_are_spelt_as_they_are_said(number, words):
    assert spell_number(number) == words


# --- text for the metrics ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language", "plain"),
    [
        ("Hello, World!", "en", "hello world"),
        ("It’s the dogs' 'best' day -- isn't it?", "en", "it's the dogs best day isn't it"),
        ("1,234 people, 21 dogs", "en", "one thousand two hundred thirty four people twenty one dogs"),
        ("call 5551234", "en", "call five five five one two three four"),
        ("Zwei Hunde, 3 Bälle; Straße.", "de", "zwei hunde 3 bälle straße"),
        ("« L’été »", "fr", "l'été"),
        ("两只狗，在雪地里 play！", "zh", "两 只 狗 在 雪 地 里 play"),
        ("ＡＢ　１２", "zh", "ab 12"),
        ("?!…", "en", ""),
    ],
)
def test_spelling_habits_do_not_count(text, language, plain):
    assert normalise(text, language) == plain


@given(text=sentences, language=st.sampled_from(LANGUAGES))
def test_what_is_normalised_stays_as_it_is(text, language):
    once = normalise(text, language)
    assert normalise(once, language) == once == " ".join(once.split())


# --- one spelling for the model ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("ａ ｄｏｇ　２", "a dog 2"),
        ("a do\u200bg\ufeff, soft\u00adly", "a dog, softly"),
        ("ﬁne ℃", "fine °C"),
        ("e\u0301te\u0301", "été"),
        ("你好，走吧！（好）…", "你好，走吧！（好）…"),
        ("👩\u200d🚀 🏳️\u200d🌈", "👩\u200d🚀 🏳️\u200d🌈"),
        ("Straße Ünter", "Straße Ünter"),
    ],
)
def test_letters_are_folded_and_punctuation_and_emoji_are_left(text, folded):
    assert fold(text) == folded
    assert fold(folded) == folded


@pytest.mark.parametrize(
    ("query", "folded"),
    [
        ("A DOG", "a dog"),
        ("HORSES", "horses"),
        ("EIN HUND", "ein hund"),
        ("ＡＢＣＤＥ", "abcde"),
        ("USA", "USA"),
        ("a BBC van", "a BBC van"),
        ("一只狗", "一只狗"),
        ("21 12", "21 12"),
    ],
)
def test_a_query_in_capitals_is_searched_in_small_letters(query, folded):
    assert fold_query(query) == folded


@pytest.mark.parametrize(
    ("text", "language", "tidied"),
    [
        ("Come here . Now , please !", "en", "Come here. Now, please!"),
        ("Où es-tu ? Ici .", "fr", "Où es-tu ? Ici."),
        ("你好 。走吧 ！", "zh", "你好。走吧！"),
        ("It costs .5 or -.5 now", "en", "It costs .5 or -.5 now"),
        (" . start", "en", " . start"),
    ],
)
def test_no_blank_stands_before_a_full_stop(text, language, tidied):
    assert tidy(text, language) == tidied


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The dog is on the beach.", "en"),
        ("Der Hund ist nicht zu Hause.", "de"),
        ("Le chien est dans la rue.", "fr"),
        ("一个叫Rajesh Patel的男人在和狗玩。", "zh"),
        ("Xkcd qwrtz", None),
        ("12:30", None),
        ("これは日本語です。", None),
    ],
)
def test_the_language_of_a_text_is_told_by_its_script_and_its_commonest_words(text, language):
    assert language_of(text) == language


@pytest.mark.parametrize(
    ("text", "language", "written"),
    [
        ("There is an egyptian cat.", "en", "There is an Egyptian cat."),
        ("a german shepherd beside a great dane", "en", "a German shepherd beside a great Dane"),
        ("A china cabinet and a boxer.", "en", "A china cabinet and a boxer."),
        ("ein german", "de", "ein german"),
    ],
)
def test_places_and_breeds_are_written_with_capitals_in_english(text, language, written):
    assert with_capitals(text, language) == written
