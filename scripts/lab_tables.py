"""The lab's tables in the README: every experiment over three seeds, its means and spreads, and on real data.

    python -m scripts.lab_tables assets/lab/results.json --voices ../shared/lab --omniglot ../shared/data
    python -m scripts.lab_tables assets/lab/results.json --write README.md README.zh.md

The first runs them, in about half an hour on two cores; the second puts what was found between `<!-- lab en -->` (or
`zh`) and `<!-- end lab -->` of each document, so that no figure is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from engines.errors import UserError
from engines.lab import (
    AlignmentRequest,
    ExtractorsRequest,
    Findings,
    FusionRequest,
    LabRequest,
    MamlRequest,
    MultitaskRequest,
    experiment,
    fusion,
    maml,
)
from engines.lab.data.datasets import Material, Part, Sounds, digits, real_voices
from engines.lab.findings import Table
from engines.lab.report import markdown, over_seeds
from engines.protocol import Cancel

SEEDS = (0, 1, 2)
RUNS: dict[str, LabRequest] = {
    "extractors of pictures": ExtractorsRequest(sense="picture"),
    "extractors of sounds": ExtractorsRequest(sense="sound"),
    "extractors of text": ExtractorsRequest(sense="text"),
    "fusion": FusionRequest(),
    "fusion, nothing dropped in training": FusionRequest(dropped=0.0),
    "alignment": AlignmentRequest(),
    "many tasks": MultitaskRequest(),
    "learning to learn": MamlRequest(),
}
"""What is run: title -> request. All of it as the page has it at first, but for the second fusion."""
VOICES = "fusion, spoken by real voices"
OMNIGLOT = "learning to learn, on Omniglot"
YARDSTICK = MamlRequest(learner=("first_order", "fine_tuning"), n_steps=6_000, n_tasks=16, n_inner=1)
"""With one inner step the body stays inside a task: the orders are one, and a step of meta-training costs the least."""
ON_REAL = {"fusion": VOICES, "learning to learn": OMNIGLOT}
"""Title -> that of the same on real data, which does not come with the program."""
ORDER = [title for own in RUNS for title in (own, ON_REAL.get(own)) if title is not None]
HIDDEN = ("trust", "size", "gradients")
"""Tables of one example, or of little interest in a README."""
BLOCK = re.compile(r"(<!-- lab (en|zh) -->\n).*?(<!-- end lab -->)", re.DOTALL)
ZH = {
    "extractors of pictures": "图片的特征提取", "extractors of sounds": "声音的特征提取",
    "extractors of text": "文字的特征提取", "fusion": "融合",
    "fusion, nothing dropped in training": "融合，训练时不丢弃感官", VOICES: "融合，真人录音",
    "alignment": "对齐", "many tasks": "多任务", "learning to learn": "学会学习", OMNIGLOT: "学会学习，Omniglot",
    "extractor": "提取器", "operator": "融合方式", "way": "方式", "task": "任务", "learner": "学习者",
    "accuracy": "准确率", "clean": "无噪声", "parameters": "参数量", "ms per step": "每步毫秒",
    "picture missing": "缺图片", "sound missing": "缺声音", "mean": "平均", "modality gap": "模态间隙",
    "mean, gap closed": "平均（合拢间隙）", "together": "一起", "alone": "单独", "difference": "差别",
    "chance": "随机", "written": "手写", "spoken": "语音", "word": "文字",
}  # fmt: skip
"""Titles and heads of columns in Chinese; what is not here stays as it is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the experiments, or write what was found into documents; gives the exit code."""
    parser = argparse.ArgumentParser("scripts.lab_tables", description="The lab's tables in the README.")
    parser.add_argument("results", type=Path, help="what was found, as JSON")
    parser.add_argument("--voices", type=Path, help="a folder with recordings of real voices, to measure fusion on too")
    parser.add_argument("--omniglot", type=Path, help="a folder that holds fewshot/, to learn to learn on it too")
    parser.add_argument("--only", choices=RUNS, nargs="+", default=RUNS, help="run these; the others stay as they are")
    parser.add_argument("--write", type=Path, nargs="+", help="only put what was found into these documents")
    options = parser.parse_args(arguments)
    try:
        before = json.loads(options.results.read_text(encoding="utf-8")) if options.results.is_file() else {}
        if options.write is None:
            found = before | measured({title: RUNS[title] for title in options.only}, options.voices, options.omniglot)
            ordered = {title: found[title] for title in ORDER if title in found}
            options.results.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            return 0
        for document in options.write:
            document.write_text(fill(document.read_text(encoding="utf-8"), before), encoding="utf-8")
    except UserError as error:
        print(error.en, file=sys.stderr)
        return 1
    return 0


def measured(
    requests: Mapping[str, LabRequest], voices: Path | None, omniglot: Path | None = None, seeds: Sequence[int] = SEEDS
) -> dict[str, Any]:
    """Title -> its tables, the numbers as "mean ± standard deviation" over the seeds. Raises RequestError."""
    heard = None if voices is None else spoken_by(digits(), real_voices(voices))
    found: dict[str, list[Table]] = {}
    for title, request in requests.items():
        ends = []
        for seed in seeds:
            print(f"{title}, seed {seed}", file=sys.stderr, flush=True)
            ends.append(_last(experiment(replace(request, seed=seed))))
        found[title] = _joined([end.tables for end in ends])
        if title == "fusion" and heard is not None:
            asked = [end.request for end in ends if isinstance(end.request, FusionRequest)]
            again = [fusion.measure(one, heard, end.weights) for one, end in zip(asked, ends, strict=True)]
            found[VOICES] = _joined(again)
        if title == "learning to learn" and omniglot is not None:
            print(OMNIGLOT, file=sys.stderr, flush=True)
            found[OMNIGLOT] = _joined([_last(maml.yardstick(YARDSTICK, omniglot, Cancel())).tables])
    return {title: [asdict(table) for table in tables] for title, tables in found.items()}


def spoken_by(material: Material, voices: Sounds) -> Material:
    """The same material, its test spoken by other voices: those are English alone."""
    test = material.test
    return replace(material, test=Part(pictures=test.pictures, sounds=voices, words=test.words))


def _last(stream: Iterator[Findings]) -> Findings:
    *_, found = stream
    return found


def _joined(tables: Sequence[tuple[Table, ...]]) -> list[Table]:
    """Each table of several seeds as one; what a step cost beside what it brought."""
    kept = [over_seeds(same) for same in zip(*tables, strict=True) if same[0].key not in HIDDEN]
    times = next((table for table in kept if table.key == "time"), None)
    first = kept[0]
    if times is not None and {row[0] for row in times.rows} >= {row[0] for row in first.rows}:
        ms = {row[0]: row[1] for row in times.rows}
        first = Table(first.key, (*first.columns, "ms per step"), tuple((*row, ms[row[0]]) for row in first.rows))
    return [first, *(table for table in kept[1:] if table.key != "time")]


# --- documents -------------------------------------------------------------------------------------------------------


def fill(document: str, found: Mapping[str, Any]) -> str:
    """A document with its blocks written anew."""
    return BLOCK.sub(lambda m: f"{m[1]}{shown(found, m[2])}{m[3]}", document)


def shown(found: Mapping[str, Any], language: str) -> str:
    """Every title with its tables, as Markdown."""
    parts = []
    for title, tables in found.items():
        said = _said(title, language)
        parts.append(f"**{said[:1].upper()}{said[1:]}**\n")
        parts += [
            markdown(Table(t["key"], tuple(_said(c, language) for c in t["columns"]), tuple(map(tuple, t["rows"]))))
            + "\n"
            for t in tables
        ]
    return "\n".join(parts)


def _said(word: str, language: str) -> str:
    """A title or the head of a column in a language; "written → word %" part by part."""
    if language != "zh":
        return word
    percent = " %" if word.endswith(" %") else ""
    word = word.removesuffix(" %")
    return ZH.get(word, " → ".join(ZH.get(part, part) for part in word.split(" → "))) + percent


if __name__ == "__main__":
    sys.exit(main())
