"""Everyday words, in four languages, for groups of ImageNet's classes: used where no single class is certain.

A class belongs to a group when its accepted English names (`naming/concepts.tsv`) contain the group's English word.
The German, French and Chinese words are ours (`lexicon.json`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from engines.archives import ConceptRecord
from engines.model.config import Concept, ConceptGroup
from engines.model.fusion import FusionModel
from engines.protocol import LANGUAGES
from engines.text import Tokenizer
from engines.training.lexicon import LEXICON

BATCH = 64
"""Names encoded at once."""


def concepts(records: Sequence[ConceptRecord]) -> tuple[tuple[Concept, ...], tuple[ConceptGroup, ...]]:
    """All classes with their names, and the groups that contain at least two of them."""
    groups = []
    for line in LEXICON["concept_groups"]:
        name = Concept(*line.split("|"))
        members = tuple(i for i, record in enumerate(records) if name.en in record.accepted)
        if len(members) > 1:
            groups.append(ConceptGroup(name, members))
    return tuple(Concept(**record.names) for record in records), tuple(groups)


@torch.no_grad()
def store_name_vectors(model: FusionModel, tokenizer: Tokenizer) -> None:
    """Encode the names of all concepts and groups into the model, where `NameTable` of `engines.model` reads them."""
    if not model.config.concepts:
        return
    named = [*model.config.concepts, *(group.name for group in model.config.concept_groups)]
    texts = [getattr(concept, language) for language in LANGUAGES for concept in named]
    for start in range(0, len(texts), BATCH):
        rows = [torch.tensor(tokenizer.encode(text)) for text in texts[start : start + BATCH]]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        mask = torch.arange(ids.shape[1]) < torch.tensor([len(row) for row in rows])[:, None]
        vectors = model.vector("text", model.read(ids.to(model.device), mask.to(model.device)), mask.to(model.device))
        model.concept_vectors[start : start + BATCH] = vectors.to(model.concept_vectors.dtype)
