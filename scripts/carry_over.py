"""Measure what a translation must not change: is it carried over, and does the rest still make sense?

    python -m scripts.carry_over [--pairs en-de,de-en] [--n 500] [--seed 0] [--show 5]

Makes sentences with numbers, dates, times, prices, percentages, telephone numbers, URLs, e-mail addresses,
placeholders, markup, file names, emoji and names, each known in four languages, and translates them. Prints for each
pair:

* carried: the share of sentences in which each item stands exactly as often as it should, in the form of the target
  language, and which hold no other digit;
* chrF: of the translation to the one written by hand, both without their items;
* chrF without: of the translation of the same sentence that has no items ("many" for a number, "he" for a name), to
  the one written by hand: what the model can do with such a sentence.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import sacrebleu

from engines.hosts import open_host
from engines.protocol import LANGUAGES, Host, TranslateRequest, TranslateResult, run

PAIRS = ("en-de", "en-fr", "en-zh", "de-en", "fr-en", "zh-en", "de-fr")

Texts = Mapping[str, str]
"""Language -> text."""


@dataclass(frozen=True)
class Template:
    """A sentence in four languages. with_items: its {slots} are filled. without: the same without items."""

    with_items: Texts
    without: Texts


def _template(en: str, de: str, fr: str, zh: str) -> Template:
    """Each text is "with items | without items"."""
    sides = [text.split(" | ") for text in (en, de, fr, zh)]
    with_items, without = ({lang: side[n] for lang, side in zip(LANGUAGES, sides, strict=True)} for n in (0, 1))
    return Template(with_items, without)


TEMPLATES = (
    _template(
        "{name} is playing with the dog in the garden. | He is playing with the dog in the garden.",
        "{name} spielt mit dem Hund im Garten. | Er spielt mit dem Hund im Garten.",
        "{name} joue avec le chien dans le jardin. | Il joue avec le chien dans le jardin.",
        "{name}在花园里和狗玩。 | 他在花园里和狗玩。",
    ),
    _template(
        "There are {number} people on the beach. | There are many people on the beach.",
        "Am Strand sind {number} Menschen. | Am Strand sind viele Menschen.",
        "Il y a {number} personnes sur la plage. | Il y a beaucoup de personnes sur la plage.",
        "海滩上有{number}个人。 | 海滩上有很多人。",
    ),
    _template(
        "The bike costs {price}. | The bike costs a lot.",
        "Das Fahrrad kostet {price}. | Das Fahrrad kostet viel.",
        "Le vélo coûte {price}. | Le vélo coûte cher.",
        "这辆自行车的价格是{price}。 | 这辆自行车很贵。",
    ),
    _template(
        "My sister was born on {date}. | My sister was born on a Monday.",
        "Meine Schwester wurde am {date} geboren. | Meine Schwester wurde an einem Montag geboren.",
        "Ma sœur est née le {date}. | Ma sœur est née un lundi.",
        "我妹妹出生于{date}。 | 我妹妹是星期一出生的。",
    ),
    _template(
        "The train leaves at {time}. | The train leaves soon.",
        "Der Zug fährt um {time} ab. | Der Zug fährt bald ab.",
        "Le train part à {time}. | Le train part bientôt.",
        "火车{time}出发。 | 火车马上就要出发了。",
    ),
    _template(
        "Please visit {url} for more photos. | Please visit our website for more photos.",
        "Bitte besuchen Sie {url} für mehr Fotos. | Bitte besuchen Sie unsere Webseite für mehr Fotos.",
        "Veuillez visiter {url} pour plus de photos. | Veuillez visiter notre site pour plus de photos.",
        "请访问{url}查看更多照片。 | 请访问我们的网站查看更多照片。",
    ),
    _template(
        "You can write to me at {mail}. | You can write to me.",
        "Du kannst mir an {mail} schreiben. | Du kannst mir schreiben.",
        "Tu peux m'écrire à {mail}. | Tu peux m'écrire.",
        "你可以写信到{mail}给我。 | 你可以给我写信。",
    ),
    _template(
        "Hello {placeholder}, how are you? | Hello, how are you?",
        "Hallo {placeholder}, wie geht es dir? | Hallo, wie geht es dir?",
        "Bonjour {placeholder}, comment vas-tu ? | Bonjour, comment vas-tu ?",
        "你好{placeholder}，你好吗？ | 你好，你好吗？",
    ),
    _template(
        "{placeholder} has {count} new messages. | He has new messages.",
        "{placeholder} hat {count} neue Nachrichten. | Er hat neue Nachrichten.",
        "{placeholder} a {count} nouveaux messages. | Il a de nouveaux messages.",
        "{placeholder}有{count}条新消息。 | 他有新消息。",
    ),
    _template(
        "The dog is sleeping on the sofa. {emoji} | The dog is sleeping on the sofa.",
        "Der Hund schläft auf dem Sofa. {emoji} | Der Hund schläft auf dem Sofa.",
        "Le chien dort sur le canapé. {emoji} | Le chien dort sur le canapé.",
        "狗在沙发上睡觉。{emoji} | 狗在沙发上睡觉。",
    ),
    _template(
        "A {open}red{close} car is parked in front of the house. | A red car is parked in front of the house.",
        "Ein {open}rotes{close} Auto parkt vor dem Haus. | Ein rotes Auto parkt vor dem Haus.",
        "Une voiture {open}rouge{close} est garée devant la maison. | Une voiture rouge est garée devant la maison.",
        "一辆{open}红色{close}的汽车停在房子前面。 | 一辆红色的汽车停在房子前面。",
    ),
    _template(
        "{open}A man is riding a bicycle down the street.{close} | A man is riding a bicycle down the street.",
        "{open}Ein Mann fährt mit dem Fahrrad die Straße entlang.{close} | "
        "Ein Mann fährt mit dem Fahrrad die Straße entlang.",
        "{open}Un homme descend la rue à vélo.{close} | Un homme descend la rue à vélo.",
        "{open}一个男人在街上骑自行车。{close} | 一个男人在街上骑自行车。",
    ),
    _template(
        "About {percent} of the students can swim. | Most of the students can swim.",
        "Etwa {percent} der Schüler können schwimmen. | Die meisten Schüler können schwimmen.",
        "Environ {percent} des élèves savent nager. | La plupart des élèves savent nager.",
        "大约{percent}的学生会游泳。 | 大部分学生会游泳。",
    ),
    _template(
        "A man named {name} is talking to {other}. | A man is talking to a woman.",
        "Ein Mann namens {name} spricht mit {other}. | Ein Mann spricht mit einer Frau.",
        "Un homme nommé {name} parle à {other}. | Un homme parle à une femme.",
        "一个叫{name}的男人在和{other}说话。 | 一个男人在和一个女人说话。",
    ),
    _template(
        "I opened {file} but it was empty. | I opened the box but it was empty.",
        "Ich habe {file} geöffnet, aber es war leer. | Ich habe die Kiste geöffnet, aber sie war leer.",
        "J'ai ouvert {file}, mais c'était vide. | J'ai ouvert la boîte, mais elle était vide.",
        "我打开了{file}，但它是空的。 | 我打开了盒子，但它是空的。",
    ),
    _template(
        "The meeting is on {date} at {time}. | The meeting is on Monday.",
        "Das Treffen ist am {date} um {time}. | Das Treffen ist am Montag.",
        "La réunion est le {date} à {time}. | La réunion est lundi.",
        "会议在{date}{time}举行。 | 会议在星期一举行。",
    ),
    _template(
        "{name} paid {price} for {count} tickets. | She paid a lot for the tickets.",
        "{name} hat {price} für {count} Karten bezahlt. | Sie hat viel für die Karten bezahlt.",
        "{name} a payé {price} pour {count} billets. | Elle a payé cher pour les billets.",
        "{name}花了{price}买了{count}张票。 | 她花了很多钱买票。",
    ),
    _template(
        "See you tomorrow {emoji} at the park! | See you tomorrow at the park!",
        "Bis morgen {emoji} im Park! | Bis morgen im Park!",
        "À demain {emoji} au parc ! | À demain au parc !",
        "明天{emoji}公园见！ | 明天公园见！",
    ),
    _template(
        "A boy in a blue shirt with the number {count} is running. | A boy in a blue shirt is running.",
        "Ein Junge in einem blauen Hemd mit der Nummer {count} rennt. | Ein Junge in einem blauen Hemd rennt.",
        "Un garçon en chemise bleue avec le numéro {count} court. | Un garçon en chemise bleue court.",
        "一个穿着{count}号蓝色衬衫的男孩在跑步。 | 一个穿着蓝色衬衫的男孩在跑步。",
    ),
    _template(
        "Click {open}here{close} to read the book. | Click here to read the book.",
        "Klicken Sie {open}hier{close}, um das Buch zu lesen. | Klicken Sie hier, um das Buch zu lesen.",
        "Cliquez {open}ici{close} pour lire le livre. | Cliquez ici pour lire le livre.",
        "点击{open}这里{close}阅读这本书。 | 点击这里阅读这本书。",
    ),
    _template(
        "Call me at {phone} after work. | Call me after work.",
        "Ruf mich nach der Arbeit unter {phone} an. | Ruf mich nach der Arbeit an.",
        "Appelle-moi au {phone} après le travail. | Appelle-moi après le travail.",
        "下班后给我打{phone}。 | 下班后给我打电话。",
    ),
    _template(
        "It is {number} degrees in {place} today. | It is very cold in the city today.",
        "Heute sind es in {place} {number} Grad. | Heute ist es in der Stadt sehr kalt.",
        "Il fait {number} degrés à {place} aujourd'hui. | Il fait très froid en ville aujourd'hui.",
        "今天{place}的气温是{number}度。 | 今天城里很冷。",
    ),
    _template(
        "Two women are standing in front of {place}. | Two women are standing in front of a house.",
        "Zwei Frauen stehen vor {place}. | Zwei Frauen stehen vor einem Haus.",
        "Deux femmes se tiennent devant {place}. | Deux femmes se tiennent devant une maison.",
        "两个女人站在{place}前面。 | 两个女人站在一座房子前面。",
    ),
    _template(
        "We have {count} dogs and {more} cats at home. | We have dogs and cats at home.",
        "Wir haben {count} Hunde und {more} Katzen zu Hause. | Wir haben Hunde und Katzen zu Hause.",
        "Nous avons {count} chiens et {more} chats à la maison. | Nous avons des chiens et des chats à la maison.",
        "我们家有{count}只狗和{more}只猫。 | 我们家有狗和猫。",
    ),
)

_NAMES = (
    *("Priya Kowalska", "Anna Schmidt", "Jürgen Maurer", "Aisha Diallo", "Kenji Tanaka", "Olga Petrova"),
    *("Chloé Lefèvre", "Mateo Rossi", "Fatima Haddad", "Svenja Brandt", "Rajesh Patel", "Ingrid Nilsson"),
)
_PLACES = ("Toulouse", "Springfield", "Heidelberg", "Kyoto", "Valparaíso", "Reykjavik", "Dresden", "Lagos")
_PLACEHOLDERS = ("{{name}}", "{0}", "%s", "${user}", "%(name)s", "{user_name}", "{{ user.name }}")
_TAGS = (("<b>", "</b>"), ("<i>", "</i>"), ("<em>", "</em>"), ('<a href="/help">', "</a>"), ("<span>", "</span>"))
_EMOJI = ("🐶", "😀🎉", "❤️", "👍🏽", "👩‍🚀", "🇩🇪", "🐶😀")
_URLS = ("https://example.org/a?b=1&c=2", "www.example.com/photos", "http://example.net", "https://example.com/x_y#top")
_MAILS = ("jo.doe+x@mail.example.com", "info@example.org", "anna_k@example.net")
_FILES = ("report.pdf", "holiday-2.jpg", "data_v2.csv", "talk.final.mp4")
_PHONES = ("+49 30 901820", "555-0142", "(020) 7946 0958", "+33 1 99 00 12 34")
_MONTHS = {
    "en": (
        *("January", "February", "March", "April", "May", "June", "July"),
        *("August", "September", "October", "November", "December"),
    ),
    "de": (
        *("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli"),
        *("August", "September", "Oktober", "November", "Dezember"),
    ),
    "fr": (
        *("janvier", "février", "mars", "avril", "mai", "juin", "juillet"),
        *("août", "septembre", "octobre", "novembre", "décembre"),
    ),
}


def _alike(text: str) -> Texts:
    return dict.fromkeys(LANGUAGES, text)


def _number(whole: int, hundredths: int | None = None) -> Texts:
    """12345.50 as 12,345.50 or 12.345,50 or 12 345,50."""
    found = {}
    for language, comma, point in (("en", ",", "."), ("de", ".", ","), ("fr", "\u202f", ","), ("zh", ",", ".")):
        text = f"{whole:,}".replace(",", comma)
        found[language] = text if hundredths is None else f"{text}{point}{hundredths:02}"
    return found


def _price(rng: np.random.Generator) -> Texts:
    number, sign = _number(int(rng.integers(2, 9000)), int(rng.integers(0, 100))), str(rng.choice(["$", "€", "£"]))
    hard = "\u00a0"
    return {
        "en": sign + number["en"],
        "de": number["de"] + hard + sign,
        "fr": number["fr"] + hard + sign,
        "zh": sign + number["zh"],
    }


def _percent(rng: np.random.Generator) -> Texts:
    n = int(rng.integers(2, 99))
    return {"en": f"{n}%", "de": f"{n}\u00a0%", "fr": f"{n}\u00a0%", "zh": f"{n}%"}


def _date(rng: np.random.Generator) -> Texts:
    day, month, year = int(rng.integers(2, 29)), int(rng.integers(12)), int(rng.integers(1950, 2031))
    if rng.random() < 0.2:
        return _alike(f"{year}-{month + 1:02}-{day:02}")
    return {
        "en": f"{day} {_MONTHS['en'][month]} {year}",
        "de": f"{day}. {_MONTHS['de'][month]} {year}",
        "fr": f"{day} {_MONTHS['fr'][month]} {year}",
        "zh": f"{year}年{month + 1}月{day}日",
    }


def _time(rng: np.random.Generator) -> Texts:
    hour, minute = int(rng.integers(0, 24)), int(rng.integers(0, 12)) * 5
    return _alike(f"{hour}:{minute:02}")


def items(rng: np.random.Generator) -> dict[str, Texts]:
    """One item for every slot."""

    def one(choices: tuple[str, ...]) -> Texts:
        return _alike(str(rng.choice(choices)))

    name, other = (str(name) for name in rng.choice(_NAMES, 2, replace=False))
    count, more = (int(n) for n in rng.choice(np.arange(2, 100), 2, replace=False))
    opening, closing = _TAGS[int(rng.integers(len(_TAGS)))]
    whole = int(10 ** rng.uniform(0.5, 5))
    return {
        "name": _alike(name),
        "other": _alike(other),
        "place": one(_PLACES),
        "number": _number(whole, int(rng.integers(1, 100)) if whole < 1000 and rng.random() < 0.3 else None),
        "count": _number(count),
        "more": _number(more),
        "price": _price(rng),
        "percent": _percent(rng),
        "date": _date(rng),
        "time": _time(rng),
        "url": one(_URLS),
        "mail": one(_MAILS),
        "file": one(_FILES),
        "phone": one(_PHONES),
        "placeholder": one(_PLACEHOLDERS),
        "emoji": one(_EMOJI),
        "open": _alike(opening),
        "close": _alike(closing),
    }


@dataclass(frozen=True)
class Sentence:
    """text: with its items, in the source language. without: the same without. reference, reference_without: in the
    target language. wanted: the items in their target form, as often as each must stand in the translation."""

    text: str
    without: str
    reference: str
    reference_without: str
    wanted: tuple[str, ...]


def sentences(rng: np.random.Generator, n: int, source: str, target: str) -> list[Sentence]:
    found = []
    for i in range(n):
        template, filling = TEMPLATES[i % len(TEMPLATES)], items(rng)
        text, reference = (_filled(template.with_items[lang], filling, lang) for lang in (source, target))
        slots = re.findall(r"\{(\w+)\}", template.with_items[source])
        wanted = tuple(filling[slot][target] for slot in slots)
        found.append(Sentence(text, template.without[source], reference, template.without[target], wanted))
    return found


def _filled(text: str, filling: Mapping[str, Texts], language: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda slot: filling[slot[1]][language], text)


def rest(text: str, wanted: tuple[str, ...]) -> tuple[bool, str]:
    """Whether each item stands in a text exactly once and no digit does beside them, and the text without them."""
    right = True
    for item in sorted(wanted, key=len, reverse=True):
        right &= text.count(item) >= 1
        text = text.replace(item, " ", 1)
    right &= not any(item in text for item in wanted) and not any(c.isdigit() for c in text)
    return right, re.sub(r"\s+([.,!?;])", r"\1", " ".join(text.split()))


def measure(translate: Callable[[str], str], made: list[Sentence], target: str, show: int) -> tuple[float, ...]:
    """(carried %, chrF, chrF without) of one pair; prints some sentences and all that lost something."""
    own, own_without, right, carried = [], [], [], 0
    known: dict[str, str] = {}  # there are only as many sentences without items as templates
    for n, sentence in enumerate(made):
        written = translate(sentence.text)
        fine, text = rest(written, sentence.wanted)
        carried += fine
        own.append(text)
        right.append(rest(sentence.reference, sentence.wanted)[1])
        if sentence.without not in known:
            known[sentence.without] = translate(sentence.without)
        own_without.append(known[sentence.without])
        if n < show or not fine:
            print(f"{'  ' if fine else '! '}{sentence.text} -> {written}", flush=True)
    order = 0 if target == "zh" else 2  # chrF++ where words have blanks between them

    def chrf(texts: list[str], references: list[str]) -> float:
        return float(sacrebleu.corpus_chrf(texts, [references], word_order=order).score)

    without = [sentence.reference_without for sentence in made]
    return 100.0 * carried / len(made), chrf(own, right), chrf(own_without, without)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", default=",".join(PAIRS))
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=0, help="sentences of each pair that are printed")
    parser.add_argument("--model", default="builtin")
    args = parser.parse_args()
    host = open_host(args.model)
    try:
        print(
            "| pair | sentences | carried | chrF | chrF without items | seconds a sentence |\n|---|---|---|---|---|---|"
        )
        for pair in args.pairs.split(","):
            source, target = pair.split("-")
            made = sentences(np.random.default_rng(args.seed), args.n, source, target)
            started = time.process_time()
            figures = measure(partial(_translated, host, source, target), made, target, args.show)
            seconds = (time.process_time() - started) / len(made)
            columns = " | ".join(f"{figure:.1f}" for figure in figures)
            print(f"| {pair} | {len(made)} | {columns} | {seconds:.2f} |", flush=True)
    finally:
        host.close()


def _translated(host: Host, source: str, target: str, text: str) -> str:
    result = run(host, TranslateRequest(text=text, source=source, target=target))
    assert isinstance(result, TranslateResult)
    return result.text


if __name__ == "__main__":
    main()
