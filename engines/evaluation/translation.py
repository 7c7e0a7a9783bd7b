"""Text translation: sacreBLEU on raw text, per corpus and direction; Chinese against the machines of 2016."""

from __future__ import annotations

from engines.archives import DatasetMissing, PairRecord, pairs, photos
from engines.evaluation.bench import REASONS, Bench, Row, Rows, skipped
from engines.evaluation.metrics import MissingTool, bleu, caption_bleu, chinese_words
from engines.protocol import TranslateRequest, TranslateResult

TARGETS = ("de", "fr", "zh")
MAX_PAIRS = 1500
"""Of a corpus and direction; holds Multi30k and the human translations of captions whole."""


def translation_rows(bench: Bench) -> Rows:
    """`translation.<corpus>.{en_xx,xx_en}.bleu`; BLEU-1 and -2 over words for the Chinese captions."""
    rows: Rows = {}
    for target in TARGETS:
        try:
            found = pairs(bench.data, f"en-{target}", bench.split)
        except DatasetMissing as reason:
            rows[f"translation.en_{target}.bleu"] = skipped(reason)
            continue
        for corpus in sorted({pair.corpus for pair in found if bench.wants(pair.corpus)}):
            own = bench.take([pair for pair in found if pair.corpus == corpus], MAX_PAIRS)
            rows |= _direction_rows(bench, corpus, own, "en", target)
            rows |= _direction_rows(bench, corpus, own, target, "en")
    return rows | _machine_rows(bench)


def _direction_rows(bench: Bench, corpus: str, own: list[PairRecord], source: str, target: str) -> Rows:
    key = f"translation.{corpus}.{source}_{target}"
    sides = [(pair.source, pair.target) if source == "en" else (pair.target, pair.source) for pair in own]
    try:
        written = _translated(bench, [text for text, _ in sides], source, target, corpus)
        references = [[right] for _, right in sides]
        tokenize = "zh" if target == "zh" else "13a"
        rows = {f"{key}.bleu": Row(bleu(written, references, tokenize=tokenize), len(own), "points")}
        if target == "zh" and corpus.startswith("flickr8k"):
            rows |= _word_rows(key, written, references)
        return rows
    except REASONS as reason:
        return {f"{key}.bleu": skipped(reason)}


def _translated(bench: Bench, texts: list[str], source: str, target: str, what: str) -> list[str]:
    return [
        bench.ask(TranslateRequest(text=text, source=source, target=target), TranslateResult).text
        for text in bench.each(texts, f"{what}, {source} to {target}")
    ]


def _word_rows(key: str, written: list[str], references: list[list[str]]) -> Rows:
    """BLEU-1 and BLEU-2 over words cut by jieba, as published for Flickr8k-CN."""
    try:
        own = [chinese_words(text) for text in written]
        right = [[chinese_words(text) for text in texts] for texts in references]
    except MissingTool as reason:
        return {f"{key}.words_bleu1": skipped(reason)}
    return {
        f"{key}.words_bleu{n}": Row(caption_bleu(own, right, order=n), len(own), "points", note="words by jieba")
        for n in (1, 2)
    }


def _machine_rows(bench: Bench) -> Rows:
    """Our translation of captions and Google's of 2016, both against human translations, where photos carry both."""
    try:
        records = photos(bench.data, bench.split)
    except DatasetMissing:
        return {}
    full = [r for r in records if {"en", "zh_ht", "zh_mt_google"} <= r.captions.keys()]
    full = [r for r in full if len(r.captions["en"]) == len(r.captions["zh_ht"]) == len(r.captions["zh_mt_google"])]
    if not full or not bench.wants(full[0].corpus):
        return {}
    own = bench.take(full)
    key = f"translation.{own[0].corpus}_human.en_zh"
    references = [[r.captions["zh_ht"][0]] for r in own]
    machine = [r.captions["zh_mt_google"][0] for r in own]
    rows = {f"{key}.machine_2016.bleu": Row(bleu(machine, references, tokenize="zh"), len(own), "points")}
    try:
        written = _translated(bench, [r.captions["en"][0] for r in own], "en", "zh", "captions")
        rows[f"{key}.bleu"] = Row(bleu(written, references, tokenize="zh"), len(own), "points")
    except REASONS as reason:
        rows[f"{key}.bleu"] = skipped(reason)
    return rows
