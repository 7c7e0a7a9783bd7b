"""Well-known models' architectures, built by transformers with random weights: only their time is compared.

Each entry builds a model and gives a job that does what our own job of that name does once, batch 1, greedy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engines.evaluation.metrics import MissingTool

N_CAPTION = 20
N_TRANSCRIPT = 30
"""Tokens Whisper writes for 10 s of read speech."""
N_TRANSLATION = 15

Job = Callable[[], object]


def _libraries() -> tuple[Any, Any]:
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingTool("transformers is not installed") from error
    return torch, transformers


def _without_gradients(torch: Any, job: Job) -> Job:
    def run() -> object:
        with torch.inference_mode():
            return job()

    return run


def _both_sides(**sizes: int) -> dict[str, int]:
    """Sizes that encoder and decoder share, under the names of their configs."""
    return {f"{side}_{name}": size for side in ("encoder", "decoder") for name, size in sizes.items()}


def blip_base() -> Job:
    """BLIP base (Li et al. 2022), 384 px, a caption of 20 tokens."""
    torch, transformers = _libraries()
    model = transformers.BlipForConditionalGeneration(transformers.BlipConfig()).eval()
    photo = torch.randn(1, 3, 384, 384)
    return _without_gradients(
        torch, lambda: model.generate(photo, max_new_tokens=N_CAPTION, min_new_tokens=N_CAPTION, num_beams=1)
    )


def whisper_tiny_en() -> Job:
    """Whisper tiny.en (Radford et al. 2022): its 30 s window, 30 tokens."""
    torch, transformers = _libraries()
    size = {"d_model": 384, "vocab_size": 51_864}
    sides = _both_sides(layers=4, attention_heads=6, ffn_dim=1536)
    model = transformers.WhisperModel(transformers.WhisperConfig(**size, **sides)).eval()
    mel = torch.randn(1, 80, 3000)

    def transcribe() -> object:
        memory = model.encoder(mel).last_hidden_state
        token, cache = torch.zeros(1, 1, dtype=torch.long), None
        for _ in range(N_TRANSCRIPT):
            out = model.decoder(token, encoder_hidden_states=memory, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            logits = out.last_hidden_state[:, -1] @ model.decoder.embed_tokens.weight.T
            token = logits.argmax(-1, keepdim=True)
        return token

    return _without_gradients(torch, transcribe)


def clip_vit_b32() -> Job:
    """CLIP ViT-B/32 (Radford et al. 2021): a photo's vector."""
    torch, transformers = _libraries()
    model = transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig()).eval()
    photo = torch.randn(1, 3, 224, 224)
    return _without_gradients(torch, lambda: model(photo).image_embeds)


def marian_base() -> Job:
    """Marian, transformer base (Junczys-Dowmunt et al. 2018), as the OPUS models are: a sentence of 15 tokens."""
    torch, transformers = _libraries()
    sides = _both_sides(layers=6, attention_heads=8, ffn_dim=2048)
    special = {"pad_token_id": 58_100, "decoder_start_token_id": 58_100, "eos_token_id": 0, "forced_eos_token_id": None}
    config = transformers.MarianConfig(vocab_size=58_101, d_model=512, **sides, **special)
    model = transformers.MarianMTModel(config).eval()
    sentence = torch.randint(1, 50_000, (1, N_TRANSLATION))
    return _without_gradients(
        torch,
        lambda: model.generate(sentence, max_new_tokens=N_TRANSLATION, min_new_tokens=N_TRANSLATION, num_beams=1),
    )


PEERS: dict[str, Callable[[], Job]] = {
    "caption.blip_base": blip_base,
    "transcribe.whisper_tiny_en": whisper_tiny_en,
    "photo_vector.clip_vit_b32": clip_vit_b32,
    "translate.marian_base": marian_base,
}
"""By the middle of their row's key."""
