"""The picture tower and its extractors: photos (B, 3, H, W) -> tokens (B, N, D), N = (H / 32) * (W / 32).

Three extractors with one interface, each giving a map (B, C, H / 32, W / 32):
`EfficientNetLite` (Tan & Le 2019, the Lite2 size; starts from its ImageNet weights, Apache-2.0), `Cnn` (plain strided
convolutions) and `Patches` (32 x 32 patches, Dosovitskiy et al. 2021, whose Transformer is the tower's own blocks).
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.model.config import ModelConfig
from engines.model.parts import Block


class Stage(NamedTuple):
    """A run of equal inverted-residual blocks; only the first has the stride."""

    kernel: int
    stride: int
    expand: int
    channels: int
    repeats: int


LITE2_STAGES = (
    Stage(3, 1, 1, 16, 1),
    Stage(3, 2, 6, 24, 3),
    Stage(5, 2, 6, 48, 3),
    Stage(3, 2, 6, 88, 4),
    Stage(5, 1, 6, 120, 4),
    Stage(5, 2, 6, 208, 5),
    Stage(3, 1, 6, 352, 1),
)
"""EfficientNet-B0's stages at width 1.1 and depth 1.2; stem and head stay at 32 and 1,280 channels (the Lite rule)."""


N_SHARED = 7
"""Blocks of EfficientNet-Lite2, of 21, that training leaves as they are, so that the classifier can start from them."""


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME: the odd pixel goes right and below, as the public weights expect."""

    def forward(self, x: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        pads: list[int] = []
        for size in (x.shape[3], x.shape[2]):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(x, pads))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project (Sandler et al. 2018). Batch norms are folded into the convolutions."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        inner = n_in * expand
        self.expand = nn.Conv2d(n_in, inner, 1) if expand > 1 else nn.Identity()
        self.depthwise = SameConv(inner, inner, kernel, stride, groups=inner)
        self.project = nn.Conv2d(inner, n_out, 1)
        self.expands, self.residual = expand > 1, stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.expand(x)) if self.expands else x
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


class EfficientNetLite(nn.Module):
    """(B, 3, H, W) -> (B, 1280, H / 32, W / 32); no squeeze-and-excitation, ReLU6 throughout (the Lite rule)."""

    channels = 1280

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, 32, 3, 2)
        blocks: list[nn.Module] = []
        n = 32
        for stage in LITE2_STAGES:
            for i in range(stage.repeats):
                stride = stage.stride if i == 0 else 1
                blocks.append(InvertedResidual(n, stage.channels, stage.kernel, stride, stage.expand))
                n = stage.channels
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Conv2d(n, self.channels, 1)

    def early(self, photos: Tensor) -> Tensor:
        """The stem and the first N_SHARED blocks: edges and textures, (B, 3, H, W) -> (B, 48, H / 8, W / 8)."""
        return self.blocks[:N_SHARED](F.relu6(self.stem(photos)))

    def late(self, x: Tensor) -> Tensor:
        """The other blocks and the head: (B, 48, H / 8, W / 8) -> (B, 1280, H / 32, W / 32)."""
        return F.relu6(self.head(self.blocks[N_SHARED:](x)))

    def forward(self, photos: Tensor) -> Tensor:
        return self.late(self.early(photos))


class Cnn(nn.Module):
    """Five strided 3 x 3 convolutions with group norm: (B, 3, H, W) -> (B, C, H / 32, W / 32)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        widths = [3, *(max(8, channels // 2**i) for i in (4, 3, 2, 1, 0))]
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(widths):
            layers += [nn.Conv2d(n_in, n_out, 3, 2, 1), nn.GroupNorm(1, n_out), nn.GELU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, photos: Tensor) -> Tensor:
        out: Tensor = self.layers(photos)
        return out


class Patches(nn.Module):
    """Each 32 x 32 patch through one linear layer: (B, 3, H, W) -> (B, C, H / 32, W / 32)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.patch = nn.Conv2d(3, channels, 32, 32)

    def forward(self, photos: Tensor) -> Tensor:
        out: Tensor = self.patch(photos)
        return out


class ConceptHead(nn.Module):
    """The extractor's own ImageNet classifier, kept as it was: what a photo shows, as one of `ModelConfig.concepts`.

    Training on captions moves the extractor's later blocks and makes it forget classes that the captions never name.
    So the public blocks stand here a second time, after the N_SHARED ones that both use.
    """

    def __init__(self, trunk: EfficientNetLite | Cnn | Patches, n_classes: int) -> None:
        super().__init__()
        self.blocks: nn.Module = nn.Sequential()
        self.head: nn.Module = nn.Sequential()
        if isinstance(trunk, EfficientNetLite):
            whole = EfficientNetLite()
            self.blocks, self.head = whole.blocks[N_SHARED:], nn.Sequential(whole.head, nn.ReLU6())
        self.classify = nn.Linear(trunk.channels, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """What the shared blocks give (or, of a trunk without any, its map) -> logits (B, n_classes)."""
        out: Tensor = self.classify(self.head(self.blocks(x)).mean((2, 3)))
        return out


class PictureTower(nn.Module):
    """Extractor, projection to the model's width, a learned place for each token, Transformer blocks."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.trunk: EfficientNetLite | Cnn | Patches
        if config.picture == "efficientnet_lite2":
            self.trunk = EfficientNetLite()
        elif config.picture == "cnn":
            self.trunk = Cnn(config.width)
        else:
            self.trunk = Patches(config.width)
        side = config.photo_px // 32
        self.project = nn.Linear(self.trunk.channels, config.width)
        self.places = nn.Parameter(torch.empty(1, config.width, side, side).normal_(std=0.02))
        self.blocks = nn.ModuleList(
            Block(config.width, config.n_heads, mlp_ratio=2) for _ in range(config.n_picture_blocks)
        )
        self.norm = nn.LayerNorm(config.width)
        self.concepts = ConceptHead(self.trunk, len(config.concepts)) if config.concepts else None

    def adapt(self, feature_map: Tensor) -> Tensor:
        """The extractor's map (B, C, h, w) -> tokens (B, h * w, D). Training on stored maps starts here."""
        h, w = feature_map.shape[2:]
        places: Tensor = self.places
        if places.shape[2:] != (h, w):
            places = F.interpolate(places.float(), (h, w), mode="bilinear", align_corners=False).to(places.dtype)
        x = self.project(feature_map.flatten(2).transpose(1, 2)) + places.flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x)
        return out

    def maps(self, photos: Tensor) -> tuple[Tensor, Tensor | None]:
        """Photos (B, 3, H, W) -> the extractor's map (B, C, h, w), and logits (B, n_concepts) where there are any."""
        if isinstance(self.trunk, EfficientNetLite):
            early = self.trunk.early(photos)
            return self.trunk.late(early), None if self.concepts is None else self.concepts(early)
        feature_map = self.trunk(photos)
        return feature_map, None if self.concepts is None else self.concepts(feature_map)

    def logits(self, photos: Tensor) -> Tensor | None:
        """The logits of `maps`, without the map."""
        if self.concepts is None:
            return None
        early = self.trunk.early(photos) if isinstance(self.trunk, EfficientNetLite) else self.trunk(photos)
        out: Tensor = self.concepts(early)
        return out

    def forward(self, photos: Tensor) -> Tensor:
        return self.adapt(self.trunk(photos))
