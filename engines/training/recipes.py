"""Recipes: pages of values, one dataclass each. A change of plan is a change here, not in the loop."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Share:
    """How a task takes part. weight: how often it is drawn; size: rows of a batch."""

    weight: float
    size: int


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One stage of training."""

    name: str
    n_steps: int
    tasks: dict[str, Share] = field(default_factory=dict)
    frozen: tuple[str, ...] = ("picture.trunk.", "sound.")
    """Parameters whose names begin so are not trained; the stores were made with them."""
    only: tuple[str, ...] = ()
    """If given, nothing else is trained."""
    learning_rate: float = 5e-4
    """Of parts that start from nothing; cosine to a hundredth of it."""
    rates: dict[str, float] = field(default_factory=lambda: {"decoder.embedding.": 2e-5, "decoder.": 8e-5})
    """Of parts that start from public weights, by how their names begin; the first that fits counts. Rare pieces of
    the embedding get next to no gradient but what pushes them down, and Adam makes a full step of it: at 1.5e-4 the
    decoder forgot how to spell (the first version's word errors on LibriSpeech were 27.6 %)."""
    warmup_steps: int = 100
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    accumulate: int = 1
    """Batches per optimizer step."""
    ema_decay: float = 0.998
    """Of the running mean of the weights that is shipped; its memory is 500 steps."""
    save_every: int = 200
    seed: int = 0


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="text",
            n_steps=1000,
            tasks={"translate": Share(5, 64), "parallel": Share(1, 128)},
        ),
        Recipe(  # from the public decoder: `--public 1`
            name="speech",
            n_steps=250,
            tasks={"transcribe": Share(1, 16)},
            only=("decoder.",),
            warmup_steps=20,
            ema_decay=0.98,
        ),
        Recipe(
            name="joint",
            n_steps=6000,
            tasks={
                "caption": Share(0.16, 64),
                "transcribe": Share(0.24, 16),
                "translate": Share(0.28, 64),
                "parallel": Share(0.03, 128),
                "sound": Share(0.07, 32),
                "answer": Share(0.22, 16),
            },
            learning_rate=3e-4,
        ),
        Recipe(
            name="spell",
            n_steps=300,
            tasks={"spell": Share(1, 16)},
            only=("ctc_head.",),
            learning_rate=1e-2,
            weight_decay=0.0,
            ema_decay=0.99,
        ),
        Recipe(
            name="smoke",
            n_steps=4,
            tasks={"caption": Share(1, 2), "translate": Share(1, 2)},
            frozen=(),
            warmup_steps=1,
            save_every=2,
        ),
    )
}
