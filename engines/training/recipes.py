"""Recipes: the values of each training stage, in the order in which a model goes through them.

`base` trains what stands on frozen towers, `full` most of both towers too, `scst` captions by their CIDEr, `ctc` the
head that spells sound tokens, `concepts` the use of names that the concept head finds, `sound_search` where sounds lie
among texts, `answers` questions and captions, leaving search as it is, and `translation` adapters that only translation
passes through, on weights that are finished.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

CONCEPT_HEAD = ("picture.concepts.", "concept_vectors")
"""Parts of the public classifier, which is never trained."""
TOWERS = ("picture.trunk.", "sound.")
ADAPTERS = ("translation.",)
EARLY_LAYERS = (
    *CONCEPT_HEAD,
    *("picture.trunk.stem.", *(f"picture.trunk.blocks.{i}." for i in range(7))),
    *("sound.conv1.", "sound.conv2.", "sound.blocks.0.", "sound.blocks.1.", "decoder.embedding."),
)
"""Early layers, which detect edges, textures and tones; frozen even where the rest of the towers is trained."""


@dataclass(frozen=True)
class Share:
    """A task's part in a recipe. weight: relative frequency; size: rows of a batch."""

    weight: float
    size: int


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One stage of training. Parameters are selected by the beginning of their names."""

    name: str
    n_steps: int
    tasks: dict[str, Share]
    frozen: tuple[str, ...] = (*CONCEPT_HEAD, *TOWERS, "decoder.embedding.")
    """Parameters that are not trained. A frozen tower's features come from the cache. Rare tokens of the embedding
    receive little gradient but the one that pushes them down, which Adam turns into full steps: trained with the rest,
    the decoder forgot how to spell."""
    only: tuple[str, ...] = ()
    """Where this is given, no other parameters are trained."""
    learning_rate: float = 5e-4
    """Peak rate of parts that start from nothing; a cosine takes it to a hundredth."""
    rates: dict[str, float] = field(default_factory=lambda: {"decoder.": 6e-5, "change.": 3e-3, "layer_weights": 1e-2})
    """Peak rates of other parts; the first that fits counts. What starts from public weights moves less. Scalars move
    by at most their rate per step, so the weights of layers would stay where they begin at a common rate."""
    warmup_steps: int = 100
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    average_every: int = 20
    """Steps after which several processes average their weights."""
    ema_decay: float = 0.998
    """Per step, of the running mean of the weights, which is what ships; it spans 500 steps."""
    ema_every: int = 5
    """Steps between updates of the mean, each of which reads all weights twice."""
    save_every: int = 200
    seed: int = 0

    @property
    def adapts(self) -> bool:
        """Whether adapters for translation are trained on a model that stays as it is."""
        return self.only == ADAPTERS

    def trains(self, name: str) -> bool:
        """Whether a parameter of this name is trained."""
        return name.startswith(self.only or "") and not name.startswith(self.frozen)

    def peak_rate(self, name: str) -> float:
        return next((rate for part, rate in self.rates.items() if name.startswith(part)), self.learning_rate)


BASE = Recipe(
    name="base",
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
)
FULL = replace(  # on a GPU
    BASE,
    name="full",
    n_steps=3600,
    tasks={
        "caption_and_match": Share(0.22, 192),
        "transcribe": Share(0.16, 48),
        "translate": Share(0.25, 384),
        "parallel": Share(0.03, 256),
        "sound": Share(0.04, 64),
        "answer": Share(0.27, 128),
        "describe": Share(0.03, 96),
    },
    frozen=EARLY_LAYERS,
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
)
SCST = replace(  # on a GPU, after `full`: captions by their reward, the other tasks rehearsed
    FULL,
    name="scst",
    n_steps=250,
    tasks={
        "scst": Share(0.4, 96),
        "caption_and_match": Share(0.1, 192),
        "transcribe": Share(0.15, 48),
        "translate": Share(0.1, 384),
        "sound": Share(0.03, 64),
        "answer": Share(0.2, 128),
        "describe": Share(0.02, 96),
    },
    learning_rate=3e-5,
    rates={"decoder.": 2e-5, "picture.trunk.": 1e-5, "sound_bridge.": 3e-5, "sound.": 2e-6},
    warmup_steps=20,
    ema_decay=0.98,
    save_every=200,
)
CTC = replace(
    BASE,
    name="ctc",
    n_steps=2000,
    tasks={"ctc": Share(1, 16)},
    only=("ctc_head.",),
    learning_rate=1e-2,
    weight_decay=0.0,
    ema_decay=0.99,
)
SOUND_SEARCH = replace(  # after `concepts`, whose matching moves the texts' points: the sounds' follow
    BASE,
    name="sound_search",
    n_steps=300,
    tasks={"sound": Share(1, 64)},
    only=("vectors.sound.",),
    learning_rate=1e-3,
    warmup_steps=20,
    ema_decay=0.98,
)
CONCEPTS = replace(  # names as a text stream, questions as people ask them
    BASE,
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
        *(*CONCEPT_HEAD, *TOWERS, "text.", "decoder.embedding."),
        *("ctc_head.", "event_head.", "mix_norm.", "layer_weights", "vectors.sound."),
    ),
    learning_rate=1.5e-4,
    rates={"decoder.": 6e-5, "change.": 1e-3, "sense_embedding.": 1e-3, "operator.": 2e-4},
    warmup_steps=50,
    save_every=100,
)
ANSWERS = replace(  # after `concepts`; what search rests on stays, so that collections stay valid
    CONCEPTS,
    name="answers",
    n_steps=1900,
    tasks={
        "scst": Share(0.17, 32),
        "question": Share(0.36, 64),
        "answer": Share(0.12, 64),
        "describe": Share(0.02, 48),
        "name": Share(0.09, 48),
        "translate": Share(0.18, 64),
        "transcribe": Share(0.06, 12),
    },
    frozen=(*CONCEPTS.frozen, "picture.", "vectors."),
    rates={**CONCEPTS.rates, "decoder.": 5e-5},
    ema_decay=0.997,
)
TRANSLATION = replace(
    BASE,
    name="translation",
    n_steps=4000,
    tasks={"adapt_translation": Share(1, 96)},
    only=ADAPTERS,
    learning_rate=1e-3,
    ema_decay=0.995,
    save_every=100,
)
SMOKE = replace(  # a few steps, to see that everything runs; none, to export the mean of several stages
    BASE,
    name="smoke",
    n_steps=4,
    tasks={"caption": Share(1, 2), "translate": Share(1, 2)},
    warmup_steps=1,
    ema_every=1,
    save_every=2,
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (BASE, FULL, SCST, CTC, CONCEPTS, SOUND_SEARCH, ANSWERS, TRANSLATION, SMOKE)
}
