import re

import pytest

from studio import sharing
from studio.sharing import Lock, is_loopback, new_password


@pytest.mark.parametrize(
    ("bind", "expected"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("192.168.1.5", False), ("", False)],
)
def test_only_loopback_addresses_count_as_this_machine(bind, expected):
    assert is_loopback(bind) is expected


def test_passwords_differ_and_can_be_read_aloud():
    passwords = {new_password() for _ in range(50)}
    assert len(passwords) == 50
    assert all(re.fullmatch(r"([a-hjkmnp-z2-9]{4}-){3}[a-hjkmnp-z2-9]{4}", password) for password in passwords)


def test_five_wrong_tries_of_one_address_do_not_lock_out_another():
    lock = Lock("open-sesame")
    for _ in range(5):
        lock.opens("10.0.0.1", "guess")
    assert lock.opens("10.0.0.2", "open-sesame")


def test_a_missing_tunnel_is_one_sentence_and_the_studio_stays(monkeypatch):
    from gradio import networking

    def refuse(**_: object) -> str:
        raise OSError("no route to /home/me/frpc")

    monkeypatch.setattr(networking, "setup_tunnel", refuse)
    said = sharing.open_tunnel(7860)
    assert "stays local" in said
    assert "/home" not in said


def test_a_tunnel_is_shown_with_a_secure_address(monkeypatch):
    from gradio import networking

    monkeypatch.setattr(networking, "setup_tunnel", lambda **_: "http://abc.gradio.live")
    assert "https://abc.gradio.live" in sharing.open_tunnel(7860)
