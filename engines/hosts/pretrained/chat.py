"""Chat models with pictures, sound or both (Qwen2.5-Omni, Gemma 3n, SmolVLM, ...), or with text alone.

A model takes the modalities that its checkpoint has processors for. A clip is given as frames with times, and sound.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial
from typing import Any

from PIL import Image

from engines.hosts.dialogue import Dialogue
from engines.hosts.pretrained import weights
from engines.hosts.pretrained.checkpoint import Checkpoint, Place
from engines.hosts.pretrained.generation import GenerationLock
from engines.hosts.prompts import Turn
from engines.hosts.results import Steps, Written
from engines.protocol import (
    LANGUAGES,
    Ability,
    AskRequest,
    Cancel,
    CaptionRequest,
    Modality,
    TranscribeRequest,
    TranslateRequest,
)
from engines.tasks.translate import PAIRS

N_NEW = {CaptionRequest: 80, AskRequest: 240, TranscribeRequest: 220, TranslateRequest: 1_000}
"""Maximum new tokens by request type."""


def takes(checkpoint: Checkpoint) -> frozenset[Modality]:
    """The modalities a checkpoint has: a tower for each in its config, and a processor beside it."""
    config = {**checkpoint.config, **(checkpoint.config.get("thinker_config") or {})}
    found: set[Modality] = set()
    if any(config.get(key) for key in ("vision_config", "img_processor", "vision_model_config")):
        found.add("picture")
    if any(config.get(key) for key in ("audio_config", "audio_processor", "audio_encoder_config")):
        found.add("sound")
    return frozenset(found)


def abilities(checkpoint: Checkpoint) -> frozenset[Ability]:
    modalities = takes(checkpoint)
    found = {Ability(TranslateRequest, pair) for pair in PAIRS}
    if modalities:
        found |= {Ability(kind, language) for kind in (CaptionRequest, AskRequest) for language in LANGUAGES}
    if "sound" in modalities:
        found |= {Ability(TranscribeRequest, language) for language in (*LANGUAGES, *PAIRS)}
    return frozenset(found)


def tasks(checkpoint: Checkpoint, place: Place, lock: GenerationLock) -> dict[type, Steps]:
    """What the model does, once its weights are there. Raises CheckpointError."""
    chat = Chat(checkpoint, place, lock)
    dialogue = Dialogue(checkpoint.name, chat.modalities, chat.reply, N_NEW)
    found: dict[type, Steps] = {TranslateRequest: dialogue.translate}
    if chat.modalities:
        found |= {CaptionRequest: dialogue.answer, AskRequest: dialogue.answer}
    if "sound" in chat.modalities:
        found |= {TranscribeRequest: dialogue.transcribe}
    return found


class Chat:
    """The model with its processors; a conversation in, its reply out."""

    def __init__(self, checkpoint: Checkpoint, place: Place, lock: GenerationLock) -> None:
        self.modalities = takes(checkpoint)
        self._processor = weights.processor(checkpoint)
        self._tokenizer = getattr(self._processor, "tokenizer", self._processor)
        self._model = weights.load(
            "AutoModelForMultimodalLM" if self.modalities else "AutoModelForCausalLM", checkpoint, place
        )
        self._lock = lock

    def reply(self, turns: Sequence[Turn], n_new: int, _: Cancel) -> Generator[Written]:
        """The reply to a conversation as it grows; yielded often, even unchanged, so that a stop is noticed."""
        inputs = yield from self._lock.run(lambda: self._inputs(turns), Written())
        prompt = inputs["input_ids"][0].tolist()
        decode = partial(self._tokenizer.decode, skip_special_tokens=True)
        ends = self._model.generation_config.eos_token_id
        yield from self._lock.texts(self._model, inputs, n_new, decode, ends, prompt)

    def _inputs(self, turns: Sequence[Turn]) -> dict[str, Any]:
        messages = [self._message(turn) for turn in turns]
        found = self._processor.apply_chat_template(
            messages, tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True
        )
        inputs = weights.placed(found, self._model)
        if not self.modalities:
            inputs.pop("token_type_ids", None)  # which tokenizers give and no language model takes
        return inputs

    def _message(self, turn: Turn) -> dict[str, Any]:
        if not self.modalities:
            return {"role": turn.role, "content": turn.text}
        content: list[dict[str, Any]] = [{"type": "image", "image": Image.fromarray(f)} for f in turn.frames]
        if turn.samples is not None:
            content.append({"type": "audio", "audio": turn.samples})
        return {"role": turn.role, "content": [*content, {"type": "text", "text": turn.text}]}
