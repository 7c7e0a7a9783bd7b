"""What a photo shows and a sound tells, as far as captions and labels make it certain.

Five people described each photo. What at least two of them name is there; what none of them names, in any word that
could mean it, is taken as absent; everything between is left unasked. The word lists are ours, made by reading
Flickr8k captions. Labels of sounds are those of ESC-10 and UrbanSound8K, and "speech".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


@dataclass(frozen=True)
class Thing:
    """Something a photo may show. en: with its article; zh: the Chinese noun; words: what names it.

    doubt: words that may mean it, so that its absence is not certain. instead: where this is not empty, absence is
    certain only if one of these is named (grass goes unmentioned in a meadow, not on a beach).
    """

    en: str
    zh: str
    words: frozenset[str]
    doubt: frozenset[str]
    instead: frozenset[str] = frozenset()


_ANYONE = _words(
    "person persons people someone somebody anyone individual individuals human humans figure crowd crowds group team "
    "teams family couple friend friends adult adults player players rider riders climber climbers skier skiers surfer "
    "surfers snowboarder snowboarders skateboarder skateboarders skater swimmer swimmers runner runners racer racers "
    "cyclist cyclists biker bikers bicyclist bicyclists hiker hikers worker workers performer performers dancer "
    "dancers musician musicians athlete athletes fan fans spectator spectators audience owner trainer boater kayaker "
    "fisherman soldier soldiers cowboy cheerleader cheerleaders clown teenager teenagers teen teens youth youths "
    "goalie pitcher batter catcher motorcyclist diver wrestler wrestlers toddler infant baby child children kid kids"
)
_MAN = _words("man men guy guys gentleman gentlemen")
_WOMAN = _words("woman women lady ladies")
_BOY = _words("boy boys")
_GIRL = _words("girl girls")
_CHILD = _words("child children kid kids toddler toddlers baby babies infant")
_MALE = _words("male males father dad son brother brothers")
_FEMALE = _words("female females mother mom daughter sister sisters bride")
_DOG = _words(
    "dog dogs puppy puppies terrier terriers poodle retriever labrador lab greyhound greyhounds collie beagle hound "
    "dalmatian dachshund pug bulldog spaniel husky chihuahua corgi rottweiler pitbull mutt canine"
)
_ANIMAL = _words("animal animals pet pets shepherd creature")

THINGS: dict[str, Thing] = {
    "dog": Thing("a dog", "狗", _DOG, _ANIMAL),
    "person": Thing(
        "a person",
        "人",
        _ANYONE | _MAN | _WOMAN | _BOY | _GIRL | _CHILD | _MALE | _FEMALE,
        _words("he she his her him"),
    ),
    "man": Thing("a man", "男人", _MAN, _ANYONE | _BOY | _MALE),
    "woman": Thing("a woman", "女人", _WOMAN, _ANYONE | _GIRL | _FEMALE),
    "boy": Thing("a boy", "男孩", _BOY, _ANYONE | _MAN | _MALE),
    "girl": Thing("a girl", "女孩", _GIRL, _ANYONE | _WOMAN | _FEMALE),
    "child": Thing("a child", "孩子", _CHILD | _BOY, _ANYONE | _GIRL | _words("young son daughter little")),
    "ball": Thing(
        "a ball",
        "球",
        _words("ball balls"),
        _words("soccer football basketball baseball volleyball tennis rugby golf softball hockey toy game bat pitcher"),
    ),
    "water": Thing(
        "water",
        "水",
        _words("water ocean sea lake river pool pond stream wave waves waterfall creek surf puddle fountain"),
        _words(
            "beach shore swim swims swimming swimmer surfer surfing surfboard boat canoe kayak raft rafting wet "
            "splash splashing splashes rain dock pier fishing wakeboard wakeboarder coast sprinkler bath bathtub"
        ),
    ),
    "snow": Thing(
        "snow",
        "雪",
        _words("snow snowy snowbank snowball"),
        _words(
            "ski skis skiing skier skiers snowboard snowboarder snowboarding ice icy sled winter mountain mountains"
        ),
    ),
    "beach": Thing(
        "a beach",
        "海滩",
        _words("beach beaches"),
        _words("sand sandy shore shoreline ocean sea waves wave surf surfer surfing coast water lake dune dunes"),
    ),
    "grass": Thing(
        "grass",
        "草地",
        _words("grass grassy lawn"),
        _words("field fields park yard garden meadow hill hillside backyard green soccer football baseball golf weeds"),
        _words(
            "snow snowy beach ocean sea pool wave street sidewalk indoor indoors inside room kitchen couch bed ice "
            "city cliff sand restaurant stage bar court skateboard"
        ),
    ),
    "bicycle": Thing(
        "a bicycle",
        "自行车",
        _words("bicycle bicycles bike bikes bmx bicyclist cyclist cyclists"),
        _words("biker bikers rider riding rides motorcycle motorbike motocross dirt ramp wheel tricycle"),
    ),
    "motorcycle": Thing(
        "a motorcycle",
        "摩托车",
        _words("motorcycle motorcycles motorbike motorbikes motocross motorcyclist"),
        _words("bike bikes biker bikers racer rider riding dirt scooter quad atv vehicle moped"),
    ),
    "car": Thing(
        "a car",
        "汽车",
        _words("car cars"),
        _words(
            "vehicle vehicles truck trucks van suv jeep taxi street road traffic parking race racing bus limo city "
            "automobile driving"
        ),
    ),
    "horse": Thing("a horse", "马", _words("horse horses pony"), _ANIMAL | _words("cowboy bull rodeo donkey polo")),
    "mountain": Thing(
        "a mountain",
        "山",
        _words("mountain mountains mountainside"),
        _words("hill hills hillside cliff rock rocks peak slope ski skiing skier snowboarder climber climbing canyon"),
    ),
    "street": Thing(
        "a street",
        "街道",
        _words("street streets"),
        _words(
            "road sidewalk city urban car cars traffic building buildings crosswalk parade town corner pavement bus"
        ),
    ),
    "skateboard": Thing(
        "a skateboard",
        "滑板",
        _words("skateboard skateboards skateboarder skateboarders skateboarding"),
        _words("skater skaters skate skates skating ramp board boarder rail"),
    ),
    "boat": Thing(
        "a boat",
        "船",
        _words("boat boats canoe kayak raft sailboat kayaker"),
        _words("ship paddle paddling rowing rowboat rafting dock pier wakeboarder waterskiing"),
    ),
    "rock": Thing(
        "a rock",
        "岩石",
        _words("rock rocks rocky cliff boulder boulders"),
        _words("climb climbs climber climbing mountain mountains stone stones canyon wall"),
    ),
}
"""What is asked about, in one table; "person" and "child" count whatever names one."""

SUBJECTS: dict[str, str] = {"dog": "狗", "man": "男人", "woman": "女人", "boy": "男孩", "girl": "女孩"}
"""Who a photo may be about: the word in English (also a key of THINGS) and Chinese."""

_COMPANY = _words(
    "people persons group crowd team family couple friend friends players adults children kids together they teammates "
    "workers teenagers teens babies"
)
_ALONE = _words("child kid baby toddler")


@dataclass(frozen=True)
class PhotoFacts:
    """shown, absent: keys of THINGS that are certain. subject: the key of SUBJECTS the photo is about, or ""."""

    shown: frozenset[str]
    absent: frozenset[str]
    subject: str = ""


def photo_facts(captions: Sequence[str]) -> PhotoFacts:
    """What English captions of one photo make certain."""
    named = [frozenset(re.findall(r"[a-z]+", caption.lower())) for caption in captions]
    all_words: frozenset[str] = frozenset().union(*named)

    def n_naming(words: frozenset[str]) -> int:
        return sum(bool(words & caption) for caption in named)

    shown = {key for key, thing in THINGS.items() if n_naming(thing.words) >= 2}
    absent = {
        key
        for key, thing in THINGS.items()
        if not all_words & (thing.words | thing.doubt) and (not thing.instead or all_words & thing.instead)
    }
    subjects = [key for key in SUBJECTS if THINGS[key].words & all_words]
    subject = ""
    if len(subjects) == 1 and n_naming(THINGS[subjects[0]].words) >= 3 and not all_words & _COMPANY:
        others = {"dog": "person" not in absent, "man": all_words & _ALONE, "woman": all_words & _ALONE}
        subject = "" if others.get(subjects[0]) else subjects[0]
    return PhotoFacts(frozenset(shown), frozenset(absent), subject)


@dataclass(frozen=True)
class SoundName:
    """A kind of sound: the answer in English and Chinese, and how it is named in a sentence in English and German."""

    en: str
    zh: str
    asked: str
    de: str


SOUND_NAMES: dict[str, SoundName] = {
    "air_conditioner": SoundName("air conditioner", "空调声", "an air conditioner", "eine Klimaanlage"),
    "baby_cry": SoundName("baby crying", "婴儿哭声", "a baby crying", "ein weinendes Baby"),
    "car_horn": SoundName("car horn", "汽车喇叭声", "a car horn", "eine Autohupe"),
    "chainsaw": SoundName("chainsaw", "电锯声", "a chainsaw", "eine Kettensäge"),
    "children_playing": SoundName("children playing", "孩子玩耍声", "children playing", "spielende Kinder"),
    "clock_tick": SoundName("clock ticking", "钟表滴答声", "a clock ticking", "eine tickende Uhr"),
    "dog_bark": SoundName("dog barking", "狗叫声", "a dog barking", "ein bellender Hund"),
    "drilling": SoundName("drilling", "电钻声", "drilling", "eine Bohrmaschine"),
    "engine_idling": SoundName("engine idling", "发动机声", "an engine idling", "ein laufender Motor"),
    "fire_crackling": SoundName("fire crackling", "火焰噼啪声", "a fire crackling", "ein knisterndes Feuer"),
    "gun_shot": SoundName("gun shot", "枪声", "a gun shot", "ein Schuss"),
    "helicopter": SoundName("helicopter", "直升机声", "a helicopter", "ein Hubschrauber"),
    "jackhammer": SoundName("jackhammer", "风镐声", "a jackhammer", "ein Presslufthammer"),
    "person_sneeze": SoundName("sneezing", "打喷嚏声", "someone sneezing", "jemand, der niest"),
    "rain": SoundName("rain", "雨声", "rain", "Regen"),
    "rooster": SoundName("rooster crowing", "公鸡叫声", "a rooster crowing", "ein krähender Hahn"),
    "sea_waves": SoundName("sea waves", "海浪声", "sea waves", "Meereswellen"),
    "siren": SoundName("siren", "警笛声", "a siren", "eine Sirene"),
    "speech": SoundName("speech", "说话声", "someone speaking", "jemand, der spricht"),
    "street_music": SoundName("street music", "街头音乐声", "street music", "Straßenmusik"),
}


def sound_prompt(label: str, language: str = "en") -> str:
    """A sound in words, as it is searched for and captioned; in English any label will do."""
    known = SOUND_NAMES.get(label)
    if known is None:
        return f"the sound of {label.replace('_', ' ')}"
    return {"zh": known.zh, "de": f"Das Geräusch: {known.de}"}.get(language, f"the sound of {known.asked}")


ALIKE: tuple[frozenset[str], ...] = (
    frozenset({"drilling", "jackhammer", "chainsaw"}),
    frozenset({"air_conditioner", "engine_idling", "helicopter"}),
    frozenset({"speech", "children_playing", "baby_cry", "street_music"}),
    frozenset({"rain", "sea_waves", "fire_crackling"}),
    frozenset({"siren", "car_horn"}),
)
"""Sounds that may hold or resemble one another; a question never rests on telling two of a set apart in one clip."""

SEEN_AND_HEARD: dict[str, str] = {
    "dog": "dog_bark",
    "child": "children_playing",
    "car": "car_horn",
    "water": "sea_waves",
}
"""What can be both seen (key of THINGS) and heard (label of a sound)."""


def alike(first: str, second: str) -> bool:
    """Whether two labels are the same or too close to ask about as different."""
    return first == second or any({first, second} <= group for group in ALIKE)
