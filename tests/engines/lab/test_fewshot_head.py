"""The few-shot head: prototypes, gradient steps written out by hand, and the file of what was meta-learnt."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch import Tensor

from engines.errors import RequestError
from engines.lab import fewshot_head
from engines.lab.fewshot_head import MIXED, Head, adapt, class_logits, head_for, load_heads

D = 16
RNG = torch.Generator().manual_seed(0)
HEAD = Head(
    centre=0.1 * torch.randn(D, generator=RNG),
    metric=torch.eye(D) + 0.1 * torch.randn(D, D, generator=RNG),
    scale=torch.tensor(8.0),
    rates=torch.full((5,), 0.1),
    exponents=0.3 * torch.randn(5, generator=RNG),
    rejection=0.1 * torch.randn(5, generator=RNG),
)


def some_task(n_labels: int = 3, n_shots: int = 4) -> tuple[Tensor, Tensor]:
    """Support (n, D) near the axes of its labels, and one_hot (n, C)."""
    labels = torch.arange(n_labels).repeat_interleave(n_shots)
    noise = 0.4 * torch.randn(len(labels), D, generator=torch.Generator().manual_seed(1))
    return F.normalize(torch.eye(D)[labels] + noise, dim=-1), torch.eye(n_labels)[labels]


def test_without_steps_the_head_is_the_nearest_prototype():
    support, one_hot = some_task()
    head = replace(HEAD, rates=torch.zeros(0), exponents=torch.zeros(0))
    adapted = adapt(head, support, one_hot)
    assert head.centre is not None and head.metric is not None
    centre = (support.mean(0) + head.centre) / 2
    z = F.normalize((support - centre) @ head.metric, dim=-1)
    means = torch.stack([z[column == 1].mean(0) for column in one_hot.T])
    torch.testing.assert_close(adapted.weights, F.normalize(means, dim=-1))
    query = torch.eye(D)[1:2]
    cosines = F.normalize((query - centre) @ head.metric, dim=-1) @ adapted.weights.T
    torch.testing.assert_close(class_logits(adapted, query)[:, :-1], 8 * cosines)


def test_a_step_follows_the_gradient_of_the_cross_entropy():
    """The gradient is written out by hand; autograd gives the same, times the scale."""
    support, one_hot = some_task()
    zero = torch.zeros(1)
    start = adapt(Head(None, None, HEAD.scale, zero, zero, torch.zeros(5)), support, one_hot)
    weights = start.weights.clone().requires_grad_()
    loss = F.cross_entropy(8 * F.normalize(support - start.centre, dim=-1) @ weights.mT, one_hot)
    (gradient,) = torch.autograd.grad(loss, weights)
    moved = adapt(Head(None, None, HEAD.scale, zero + 0.3, zero, torch.zeros(5)), support, one_hot).weights
    torch.testing.assert_close(moved, weights.detach() - 0.3 / 8 * gradient, atol=1e-5, rtol=1e-4)


def test_tasks_may_come_in_batches():
    support, one_hot = some_task()
    alone = class_logits(adapt(HEAD, support, one_hot), support)
    both = class_logits(adapt(HEAD, torch.stack([support] * 2), torch.stack([one_hot] * 2)), torch.stack([support] * 2))
    torch.testing.assert_close(both[1], alone, atol=1e-4, rtol=1e-4)


def test_a_row_of_zeros_is_padding():
    support, one_hot = some_task()
    one_hot[1] = one_hot[-1] = 0
    kept = one_hot.any(-1)
    padded, dense = (adapt(HEAD, *task) for task in ((support, one_hot), (support[kept], one_hot[kept])))
    torch.testing.assert_close(class_logits(padded, support), class_logits(dense, support), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("kinds", "digest", "space"),
    [
        (["photo", "clip"], "known", "photo"),
        (["sound"], "known", "sound"),
        (["photo", "sound"], "known", MIXED),
        (["speech"], "known", MIXED),
        (["photo"], "another model", MIXED),
    ],
)
def test_examples_of_one_space_have_its_head_if_it_was_learnt_for_the_model(kinds, digest, space, monkeypatch):
    heads = {name: replace(HEAD) for name in ("photo", "sound", MIXED)}
    monkeypatch.setattr(fewshot_head, "load_heads", lambda: ("known", heads))
    assert head_for(kinds, digest) is heads[space]


def test_heads_are_read_from_their_file(tmp_path):
    names = ("scale", "rates", "exponents", "rejection")
    parts = {f"{space}.{name}": np.ones((), np.float16) for space in ("photo", MIXED) for name in names}
    save_file(parts | {"photo.centre": np.ones(3)}, tmp_path / "a", {"about": json.dumps({"model_digest": "abc"})})
    digest, heads = load_heads(tmp_path / "a")
    assert digest == "abc" and heads.keys() == {"photo", MIXED}
    assert heads[MIXED].centre is None and heads[MIXED].scale == 1.0 and heads["photo"].centre is not None


@pytest.mark.parametrize("content", [None, b"", b"junk", "no digest"])
def test_a_missing_or_damaged_file_of_heads_is_one_sentence(content, tmp_path):
    path = tmp_path / "heads.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        save_file({"plain.scale": np.ones(1)}, path, {"about": "{}"})
    with pytest.raises(RequestError, match=r"assets/lab/heads.safetensors is missing or damaged"):
        load_heads(path)
