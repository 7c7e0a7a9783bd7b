"""The head of "Teach it": a few-shot classifier on frozen embeddings that can reject.

It starts from the labels' prototypes (Snell et al. 2017, arXiv:1703.05175) and takes a few gradient steps on the
examples, as MAML does (Finn et al. 2017, arXiv:1703.03400). Everything else was meta-learnt over many small tasks by
`scripts.train_fewshot_heads`: the centre of the embeddings, a metric that separates classes, the scale of the logits,
the rate of each step (Li et al. 2017, arXiv:1707.09835) and the threshold of "none of these". Like ProtoMAML
(Triantafillou et al. 2020, arXiv:1903.03096), but with cosines and able to reject.

Axes: n support examples, q queries, C labels, D embedding, E metric space; `...` may be a batch of tasks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from engines import tensor_files
from engines.errors import RequestError
from engines.paths import ASSETS
from engines.protocol import Kind

CENTRE_SHRINKAGE = 0.5
"""The centre is this share of the mean of the labels' means, the rest is the meta-learnt centre (0 where there is
none); chosen on held-out classes of the training split."""
MIXED = "plain"
"""The space for examples of several kinds, and for other models: without a metric."""
SPACE_OF_KIND: dict[Kind, str] = {"photo": "photo", "clip": "photo", "sound": "sound", "speech": MIXED, "text": MIXED}
HEADS = ASSETS / "lab" / "heads.safetensors"


@dataclass(frozen=True, eq=False)
class Head:
    """What was meta-learnt for one space.

    centre (D,), metric (D, E): None where nothing is known of the embeddings. scale (): of the cosines before the
    softmax. rates, exponents (K,): step k has the learning rate rates[k] * shots ** exponents[k]. rejection (5,): the
    threshold of "none of these" in cosines, linear in `support_statistics`.
    """

    centre: Tensor | None
    metric: Tensor | None
    scale: Tensor
    rates: Tensor
    exponents: Tensor
    rejection: Tensor


@dataclass(frozen=True, eq=False)
class AdaptedHead:
    """A head after adaptation. centre (..., 1, D); weights (..., C, E); threshold (..., 1) in cosines."""

    head: Head
    centre: Tensor
    weights: Tensor
    threshold: Tensor


def adapt(head: Head, support: Tensor, one_hot: Tensor) -> AdaptedHead:
    """Adapt to support embeddings (..., n, D) with labels one_hot (..., n, C); a row of zeros is padding."""
    counts = one_hot.sum(-2)  # (..., C)
    mean_of_label = (one_hot / counts.clamp(min=1)[..., None, :]).mT  # (..., C, n), rows sum to 1
    centre = CENTRE_SHRINKAGE * (mean_of_label @ support).mean(-2, keepdim=True)  # (..., 1, D)
    if head.centre is not None:
        centre = centre + (1 - CENTRE_SHRINKAGE) * head.centre
    z = transform(head, support - centre)  # (..., n, E)
    weights = prototypes = F.normalize(mean_of_label @ z, dim=-1)  # (..., C, E)
    n_shots = counts.mean(-1)[..., None, None]
    balance = mean_of_label.sum(-2)[..., None] / one_hot.shape[-1]  # (..., n, 1): every label has the same weight
    for rate, exponent in zip(head.rates, head.exponents, strict=True):
        probabilities = (head.scale * z @ weights.mT).softmax(-1)
        gradient = ((probabilities - one_hot) * balance).mT @ z  # of the cross-entropy by weights, divided by scale
        weights = weights - rate * n_shots**exponent * gradient
    threshold = (support_statistics(z, prototypes, one_hot) * head.rejection).sum(-1, keepdim=True)
    return AdaptedHead(head, centre, weights, threshold)


def support_statistics(z: Tensor, prototypes: Tensor, one_hot: Tensor) -> Tensor:
    """What tells how similar out-of-set examples will be to the labels: (..., 5).

    1; log of the mean number of shots; log of the number of labels; the mean cosine between prototypes; the mean cosine
    between examples of one label, 0 where each label has one example.
    """
    n_labels, counts = one_hot.shape[-1], one_hot.sum(-2)
    between = ((prototypes @ prototypes.mT).sum((-1, -2)) - n_labels) / (n_labels * (n_labels - 1))
    same_label = one_hot @ one_hot.mT  # (..., n, n)
    n_pairs = (counts * (counts - 1)).sum(-1)
    within = (((z @ z.mT) * same_label).sum((-1, -2)) - counts.sum(-1)) / n_pairs.clamp(min=1)
    ones = torch.ones_like(between)
    return torch.stack([ones, counts.mean(-1).log(), math.log(n_labels) * ones, between, within], -1)


def class_logits(adapted: AdaptedHead, queries: Tensor) -> Tensor:
    """Embeddings (..., q, D) -> logits (..., q, C + 1); the last is "none of these"."""
    cosines = transform(adapted.head, queries - adapted.centre) @ adapted.weights.mT
    none = adapted.threshold[..., None, :].expand(*cosines.shape[:-1], 1)
    return adapted.head.scale * torch.cat([cosines, none], -1)


def transform(head: Head, centred: Tensor) -> Tensor:
    """Centred embeddings (..., D) -> unit vectors of the metric space (..., E)."""
    return F.normalize(centred if head.metric is None else centred @ head.metric, dim=-1)


# --- the file --------------------------------------------------------------------------------------------------------


@cache
def load_heads(path: Path = HEADS) -> tuple[str, dict[str, Head]]:
    """The digest of the model that the heads were learnt for, and the head of each space. Raises RequestError."""
    try:
        about, stored = tensor_files.read(path, "about", "pt")
        tensors = {name: value.float() for name, value in stored.items()}
        spaces = {name.partition(".")[0] for name in tensors}
        return about["model_digest"], {space: _head(tensors, space) for space in spaces}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RequestError(
            "lab_part_damaged",
            "The file assets/lab/{name} is missing or damaged; download the program again.",
            name=path.name,
        ) from error


def _head(tensors: dict[str, Tensor], space: str) -> Head:
    return Head(
        tensors.get(f"{space}.centre"),
        tensors.get(f"{space}.metric"),
        *(tensors[f"{space}.{name}"] for name in ("scale", "rates", "exponents", "rejection")),
    )


def head_for(kinds: Sequence[Kind], model_digest: str) -> Head:
    """The head of the examples' space if they share one and the model is the one it was learnt for, else MIXED."""
    digest, heads = load_heads()
    spaces = {SPACE_OF_KIND[kind] for kind in kinds}
    return heads[spaces.pop() if len(spaces) == 1 and model_digest == digest else MIXED]
