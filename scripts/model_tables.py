"""The tables of README and model card, written from an `evaluation.json` so that no figure is typed by hand.

    python -m scripts.model_tables EVALUATION.json README.md README.zh.md CARD.md

replaces what stands between `<!-- measured en -->` (or `zh`) and `<!-- end measured -->` in each document.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BLOCK = re.compile(r"(<!-- measured (en|zh) -->\n).*?(<!-- end measured -->)", re.DOTALL)

DIGITS = {"s": 3, "MB": 0}
"""Behind the point; of everything else one."""

ROWS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "Captions, English: BLEU-4 / CIDEr",
        "英文描述：BLEU-4 / CIDEr",
        ("caption.flickr8k.en.bleu4", "caption.flickr8k.en.cider"),
    ),
    (
        "… of the photo before (blind)",
        "……换成前一张图片（盲测）",
        ("caption.flickr8k.en.bleu4.blind", "caption.flickr8k.en.cider.blind"),
    ),
    ("Captions, Chinese: CIDEr", "中文描述：CIDEr", ("caption.flickr8k.zh.cider",)),
    ("Captions, German: CIDEr", "德文描述：CIDEr", ("caption.flickr8k.de.cider",)),
    (
        "… the English ones translated to Chinese / German: CIDEr",
        "……由英文描述译成中文 / 德文：CIDEr",
        ("caption.flickr8k.zh.through_english.cider", "caption.flickr8k.de.through_english.cider"),
    ),
    *(
        (
            f"Search, {name}: text to photo / photo to text, R@10",
            f"检索（{name_zh}）：文字找图 / 图找文字，R@10",
            tuple(f"retrieval.flickr8k.{lang}.{way}.recall_at_10" for way in ("text_to_image", "image_to_text")),
        )
        for lang, name, name_zh in (("en", "English", "英文"), ("zh", "Chinese", "中文"), ("de", "German", "德文"))
    ),
    (
        "Search: synthetic spoken caption to photo, R@10",
        "检索：合成语音找图，R@10",
        ("retrieval.speech_to_image.synthetic.recall_at_10",),
    ),
    (
        "Speech, LibriSpeech, unseen speakers: WER",
        "语音，LibriSpeech 新说话人：词错率",
        ("speech.librispeech-dev-clean.word_error_rate",),
    ),
    (
        "Speech, speechocean762, learners: WER",
        "语音，speechocean762 学习者：词错率",
        ("speech.speechocean762.word_error_rate",),
    ),
    (
        "… Whisper-base on some of these clips, LibriSpeech / speechocean762: WER",
        "……其中部分录音上的 Whisper-base，LibriSpeech / speechocean762：词错率",
        tuple(f"whispers.whisper-base.{c}.word_error_rate" for c in ("librispeech-dev-clean", "speechocean762")),
    ),
    (
        "Speech, spelling and commands (AN4) / strings of digits: WER",
        "语音，拼读与命令（AN4）/ 数字串：词错率",
        ("speech.an4.word_error_rate", "speech.fsdd-strings.word_error_rate"),
    ),
    ("Words invented in silence and noise", "在静音和噪声中编造的词数", ("speech.silence.invented_words",)),
    *(
        (
            f"Translation, Multi30k, {source} to {target}: BLEU",
            f"翻译，Multi30k，{source} → {target}：BLEU",
            (f"translation.multi30k.{source}_{target}.bleu",),
        )
        for source, target in (("en", "de"), ("en", "fr"), ("de", "en"), ("fr", "en"))
    ),
    (
        "Translation, captions, en to zh: BLEU by characters",
        "翻译，图片描述，en → zh：按字 BLEU",
        ("translation.flickr8kcn_human.en_zh.bleu",),
    ),
    *(
        (
            f"{name} English to German / French: BLEU",
            f"{name_zh}，英译德 / 英译法：BLEU",
            tuple(f"speech_translation.multi30k.en_{target}.{row}" for target in ("de", "fr")),
        )
        for name, name_zh, row in (
            ("Synthetic speech,", "合成语音", "bleu"),
            ("… the same sentences as text,", "……同样句子的文字", "text_in.bleu"),
        )
    ),
    (
        "Sounds, ESC-10 / UrbanSound8K: accuracy",
        "声音，ESC-10 / UrbanSound8K：准确率",
        ("sound.esc10.accuracy", "sound.us8k.accuracy"),
    ),
    ("Video questions, composed clips: accuracy", "视频问答，合成视频：准确率", ("video_qa.composed.accuracy",)),
    (
        "… blind / picture only / sound only",
        "……盲答 / 只有画面 / 只有声音",
        tuple(f"video_qa.composed.accuracy.{row}" for row in ("blind", "picture_only", "sound_only")),
    ),
    (
        "… what hiding the picture / the sound costs where it is needed",
        "……需要时遮住画面 / 声音的代价",
        tuple(f"video_qa.composed.without_{sense}.cost" for sense in ("picture", "sound")),
    ),
    *(
        (
            f"{name}, five labels by {n} example{'s' * (n > 1)}: nearest centroid / logistic regression / Teach it",
            f"{name_zh}，五个标签各 {n} 例：最近中心 / 逻辑回归 / 教它认",
            tuple(
                f"fewshot.{corpus}.5way_{n}shot.{row}" for row in ("accuracy", "logistic.accuracy", "taught.accuracy")
            ),
        )
        for corpus, name, name_zh in (
            ("omniglot", "Omniglot, new alphabets", "Omniglot 新字母表"),
            ("photos", "Photos, new nouns", "照片，新名词"),
            ("esc10", "ESC-10", "ESC-10"),
            ("us8k", "UrbanSound8K (its labels were seen)", "UrbanSound8K（见过其标签）"),
        )
        for n in (1, 5)
    ),
    *(
        (
            f'… {n} example{"s" * (n > 1)}: strangers that Teach it calls "none of these": '
            "Omniglot / photos / ESC-10 / UrbanSound8K",
            f"……{n} 例：“教它认”对陌生者说“都不是”的比例：Omniglot / 照片 / ESC-10 / UrbanSound8K",
            tuple(
                f"fewshot.{corpus}.5way_{n}shot.taught.strangers" for corpus in ("omniglot", "photos", "esc10", "us8k")
            ),
        )
        for n in (1, 5)
    ),
    *(
        (f"Seconds: {job} / {peer}", f"秒：{job_zh} / {peer}", (f"speed.{key}.seconds", f"speed.{beside}.seconds"))
        for key, beside, job, job_zh, peer in (
            ("caption", "caption.blip_base", "a caption", "一条描述", "BLIP-base, 20 pieces"),
            ("transcribe", "transcribe.whisper_tiny_en", "10 s of speech", "10 秒语音", "Whisper-tiny.en, 30 pieces"),
            ("photo_vector", "photo_vector.clip_vit_b32", "a photo's vector", "一张图的向量", "CLIP ViT-B/32"),
            ("translate", "translate.marian_base", "a sentence translated", "翻译一句", "Marian base, 15 pieces"),
        )
    ),
    (
        "Seconds: the first word of a caption / loading the model",
        "秒：描述的第一个词 / 载入模型",
        ("speed.caption_first_word.seconds", "speed.load.seconds"),
    ),
    *(
        (
            f"{name}: CIDEr, WER, BLEU / seconds a caption, a clip of speech, a sentence",
            f"{name_zh}：CIDEr、词错率、BLEU / 每条描述、每段语音、每句的秒数",
            tuple(
                f"precision.{key}.{row}"
                for row in (
                    *("caption.cider", "speech.word_error_rate", "translation.bleu"),
                    *("caption.seconds", "speech.seconds", "translation.seconds"),
                )
            ),
        )
        for key, name, name_zh in (
            ("float32", "All in float32", "全部 float32"),
            ("int8", "int8 weights in decoder, text and sound tower", "解码器、文本塔、声音塔用 int8 权重"),
            ("mixed", "… sound tower in bfloat16", "……声音塔用 bfloat16"),
            ("bfloat16", "All in bfloat16", "全部 bfloat16"),
        )
    ),
    ("Peak memory, megabytes", "内存峰值，MB", ("speed.peak_memory.megabytes",)),
)
"""What is shown: in English, in Chinese, and the keys whose values stand side by side."""


def measured(rows: Mapping[str, Any], language: str, shown: Sequence[tuple[str, str, tuple[str, ...]]] = ROWS) -> str:
    """A Markdown table of the rows that were measured; what was skipped or is not there is left out."""
    zh = language == "zh"
    lines = ["| 任务 | 结果 | 数量 |" if zh else "| task | result | n |", "|---|---|---|"]
    for english, chinese, keys in shown:
        found = [rows[key] for key in keys if rows.get(key, {}).get("value") is not None]
        if len(found) == len(keys):
            values = " / ".join(f"{row['value']:.{DIGITS.get(row.get('unit'), 1)}f}" for row in found)
            unit = " %" if {row.get("unit") for row in found} == {"%"} else ""
            lines.append(f"| {chinese if zh else english} | {values}{unit} | {found[0]['n']:,} |")
    return "\n".join(lines) + "\n"


def fill(document: str, rows: Mapping[str, Any]) -> str:
    """A document with its measured blocks written anew."""
    return BLOCK.sub(lambda m: f"{m[1]}{measured(rows, m[2])}{m[3]}", document)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write measured figures into documents.")
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("documents", type=Path, nargs="+")
    args = parser.parse_args()
    rows = json.loads(args.evaluation.read_text(encoding="utf-8"))
    for document in args.documents:
        document.write_text(fill(document.read_text(encoding="utf-8"), rows), encoding="utf-8")


if __name__ == "__main__":
    main()
