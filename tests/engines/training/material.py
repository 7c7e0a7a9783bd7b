"""Facts of a few imagined photos and sounds, to compose clips from."""

from __future__ import annotations

from engines.training.lexicon import SOUND_NAMES, SUBJECTS, THINGS, PhotoFacts
from engines.training.questions import Material

PHOTOS = (
    *(PhotoFacts(frozenset({subject}), frozenset(set(THINGS) - {subject}), subject) for subject in SUBJECTS),
    PhotoFacts(frozenset({"water"}), frozenset(set(THINGS) - {"water"})),
    PhotoFacts(frozenset({"snow", "dog"}), frozenset({"water", "beach"})),
    PhotoFacts(frozenset({"car"}), frozenset(set(THINGS) - {"car"})),
)
LABELS = tuple(SOUND_NAMES) * 2
MATERIAL = Material(PHOTOS, LABELS)
