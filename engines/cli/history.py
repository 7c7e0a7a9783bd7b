"""history: what the page of this machine's owner has answered.

fusion-studio history
fusion-studio history search dog beach
fusion-studio history show 12 --json
fusion-studio history export > results.jsonl
fusion-studio history clear
"""

from __future__ import annotations

import argparse

from engines.cli.outputs import plain, print_json
from engines.cli.process import WrongUsage
from engines.errors import UserError
from engines.home import data_folder
from engines.index.history import LAB, Entry, History, history_file

_ACTIONS = ("list", "search", "show", "export", "delete", "clear", "on", "off")


def history_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("action", nargs="?", choices=_ACTIONS, default="list", help="export: all, or the given ids, as "
                     "one JSON object a line; on, off: keep results, or keep none (default: list)")  # fmt: skip
    sub.add_argument("words", nargs="*", metavar="WORD", help="words to search for, or ids to show, export or delete")
    sub.add_argument("--most", type=int, default=20, metavar="N", help="list at most N, the newest (default: 20)")


def history(options: argparse.Namespace) -> int:
    action, words = options.action, options.words
    kept = History(history_file(data_folder()))
    if action in ("show", "delete") and not words:
        raise WrongUsage("cli_history_ids", "`history {action}` needs the id of a result; `history` lists them.",
                           action=action)  # fmt: skip
    if action in ("list", "clear", "on", "off") and words:
        raise WrongUsage("cli_history_words", "`history {action}` takes no words; to look for some, use `history "
                           "search`.", action=action)  # fmt: skip
    if action in ("list", "search"):
        for entry in kept.find(" ".join(words), options.most):
            _print_line(entry, as_json=options.json)
    elif action == "show":
        for entry_id in _ids(words):
            _show(kept, entry_id, as_json=options.json)
    elif action == "export":
        for entry_id in _ids(words) or [entry.id for entry in reversed(kept.find(n=-1))]:
            print_json(_exported(kept, kept.entry(entry_id)))
    elif action == "delete":
        ids = _ids(words)
        if kept.delete(ids) < len(set(ids)):
            raise UserError("history_gone", "This result is no longer in the history.")
    elif action == "clear":
        n = kept.clear()
        print(f"{n} {'result' if n == 1 else 'results'} deleted")
    else:
        kept.turn(on=action == "on")
        print(f"the history is {action}")
    return 0


def _ids(words: list[str]) -> list[int]:
    for word in words:
        if not (word.isascii() and word.isdecimal()):
            raise WrongUsage("cli_history_id", "{word!r} is no id of a result; `history` lists them.", word=word)
    return list(map(int, words))


def _show(kept: History, entry_id: int, *, as_json: bool) -> None:
    entry = kept.entry(entry_id)
    if as_json:
        print_json(_exported(kept, entry))
    else:
        print(f"{_head(entry)}\n{entry.text}")


def _exported(kept: History, entry: Entry) -> dict[str, object]:
    answered = kept.run(entry.id)[0] if entry.task == LAB else plain(kept.result(entry.id))
    return {"id": entry.id, "at": entry.at, "about": entry.about, **answered}


def _print_line(entry: Entry, *, as_json: bool) -> None:
    if as_json:
        print_json({"id": entry.id, "at": entry.at, "task": entry.task, "about": entry.about, "text": entry.text})
    else:
        print(f"{_head(entry)}\t{' '.join(entry.text.split())[:120]}")


def _head(entry: Entry) -> str:
    return f"{entry.id}\t{entry.at}\t{entry.task}\t{' '.join(entry.about.split())[:80]}"
