"""Start Fusion Studio: find or make an environment that has everything, open the model, serve the page.

main() is the whole story: options, environment, hand over to its Python, then serve or test. This file keeps to the
standard library and to plain syntax, so that an old Python too can run it far enough to say what it lacks.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engines import Progress, Router, Settings

ROOT = Path(__file__).resolve().parent
OLDEST_PYTHON = (3, 11)  # the oldest that numpy 2.4 and pandas 3 take
STEERS_PYTEST = re.compile(r"-n|-[sh]$|--(numprocesses|dist|pdb|trace|capture|collect-only|co|version|help)(=|$)")
TRIED_REPAIR = "FUSION_STUDIO_TRIED_REPAIR"

ABOUT = """\
Fusion Studio: search, speech, video questions and captions from one small model on your own machine.

The first start makes an environment in .venv beside this file (about 1.5 GB on a CPU, a few minutes, network needed);
later starts take seconds and need no network. The folder .venv belongs to this program: it is renewed when it is broken
or out of date. If the Python you start this with already has every package, it is used as it is."""

MODEL = """what answers everything, or one task (search, transcribe, translate, ask, caption); may be given again.
NAME: builtin, the folder of a checkpoint, a name on the Hugging Face hub, or the address of a server (default: what was
chosen on the page before, at first builtin)"""

EXAMPLES = """\
examples:
  python launch.py                    start, and open the page in the browser
  python launch.py --device cuda:1    use the second NVIDIA card
  python launch.py --host 0.0.0.0     let others on your network in; a password is made and shown
  python launch.py --model transcribe=openai/whisper-base
                                      let another model write down speech
  python launch.py --share            the same through a public link; uploads are deleted after an hour
  python launch.py test               run the tests; what follows goes to pytest: test -k search -x
"""


def main(argv: list[str]) -> None:
    testing = argv[:1] == ["test"]
    options = None if testing else parse(argv)
    require_python()
    from studio import environment  # written for the Python we now know to be there

    try:
        python = environment.python("test" if testing else "")
    except environment.SetupError as error:
        raise refuse(error.en, error.zh) from error
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("FUSION_STUDIO_OFFLINE", os.environ.get("HF_HUB_OFFLINE", "0"))  # as the owner wants it
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # with the line above, no library looks up any other machine
    if python != sys.executable:
        become([python, str(ROOT / "launch.py"), *argv])
    elif options is None:
        test(argv[1:])
    else:
        serve(options, argv)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="launch.py", description=ABOUT, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (default: this machine only)")
    add("--port", default=7860, type=port_number, metavar="N", help="port, or the next free one (default: 7860)")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto, an NVIDIA card if there is one)")
    add("--model", action="append", default=[], metavar="[TASK=]NAME", help=MODEL)
    add("--share", action="store_true", help="also open a public link, behind a password")
    add("--no-browser", action="store_true", help="do not open the browser")
    return parser.parse_args(argv)


def port_number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port; choose 1 to 65535")
    return int(text)


def refuse(en: str, zh: str) -> SystemExit:
    """The end of a start that cannot go on: a sentence for a person, in two languages."""
    return SystemExit(f"{en}\n{zh}")


def require_python() -> None:
    if sys.version_info[:2] < OLDEST_PYTHON:
        have, need = "{}.{}".format(*sys.version_info[:2]), "{}.{}".format(*OLDEST_PYTHON)
        raise refuse(
            f"This is Python {have}; Fusion Studio needs Python {need} or newer. Install one and start again with it.",
            f"当前是 Python {have}；需要 Python {need} 或更新版本，请安装后重新启动。",
        )


def become(command: list[str]) -> None:
    """Go on as another program, in this window and with its exit code."""
    sys.stdout.flush()
    if os.name == "nt":  # there exec returns to the prompt while the new program still runs
        raise SystemExit(subprocess.call(command))
    os.execv(command[0], command)  # noqa: S606 (no shell is wanted)


def test(arguments: list[str]) -> None:
    """Run pytest, on two workers unless the arguments steer or watch the run themselves."""
    spread = [] if any(STEERS_PYTEST.match(a) for a in arguments) else ["-n", "2", "--dist", "loadfile"]
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers with a thread each; more would wait for each other
    os.chdir(ROOT)
    become([sys.executable, "-m", "pytest", *spread, *arguments])


def serve(options: argparse.Namespace, argv: list[str]) -> None:
    """Serve the page until stopped; if a package in our environment turns out to be damaged, make that anew first."""
    print("Starting Fusion Studio ...", flush=True)
    port = free_port(options.host, options.port)
    try:
        open_page(options, port)
    except ImportError as error:
        repair(error, argv)
        raise


def open_page(options: argparse.Namespace, port: int) -> None:
    from engines import Settings, UserError
    from studio.app import HOME
    from studio.app import serve as serve_page

    try:
        settings = Settings(device=options.device)
        host = open_models(options.model, HOME / "models.json", settings)
        way = {"bind": options.host, "port": port, "share": options.share, "open_browser": not options.no_browser}
        serve_page(host, settings=settings, **way)
    except UserError as error:
        raise refuse(error.en, error.zh) from error


def open_models(names: list[str], kept: Path, settings: Settings) -> Router:
    """What --model asks for; without it what was chosen on the page before, as far as that can be had now."""
    from engines import Host, Route, UserError, open_routes, parse_routes, read_routes

    if names:
        return open_routes(parse_routes(names), settings, tell=say_progress)
    try:
        routes = read_routes(kept)
    except UserError as error:
        print(f"{error.en}\n{error.zh}", flush=True)
        routes = {}
    built_in = next((route for route in routes.values() if route.model == "builtin"), Route("builtin"))
    router = open_routes({"": built_in}, settings, tell=say_progress)
    hosts: dict[str, Host | None] = {"builtin": router.open(built_in)}
    for task, route in sorted(routes.items(), reverse=True):  # what answers all the rest comes last
        name = route.model
        try:
            hosts[name] = hosts[name] if name in hosts else router.open(route)
        except UserError as error:
            print(f"{name} is left out this time, the built-in model answers for it: {error.en}", flush=True)
            print(f"这次没有 {name}，由内置模型代替：{error.zh}", flush=True)
            hosts[name] = None
        if hosts[name] is None:
            router.missing[task] = route
        router.route(task, hosts[name] or hosts["builtin"])
    return router


def say_progress(name: str, progress: Progress) -> None:
    """One line in the terminal on a model that is fetched, written over until all of it is there."""
    if sys.stdout.isatty():
        far = f" {progress.done / 1e6:.0f} of {progress.total / 1e6:.0f} MB" if progress.unit == "bytes" else ""
        end = "\n" if 0 < progress.total <= progress.done else ""
        print(f"\r\x1b[K{name}: {progress.stage}{far}", end=end, flush=True)


def repair(error: ImportError, argv: list[str]) -> None:
    """Start over with a fresh environment, once, if a package in ours turns out to be damaged."""
    from studio import environment

    package = (error.name or "").split(".")[0]
    if not environment.is_ours() or package in ("", "engines", "studio") or TRIED_REPAIR in os.environ:
        return
    print(f"The package {package} in .venv is damaged; the environment is set up again.", flush=True)
    environment.condemn()
    os.environ[TRIED_REPAIR] = "1"
    become([sys._base_executable, str(ROOT / "launch.py"), *argv])  # type: ignore[attr-defined]


def free_port(host: str, port: int) -> int:
    """The port asked for, or the next free one, telling so."""
    for candidate in range(port, min(port + 100, 65536)):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            if os.name != "nt":  # a port just given back is free; on Windows this option would mean sharing one
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, candidate))
            except OSError as error:
                if error.errno == errno.EACCES and candidate < 1024:
                    raise refuse(
                        f"Port {candidate} is reserved by this system; choose one above 1023 with --port.",
                        f"端口 {candidate} 受系统保护；请用 --port 选 1023 以上的端口。",
                    ) from error
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise refuse(
                        f"This machine has no address {host}; start without --host.",
                        f"本机没有地址 {host}；请去掉 --host。",
                    ) from error
                continue
        if candidate != port:
            print(f"Port {port} is in use; taking {candidate}.", flush=True)
        return candidate
    raise refuse(
        f"No port from {port} on is free; choose another with --port.", f"从 {port} 起没有空闲端口；请用 --port 另选。"
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        raise SystemExit(130) from None
