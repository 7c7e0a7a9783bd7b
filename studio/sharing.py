"""A page that others can reach: its password, its public link, and what no library may look up.

The page listens on this machine only. As soon as it is reachable from elsewhere, through a tunnel, a reverse proxy or
the local network, a password stands before everything: made here, shown once in the terminal, slow to try and locked
after five wrong ones. `studio/gate.py` asks for it.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

log = logging.getLogger("studio")

N_TRIES = 5
LOCK_S = 900.0


def is_loopback(bind: str) -> bool:
    """Whether an address to listen on is reachable from this machine only."""
    try:
        return bind == "localhost" or ipaddress.ip_address(bind).is_loopback
    except ValueError:
        return False


def new_password() -> str:
    """Four groups of four letters and digits, none of which look alike: 79 bits."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4))


@dataclass
class Lock:
    """Check a password; after five wrong tries an address has to wait a quarter of an hour, with the right one too.

    Behind a proxy all visitors have one address: a guesser then locks out everybody who has not logged in yet. Those
    who have a key are not affected.
    """

    password: str
    clock: Callable[[], float] = time.monotonic
    wrong: dict[str, tuple[int, float]] = field(default_factory=dict)

    def locked_s(self, address: str) -> float:
        """How many seconds an address has to wait, 0 when it may try."""
        n_wrong, last_s = self.wrong.get(address, (0, 0.0))
        return max(0.0, last_s + LOCK_S - self.clock()) if n_wrong >= N_TRIES else 0.0

    def opens(self, address: str, tried: str) -> bool:
        """Whether this is the password; a wrong one is counted, and so is any while the lock is closed."""
        if self.locked_s(address) > 0:
            return False
        if secrets.compare_digest(tried.strip().encode(), self.password.encode()):
            self.wrong.pop(address, None)
            return True
        now_s = self.clock()
        self.wrong = {name: tries for name, tries in self.wrong.items() if now_s - tries[1] <= LOCK_S}
        self.wrong[address] = (self.wrong.get(address, (0, 0.0))[0] + 1, now_s)
        return False


def open_tunnel(port: int) -> str:
    """Ask gradio's service for a public address of a local port; one sentence with it, or why there is none."""
    from gradio import networking
    from gradio.exceptions import ChecksumMismatchError

    try:
        public = networking.setup_tunnel(
            local_host="127.0.0.1",
            local_port=port,
            share_token=secrets.token_urlsafe(32),
            share_server_address=None,
            share_server_tls_certificate=None,
        )
    except ChecksumMismatchError:
        return "No public link: the tunnel program on this computer is not the one expected. The studio stays local."
    except Exception as error:
        log.info("no tunnel", exc_info=error)
        return "No public link: the tunnel service or its program cannot be reached from here. The studio stays local."
    return f"Others reach it for up to a week at {public.replace('http:', 'https:', 1)}"


def stay_offline() -> None:
    """Keep gradio and huggingface_hub offline. Whether the owner allows the hub is kept in FUSION_STUDIO_OFFLINE."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("FUSION_STUDIO_OFFLINE", os.environ.get("HF_HUB_OFFLINE", "0"))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
