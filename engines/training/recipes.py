"""Recipes: pages of values, one dataclass each. A change of plan is a change here, not in the loop."""

from __future__ import annotations

from dataclasses import dataclass, field

TRUNK_FROZEN = 15
"""Blocks of the picture tower's extractor, of 21, that stay as they are: half of its time is spent before them, and
most of its weights lie behind."""
CONCEPTS = ("picture.concepts.", "concept_vectors")
"""The concept head is a public classifier, and stays one."""
EARLY = (
    *CONCEPTS,
    *("picture.trunk.stem.", *(f"picture.trunk.blocks.{i}." for i in range(7))),
    *("sound.conv1.", "sound.conv2.", "sound.blocks.0.", "sound.blocks.1.", "decoder.embedding."),
)
"""What knows edges, textures and tones alone, and stays as it is even where all else learns."""


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
    frozen: tuple[str, ...] = (*CONCEPTS, "picture.trunk.", "sound.", "decoder.embedding.")
    """Parameters whose names begin so are not trained. The stores were made with the towers. Rare pieces of the
    embedding get next to no gradient but what pushes them down, and Adam makes a full step of it: trained with the
    rest, the decoder forgot how to spell."""
    from_media: bool = False
    """Its towers learn, so that it needs the media themselves."""
    only: tuple[str, ...] = ()
    """If given, nothing else is trained, and of this what is frozen is not either."""
    learning_rate: float = 5e-4
    """Of parts that start from nothing; cosine to a hundredth of it."""
    rates: dict[str, float] = field(default_factory=lambda: {"decoder.": 6e-5, "change.": 3e-3, "layer_weights": 1e-2})
    """Of parts that want another, by how their names begin; the first that fits counts. What starts from public weights
    moves less. Single numbers move by no more than their rate a step: weights of layers would stay where they begin."""
    warmup_steps: int = 100
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    meet_every: int = 20
    """Steps after which several processes take the mean of their weights."""
    ema_decay: float = 0.998
    """Of the running mean of the weights that is shipped, a step; its memory is 500 steps."""
    ema_every: int = 5
    """Steps between its updates: each reads all weights twice."""
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
        Recipe(  # the picture tower's last stage; stores of photos are made anew after it (`store --from`)
            name="look",
            from_media=True,
            n_steps=400,
            tasks={"look": Share(1, 64)},
            frozen=(
                *CONCEPTS,
                *("picture.trunk.stem.", *(f"picture.trunk.blocks.{i}." for i in range(TRUNK_FROZEN))),
                *("sound.", "decoder.embedding."),
            ),
            learning_rate=1e-4,
            rates={"decoder.": 3e-5},
            warmup_steps=20,
            ema_decay=0.98,
        ),
        Recipe(
            name="joint",
            n_steps=6000,
            tasks={
                "caption": Share(0.1, 64),
                "match": Share(0.1, 128),
                "transcribe": Share(0.14, 16),
                "translate": Share(0.25, 128),
                "parallel": Share(0.03, 256),
                "sound": Share(0.03, 32),
                "answer": Share(0.33, 96),
                "describe": Share(0.02, 96),
            },
            learning_rate=3e-4,
        ),
        Recipe(  # after joint: captions towards what several people would say, the rest rehearsed
            name="consensus",
            n_steps=500,
            tasks={
                "consensus": Share(0.4, 24),
                "caption": Share(0.05, 64),
                "match": Share(0.05, 128),
                "transcribe": Share(0.15, 16),
                "translate": Share(0.1, 128),
                "sound": Share(0.03, 32),
                "answer": Share(0.2, 96),
                "describe": Share(0.02, 96),
            },
            learning_rate=3e-5,
            rates={"decoder.": 2e-5, "layer_weights": 1e-3},
            warmup_steps=20,
            ema_decay=0.98,
        ),
        Recipe(  # on a GPU: all of it, most of both towers with it
            name="whole",
            from_media=True,
            n_steps=3600,
            tasks={
                "look": Share(0.22, 192),
                "transcribe": Share(0.16, 48),
                "translate": Share(0.25, 384),
                "parallel": Share(0.03, 256),
                "sound": Share(0.04, 64),
                "answer": Share(0.27, 128),
                "describe": Share(0.03, 96),
            },
            frozen=EARLY,
            learning_rate=4e-4,
            rates={
                "decoder.": 1e-4,
                "picture.trunk.": 6e-5,
                "sound_bridge.": 4e-4,
                "sound.": 2e-5,
                "change.": 3e-3,
                "layer_weights": 1e-3,
            },
            warmup_steps=200,
            ema_decay=0.999,
            save_every=2000,
        ),
        Recipe(  # on a GPU, after whole: as consensus is after joint
            name="agree",
            from_media=True,
            n_steps=250,
            tasks={
                "consensus": Share(0.4, 96),
                "look": Share(0.1, 192),
                "transcribe": Share(0.15, 48),
                "translate": Share(0.1, 384),
                "sound": Share(0.03, 64),
                "answer": Share(0.2, 128),
                "describe": Share(0.02, 96),
            },
            frozen=EARLY,
            learning_rate=3e-5,
            rates={"decoder.": 2e-5, "picture.trunk.": 1e-5, "sound_bridge.": 3e-5, "sound.": 2e-6},
            warmup_steps=20,
            ema_decay=0.98,
        ),
        Recipe(
            name="spell",
            n_steps=2000,
            tasks={"spell": Share(1, 16)},
            only=("ctc_head.",),
            learning_rate=1e-2,
            weight_decay=0.0,
            ema_decay=0.99,
        ),
        Recipe(  # the sixth model: names of what is there as a stream, questions as people ask them; towers stay
            name="concepts",
            n_steps=5000,
            tasks={
                "name": Share(0.3, 48),
                "write": Share(0.17, 64),
                "question": Share(0.17, 48),
                "answer": Share(0.1, 64),
                "describe": Share(0.07, 48),
                "match": Share(0.05, 96),
                "translate": Share(0.08, 64),
                "transcribe": Share(0.06, 12),
            },
            frozen=(
                *(*CONCEPTS, "picture.trunk.", "sound.", "text.", "decoder.embedding."),
                *("ctc_head.", "event_head.", "mix_norm.", "layer_weights", "vectors.sound."),
            ),
            learning_rate=1.5e-4,
            rates={"decoder.": 6e-5, "change.": 1e-3, "sense_embedding.": 1e-3, "operator.": 2e-4},
            warmup_steps=50,
            ema_decay=0.998,
            save_every=100,
        ),
        Recipe(
            name="smoke",
            n_steps=4,
            tasks={"caption": Share(1, 2), "translate": Share(1, 2)},
            frozen=(),
            warmup_steps=1,
            ema_every=1,
            save_every=2,
        ),
    )
}
