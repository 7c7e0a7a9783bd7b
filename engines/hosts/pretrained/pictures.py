"""Models that caption a picture or answer one question about it in English, and hold no conversation (BLIP, GIT)."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from engines.errors import AbilityError
from engines.hosts import prompts
from engines.hosts.pretrained import weights
from engines.hosts.pretrained.checkpoint import Checkpoint, Place
from engines.hosts.pretrained.generation import GenerationLock
from engines.hosts.results import RESULTS, Steps, Written
from engines.protocol import Ability, AskRequest, Cancel, CaptionRequest, Modality, Progress, Result

LANGUAGE = "en"
N_NEW = 60


def takes(_: Checkpoint) -> frozenset[Modality]:
    return frozenset({"picture"})


def abilities(checkpoint: Checkpoint) -> frozenset[Ability]:
    return frozenset({Ability(AskRequest if _answers(checkpoint) else CaptionRequest, LANGUAGE)})


def _answers(checkpoint: Checkpoint) -> bool:
    return any("QuestionAnswering" in name for name in checkpoint.config.get("architectures") or ())


def tasks(checkpoint: Checkpoint, place: Place, lock: GenerationLock) -> dict[type, Steps]:
    """What the model does, once its weights are there. Raises CheckpointError."""
    return {AskRequest if _answers(checkpoint) else CaptionRequest: Pictures(checkpoint, place, lock).answer}


class Pictures:
    def __init__(self, checkpoint: Checkpoint, place: Place, lock: GenerationLock) -> None:
        self._name = checkpoint.name
        self._images = weights.image_processor(checkpoint)
        self._tokenizer = weights.tokenizer(checkpoint)
        kind = "AutoModelForVisualQuestionAnswering" if _answers(checkpoint) else "AutoModelForImageTextToText"
        self._model = weights.load(kind, checkpoint, place)
        self._lock = lock

    def answer(self, request: CaptionRequest | AskRequest, _: Cancel) -> Iterator[Result]:
        """A caption, or the answer to a question, of a photo or of a clip's middle frame."""
        if request.language != LANGUAGE:
            raise AbilityError(
                "english_only",
                "{name} writes English only; choose English, or another model in Models & device.",
                name=self._name,
            )
        kind: Any = RESULTS[type(request)]
        yield kind(request=request, progress=Progress("looking"))
        given = prompts.material(request.media, frozenset({"picture"}), self._name)
        question, told = "", dict[str, Any](request=request, notes=given.notes)
        if isinstance(request, AskRequest):
            question, told["silent"] = request.question, given.silent
            if "picture" in request.hide:
                raise AbilityError(
                    "picture_needed",
                    "{name} only sees; without the picture it has nothing to answer from.",
                    name=self._name,
                )
        written = Written()
        with closing(self._written(given.frames[len(given.frames) // 2], question)) as reply:
            for written in reply:
                yield kind(**told, text=written.text, progress=Progress("writing"))
        yield kind(**told, text=written.text, end=written.end)

    def _written(self, frame: np.ndarray, question: str = "") -> Generator[Written]:
        """The text for a picture (H, W, 3) uint8, as it grows."""
        inputs = dict(self._images(Image.fromarray(frame), return_tensors="pt"))
        if question:
            asked = self._tokenizer(question, return_tensors="pt")
            inputs |= {"input_ids": asked["input_ids"], "attention_mask": asked["attention_mask"]}
        inputs = weights.placed(inputs, self._model)
        decode = partial(self._tokenizer.decode, skip_special_tokens=True)
        ends = self._tokenizer.sep_token_id, self._tokenizer.eos_token_id
        yield from self._lock.texts(self._model, inputs, N_NEW, decode, ends)
