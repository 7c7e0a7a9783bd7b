"""Questions as people ask them, made from the captions of one photo, with answers of one to three words.

Each rule reads what several captions agree on, or a single one where there is no more, and asks in varied words, in
English or Chinese. Questions that no photo can answer are included, with an answer that says so. The word lists are
ours (`lexicon.json`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engines.training.lexicon import LEXICON, word_set

UNANSWERABLE = {"en": "that cannot be told from this", "zh": "从这里看不出来"}
"""The answer where the media contain none."""

_WORDINGS: dict[str, dict[str, list[str]]] = LEXICON["photo_questions"]
_COLOURS: dict[str, str] = LEXICON["colours"]
_NUMBERS: dict[str, str] = LEXICON["numbers"]
_PEOPLE: dict[str, str] = LEXICON["people"]
_ACTIONS: dict[str, str] = LEXICON["doing"]
_SPORTS: dict[str, str] = LEXICON["sports"]
_INSTRUMENTS: dict[str, str] = LEXICON["instruments"]
_ANIMALS: dict[str, str] = LEXICON["animals"]
_PLACES: dict[str, tuple[str, str]] = {key: (en, zh) for key, (en, zh) in LEXICON["places"].items()}
_COUNTED: dict[str, str] = LEXICON["counted"]
_BASE_FORM: dict[str, str] = LEXICON["base"]
_CLOTHES = LEXICON["clothes"].split()
_VAGUE, _NOT_VERBS, _NOT_THINGS = (word_set(LEXICON[key]) for key in ("vague", "not_verbs", "not_things"))
_INDOORS, _OUTDOORS, _HEADWEAR = (word_set(LEXICON[key]) for key in ("indoors", "outdoors", "head"))
_ARTICLE = r"(?:a|an|the|his|her|their|two|some)"


@dataclass(frozen=True)
class Question:
    """A question about a photo, and its short answer."""

    text: str
    answer: str
    language: str


@dataclass(frozen=True)
class _Draft:
    """A question in all its wordings; zh is empty where there is no Chinese question."""

    en: Sequence[str]
    zh: Sequence[str]
    answer: str
    answer_zh: str


def _draft(kind: str, answer: str, answer_zh: str, **slots: str) -> _Draft:
    en, zh = ([text.format(**slots) for text in _WORDINGS[kind][language]] for language in ("en", "zh"))
    return _Draft(en, zh, answer, answer_zh)


def questions(
    captions: Sequence[str], rng: np.random.Generator, language: str, *, grey: bool = False
) -> list[Question]:
    """Every question that the captions of one photo allow, in one random wording. grey: the photo has no colour."""
    low = [re.sub(r"\s+", " ", caption.lower().replace(" .", "").rstrip(". ")) for caption in captions]
    counts = Counter(word for caption in low for word in frozenset(re.findall(r"[a-z]+", caption)))
    drafts = _action(low)
    if not grey:
        drafts += _colours(low)
    drafts += _how_many(low)
    drafts += _place(counts)
    drafts += _majority("sport", counts, _SPORTS, LEXICON["sport_words"])
    drafts += _majority("instrument", counts, _INSTRUMENTS)
    drafts += _majority("animal", counts, _ANIMALS)
    drafts += _clothing(low)
    drafts += _who(low)
    drafts += _object(low)
    drafts.append(_draft("film", "no" if grey else "yes", "不是" if grey else "是"))
    found = []
    for draft in drafts:
        if language == "zh" and draft.zh and draft.answer_zh:
            found.append(Question(str(rng.choice(list(draft.zh))), draft.answer_zh, "zh"))
        elif language == "en":
            found.append(Question(str(rng.choice(list(draft.en))), draft.answer, "en"))
    return found


def unanswerable(rng: np.random.Generator, language: str) -> Question:
    """A question that no photo and no clip can answer."""
    return Question(str(rng.choice(LEXICON["untold_questions"][language])), UNANSWERABLE[language], language)


def _be(noun: str) -> str:
    return "are" if noun.endswith("s") or noun in ("people", "men", "women", "children") else "is"


def _action(captions: Sequence[str]) -> list[_Draft]:
    verbs: Counter[str] = Counter()
    subjects: dict[str, str] = {}
    objects: dict[str, Counter[str]] = {}
    pattern = rf"\b({'|'.join(_PEOPLE)})\b(?: [a-z ,]*?)?\b(?:is |are )?([a-z]+ing)\b(?: {_ARTICLE})? ?([a-z]+)?"
    for caption in captions:
        hit = re.search(pattern, caption)
        if hit and hit.group(2) not in _NOT_VERBS:
            verbs[hit.group(2)] += 1
            subjects.setdefault(hit.group(2), hit.group(1))
            if hit.group(3):
                objects.setdefault(hit.group(2), Counter())[hit.group(3)] += 1
    if not verbs:
        return []
    verb = max(verbs, key=lambda v: (verbs[v] - 2 * (v in _VAGUE), v))
    who = subjects[verb]
    be = _be(who)
    answer = verb
    thing = objects[verb].most_common(1)[0][0] if verb in objects else ""
    if verb == "playing" and (thing in _SPORTS or thing in _INSTRUMENTS):
        answer = f"playing {thing}"
    elif verb == "riding" and thing in ("bike", "bicycle", "horse", "motorcycle", "skateboard", "wave"):
        answer = f"riding a {thing}"
    wordings = (
        f"What {be} the {who} doing?",
        f"What does the {who} do?" if be == "is" else f"What do the {who} do?",
        "What is happening?" if verbs[verb] > 1 else f"What {be} the {who} doing here?",
    )
    return [_Draft(wordings, (f"{_PEOPLE[who]}在做什么？",), answer, _ACTIONS.get(verb, ""))]


def _colours(captions: Sequence[str]) -> list[_Draft]:
    pairs: dict[tuple[str, str], None] = {}
    by_thing: dict[str, set[str]] = {}
    for caption in captions:
        for colour, thing in re.findall(rf"\b({'|'.join(_COLOURS)}) ([a-z]{{3,}})\b", caption):
            if thing not in _COLOURS and thing not in ("and", "with", "colored", "haired"):
                pairs[colour, thing] = None
                by_thing.setdefault(thing, set()).add(colour)
    drafts = []
    for colour, thing in pairs:
        if len(by_thing[thing]) == 1:
            be = "are" if thing.endswith("s") and not thing.endswith("ss") else "is"
            zh = _PEOPLE.get(thing) or _ANIMALS.get(thing, "")
            draft = _draft("colour", colour, _COLOURS[colour], be=be, thing=thing, zh=zh)
            drafts.append(draft if zh else _Draft(draft.en, (), draft.answer, draft.answer_zh))
    return drafts


def _how_many(captions: Sequence[str]) -> list[_Draft]:
    counts: Counter[tuple[str, str]] = Counter()
    nouns = r"(dogs?|m[ae]n|wom[ae]n|boys?|girls?|people|person|child(?:ren)?)"
    for caption in captions:
        hit = re.match(rf"(a|one|two|three|four|five)(?: [a-z]+)? {nouns}\b", caption)
        if hit:
            counts["one" if hit.group(1) == "a" else hit.group(1), _plural(hit.group(2))] += 1
    if not counts:
        return []
    (number, thing), n = counts.most_common(1)[0]
    return [_draft("how_many", number, _NUMBERS[number], thing=thing, zh=_COUNTED[thing])] if n >= 2 else []


def _plural(noun: str) -> str:
    irregular = {"man": "men", "woman": "women", "person": "people", "child": "children"}
    return irregular.get(noun) or (noun if noun in _COUNTED else f"{noun}s")


def _place(counts: Counter[str]) -> list[_Draft]:
    """Where it is, and whether indoors or outdoors."""
    drafts = []
    places = [place for place in _PLACES if counts[place] >= 2]
    if places:
        drafts.append(_draft("place", *_PLACES[max(places, key=counts.__getitem__)]))
    inside, outside = (any(counts[word] for word in words) for words in (_INDOORS, _OUTDOORS))
    if inside != outside:
        drafts.append(_draft("inside", *(("indoors", "室内") if inside else ("outdoors", "室外"))))
    return drafts


def _majority(
    kind: str, counts: Counter[str], classes: dict[str, str], synonyms: dict[str, str] | None = None
) -> list[_Draft]:
    """The class that at least two captions name, where no other is named more than once."""
    total = Counter({name: counts[name] + counts[f"{name}s"] for name in classes})
    for word, name in (synonyms or {}).items():
        total[name] += counts[word] + counts[f"{word}s"]
    best = [name for name, n in total.most_common() if n]
    if not best or total[best[0]] < 2 or (len(best) > 1 and total[best[1]] > 1):
        return []
    return [_draft(kind, best[0], classes[best[0]])]


def _clothing(captions: Sequence[str]) -> list[_Draft]:
    worn: Counter[str] = Counter()
    who = ""
    wearing = r"\b(man|woman|boy|girl|child|person|dog)\b.*\b(?:wearing|wears|in|with) (?:[a-z]+ ){0,3}"
    for caption in captions:
        for thing in _CLOTHES:
            hit = re.search(rf"{wearing}{thing}\b", caption)
            if hit:
                worn[thing] += 1
                who = who or hit.group(1)
    if not worn:
        return []
    thing = worn.most_common(1)[0][0]
    return [_draft("worn_on_head" if thing in _HEADWEAR else "worn", thing, "", who=who)]


def _who(captions: Sequence[str]) -> list[_Draft]:
    pattern = r"(?:a|an|the|one)(?: [a-z]+){0,2}? (man|woman|boy|girl|child|baby|dog|cat|horse)\b"
    firsts = Counter(hit.group(1) for caption in captions if (hit := re.match(pattern, caption)))
    if not firsts or firsts.most_common(1)[0][1] < 3:
        return []
    who = firsts.most_common(1)[0][0]
    return [_draft("who", f"a {who}", _PEOPLE[who])]


def _object(captions: Sequence[str]) -> list[_Draft]:
    """What someone holds, rides, throws, cuts and so on."""
    who = r"\b(man|woman|boy|girl|child|person|dog|player|baby)\b"
    pattern = rf"{who}[a-z ,]*?\b({'|'.join(_BASE_FORM)}) (?:a|an|the|his|her) (?:[a-z]+ )?([a-z]{{3,}})\b"
    for caption in captions:
        hit = re.search(pattern, caption)
        if hit and hit.group(3) not in _NOT_THINGS:
            who, verb, thing = hit.groups()
            return [_draft("object", f"a {thing}", "", who=who, base=_BASE_FORM[verb], verb=verb)]
    return []
