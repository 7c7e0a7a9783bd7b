"""Tiny random transformers checkpoints of many architectures, built from configs and saved: a tenth of a second each.

They write nonsense, but through every step that a real one takes: processors, placeholders, generation, streaming.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEXT = ["a dog runs on the beach", "describe this photo in one sentence", "zwei Hunde spielen im Park", "你好 世界"]
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}<|vision_bos|><|IMAGE|><|vision_eos|>"
    "{% elif c['type'] == 'audio' %}<|audio_bos|><|AUDIO|><|audio_eos|>{% else %}{{ c['text'] }}{% endif %}{% endfor %}"
    "{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = {
    "image_token": "<|IMAGE|>",
    "audio_token": "<|AUDIO|>",
    "video_token": "<|VIDEO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}


def _tokenizer(special: list[str], **kwargs: Any) -> PreTrainedTokenizerFast:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator(TEXT, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=raw, **kwargs)


def _saved(model: Any, folder: Path, *parts: Any) -> Path:
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    model.save_pretrained(folder)
    for part in parts:
        part.save_pretrained(folder)
    return folder


def whisper(folder: Path) -> Path:
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|fr|>", "<|zh|>", "<|translate|>"]
    special += ["<|transcribe|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    times = [f"<|{i * 0.02:.2f}|>" for i in range(1501)]
    tokens = _tokenizer([*special], eos_token=special[0], unk_token=special[0], pad_token=special[0])
    tokens.add_tokens(times, special_tokens=True)
    ids = {name: tokens.convert_tokens_to_ids(name) for name in (*special, times[0])}
    config = transformers.WhisperConfig(
        vocab_size=len(tokens), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, eos_token_id=0, bos_token_id=0,
        pad_token_id=0, decoder_start_token_id=ids[special[1]], suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    model = transformers.WhisperForConditionalGeneration(config)
    known = {
        "lang_to_id": {name: ids[name] for name in special[2:6]},
        "task_to_id": {"translate": ids["<|translate|>"], "transcribe": ids["<|transcribe|>"]},
        "is_multilingual": True,
        "no_timestamps_token_id": ids["<|notimestamps|>"],
        "prev_sot_token_id": ids["<|startofprev|>"],
        "max_initial_timestamp_index": 50,
        "max_length": 448,
        "decoder_start_token_id": ids[special[1]],
    }
    for name, value in known.items():
        setattr(model.generation_config, name, value)
    return _saved(model, folder, tokens, transformers.WhisperFeatureExtractor())


def speller(folder: Path) -> Path:
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4}
    vocabulary |= {letter: 5 + i for i, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ'")}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    tokens = transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    config = transformers.Wav2Vec2Config(
        vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        conv_dim=(8,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2, do_stable_layer_norm=False,
    )  # fmt: skip
    return _saved(transformers.Wav2Vec2ForCTC(config), folder, tokens, transformers.Wav2Vec2FeatureExtractor())


def omni(folder: Path) -> Path:
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *SPECIAL.values()]
    tokens = _tokenizer(special, eos_token="<|im_end|>", pad_token="<|endoftext|>", extra_special_tokens=SPECIAL)
    tokens.chat_template = CHAT
    ids = {name: tokens.convert_tokens_to_ids(token) for name, token in SPECIAL.items()}
    config = transformers.Qwen2_5OmniThinkerConfig(
        audio_config={
            "num_mel_bins": 128, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32,
            "d_model": 16, "output_dim": 32, "n_window": 50, "max_source_positions": 1500,
        },
        vision_config={
            "depth": 1, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 32,
            "fullatt_block_indexes": [0], "patch_size": 14,
        },
        text_config={
            "vocab_size": len(tokens), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 1e4},
        },
        audio_token_index=ids["audio_token"], image_token_index=ids["image_token"],
        video_token_index=ids["video_token"], audio_start_token_id=ids["audio_bos_token"],
        audio_end_token_id=ids["audio_eos_token"], vision_start_token_id=ids["vision_bos_token"],
        vision_end_token_id=ids["vision_eos_token"], pad_token_id=0,
    )  # fmt: skip
    _saved(transformers.Qwen2_5OmniThinkerForConditionalGeneration(config), folder, tokens)
    images = transformers.Qwen2VLImageProcessorPil(patch_size=14, merge_size=2, min_pixels=784, max_pixels=784 * 16)
    sounds = transformers.WhisperFeatureExtractor(feature_size=128)
    images.save_pretrained(folder)
    settings = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    merged = sounds.to_dict() | settings
    merged |= {"feature_extractor_type": "WhisperFeatureExtractor", "processor_class": "Qwen2_5OmniProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(merged), encoding="utf-8")
    return folder


def language_model(folder: Path) -> Path:
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokens = _tokenizer(special, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokens.chat_template = CHAT
    config = transformers.Qwen2Config(
        vocab_size=len(tokens), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, pad_token_id=0, eos_token_id=2, bos_token_id=0,
    )  # fmt: skip
    return _saved(transformers.Qwen2ForCausalLM(config), folder, tokens)


def gemma(folder: Path) -> Path:
    """A model that chats about pictures and has no processor for videos, so any server takes it."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_bos|>", "<|vision_eos|>", "<|IMAGE|>"]
    named = {"boi_token": "<|vision_bos|>", "eoi_token": "<|vision_eos|>", "image_token": "<|IMAGE|>"}
    tokens = _tokenizer(special, eos_token="<|im_end|>", pad_token="<|endoftext|>", extra_special_tokens=named)
    tokens.chat_template = CHAT.replace("<|vision_bos|><|IMAGE|><|vision_eos|>", "<|vision_bos|>")
    config = transformers.Gemma3Config(
        text_config={
            "vocab_size": len(tokens), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 8192,
            "sliding_window": 4096, "pad_token_id": 0, "eos_token_id": 2, "bos_token_id": 0,
        },
        vision_config={
            "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "image_size": 64, "patch_size": 16,
        },
        mm_tokens_per_image=4, boi_token_index=3, eoi_token_index=4, image_token_index=5,
    )  # fmt: skip
    images = transformers.Gemma3ImageProcessorPil(size={"height": 64, "width": 64})
    whole = transformers.Gemma3Processor(images, tokens, chat_template=tokens.chat_template, image_seq_length=4)
    model = transformers.Gemma3ForConditionalGeneration(config)
    model.generation_config.suppress_tokens = [0, 1, 3, 4, 5]  # it writes something, and nothing but letters
    model.generation_config.begin_suppress_tokens = [0, 2]
    return _saved(model, folder, whole)


def blip(folder: Path, *, answers: bool = False) -> Path:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]"]
    tokens = _tokenizer(special, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]")
    text = {
        "vocab_size": len(tokens), "hidden_size": 16, "encoder_hidden_size": 16, "intermediate_size": 32,
        "projection_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "bos_token_id": 5, "pad_token_id": 0,
        "sep_token_id": 3, "eos_token_id": 3,
    }  # fmt: skip
    vision = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": 32, "patch_size": 16, "projection_dim": 16,
    }  # fmt: skip
    config = transformers.BlipConfig(text_config=text, vision_config=vision, projection_dim=16)
    kind = transformers.BlipForQuestionAnswering if answers else transformers.BlipForConditionalGeneration
    images = transformers.BlipImageProcessorPil(size={"height": 32, "width": 32})
    return _saved(kind(config), folder, tokens, images)


def siglip(folder: Path) -> Path:
    tokens = _tokenizer(["<pad>", "</s>"], pad_token="<pad>", eos_token="</s>")
    text = {
        "vocab_size": len(tokens), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": 64, "projection_size": 16,
    }  # fmt: skip
    vision = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": 32, "patch_size": 16,
    }  # fmt: skip
    config = transformers.SiglipConfig(text_config=text, vision_config=vision)
    images = transformers.SiglipImageProcessorPil(size={"height": 32, "width": 32})
    return _saved(transformers.SiglipModel(config), folder, tokens, images)


def clap(folder: Path) -> Path:
    tokens = _tokenizer(["<s>", "<pad>", "</s>", "<unk>"], pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    text = {
        "vocab_size": len(tokens), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": 66, "projection_dim": 16,
    }  # fmt: skip
    audio = {
        "hidden_size": 64, "depths": [1, 1], "num_attention_heads": [1, 2], "patch_embeds_hidden_size": 32,
        "spec_size": 256, "num_mel_bins": 64, "projection_dim": 16, "window_size": 4, "num_classes": 4,
        "enable_fusion": False,
    }  # fmt: skip
    config = transformers.ClapConfig(text_config=text, audio_config=audio, projection_dim=16)
    sounds = transformers.ClapFeatureExtractor(truncation="rand_trunc", padding="repeatpad")
    return _saved(transformers.ClapModel(config), folder, tokens, sounds)


def marian(folder: Path, source: str = "en", target: str = "de") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pieces = _pieces(folder / "source.spm")
    (folder / "target.spm").write_bytes((folder / "source.spm").read_bytes())
    vocabulary = {piece: i for i, piece in enumerate(["</s>", "<unk>", *pieces, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    tokens = transformers.MarianTokenizer(
        str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json"), source_lang=source,
        target_lang=target,
    )  # fmt: skip
    n = len(vocabulary)
    config = transformers.MarianConfig(
        vocab_size=n, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, pad_token_id=n - 1, eos_token_id=0,
        decoder_start_token_id=n - 1, forced_eos_token_id=0, num_beams=2, max_length=64,
    )  # fmt: skip
    return _saved(transformers.MarianMTModel(config), folder, tokens)


def m2m(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pieces = _pieces(folder / "sentencepiece.bpe.model")
    vocabulary = {piece: i for i, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *pieces])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    tokens = transformers.M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model"))
    config = transformers.M2M100Config(
        vocab_size=max(tokens.lang_token_to_id.values()) + 9, d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, num_beams=2, max_length=64,
    )  # fmt: skip
    return _saved(transformers.M2M100ForConditionalGeneration(config), folder, tokens)


def _pieces(file: Path) -> list[str]:
    """Train a model of few pieces into a file; its pieces without the special ones."""
    with file.open("wb") as opened:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXT * 4), model_writer=opened, vocab_size=60, model_type="bpe", minloglevel=2
        )
    processor = sentencepiece.SentencePieceProcessor(model_file=str(file))
    return [processor.id_to_piece(i) for i in range(3, processor.vocab_size())]


BUILT = {
    "whisper": whisper,
    "speller": speller,
    "omni": omni,
    "language_model": language_model,
    "gemma": gemma,
    "blip": blip,
    "siglip": siglip,
    "clap": clap,
    "marian": marian,
    "m2m": m2m,
}
