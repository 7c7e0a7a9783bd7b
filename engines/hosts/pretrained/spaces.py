"""Models that place two modalities in one space: CLIP, SigLIP and SigLIP 2 text and pictures, CLAP text and sounds.

They bring their own search: a collection belongs to the model that made it, so one of theirs stands beside the built-in
model's. What a model does not take becomes a line in the list of files that could not be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from engines import media as files
from engines.encoder import WINDOW_S, Window, chunks, parts_of, sound_parts, unit
from engines.errors import MediaError
from engines.hosts.pretrained import weights
from engines.hosts.pretrained.checkpoint import Checkpoint, Place
from engines.hosts.pretrained.generation import GenerationLock
from engines.hosts.results import Steps
from engines.protocol import (
    RATE_HZ,
    Ability,
    Clip,
    EmbedRequest,
    IndexRequest,
    Kind,
    MapRequest,
    Media,
    Modality,
    Photo,
    SearchRequest,
    Sound,
)
from engines.tasks import maps, search

FIT_SLOPE = 20.0
FIT_MIDDLE = 0.25
"""Cosine at which a text fits as well as not, for models without a bias of their own: CLIP's cosines of matching pairs
lie around 0.3, of others around 0.2 (Radford et al. 2021). A guess until it is calibrated on data."""


def takes(checkpoint: Checkpoint) -> frozenset[Modality]:
    return frozenset({"sound" if checkpoint.model_type == "clap" else "picture"})


def abilities(_: Checkpoint) -> frozenset[Ability]:
    return frozenset(Ability(kind) for kind in (EmbedRequest, IndexRequest, SearchRequest, MapRequest))


def tasks(checkpoint: Checkpoint, place: Place, lock: GenerationLock) -> dict[type, Steps]:
    """What the model does, once its weights are there. Raises CheckpointError."""
    space = Space(checkpoint, place, lock)
    return {
        EmbedRequest: lambda request, _: search.embed(space, request),
        IndexRequest: lambda request, _: search.index(space, request),
        SearchRequest: lambda request, _: search.search(space, request),
        MapRequest: lambda request, _: maps.stream(space, request),
    }


class Space:
    """A model's two towers over media, as `tasks/search` asks for them."""

    def __init__(self, checkpoint: Checkpoint, place: Place, lock: GenerationLock) -> None:
        self.model_digest = checkpoint.digest
        self._name, self._type = checkpoint.name, checkpoint.model_type
        self._sees = "picture" in takes(checkpoint)
        self._tokenizer = weights.tokenizer(checkpoint)
        self._media = weights.image_processor(checkpoint) if self._sees else weights.feature_extractor(checkpoint)
        self._model = weights.load("AutoModel", checkpoint, place)
        self._turn = lock.hold()
        text = checkpoint.config.get("text_config") or {}
        self._n_text = int(text.get("max_position_embeddings") or 64)

    def meaning(self, _text: str) -> float:
        return 1.0

    def fit(self, score: float, _query: Kind, _row: Kind) -> float:
        """A cosine as 0 to 1: by the model's own scale and bias where it was trained with them (Zhai et al. 2023)."""
        bias = getattr(self._model, "logit_bias", None)
        if bias is None:
            logit = FIT_SLOPE * (score - FIT_MIDDLE)
        else:
            logit = self._model.logit_scale.detach().exp().item() * score + bias.detach().item()
        return float(1.0 / (1.0 + np.exp(-logit)))

    def text_vector(self, text: str) -> np.ndarray:
        """(D,) float32 of length 1; what the tower cannot hold is left out."""
        pad = {"padding": "max_length"} if self._type in ("siglip", "siglip2") else {}  # they were trained so
        n_most = min(self._n_text - (2 if self._type == "clap" else 0), 512)
        inputs = self._tokenizer(text, return_tensors="pt", truncation=True, max_length=n_most, **pad)
        return self._vector(self._model.get_text_features, inputs)

    def names(self) -> tuple[list[tuple[str, str]], np.ndarray]:
        """None of its own."""
        return [], np.zeros((0, 0))

    def query_vector(self, text: str, kind: Kind) -> np.ndarray:
        """The same for rows of every kind."""
        return self.text_vector(text)

    def windows(self, media: Media, *, max_s: float | None = None) -> Iterator[Window]:
        """A medium in windows of 10 s, a photo as one. Raises MediaError for what the model does not take."""
        name, parts = "this", parts_of(media, max_s)
        if isinstance(media, Path):
            name, kind = media.name, files.probe(media).kind
            if kind == "sound" if self._sees else kind == "photo":
                raise self._not_taken(name)
            if not self._sees:
                parts = sound_parts(files.stream_sound(media, chunk_s=WINDOW_S), max_s)
        elif isinstance(media, Clip) and media.sound is not None and not self._sees:
            parts = sound_parts(chunks(media.sound), max_s)
        for part in parts:
            match part.media:
                case Photo(pixels) if self._sees:
                    yield Window("photo", self._seen((pixels,)))
                case Clip(frames) if self._sees and frames:
                    yield Window("clip", self._seen(frames), part.start_s, part.end_s)
                case Sound(samples) if not self._sees:
                    yield Window("sound", self._heard(samples), part.start_s, part.end_s)
                case _:
                    raise self._not_taken(name)

    def _not_taken(self, what: str) -> MediaError:
        if self._sees:
            return MediaError("only_sees", "{name} only sees, so {what} is left out.", name=self._name, what=what)
        return MediaError("only_hears", "{name} only hears, so {what} is left out.", name=self._name, what=what)

    def _seen(self, frames: tuple[np.ndarray, ...]) -> np.ndarray:
        inputs = self._media([Image.fromarray(frame) for frame in frames], return_tensors="pt")
        return self._vector(self._model.get_image_features, inputs)

    def _heard(self, samples: np.ndarray) -> np.ndarray:
        rate_hz = self._media.sampling_rate
        inputs = self._media(_at(samples, rate_hz), sampling_rate=rate_hz, return_tensors="pt")
        return self._vector(self._model.get_audio_features, inputs)

    @torch.inference_mode()
    def _vector(self, features: Callable[..., Any], inputs: Any) -> np.ndarray:
        """The normalised mean of the rows' vectors."""
        given = weights.placed(inputs, self._model)
        with self._turn:
            found = features(**given)
        rows = getattr(found, "pooler_output", found)
        return unit(torch.nn.functional.normalize(rows.float(), dim=-1).mean(0).cpu().numpy())


def _at(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """(n,) at 16 kHz -> at another rate; CLAP listens at 48 kHz."""
    n = round(len(samples) * rate_hz / RATE_HZ)
    resampled = torch.nn.functional.interpolate(torch.from_numpy(samples)[None, None], size=n, mode="linear")
    found: np.ndarray = resampled[0, 0].numpy()
    return found
