"""Classes of photos by the nouns in their captions: some to learn from, and others for measuring on the unseen.

Five people described each photo; it is of a noun's class where at least three of them name that noun and no other of
the list. The lists are ours, made by counting the words of Flickr8k's captions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

SAID = 3
"""So many captions have to name a noun."""
Nouns = Mapping[str, frozenset[str]]
"""Class: the words that stand for it."""


def _nouns(lines: str) -> Nouns:
    """A class a line: its words; the first one names it."""
    return {line.split()[0]: frozenset(line.split()) for line in lines.strip().splitlines()}


UNSEEN = _nouns("""
pool
swing swings swinging
guitar guitars guitarist
horse horses pony
bench benches
boat boats canoe kayak raft rafting sailboat
football
soccer
tennis
slide slides sliding
hockey
climber climbers climbing climbs
fountain fountains
""")
"""Few-shot measurements are on these; a head that learns to adapt has learnt from no photo in which one is named."""

LEARNT = _nouns("""
dog dogs puppy puppies
bicycle bicycles bike bikes bicyclist cyclist cyclists biker
skateboard skateboarder skateboarding
snow snowy
car cars truck
wave waves surfer surfing surfboard surf
beach shore
baby infant toddler
motorcycle motorcycles motorbike motorcyclist motocross
dance dancer dancers dancing
crowd audience
trampoline
mountain mountains cliff
camera cameras
street sidewalk
basketball
baseball
frisbee
sand
rope
couch sofa bed
hat
sunglasses glasses
bird birds
fire fireworks
sunset
sign signs
building
table restaurant
window
train
tree trees
costume costumes
umbrella
stick
field
ramp
rock rocks
hill
sled
ice
wrestling wrestlers wrestle
bubbles bubble
helmet
flag flags
stairs steps
dress dresses
race racing
microphone singing sings
leaves
forest woods
cat
sheep cow cows
tent
door doorway
phone phones
book books reading
kitchen cooking food eating
""")


def noun_of(captions: Sequence[str], nouns: Nouns, *, without: Nouns | None = None) -> str | None:
    """The one of the nouns that a photo is of, or None. without: nouns of which not one may be named even once."""
    said = [frozenset(re.findall("[a-z]+", caption.lower())) for caption in captions]
    if any(words & own for words in (without or {}).values() for own in said):
        return None
    named = [noun for noun, words in nouns.items() if sum(bool(words & own) for own in said) >= SAID]
    return named[0] if len(named) == 1 else None
