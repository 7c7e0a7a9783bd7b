"""Everyday words for groups of ImageNet's classes, in four languages: what a photo is of when no one class is sure.

A class belongs to a group when its accepted English names (`naming/concepts.tsv`) hold the group's English word. The
German, French and Chinese words are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from engines.archives import ConceptRecord
from engines.model.config import Concept, ConceptGroup
from engines.model.fusion import FusionModel
from engines.protocol import LANGUAGES
from engines.text import Tokenizer

ROWS = 64
"""Names through the text tower at once."""

GROUPS = """
dog|Hund|chien|狗
cat|Katze|chat|猫
big cat|Raubkatze|grand félin|大型猫科动物
bear|Bär|ours|熊
wolf|Wolf|loup|狼
fox|Fuchs|renard|狐狸
monkey|Affe|singe|猴子
ape|Menschenaffe|grand singe|猿
rabbit|Kaninchen|lapin|兔子
rodent|Nagetier|rongeur|啮齿动物
elephant|Elefant|éléphant|大象
antelope|Antilope|antilope|羚羊
terrier|Terrier|terrier|㹴犬
spaniel|Spaniel|épagneul|西班牙猎犬
retriever|Retriever|retriever|寻回犬
poodle|Pudel|caniche|贵宾犬
husky|Husky|husky|哈士奇
sheepdog|Hütehund|chien de berger|牧羊犬
bird|Vogel|oiseau|鸟
songbird|Singvogel|oiseau chanteur|鸣禽
parrot|Papagei|perroquet|鹦鹉
duck|Ente|canard|鸭子
chicken|Huhn|poulet|鸡
bird of prey|Greifvogel|rapace|猛禽
heron|Reiher|héron|鹭
fish|Fisch|poisson|鱼
shark|Hai|requin|鲨鱼
snake|Schlange|serpent|蛇
lizard|Eidechse|lézard|蜥蜴
turtle|Schildkröte|tortue|龟
frog|Frosch|grenouille|青蛙
salamander|Salamander|salamandre|蝾螈
insect|Insekt|insecte|昆虫
beetle|Käfer|coléoptère|甲虫
butterfly|Schmetterling|papillon|蝴蝶
spider|Spinne|araignée|蜘蛛
crab|Krabbe|crabe|螃蟹
mushroom|Pilz|champignon|蘑菇
fruit|Obst|fruits|水果
vegetable|Gemüse|légumes|蔬菜
bread|Brot|pain|面包
flower|Blume|fleur|花
boat|Boot|bateau|船
ship|Schiff|navire|轮船
car|Auto|voiture|汽车
truck|Lastwagen|camion|卡车
van|Lieferwagen|camionnette|面包车
bus|Bus|bus|公共汽车
train|Zug|train|火车
plane|Flugzeug|avion|飞机
bicycle|Fahrrad|vélo|自行车
rocket|Rakete|fusée|火箭
tractor|Traktor|tracteur|拖拉机
bottle|Flasche|bouteille|瓶子
cup|Tasse|tasse|杯子
pot|Topf|casserole|锅
bowl|Schüssel|bol|碗
hat|Hut|chapeau|帽子
shoes|Schuhe|chaussures|鞋
dress|Kleid|robe|连衣裙
coat|Mantel|manteau|外套
bag|Tasche|sac|包
ball|Ball|ballon|球
clock|Uhr|horloge|钟表
computer|Computer|ordinateur|电脑
phone|Telefon|téléphone|电话
screen|Bildschirm|écran|屏幕
camera|Kamera|appareil photo|相机
chair|Stuhl|chaise|椅子
bed|Bett|lit|床
table|Tisch|table|桌子
cabinet|Schrank|armoire|柜子
gun|Gewehr|fusil|枪
knife|Messer|couteau|刀
drum|Trommel|tambour|鼓
musical instrument|Musikinstrument|instrument de musique|乐器
helmet|Helm|casque|头盔
mask|Maske|masque|面具
church|Kirche|église|教堂
shop|Laden|magasin|商店
bridge|Brücke|pont|桥
building|Gebäude|bâtiment|建筑
fence|Zaun|clôture|栅栏
beach|Strand|plage|海滩
mountain|Berg|montagne|山
"""


def concepts(records: Sequence[ConceptRecord]) -> tuple[tuple[Concept, ...], tuple[ConceptGroup, ...]]:
    """All classes with their names, and the groups that at least two of them belong to."""
    classes = tuple(Concept(**record.names) for record in records)
    groups = []
    for line in GROUPS.strip().splitlines():
        en, de, fr, zh = line.split("|")
        members = tuple(i for i, record in enumerate(records) if en in record.accepted)
        if len(members) > 1:
            groups.append(ConceptGroup(Concept(en, de, fr, zh), members))
    return classes, tuple(groups)


@torch.no_grad()
def place_names(model: FusionModel, tokenizer: Tokenizer) -> None:
    """Put the vectors of all names of concepts and groups into a model, as `engines.encoder.NameTable` reads them."""
    if not model.config.concepts:
        return
    named = [*model.config.concepts, *(group.name for group in model.config.concept_groups)]
    texts = [getattr(concept, language) for language in LANGUAGES for concept in named]
    for start in range(0, len(texts), ROWS):
        rows = [torch.tensor(tokenizer.encode(text)) for text in texts[start : start + ROWS]]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        mask = torch.arange(ids.shape[1]) < torch.tensor([len(row) for row in rows])[:, None]
        vectors = model.vector("text", model.read(ids.to(model.device), mask.to(model.device)), mask.to(model.device))
        model.concept_vectors[start : start + ROWS] = vectors.to(model.concept_vectors.dtype)
