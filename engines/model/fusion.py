"""The shared fusion model: modalities to tokens, streams of them to one memory, the memory to text, tokens to vectors.

Read top to bottom. Axes: B batch, S mel frames (100 Hz), T sound tokens (50 Hz), N picture tokens, F frames, L text
tokens, M memory tokens, D width, V vocabulary, E shared space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.model.config import ModelConfig
from engines.model.parts import Block, KVCache, masked_mean, time_encoding
from engines.model.picture import PictureTower
from engines.model.sound import SoundTower
from engines.model.text import Decoder, TextTower
from engines.model.translation_adapter import TranslationAdapter
from engines.protocol import LANGUAGES

StreamModality: TypeAlias = Literal["picture", "sound", "text", "names"]
MODALITIES: tuple[StreamModality, ...] = ("picture", "sound", "text", "names")
VectorKind: TypeAlias = Literal["photo", "sound", "text"]
VECTOR_KINDS: tuple[VectorKind, ...] = ("photo", "sound", "text")
"""What has a head of its own into the shared space; speech is placed by its words."""

FRAME_SIDE = 2
"""A frame of a clip is pooled to 2 x 2 tokens."""
SOUND_POOL = 10
"""Sound tokens averaged into one for events, search and clips: 50 Hz -> 5 Hz."""
CLOCK_START = 0.25
"""How loud the clock of clips is at first, beside tokens of about unit size."""
N_CTC = 257
"""CTC speaks in UTF-8 bytes: 0 is blank, byte b is b + 1."""


@dataclass(frozen=True)
class Stream:
    """Tokens of one modality. tokens (B, T, D), mask (B, T) True = real, times_s (B, T) seconds or None."""

    modality: StreamModality
    tokens: Tensor
    mask: Tensor
    times_s: Tensor | None = None


@dataclass(frozen=True)
class Memory:
    """What the decoder attends to. tokens (B, M, D), mask (B, M) True = real."""

    tokens: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Heard:
    """A sound after the tower.

    last (B, T, D) at 50 Hz with mask (B, T), the tower's silence at the end with it: for transcripts. mix (B, T', D) at
    5 Hz with mix_mask (B, T'), a learned mean of all layers: for events, sounds and clips.
    """

    last: Tensor
    mask: Tensor
    mix: Tensor
    mix_mask: Tensor


def novelty(stream: Stream) -> Tensor:
    """How unlike the moment before each token is: 1 - cosine, (B, T, D) -> (B, T), 0 to 2; 1 where nothing was before.

    Pictures are compared place by place with the frame before.
    """
    step = FRAME_SIDE**2 if stream.modality == "picture" else 1
    now = F.normalize(stream.tokens.float(), dim=-1) * stream.mask[..., None]
    before = F.pad(now, (0, 0, step, 0))[:, : now.shape[1]]
    return 1.0 - (now * before).sum(-1)


# --- operators: several streams -> one memory --------------------------------------------------------------------


def on_grid(stream: Stream, n: int) -> Tensor:
    """Lay a stream's real tokens out on n places, nearest each: (B, T, D) -> (B, n, D). An empty row is zero."""
    lengths = stream.mask.sum(1, keepdim=True)  # (B, 1)
    steps = (torch.arange(n, device=lengths.device) + 0.5) / n
    real_first = (~stream.mask).int().argsort(dim=1, stable=True)  # a sound may start late, so gaps may be anywhere
    index = real_first.gather(1, (steps * lengths).long().clamp(max=stream.mask.shape[1] - 1))  # (B, n)
    tokens = stream.tokens.gather(1, index[..., None].expand(-1, -1, stream.tokens.shape[2]))
    return tokens * (lengths > 0)[..., None]


class SumFusion(nn.Module):
    """Element-wise mean of the streams on a common grid; a missing stream is left out."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n = config.fusion_grid

    def forward(self, streams: Sequence[Stream]) -> Memory:
        present = torch.stack([stream.mask.any(1) for stream in streams]).sum(0).clamp(min=1)  # (B,)
        total = torch.stack([on_grid(stream, self.n) for stream in streams]).sum(0) / present[:, None, None]
        return Memory(total, torch.ones(total.shape[:2], dtype=torch.bool, device=total.device))


class GatedFusion(nn.Module):
    """The mean, multiplied element by element with a gate from each stream (after Kiela et al. 2018).

    A gate is 2 sigmoid(W x): 1 at the start, so that an untrained operator equals the mean. A missing stream gates
    nothing.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.mean = SumFusion(config)
        gates: dict[str, nn.Module] = {}
        for modality in MODALITIES if config.concepts else MODALITIES[:-1]:
            gates[modality] = gate = nn.Linear(config.width, config.width)
            nn.init.zeros_(gate.weight)
            nn.init.zeros_(gate.bias)
        self.gates = nn.ModuleDict(gates)

    def forward(self, streams: Sequence[Stream]) -> Memory:
        memory = self.mean(streams)
        tokens = memory.tokens
        for stream in streams:
            gate = 2.0 * torch.sigmoid(self.gates[stream.modality](on_grid(stream, self.mean.n)))
            tokens = tokens * torch.where(stream.mask.any(1)[:, None, None], gate, torch.ones_like(gate))
        return Memory(tokens, memory.mask)


def concatenate(streams: Sequence[Stream]) -> Memory:
    """All tokens side by side."""
    return Memory(torch.cat([s.tokens for s in streams], dim=1), torch.cat([s.mask for s in streams], dim=1))


class ConcatFusion(nn.Module):
    """All tokens side by side; the decoder's attention does the rest."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()

    def forward(self, streams: Sequence[Stream]) -> Memory:
        return concatenate(streams)


class AttentionFusion(nn.Module):
    """All tokens side by side, then blocks in which every token may attend to those of the other modalities."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        blocks = [Block(config.width, config.n_heads, mlp_ratio=2) for _ in range(config.n_fusion_blocks)]
        for block in blocks:
            block.start_as_identity()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, streams: Sequence[Stream]) -> Memory:
        memory = concatenate(streams)
        tokens = memory.tokens
        for block in self.blocks:
            tokens = block(tokens, memory.mask)
        return Memory(tokens, memory.mask)


OPERATORS: dict[str, type[nn.Module]] = {
    "sum": SumFusion,
    "gated": GatedFusion,
    "concat": ConcatFusion,
    "attention": AttentionFusion,
}


# --- heads -------------------------------------------------------------------------------------------------------


class PoolHead(nn.Module):
    """Tokens to one vector: learned weights over time (a plain mean at the start), then a linear layer."""

    def __init__(self, width: int, n_out: int) -> None:
        super().__init__()
        self.weigh = nn.Linear(width, 1)
        nn.init.zeros_(self.weigh.weight)
        self.project = nn.Linear(width, n_out)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D), (B, T) -> (B, n_out). A row without tokens gives the bias alone."""
        weight = self.weigh(tokens).float().masked_fill(~mask[..., None], -1e4).softmax(dim=1)
        pooled = (tokens * (weight * mask[..., None]).to(tokens.dtype)).sum(1)
        out: Tensor = self.project(pooled)
        return out


# --- the model ---------------------------------------------------------------------------------------------------


class FusionModel(nn.Module):
    """One model for every task; each task is a choice of streams and of the prefix the decoder starts from."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.picture = PictureTower(config)
        self.sound = SoundTower(config)
        self.text = TextTower(config)
        self.decoder = Decoder(config)
        self.layer_weights = nn.Parameter(torch.zeros(config.n_sound_blocks + 1))
        self.mix_norm = nn.LayerNorm(width)
        self.sound_bridge = nn.Linear(width, width)
        modalities = MODALITIES if config.concepts else MODALITIES[:-1]
        self.sense_embedding = nn.ParameterDict({modality: nn.Parameter(torch.zeros(width)) for modality in modalities})
        self.clock = nn.Linear(width, width, bias=False)
        with torch.no_grad():
            self.clock.weight.zero_().fill_diagonal_(CLOCK_START)
        self.change = nn.ParameterDict(
            {modality: nn.Parameter(torch.zeros(width)) for modality in ("picture", "sound")}
        )
        self.operator = OPERATORS[config.fusion](config)
        self.vectors = nn.ModuleDict({kind: PoolHead(width, config.embed_dim) for kind in VECTOR_KINDS})
        self.event_head = PoolHead(width, len(config.events))
        self.ctc_head = nn.Linear(width, N_CTC)
        self.translation: TranslationAdapter | None = None
        if config.concepts:  # names of concepts and groups in the shared space, one language after the other
            n_names = len(LANGUAGES) * (len(config.concepts) + len(config.concept_groups))
            self.concept_vectors = nn.Parameter(torch.zeros(n_names, config.embed_dim))

    @property
    def device(self) -> torch.device:
        return self.layer_weights.device

    @property
    def dtype(self) -> torch.dtype:
        return self.layer_weights.dtype

    # towers

    def see(self, photos: Tensor) -> Tensor:
        """Photos (B, 3, H, W) -> (B, N, D)."""
        out: Tensor = self.picture(photos.to(self.dtype))
        return out

    def see_and_name(self, photos: Tensor) -> tuple[Tensor, Tensor | None]:
        """Photos (B, 3, H, W) -> (B, N, D), and probabilities (B, C) of the concepts where the model has any."""
        feature_map, logits = self.picture.maps(photos.to(self.dtype))
        return self.picture.adapt(feature_map), None if logits is None else logits.float().softmax(-1)

    def name(self, photos: Tensor) -> Tensor | None:
        """The probabilities of `see_and_name` alone."""
        logits = self.picture.logits(photos.to(self.dtype))
        return None if logits is None else logits.float().softmax(-1)

    def hear(self, mel: Tensor, n_frames: Tensor) -> Heard:
        """Log-mel (B, 80, S) of at most 30 s, n_frames (B,) real ones -> Heard."""
        last, mask, pooled, pooled_mask = self.layers(mel, n_frames)
        return Heard(last, mask, self.mix(pooled), pooled_mask)

    def layers(self, mel: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What `hear` makes of the tower, before anything learnt here: the last layer (B, T, D) with its mask, and all
        layers of the sound without the silence after it, pooled: (B, T', n + 1, D) with its mask."""
        layers, mask = self.sound(mel.to(self.sound.conv1.weight.dtype), n_frames)
        layers = [layer.to(self.dtype) for layer in layers]
        n = (mel.shape[2] + 1) // 2
        sounds = torch.arange(n, device=mel.device) < ((n_frames + 1) // 2)[:, None]
        return layers[-1], mask, *pool_tokens(torch.stack([layer[:, :n] for layer in layers], dim=2), sounds)

    def mix(self, layers: Tensor) -> Tensor:
        """All layers, pooled, (B, T', n + 1, D), each normed since scales differ -> their learned mean (B, T', D)."""
        weight = self.layer_weights.softmax(0)[:, None].to(layers.dtype)
        normed = F.layer_norm(layers, layers.shape[-1:])
        out: Tensor = self.mix_norm((normed * weight).sum(2))
        return out

    def read(self, ids: Tensor, mask: Tensor, *, translating: bool = False) -> Tensor:
        """Tokens (B, L), mask (B, L) -> (B, L, D). translating: through the adapters for translation, if there are
        any."""
        adapters = self.translation.text if translating and self.translation is not None else None
        out: Tensor = self.text(self.decoder.embedding(ids), mask, adapters)
        return out

    # clips

    def pool_frames(self, tokens: Tensor) -> Tensor:
        """Frames (B, F, N, D) -> (B, F * 4, D): each frame's square of tokens becomes 2 x 2."""
        b, f, n, d = tokens.shape
        side = round(n**0.5)
        square = tokens.reshape(b * f, side, side, d).permute(0, 3, 1, 2)
        pooled = F.adaptive_avg_pool2d(square, FRAME_SIDE)  # (B * F, D, 2, 2)
        return pooled.flatten(2).transpose(1, 2).reshape(b, f * FRAME_SIDE**2, d)

    def bridge(self, mix: Tensor) -> Tensor:
        """The mix of a sound -> what the decoder attends to in clips and sounds: (B, T', D) -> (B, T', D)."""
        out: Tensor = self.sound_bridge(mix)
        return out

    # fusion and text

    def fuse(self, streams: Sequence[Stream]) -> Memory:
        """Streams of any modalities -> one memory. A single stream has nothing to be fused with and passes through."""
        if not streams:
            raise ValueError("nothing to fuse: give at least one stream")
        placed = [self._placed(stream) for stream in streams]
        if len(placed) == 1:
            return concatenate(placed)
        memory: Memory = self.operator(placed)
        return memory

    def _placed(self, stream: Stream) -> Stream:
        tokens = stream.tokens + self.sense_embedding[stream.modality].to(stream.tokens.dtype)
        if stream.times_s is not None:
            clock = self.clock(time_encoding(stream.times_s, tokens.shape[2]).to(self.dtype))
            change = novelty(stream)[..., None] * self.change[stream.modality]
            tokens = tokens + (clock + change).to(tokens.dtype)
        return Stream(stream.modality, tokens, stream.mask, stream.times_s)

    def decode(self, ids: Tensor, memory: Memory, cache: KVCache | None = None, *, translating: bool = False) -> Tensor:
        """Tokens (B, L) -> logits (B, L, V). With a cache only the new tokens are given, and the cache grows."""
        return self.decoder.logits(self.hidden(ids, memory, cache, translating=translating))

    def hidden(self, ids: Tensor, memory: Memory, cache: KVCache | None = None, *, translating: bool = False) -> Tensor:
        """`decode` before the logits: (B, L, D)."""
        adapters = self.translation.decoder if translating and self.translation is not None else None
        return self.decoder.hidden(ids, memory.tokens, memory.mask, cache, adapters)

    def new_cache(self) -> KVCache:
        return KVCache(self.config.n_decoder_blocks)

    # heads

    def vector(self, kind: VectorKind, tokens: Tensor, mask: Tensor) -> Tensor:
        """Tokens of one medium (B, T, D) -> unit vectors (B, E) float32 in the space all modalities share."""
        return F.normalize(self.vectors[kind](tokens, mask).float(), dim=-1)

    def ctc(self, last: Tensor) -> Tensor:
        """Sound tokens (B, T, D) -> log-probabilities (B, T, 257) over blank and UTF-8 bytes."""
        return self.ctc_head(last).float().log_softmax(-1)

    def event_logits(self, mix: Tensor, mask: Tensor) -> Tensor:
        """A mix (B, T', D) -> (B, n_events) float32; each event is a yes-or-no of its own (sigmoid)."""
        out: Tensor = self.event_head(mix, mask).float()
        return out


@dataclass(frozen=True)
class Translator:
    """The model through its adapters for translation, as `engines.decoding.generate` asks of a writer."""

    model: FusionModel

    def new_cache(self) -> KVCache:
        return self.model.new_cache()

    def decode(self, ids: Tensor, memory: Memory, cache: KVCache | None = None) -> Tensor:
        return self.model.decode(ids, memory, cache, translating=True)


def pool_tokens(tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Means of SOUND_POOL real tokens each: (B, T, ...) -> (B, ceil(T / n), ...), with the mask of what holds any."""
    n = SOUND_POOL
    pad = -tokens.shape[1] % n
    if pad:
        tokens = F.pad(tokens, (0, 0) * (tokens.dim() - 2) + (0, pad))
        mask = F.pad(mask, (0, pad))
    shape = tokens.shape[0], -1, n
    tokens, mask = tokens.unflatten(1, (-1, n)).flatten(0, 1), mask.reshape(*shape).flatten(0, 1)
    pooled = masked_mean(tokens.flatten(2), mask).unflatten(1, tokens.shape[2:])
    return pooled.unflatten(0, shape[:2]), mask.any(1).reshape(shape[:2])
