"""Checkpoints one may want, and what each needs: parameters counted from its config, nothing fetched.

    python -m scripts.known_checkpoints [README.md ...]

prints the table, or puts it between the marks in the files given. A config here holds what differs from transformers'
defaults for its architecture, as published with the checkpoint; the model is built without memory (torch's meta device)
and its parameters are counted. Tabs are what the families of this package serve.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from engines.hosts.pretrained.checkpoint import BYTES, SPARE

BEGIN, END = "<!-- known {} -->", "<!-- end known -->"
TABS = {
    "en": {"search": "search", "speech": "speech", "video": "video", "caption": "captions", "text": "translation"},
    "zh": {"search": "搜索", "speech": "语音", "video": "视频问答", "caption": "描述", "text": "文字翻译"},
}
HEADS = {
    "en": "| checkpoint | for | parameters | memory, bfloat16 | int8 | licence | type |",
    "zh": "| 模型 | 用于 | 参数 | 内存（bfloat16） | int8 | 许可 | 输入 |",
}


@dataclass(frozen=True, kw_only=True)
class Known:
    """A checkpoint on the hub. tabs: keys of `TABS`. task: the route to type, "" for all. auto: its class to count."""

    name: str
    tabs: tuple[str, ...]
    model_type: str
    auto: str
    licence: str
    task: str = ""
    config: dict[str, Any] = field(default_factory=dict)

    def n_parameters(self) -> int:
        """Counted on the meta device, shared ones once."""
        import transformers

        config = transformers.AutoConfig.for_model(self.model_type, **self.config)
        with torch.device("meta"):
            model = getattr(transformers, self.auto).from_config(config)
        return sum(parameter.numel() for parameter in model.parameters())

    @property
    def line(self) -> str:
        return f"--model {self.task}={self.name}" if self.task else f"--model {self.name}"


def _whisper(width: int, layers: int, decoder_layers: int, heads: int, *, n_vocab: int, n_mels: int) -> dict[str, Any]:
    return {
        "d_model": width, "encoder_layers": layers, "decoder_layers": decoder_layers,
        "encoder_attention_heads": heads, "decoder_attention_heads": heads, "encoder_ffn_dim": 4 * width,
        "decoder_ffn_dim": 4 * width, "vocab_size": n_vocab, "num_mel_bins": n_mels,
    }  # fmt: skip


def _seq2seq(width: int, layers: int, ffn: int, heads: int, n_vocab: int) -> dict[str, Any]:
    return {
        "d_model": width, "encoder_layers": layers, "decoder_layers": layers, "encoder_ffn_dim": ffn,
        "decoder_ffn_dim": ffn, "encoder_attention_heads": heads, "decoder_attention_heads": heads,
        "vocab_size": n_vocab,
    }  # fmt: skip


_OMNI = ("video", "caption", "speech", "text")
KNOWN = (
    Known(
        name="openai/whisper-base", tabs=("speech",), task="transcribe", model_type="whisper",
        auto="AutoModelForSpeechSeq2Seq", licence="Apache-2.0",
        config=_whisper(512, 6, 6, 8, n_vocab=51865, n_mels=80),
    ),
    Known(
        name="openai/whisper-large-v3-turbo", tabs=("speech",), task="transcribe", model_type="whisper",
        auto="AutoModelForSpeechSeq2Seq", licence="MIT", config=_whisper(1280, 32, 4, 20, n_vocab=51866, n_mels=128),
    ),
    Known(
        name="facebook/wav2vec2-base-960h", tabs=("speech",), task="transcribe", model_type="wav2vec2",
        auto="AutoModelForCTC", licence="Apache-2.0",
    ),
    Known(
        name="google/siglip2-base-patch16-224", tabs=("search",), task="search", model_type="siglip", auto="AutoModel",
        licence="Apache-2.0", config={"text_config": {"vocab_size": 256_000}},
    ),
    Known(
        name="laion/clap-htsat-unfused", tabs=("search",), task="search", model_type="clap", auto="AutoModel",
        licence="Apache-2.0",
    ),
    Known(
        name="Salesforce/blip-image-captioning-base", tabs=("caption",), task="caption", model_type="blip",
        auto="AutoModelForImageTextToText", licence="BSD-3-Clause",
        config={"image_text_hidden_size": 256, "vision_config": {"image_size": 384},
                "text_config": {"vocab_size": 30_524, "num_attention_heads": 12, "encoder_hidden_size": 768}},
    ),
    Known(
        name="Helsinki-NLP/opus-mt-en-de", tabs=("text",), task="translate", model_type="marian",
        auto="AutoModelForSeq2SeqLM", licence="CC-BY-4.0",
        config=_seq2seq(512, 6, 2048, 8, 58_101) | {"max_position_embeddings": 512, "pad_token_id": 58_100},
    ),
    Known(
        name="facebook/m2m100_418M", tabs=("text",), task="translate", model_type="m2m_100",
        auto="AutoModelForSeq2SeqLM", licence="MIT", config=_seq2seq(1024, 12, 4096, 16, 128_112),
    ),
    Known(
        name="facebook/nllb-200-distilled-600M", tabs=("text",), task="translate", model_type="m2m_100",
        auto="AutoModelForSeq2SeqLM", licence="CC-BY-NC-4.0", config=_seq2seq(1024, 12, 4096, 16, 256_206),
    ),
    Known(
        name="google/gemma-3-4b-it", tabs=("video", "caption", "text"), model_type="gemma3",
        auto="AutoModelForMultimodalLM", licence="Gemma",
        config={
            "text_config": {
                "hidden_size": 2560, "intermediate_size": 10_240, "num_hidden_layers": 34, "num_attention_heads": 8,
                "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 262_208,
            },
            "vision_config": {
                "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16,
                "image_size": 896, "patch_size": 14,
            },
        },
    ),
    Known(
        name="Qwen/Qwen2.5-Omni-3B", tabs=_OMNI, model_type="qwen2_5_omni_thinker", auto="AutoModelForMultimodalLM",
        licence="Qwen research",
        config={
            "text_config": {
                "hidden_size": 2048, "intermediate_size": 11_008, "num_hidden_layers": 36, "num_attention_heads": 16,
                "num_key_value_heads": 2, "vocab_size": 151_936,
            },
            "vision_config": {"out_hidden_size": 2048, "hidden_size": 1280, "intermediate_size": 3420},
            "audio_config": {"output_dim": 2048},
        },
    ),
    Known(
        name="Qwen/Qwen2.5-Omni-7B", tabs=_OMNI, model_type="qwen2_5_omni_thinker", auto="AutoModelForMultimodalLM",
        licence="Apache-2.0",
        config={
            "text_config": {
                "hidden_size": 3584, "intermediate_size": 18_944, "num_hidden_layers": 28, "num_attention_heads": 28,
                "num_key_value_heads": 4, "vocab_size": 152_064,
            },
            "vision_config": {"out_hidden_size": 3584, "hidden_size": 1280, "intermediate_size": 3420},
            "audio_config": {"output_dim": 3584},
        },
    ),
)  # fmt: skip


def table(language: str, known: Sequence[Known] = KNOWN) -> str:
    """The table in Markdown; memory with room to work, as a host asks for it."""
    lines = [HEADS[language], "|---|---|---|---|---|---|---|"]
    for one in known:
        n = one.n_parameters()
        needs = (f"{n * BYTES[dtype] * SPARE / 1e9:.1f} GB" for dtype in ("bfloat16", "int8"))
        tabs = ("、" if language == "zh" else ", ").join(TABS[language][tab] for tab in one.tabs)
        size = f"{n / 1e9:.2f} B" if n >= 1e9 else f"{n / 1e6:.0f} M"
        lines.append(f"| {one.name} | {tabs} | {size} | {' | '.join(needs)} | {one.licence} | `{one.line}` |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="What known checkpoints need, counted from their configs.")
    parser.add_argument("files", nargs="*", type=Path, help="files to put the table into; default: print it")
    files = parser.parse_args(argv).files
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if not files:
        print(table("en"))
    for file in files:
        text = file.read_text(encoding="utf-8")
        for language in TABS:
            marks = re.escape(BEGIN.format(language)), re.escape(END)
            new = f"{BEGIN.format(language)}\n{table(language)}\n{END}"
            text = re.sub(f"{marks[0]}.*?{marks[1]}", new.replace("\\", r"\\"), text, flags=re.DOTALL)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
