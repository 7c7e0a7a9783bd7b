"""The command that serves the page: its options, a free port, the models that answer.

The other commands are in `engines/cli`. Only the standard library is imported at the top, so that launch.py can check
options before anything is installed.
"""

from __future__ import annotations

import argparse
import errno
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engines import Router, Settings

ABOUT = """\
Fusion Studio: search, speech, video questions and captions from one small model on your own machine.

Without a command the page is served. Every other command ({program} caption --help) runs in the terminal."""

FIRST_START = """

The first start makes an environment in .venv beside this file (about 1.5 GB on a CPU, a minute or a few, network
needed); later starts take seconds and need no network. The folder .venv belongs to this program: it is renewed when it
is broken or out of date. If the Python you start this with already has every package, it is used as it is."""

MODEL = """what answers everything, or one task (search, transcribe, translate, ask, caption); may be given again.
NAME: builtin, the folder of a checkpoint, a name on the Hugging Face hub, or the address of a server (default: what was
chosen on the page before, at first builtin)"""

ROOT_PATH = """the path, or the whole address, under which a reverse proxy serves the page (default: GRADIO_ROOT_PATH);
see docs/deploy.md"""

ALLOW_HOST = "a host name that a reverse proxy passes on; may be given again; the page then asks for a password"

EXAMPLES = """\
examples:
  {program}                            start, and open the page in the browser
  {program} --device cuda:1            use the second NVIDIA card
  {program} --host 0.0.0.0             let others on your network in; a password is made and shown
  {program} --model transcribe=openai/whisper-base
                                       let another model write down speech
  {program} --share                    the same through a public link; uploads are deleted after an hour
  {program} caption photo.jpg          any other command, in the terminal

commands: {commands}; each has --help
"""

COMMANDS = (
    "caption", "transcribe", "translate", "ask", "embed", "index", "search", "map", "duplicates", "teach", "recognise",
    "labels", "history", "lab", "train", "evaluate", "publish",
)  # fmt: skip

TESTS = "  {program} test                       run the tests; what follows goes to pytest: test -k search -x\n"


def main(argv: list[str], program: str) -> int:
    """Serve the page as these arguments say; returns the exit code. program: as it was called, for usage lines."""
    from engines.cli.process import ends_on_ctrl_c
    from studio.sharing import stay_offline

    stay_offline()
    options = parse(argv, program)
    with ends_on_ctrl_c(for_good=True):
        serve(options)
    return 0


def asks_for_page(argv: list[str]) -> bool:
    """Whether these arguments ask for the page: no command, only options, or `serve`."""
    return not argv or argv[0] == "serve" or (argv[0].startswith("-") and argv[0] != "--version")


def parse(argv: list[str], program: str) -> argparse.Namespace:
    """Read the options; wrong ones end the program. program: as it was called, launch.py or fusion-studio."""
    called = f"python {program}" if program.endswith(".py") else program
    beside = program.endswith(".py")
    parser = argparse.ArgumentParser(
        prog=program,
        description=ABOUT.format(program=called) + (FIRST_START if beside else ""),
        epilog=(EXAMPLES + (TESTS if beside else "")).format(program=called, commands=", ".join(COMMANDS)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (default: this machine only)")
    add("--port", default=7860, type=port_number, metavar="N", help="port, or the next free one (default: 7860)")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto, an NVIDIA card if there is one)")
    add("--model", action="append", default=[], metavar="[TASK=]NAME", help=MODEL)
    add("--share", action="store_true", help="also open a public link, behind a password")
    add("--root-path", default=None, metavar="PATH", help=ROOT_PATH)
    add("--allow-host", action="append", default=[], metavar="NAME", help=ALLOW_HOST)
    add("--no-mcp", action="store_true", help="do not serve the tasks as tools of MCP")
    add("--api-only", action="store_true", help="serve the OpenAI-compatible API at /v1 without the page")
    add("--no-browser", action="store_true", help="do not open the browser")
    return parser.parse_args(argv[1:] if argv[:1] == ["serve"] else argv)


def port_number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port; choose 1 to 65535")
    return int(text)


def serve(options: argparse.Namespace) -> None:
    """Serve the page until it is stopped."""
    print("Starting Fusion Studio ...", flush=True)
    from engines import Settings, UserError
    from engines.home import data_folder

    try:
        port = free_port(options.host, options.port)  # before the page is imported, which takes seconds
        from studio.gradio_import import skip_interface_files

        skip_interface_files()
        from studio.server import serve as serve_page

        settings = Settings(device=options.device)
        host = open_models(options.model, data_folder() / "models.json", settings)
        serve_page(
            host,
            bind=options.host,
            port=port,
            share=options.share,
            root_path=options.root_path,
            allow_hosts=options.allow_host,
            api_only=options.api_only,
            mcp=not options.no_mcp,
            open_browser=not options.no_browser,
            settings=settings,
        )
    except UserError as error:
        raise SystemExit(f"{error.en}\n{error.zh}") from error


def open_models(names: list[str], kept: Path, settings: Settings) -> Router:
    """What --model asks for; without it what was chosen on the page before, as far as that can be had now."""
    from engines import Host, Message, Route, UserError, open_routes, parse_routes, read_routes
    from engines.cli.models import tell_download

    if names:
        return open_routes(parse_routes(names), settings, tell=tell_download)
    try:
        routes = read_routes(kept)
    except UserError as error:
        print(f"{error.en}\n{error.zh}", flush=True)
        routes = {}
    built_in = next((route for route in routes.values() if route.model == "builtin"), Route("builtin"))
    router = open_routes({"": built_in}, settings, tell=tell_download)
    hosts: dict[str, Host | None] = {"builtin": router.open(built_in)}
    for task, route in sorted(routes.items(), reverse=True):  # what answers all the rest comes last
        name = route.model
        try:
            hosts[name] = hosts[name] if name in hosts else router.open(route)
        except UserError as error:
            told = Message(
                "note.model_left_out",
                "{name} is left out this time, the built-in model answers for it: {reason}",
                name=name,
                reason=error,
            )
            print(f"{told.en}\n{told.zh}", flush=True)
            hosts[name] = None
        if hosts[name] is None:
            router.missing[task] = route
        router.route(task, hosts[name] or hosts["builtin"])
    return router


def free_port(host: str, port: int) -> int:
    """The port asked for, or the next free one, telling so. Raises RequestError."""
    from engines import RequestError

    for candidate in range(port, min(port + 100, 65536)):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            if os.name != "nt":  # a port just given back is free; on Windows this option would mean sharing one
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, candidate))
            except OSError as error:
                if error.errno == errno.EACCES and candidate < 1024:
                    raise RequestError(
                        "port_reserved",
                        "Port {port} is reserved by this system; choose one above 1023 with --port.",
                        port=candidate,
                    ) from error
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise RequestError(
                        "no_such_address", "This machine has no address {name}; start without --host.", name=host
                    ) from error
                continue
        if candidate != port:
            print(f"Port {port} is in use; taking {candidate}.", flush=True)
        return candidate
    raise RequestError("no_free_port", "No port from {port} on is free; choose another with --port.", port=port)
