"""The options of every command as tables, for the marks in docs/cli.md; `scripts.tables` writes them."""

from __future__ import annotations

import argparse
import re

from engines.cli.table import COMMANDS, Command, command_parser

COMMON = ("model", "device", "json", "quiet", "verbose")
"""Options of every command, told once."""
MARKS = re.compile(r"(<!-- options of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: str) -> str:
    """The page with every table of options as the parsers have it."""
    commands = {command.name: command for command in COMMANDS}

    def table(found: re.Match[str]) -> str:
        name = found[2]
        shared = name == "every"
        rows = options(commands["caption"] if shared else commands[name], shared=shared)
        return f"{found[1]}{rows}{found[3]}"

    return MARKS.sub(table, page)


def options(command: Command, *, shared: bool = False) -> str:
    """The options of one command as rows of a table; shared: those that every command has."""
    rows = ["| option | what it does |", "|---|---|"]
    for action in command_parser(command)._actions:
        if action.dest == "help" or (action.dest in COMMON) != shared:
            continue
        rows.append(f"| {_written(action)} | {_cell(action.help or '')} |")
    return "\n".join(rows) + "\n"


def _written(action: argparse.Action) -> str:
    value = action.metavar or ("|".join(action.choices) if action.choices else action.dest.upper())
    if not action.option_strings:
        name = f"{action.metavar or action.dest}"
        return f"`{name}`" if action.nargs is None else f"`{name} ...`" if action.nargs in ("+", "*") else f"`[{name}]`"
    takes_value = action.nargs != 0
    return ", ".join(f"`{_cell(f'{option} {value}' if takes_value else option)}`" for option in action.option_strings)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")
