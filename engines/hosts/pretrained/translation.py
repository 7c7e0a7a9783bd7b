"""Models that translate: Marian for one pair of languages, M2M100 and NLLB for many.

A text goes through sentence by sentence, each with the beam its checkpoint asks for, so it grows by sentences.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any, TypeVar

from engines.errors import AbilityError, Message
from engines.hosts.pretrained import weights
from engines.hosts.pretrained.checkpoint import Checkpoint, Place
from engines.hosts.pretrained.generation import GenerationLock, is_cut
from engines.hosts.results import Steps, Written
from engines.protocol import LANGUAGES, Ability, Cancel, Progress, TranslateRequest, TranslateResult
from engines.tasks.translate import sentences

Y = TypeVar("Y")
FLORES = {"en": "eng_Latn", "de": "deu_Latn", "fr": "fra_Latn", "zh": "zho_Hans"}
"""NLLB's names of languages (NLLB Team 2022)."""
N_NEW = 256


def abilities(checkpoint: Checkpoint) -> frozenset[Ability]:
    """Marian's pair is in its tokenizer's settings, or else in its name; of the others, the language tokens tell."""
    return frozenset(Ability(TranslateRequest, pair) for pair in _pairs(checkpoint))


def _pairs(checkpoint: Checkpoint) -> tuple[str, ...]:
    if checkpoint.model_type != "marian":
        known = _codes(weights.tokenizer(checkpoint))
        return tuple(f"{a}-{b}" for a in known for b in known if a != b)
    settings = checkpoint.small("tokenizer_config.json")
    named = re.search(r"(?:opus-mt-(?:tc-big-)?)([a-z]{2})-([a-z]{2})\b", f"{checkpoint.source} {checkpoint.name}")
    source, target = str(settings.get("source_lang") or ""), str(settings.get("target_lang") or "")
    if not (source and target) and named:
        source, target = named.groups()
    source, target = source[:2], target[:2]
    return (f"{source}-{target}",) if {source, target} <= set(LANGUAGES) and source != target else ()


def _codes(tokenizer: Any) -> dict[str, str]:
    """Our names of languages -> the tokenizer's, of those it has."""
    found = {}
    for language in LANGUAGES:
        for code, token in ((FLORES[language],) * 2, (language, f"__{language}__")):
            index = tokenizer.convert_tokens_to_ids(token)
            if index is not None and index != tokenizer.unk_token_id:
                found[language] = code
                break
    return found


def tasks(checkpoint: Checkpoint, place: Place, lock: GenerationLock) -> dict[type, Steps]:
    """What the model does, once its weights are there. Raises CheckpointError."""
    return {TranslateRequest: Translation(checkpoint, place, lock).translate}


class Translation:
    def __init__(self, checkpoint: Checkpoint, place: Place, lock: GenerationLock) -> None:
        self._name = checkpoint.name
        self._pairs = _pairs(checkpoint)
        self._tokenizer = weights.tokenizer(checkpoint)
        self._codes = {} if checkpoint.model_type == "marian" else _codes(self._tokenizer)
        self._model = weights.load("AutoModelForSeq2SeqLM", checkpoint, place)
        self._lock = lock

    def translate(self, request: TranslateRequest, _: Cancel) -> Iterator[TranslateResult]:
        if f"{request.source}-{request.target}" not in self._pairs:
            raise AbilityError(
                "translation_unable",
                "{name} does not translate from {source} to {target}; it knows {known}.",
                name=self._name,
                source=request.source,
                target=request.target,
                known=list(self._pairs) or Message("word.no_language", "none of the languages here"),
            )
        joint = "" if request.target == "zh" else " "
        lines: list[str] = []
        n_read, breaks_off = 0, False
        for line in request.text.splitlines():
            lines.append("")
            for sentence in sentences(line):
                so_far = TranslateResult(
                    request=request,
                    text="\n".join(lines),
                    progress=Progress("translating", n_read / len(request.text), 1.0),
                )
                translation = yield from self._sentence(sentence, request.source, request.target, so_far)
                lines[-1] += (joint if lines[-1] else "") + translation.text
                n_read, breaks_off = n_read + len(sentence), breaks_off or translation.is_cut
        text = "\n".join(lines)
        yield TranslateResult(request=request, text=text, end=Written(text, breaks_off).end)

    def _sentence(self, sentence: str, source: str, target: str, meanwhile: Y) -> Generator[Y, None, Written]:
        def generate(extra: dict[str, Any]) -> Any:  # with the lock held: `src_lang` is state of the shared tokenizer
            options: dict[str, Any] = {"max_new_tokens": N_NEW}
            if self._codes:
                self._tokenizer.src_lang = self._codes[source]
                token = self._codes[target] if self._codes[target] in FLORES.values() else f"__{target}__"
                options["forced_bos_token_id"] = self._tokenizer.convert_tokens_to_ids(token)
            inputs = self._tokenizer(sentence, return_tensors="pt", truncation=True).to(self._model.device)
            return self._model.generate(**inputs, **options, **extra)

        ids: list[int] = []
        with closing(self._lock.generate(generate, streams=False)) as generation:
            for ids in generation:  # noqa: B007  # the last are the whole text
                yield meanwhile
        text = str(self._tokenizer.decode(ids, skip_special_tokens=True)).strip()
        return Written(text, is_cut(ids[1:], N_NEW, self._model.generation_config.eos_token_id))
