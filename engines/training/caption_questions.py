"""Questions as people ask them, made of the captions of one photo: short answers of one to three words.

Each rule reads what several captions agree on, or one where that is all there is, and asks in varied words, in English
or Chinese. What a photo cannot tell is asked, too, and answered so. The word lists are ours.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engines.training.lexicon import LEXICON

UNTOLD = {"en": "that cannot be told from this", "zh": "从这里看不出来"}
"""The answer where the media hold none."""

_COLOURS: dict[str, str] = LEXICON["colours"]
_NUMBERS: dict[str, str] = LEXICON["numbers"]
_PEOPLE: dict[str, str] = LEXICON["people"]
_DOING: dict[str, str] = LEXICON["doing"]
_VAGUE = frozenset(LEXICON["vague"])
_SPORTS: dict[str, str] = LEXICON["sports"]
_SPORT_WORDS: dict[str, str] = LEXICON["sport_words"]
_INSTRUMENTS: dict[str, str] = LEXICON["instruments"]
_ANIMALS: dict[str, str] = LEXICON["animals"]
_PLACES: dict[str, tuple[str, str]] = {key: tuple(value) for key, value in LEXICON["places"].items()}
_INDOORS = frozenset(LEXICON["indoors"])
_OUTDOORS = frozenset(LEXICON["outdoors"])
_CLOTHES = frozenset(LEXICON["clothes"])
_HEAD = frozenset(LEXICON["head"])
_UNTOLD_QUESTIONS = {key: tuple(value) for key, value in LEXICON["untold_questions"].items()}
_DETERMINER = r"(?:a|an|the|his|her|their|two|some)"


@dataclass(frozen=True)
class Question:
    """What is asked of a photo, and the short answer."""

    text: str
    answer: str
    language: str


def questions(
    captions: Sequence[str], rng: np.random.Generator, language: str, *, grey: bool = False
) -> list[Question]:
    """Every question that the captions of one photo allow, one wording each. grey: the photo has no colour."""
    low = [re.sub(r"\s+", " ", caption.lower().replace(" .", "").rstrip(". ")) for caption in captions]
    words = [frozenset(re.findall(r"[a-z]+", caption)) for caption in low]
    every = frozenset().union(*words) if words else frozenset()
    counts = Counter(word for caption in words for word in caption)
    found: list[tuple[Sequence[str], Sequence[str], str, str]] = []  # English and Chinese wordings, answers
    found += _doing(low)
    if not grey:
        found += _colours(low)
    found += _how_many(low)
    places = [place for place in _PLACES if counts[place] >= 2]
    if places:
        en, zh = _PLACES[max(places, key=counts.__getitem__)]
        found.append(
            (
                ("Where is it?", "Where are they?", "Where does this take place?", "Where was this filmed?"),
                ("这是在哪里？", "他们在哪里？"),
                en,
                zh,
            )
        )
    inside, outside = every & _INDOORS, every & _OUTDOORS
    if bool(inside) != bool(outside):
        asked = (
            "Is it indoors or outdoors?",
            "Is this inside or outside?",
            "Are they indoors or outdoors?",
            "Does it happen indoors or outdoors?",
        )
        found.append((asked, ("是室内还是室外？",), "indoors" if inside else "outdoors", "室内" if inside else "室外"))
    found += _one_of(
        counts,
        _SPORTS,
        ("Which sport is it?", "What sport is this?", "What sport is being played?", "Which sport can be seen?"),
        ("这是什么运动？",),
        _SPORT_WORDS,
    )
    found += _one_of(
        counts,
        _INSTRUMENTS,
        ("Which instrument is played?", "What instrument is it?", "What is being played?"),
        ("这是什么乐器？", "在演奏什么乐器？"),
    )
    found += _one_of(
        counts,
        _ANIMALS,
        ("What animal is it?", "Which animal is shown?", "What animal can be seen?", "What kind of animal is this?"),
        ("这是什么动物？", "有什么动物？"),
    )
    found += _worn(low)
    found += _who(low)
    found += _objects(low)
    asked = ("Is the film in colour?", "Is the picture in color?", "Is it in colour?", "Is this a colour film?")
    found.append((asked, ("是彩色的吗？",), "no" if grey else "yes", "不是" if grey else "是"))
    made = []
    for asked_en, asked_zh, answer, answer_zh in found:
        if language == "zh" and asked_zh and answer_zh:
            made.append(Question(str(rng.choice(list(asked_zh))), answer_zh, "zh"))
        elif language == "en":
            made.append(Question(str(rng.choice(list(asked_en))), answer, "en"))
    return made


def untold(rng: np.random.Generator, language: str) -> Question:
    """A question that no photo and no clip can answer."""
    return Question(str(rng.choice(list(_UNTOLD_QUESTIONS[language]))), UNTOLD[language], language)


_Found = list[tuple[Sequence[str], Sequence[str], str, str]]


def _doing(captions: Sequence[str]) -> _Found:
    verbs: Counter[str] = Counter()
    subjects: dict[str, str] = {}
    objects: dict[str, Counter[str]] = {}
    for caption in captions:
        hit = re.search(
            rf"\b({'|'.join(_PEOPLE)})\b(?: [a-z ,]*?)?\b(?:is |are )?([a-z]+ing)\b(?: {_DETERMINER})? ?([a-z]+)?",
            caption,
        )
        if hit and hit.group(2) not in (
            "during",
            "clothing",
            "evening",
            "morning",
            "string",
            "swing",
            "ring",
            "king",
            "wearing",
            "building",
            "including",
            "railing",
            "something",
        ):
            verbs[hit.group(2)] += 1
            subjects.setdefault(hit.group(2), hit.group(1))
            if hit.group(3):
                objects.setdefault(hit.group(2), Counter())[hit.group(3)] += 1
    if not verbs:
        return []
    verb = max(verbs, key=lambda v: (verbs[v] - 2 * (v in _VAGUE), v))
    who = subjects[verb]
    be = "are" if who.endswith("s") or who in ("people", "men", "women", "children") else "is"
    answer = verb
    if verb == "playing" and verb in objects:
        thing = objects[verb].most_common(1)[0][0]
        if thing in _SPORTS or thing in _INSTRUMENTS:
            answer = f"playing {thing}"
    elif verb == "riding" and verb in objects:
        thing = objects[verb].most_common(1)[0][0]
        if thing in ("bike", "bicycle", "horse", "motorcycle", "skateboard", "wave"):
            answer = f"riding a {thing}"
    en = (
        f"What {be} the {who} doing?",
        f"What does the {who} do?" if be == "is" else f"What do the {who} do?",
        "What is happening?" if verbs[verb] > 1 else f"What {be} the {who} doing here?",
    )
    return [(en, (f"{_PEOPLE[who]}在做什么？",), answer, _DOING.get(verb, ""))]


def _colours(captions: Sequence[str]) -> _Found:
    found: Counter[tuple[str, str]] = Counter()
    by_thing: dict[str, set[str]] = {}
    for caption in captions:
        for colour, thing in set(re.findall(rf"\b({'|'.join(_COLOURS)}) ([a-z]{{3,}})\b", caption)):
            if thing not in _COLOURS and thing not in ("and", "with", "colored", "haired"):
                found[(colour, thing)] += 1
                by_thing.setdefault(thing, set()).add(colour)
    made: _Found = []
    for colour, thing in found:
        if len(by_thing[thing]) == 1:
            be = "are" if thing.endswith("s") and not thing.endswith("ss") else "is"
            zh = _PEOPLE.get(thing) or _ANIMALS.get(thing, "")
            made.append(
                (
                    (
                        f"What colour {be} the {thing}?",
                        f"What color {be} the {thing}?",
                        f"Which colour {be} the {thing}?",
                    ),
                    (f"{zh}是什么颜色的？",) if zh else (),
                    colour,
                    _COLOURS[colour],
                )
            )
    return made


def _how_many(captions: Sequence[str]) -> _Found:
    counts: Counter[tuple[str, str]] = Counter()
    for caption in captions:
        hit = re.match(
            r"(a|one|two|three|four|five)(?: [a-z]+)? "
            r"(dogs?|m[ae]n|wom[ae]n|boys?|girls?|people|person|child(?:ren)?)\b",
            caption,
        )
        if hit:
            counts["one" if hit.group(1) == "a" else hit.group(1), _plural(hit.group(2))] += 1
    if not counts:
        return []
    (number, thing), n = counts.most_common(1)[0]
    if n < 2:
        return []
    zh = {
        "dogs": "狗",
        "men": "男人",
        "women": "女人",
        "boys": "男孩",
        "girls": "女孩",
        "people": "人",
        "children": "孩子",
    }
    return [
        (
            (f"How many {thing} are there?", f"How many {thing} can be seen?", f"How many {thing} do you see?"),
            (f"有几个{zh[thing]}？",),
            number,
            _NUMBERS[number],
        )
    ]


def _plural(noun: str) -> str:
    return {"man": "men", "woman": "women", "person": "people", "child": "children"}.get(
        noun, noun if noun in ("men", "women", "people", "children") or noun.endswith("s") else noun + "s"
    )


def _one_of(
    counts: Counter[str],
    kinds: dict[str, str],
    en: Sequence[str],
    zh: Sequence[str],
    also: dict[str, str] | None = None,
) -> _Found:
    total = Counter({kind: counts[kind] + counts[kind + "s"] for kind in kinds})
    for word, kind in (also or {}).items():
        total[kind] += counts[word] + counts[word + "s"]
    said = [kind for kind, n in total.most_common() if n]
    if not said or total[said[0]] < 2 or (len(said) > 1 and total[said[1]] > 1):
        return []
    return [(en, zh, said[0], kinds[said[0]])]


def _worn(captions: Sequence[str]) -> _Found:
    worn: Counter[str] = Counter()
    who = ""
    for caption in captions:
        for thing in _CLOTHES:
            hit = re.search(
                rf"\b(man|woman|boy|girl|child|person|dog)\b.*\b(?:wearing|wears|in|with) (?:[a-z]+ ){{0,3}}{thing}\b",
                caption,
            )
            if hit:
                worn[thing] += 1
                who = who or hit.group(1)
    if not worn:
        return []
    thing = worn.most_common(1)[0][0]
    en = [f"What does the {who} wear?", f"What is the {who} wearing?"]
    if thing in _HEAD:
        en += [f"What does the {who} wear on the head?", f"What is on the {who}'s head?"]
    return [(en, (), thing, "")]


def _who(captions: Sequence[str]) -> _Found:
    firsts = Counter(
        hit.group(1)
        for caption in captions
        if (
            hit := re.match(
                r"(?:a|an|the|one)(?: [a-z]+){0,2}? (man|woman|boy|girl|child|baby|dog|cat|horse)\b", caption
            )
        )
    )
    if not firsts or firsts.most_common(1)[0][1] < 3:
        return []
    who = firsts.most_common(1)[0][0]
    return [
        (
            ("Who is in the picture?", "Who can be seen?", "Who is shown?", "Who is it?"),
            ("画面里是谁？",),
            f"a {who}",
            _PEOPLE[who],
        )
    ]


def _objects(captions: Sequence[str]) -> _Found:
    """What someone holds, rides, throws, cuts and so on."""
    found: _Found = []
    for caption in captions:
        hit = re.search(
            r"\b(man|woman|boy|girl|child|person|dog|player|baby)\b[a-z ,]*?\b"
            rf"({'|'.join(_BASE)}) (?:a|an|the|his|her) (?:[a-z]+ )?([a-z]{{3,}})\b",
            caption,
        )
        if hit and hit.group(3) not in _NOT_THINGS:
            who, verb, thing = hit.groups()
            base = _BASE[verb]
            found.append(((f"What does the {who} {base}?", f"What is the {who} {verb}?"), (), f"a {thing}", ""))
            break
    return found


_NOT_THINGS = frozenset(LEXICON["not_things"])
_BASE: dict[str, str] = LEXICON["base"]
