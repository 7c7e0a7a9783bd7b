"""The table of README, docs and model card that is written from an `evaluation.json`; `scripts.tables` writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DIGITS = {"s": 3, "MB": 0}
"""Behind the point; of everything else one."""

ROWS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "Captions, English: BLEU-4 / CIDEr",
        "英文描述：BLEU-4 / CIDEr",
        ("caption.flickr8k.en.bleu4", "caption.flickr8k.en.cider"),
    ),
    (
        "… of the photo before (blind)",
        "……换成前一张图片（盲测）",
        ("caption.flickr8k.en.bleu4.blind", "caption.flickr8k.en.cider.blind"),
    ),
    ("Captions, Chinese: CIDEr", "中文描述：CIDEr", ("caption.flickr8k.zh.cider",)),
    ("Captions, German: CIDEr", "德文描述：CIDEr", ("caption.flickr8k.de.cider",)),
    (
        "… the English ones translated to Chinese / German: CIDEr",
        "……由英文描述译成中文 / 德文：CIDEr",
        ("caption.flickr8k.zh.through_english.cider", "caption.flickr8k.de.through_english.cider"),
    ),
    (
        "Captions of photos of ImageNet classes that name the thing: English / Chinese / German",
        "ImageNet 类别照片的描述说出其名：英文 / 中文 / 德文",
        tuple(f"naming.imagenet.caption.{language}accuracy" for language in ("", "zh.", "de.")),
    ),
    (
        "… found first by the name of their class: English / Chinese / German / French",
        "……用类别名检索排第一：英文 / 中文 / 德文 / 法文",
        tuple(f"naming.imagenet.search.{language}recall_at_1" for language in ("", "zh.", "de.", "fr.")),
    ),
    *(
        (
            f"Search, {name}: text to photo / photo to text, R@10",
            f"检索（{name_zh}）：文字找图 / 图找文字，R@10",
            tuple(f"retrieval.flickr8k.{lang}.{way}.recall_at_10" for way in ("text_to_image", "image_to_text")),
        )
        for lang, name, name_zh in (("en", "English", "英文"), ("zh", "Chinese", "中文"), ("de", "German", "德文"))
    ),
    (
        "Search: synthetic spoken caption to photo, R@10",
        "检索：合成语音找图，R@10",
        ("retrieval.speech_to_image.synthetic.recall_at_10",),
    ),
    (
        "Speech, LibriSpeech, unseen speakers: WER",
        "语音，LibriSpeech 新说话人：词错率",
        ("speech.librispeech-dev-clean.word_error_rate",),
    ),
    (
        "Speech, speechocean762, learners: WER",
        "语音，speechocean762 学习者：词错率",
        ("speech.speechocean762.word_error_rate",),
    ),
    (
        "… Whisper-base on some of these clips, LibriSpeech / speechocean762: WER",
        "……其中部分录音上的 Whisper-base，LibriSpeech / speechocean762：词错率",
        tuple(f"whispers.whisper-base.{c}.word_error_rate" for c in ("librispeech-dev-clean", "speechocean762")),
    ),
    (
        "Speech, spelling and commands (AN4) / strings of digits: WER",
        "语音，拼读与命令（AN4）/ 数字串：词错率",
        ("speech.an4.word_error_rate", "speech.fsdd-strings.word_error_rate"),
    ),
    ("Words invented in silence and noise", "在静音和噪声中编造的词数", ("speech.silence.invented_words",)),
    *(
        (
            f"Translation, Multi30k, {source} to {target}: BLEU",
            f"翻译，Multi30k，{source} → {target}：BLEU",
            (f"translation.multi30k.{source}_{target}.bleu",),
        )
        for source, target in (("en", "de"), ("en", "fr"), ("de", "en"), ("fr", "en"))
    ),
    (
        "Translation, captions, en to zh: BLEU by characters",
        "翻译，图片描述，en → zh：按字 BLEU",
        ("translation.flickr8kcn_human.en_zh.bleu",),
    ),
    *(
        (
            f"{name} English to German / French: BLEU",
            f"{name_zh}，英译德 / 英译法：BLEU",
            tuple(f"speech_translation.multi30k.en_{target}.{row}" for target in ("de", "fr")),
        )
        for name, name_zh, row in (
            ("Synthetic speech,", "合成语音", "bleu"),
            ("… the same sentences as text,", "……同样句子的文字", "text_in.bleu"),
        )
    ),
    (
        "Sounds, ESC-10 / UrbanSound8K: accuracy",
        "声音，ESC-10 / UrbanSound8K：准确率",
        ("sound.esc10.accuracy", "sound.us8k.accuracy"),
    ),
    (
        "Questions people asked about indoor photos (DAQUAR): accuracy / without the photo",
        "人们对室内照片的提问（DAQUAR）：准确率 / 不看照片",
        ("photo_qa.daquar.accuracy", "photo_qa.daquar.accuracy.blind"),
    ),
    (
        "Natural questions about real clips: exact / the answer stands in the reply",
        "对真实视频的自然提问：完全一致 / 回答中含答案",
        ("video_qa.mini.accuracy", "video_qa.mini.contains"),
    ),
    *(
        (
            f"Accuracy of the most confident 60 / 80 %: {name}",
            f"最有把握的 60 / 80 % 的准确率：{name_zh}",
            tuple(f"doubt.{key}.accuracy_at_{share}" for share in (60, 80)),
        )
        for key, name, name_zh in (
            ("naming.imagenet", "names in captions", "描述中的名称"),
            ("sound.esc10", "sounds, ESC-10", "声音，ESC-10"),
            ("video_qa.composed", "questions about composed clips", "对合成视频的提问"),
            ("photo_qa.daquar", "questions about photos", "对照片的提问"),
        )
    ),
    ("Video questions, composed clips: accuracy", "视频问答，合成视频：准确率", ("video_qa.composed.accuracy",)),
    (
        "… blind / picture only / sound only",
        "……盲答 / 只有画面 / 只有声音",
        tuple(f"video_qa.composed.accuracy.{row}" for row in ("blind", "picture_only", "sound_only")),
    ),
    (
        "… what hiding the picture / the sound costs where it is needed",
        "……需要时遮住画面 / 声音的代价",
        tuple(f"video_qa.composed.without_{sense}.cost" for sense in ("picture", "sound")),
    ),
    *(
        (
            f"{name}, five labels by {n} example{'s' * (n > 1)}: nearest centroid / logistic regression / Teach it",
            f"{name_zh}，五个标签各 {n} 例：最近中心 / 逻辑回归 / 教它认",
            tuple(
                f"fewshot.{corpus}.5way_{n}shot.{row}" for row in ("accuracy", "logistic.accuracy", "taught.accuracy")
            ),
        )
        for corpus, name, name_zh in (
            ("omniglot", "Omniglot, new alphabets", "Omniglot 新字母表"),
            ("photos", "Photos, new nouns", "照片，新名词"),
            ("esc10", "ESC-10", "ESC-10"),
            ("us8k", "UrbanSound8K (its labels were seen)", "UrbanSound8K（见过其标签）"),
        )
        for n in (1, 5)
    ),
    *(
        (
            f'… {n} example{"s" * (n > 1)}: out-of-set examples that Teach it calls "none of these": '
            "Omniglot / photos / ESC-10 / UrbanSound8K",
            f"……{n} 例：“教它认”对类外样本说“都不是”的比例：Omniglot / 照片 / ESC-10 / UrbanSound8K",
            tuple(
                f"fewshot.{corpus}.5way_{n}shot.taught.strangers" for corpus in ("omniglot", "photos", "esc10", "us8k")
            ),
        )
        for n in (1, 5)
    ),
    *(
        (f"Seconds: {job} / {peer}", f"秒：{job_zh} / {peer}", (f"speed.{key}.seconds", f"speed.{beside}.seconds"))
        for key, beside, job, job_zh, peer in (
            ("caption", "caption.blip_base", "a caption", "一条描述", "BLIP-base, 20 tokens"),
            ("transcribe", "transcribe.whisper_tiny_en", "10 s of speech", "10 秒语音", "Whisper-tiny.en, 30 tokens"),
            ("photo_vector", "photo_vector.clip_vit_b32", "a photo's vector", "一张图的向量", "CLIP ViT-B/32"),
            ("translate", "translate.marian_base", "a sentence translated", "翻译一句", "Marian base, 15 tokens"),
        )
    ),
    (
        "Seconds: the first word of a caption / loading the model",
        "秒：描述的第一个词 / 载入模型",
        ("speed.caption_first_word.seconds", "speed.load.seconds"),
    ),
    *(
        (
            f"{name}: CIDEr, WER, BLEU / seconds a caption, a clip of speech, a sentence",
            f"{name_zh}：CIDEr、词错率、BLEU / 每条描述、每段语音、每句的秒数",
            tuple(
                f"precision.{key}.{row}"
                for row in (
                    *("caption.cider", "speech.word_error_rate", "translation.bleu"),
                    *("caption.seconds", "speech.seconds", "translation.seconds"),
                )
            ),
        )
        for key, name, name_zh in (
            ("float32", "All in float32", "全部 float32"),
            ("int8", "int8 weights in decoder, text and sound tower", "解码器、文本塔、声音塔用 int8 权重"),
            ("mixed", "… sound tower in bfloat16", "……声音塔用 bfloat16"),
            ("bfloat16", "All in bfloat16", "全部 bfloat16"),
        )
    ),
    ("Peak memory, megabytes", "内存峰值，MB", ("speed.peak_memory.megabytes",)),
)
"""What is shown: in English, in Chinese, and the keys whose values stand side by side."""


def measured(
    rows: Mapping[str, Any],
    language: str,
    shown: Sequence[tuple[str, str, tuple[str, ...]]] = ROWS,
    before: Mapping[str, Any] | None = None,
) -> str:
    """A Markdown table of the rows that were measured; what was skipped or is not there is left out.

    before: the rows of the version before this one, which get a column of their own.
    """
    zh = language == "zh"
    columns = ["任务", "结果", "数量"] if zh else ["task", "result", "n"]
    if before is not None:
        columns.insert(2, "上一版" if zh else "version before")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for english, chinese, keys in shown:
        found = _values(rows, keys)
        if found:
            cells = [chinese if zh else english, found, f"{rows[keys[0]]['n']:,}"]
            if before is not None:
                cells.insert(2, _values(before, keys) or "–")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _values(rows: Mapping[str, Any], keys: Sequence[str]) -> str:
    """The values of some rows side by side; "" where one of them is missing."""
    found = [rows[key] for key in keys if rows.get(key, {}).get("value") is not None]
    if len(found) < len(keys):
        return ""
    values = " / ".join(f"{row['value']:.{DIGITS.get(row.get('unit'), 1)}f}" for row in found)
    return values + (" %" if {row.get("unit") for row in found} == {"%"} else "")
