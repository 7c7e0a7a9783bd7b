"""Text translation: sacreBLEU on raw text, per corpus and direction; Chinese against the machines of 2016."""

from __future__ import annotations

from engines.archives import DatasetMissing, PairRecord, pairs, photos
from engines.evaluation.harness import Harness, Row, Rows, attempt, skipped
from engines.evaluation.metrics import bleu, caption_bleu, chinese_words

TARGETS = ("de", "fr", "zh")
MAX_PAIRS = 1500
"""Of a corpus and direction; holds Multi30k and the human translations of captions whole."""


def translation_rows(harness: Harness) -> Rows:
    """`translation.<corpus>.{en_xx,xx_en}.bleu`; BLEU-1 and -2 over words for the Chinese captions."""
    rows: Rows = {}
    for target in TARGETS:
        try:
            found = pairs(harness.data, f"en-{target}", harness.split)
        except DatasetMissing as reason:
            rows[f"translation.en_{target}.bleu"] = skipped(reason)
            continue
        for corpus, own in harness.by_corpus([pair for pair in found if harness.wants(pair.corpus)], MAX_PAIRS):
            for source, into in (("en", target), (target, "en")):
                key = f"translation.{corpus}.{source}_{into}"
                rows |= attempt(f"{key}.bleu", _direction_rows, harness, key, own, source, into)
    return rows | _machine_rows(harness)


def _direction_rows(harness: Harness, key: str, own: list[PairRecord], source: str, target: str) -> Rows:
    sides = [(pair.source, pair.target) if source == "en" else (pair.target, pair.source) for pair in own]
    written = _translated(harness, [text for text, _ in sides], source, target, own[0].corpus)
    references = [[right] for _, right in sides]
    tokenize = "zh" if target == "zh" else "13a"
    rows = {f"{key}.bleu": Row(bleu(written, references, tokenize=tokenize), len(own), "points")}
    if target == "zh" and own[0].corpus.startswith("flickr8k"):
        rows |= attempt(f"{key}.words_bleu1", _word_rows, key, written, references)
    return rows


def _translated(harness: Harness, texts: list[str], source: str, target: str, what: str) -> list[str]:
    return [harness.translate(text, source, target) for text in harness.each(texts, f"{what}, {source} to {target}")]


def _word_rows(key: str, written: list[str], references: list[list[str]]) -> Rows:
    """BLEU-1 and BLEU-2 over words cut by jieba, as published for Flickr8k-CN."""
    own = [chinese_words(text) for text in written]
    right = [[chinese_words(text) for text in texts] for texts in references]
    return {
        f"{key}.words_bleu{n}": Row(caption_bleu(own, right, order=n), len(own), "points", note="words by jieba")
        for n in (1, 2)
    }


def _machine_rows(harness: Harness) -> Rows:
    """Our translation of captions and Google's of 2016, both against human translations, where photos carry both."""
    try:
        records = photos(harness.data, harness.split)
    except DatasetMissing:
        return {}
    full = [r for r in records if {"en", "zh_ht", "zh_mt_google"} <= r.captions.keys()]
    full = [r for r in full if len(r.captions["en"]) == len(r.captions["zh_ht"]) == len(r.captions["zh_mt_google"])]
    if not full or not harness.wants(full[0].corpus):
        return {}
    own = harness.take(full)
    key = f"translation.{own[0].corpus}_human.en_zh"
    references = [[r.captions["zh_ht"][0]] for r in own]

    def scored(written: list[str], name: str) -> Rows:
        return {f"{key}.{name}": Row(bleu(written, references, tokenize="zh"), len(own), "points")}

    def ours() -> Rows:
        english = [r.captions["en"][0] for r in own]
        return scored(_translated(harness, english, "en", "zh", "captions"), "bleu")

    return scored([r.captions["zh_mt_google"][0] for r in own], "machine_2016.bleu") | attempt(f"{key}.bleu", ours)
