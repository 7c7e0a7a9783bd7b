"""Write every generated table of README, docs and model card again, so that no figure is typed by hand.

    python -m scripts.tables            all of them
    python -m scripts.tables --check    only say which document is out of date; exit code 1 where one is

Figures of the model come from assets/models/builtin/evaluation.json (those of the version before it from
evaluation.before.json), those of the Lab from assets/lab/results.json, the sizes of known checkpoints from their
configs, hostile files and many users from docs/hostile_files.json and docs/load.json, which `scripts.hostile_files` and
`scripts.load` write, words in pictures from docs/words.json (`scripts.measure_words`). A document holds a table between
`<!-- NAME LANGUAGE -->` and `<!-- end NAME -->`, NAME being headline, measured, lab, known, trust, load or words.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engines.paths import ASSETS
from scripts import known_checkpoints, lab_tables, model_tables

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("README.md", "README.zh.md", "docs/*.md", "docs/zh/*.md", "assets/models/builtin/CARD.md")
BLOCK = re.compile(
    r"(<!-- (headline|measured|lab|known|trust|load|words) (en|zh) -->\n).*?(<!-- end \2 -->)", re.DOTALL
)

HEADLINE: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Captions of photos, English: CIDEr", "图片描述（英文）：CIDEr", ("caption.flickr8k.en.cider",)),
    (
        "Captions of photos of classes it was not trained on that name the thing: English / Chinese",
        "未训练过的类别的照片，描述说出其名：英文 / 中文",
        ("naming.imagenet.caption.accuracy", "naming.imagenet.caption.zh.accuracy"),
    ),
    (
        "Search among 600 photos by an English sentence: in the first ten",
        "用英文句子在 600 张图片中检索：前十命中",
        ("retrieval.flickr8k.en.text_to_image.recall_at_10",),
    ),
    (
        "English speech, unseen speakers (LibriSpeech): word error rate",
        "英语语音，陌生说话人（LibriSpeech）：词错率",
        ("speech.librispeech-dev-clean.word_error_rate",),
    ),
    (
        "Translation of captions, English to German / French: BLEU",
        "翻译图片描述，英译德 / 英译法：BLEU",
        ("translation.multi30k.en_de.bleu", "translation.multi30k.en_fr.bleu"),
    ),
    (
        "Questions about clips, picture and sound: right",
        "视频问答（画面与声音）：答对",
        ("video_qa.composed.accuracy",),
    ),
    ("Everyday sounds, ten classes (ESC-10): right", "日常声音，十类（ESC-10）：答对", ("sound.esc10.accuracy",)),
    ("One caption on two cores of a CPU, seconds", "在两个 CPU 核上写一条描述的秒数", ("speed.caption.seconds",)),
)
"""What the README shows: in English, in Chinese, and the keys whose values stand side by side."""


def headline(rows: Mapping[str, Any], language: str) -> str:
    """The eight rows of the README."""
    return model_tables.measured(rows, language, HEADLINE)


def tables() -> dict[str, Callable[[str], str]]:
    """The name of each table -> what it is in a language."""
    from scripts import hostile_files, load, measure_words

    model = ASSETS / "models" / "builtin"
    rows = json.loads((model / "evaluation.json").read_text(encoding="utf-8"))
    before = json.loads((model / "evaluation.before.json").read_text(encoding="utf-8"))
    found = json.loads((ASSETS / "lab" / "results.json").read_text(encoding="utf-8"))
    return {
        "headline": lambda language: headline(rows, language),
        "measured": lambda language: model_tables.measured(rows, language, before=before),
        "lab": lambda language: lab_tables.shown(found, chinese=language == "zh"),
        "known": lambda language: known_checkpoints.table(language) + "\n",
        "words": lambda language: measure_words.table(_found("words"), language),
        "trust": lambda language: hostile_files.table(_found("trust"), language),
        "load": lambda language: load.table(_found("load"), language),
    }


def _found(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "docs" / f"{name}.json").read_text(encoding="utf-8"))
    return found


def fill(document: str, made: Mapping[str, Callable[[str], str]]) -> str:
    """A document with its tables written anew; those that are not made stay."""
    return BLOCK.sub(
        lambda found: found[1] + made[found[2]](found[3]) + found[4] if found[2] in made else found[0], document
    )


def main(argv: list[str] | None = None) -> int:
    """Write the tables, or check them; returns the exit code."""
    parser = argparse.ArgumentParser("scripts.tables", description="Write the generated tables of all documents.")
    parser.add_argument("--check", action="store_true", help="write nothing; say what is out of date")
    check = parser.parse_args(argv).check
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    made, stale = tables(), []
    for path in sorted(path for pattern in DOCUMENTS for path in ROOT.glob(pattern)):
        before = path.read_text(encoding="utf-8")
        after = fill(before, made)
        if after != before:
            stale.append(path)
            print(f"{path.relative_to(ROOT)} {'is out of date' if check else 'was written'}")
            if not check:
                path.write_text(after, encoding="utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
