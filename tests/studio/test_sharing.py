import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from studio import sharing
from studio.sharing import Gate, Lock, Rules, is_loopback, new_password


def inner() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    def page() -> str:
        return "inside"

    @app.post("/work")
    def work() -> str:
        return "worked"

    return app


def guarded(**options: object) -> tuple[TestClient, Lock]:
    lock = Lock("open-sesame", **options)
    return TestClient(Gate(inner(), lock, slow_s=0.0)), lock


@pytest.mark.parametrize(
    ("bind", "expected"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("192.168.1.5", False), ("", False)],
)
def test_only_loopback_addresses_count_as_this_machine(bind: str, expected: bool) -> None:
    assert is_loopback(bind) is expected


def test_visitors_name_no_folders_switch_no_devices_and_leave_nothing_for_long() -> None:
    visitors, owner = Rules(shared=True), Rules()
    assert (visitors.folders, visitors.devices, visitors.max_file_size, visitors.keep_s) == (False, False, "64mb", 3600)
    assert (owner.folders, owner.devices, owner.max_file_size) == (True, True, None)


def test_passwords_differ_and_can_be_read_aloud() -> None:
    passwords = {new_password() for _ in range(50)}
    assert len(passwords) == 50
    assert all(re.fullmatch(r"([a-hjkmnp-z2-9]{4}-){3}[a-hjkmnp-z2-9]{4}", password) for password in passwords)


def test_without_the_password_there_is_only_the_door() -> None:
    client, _ = guarded()
    page = client.get("/")
    assert '"inside"' not in page.text
    assert 'type="password"' in page.text
    assert "密码" in page.text
    assert client.post("/work").status_code == 401


def test_the_password_opens_and_the_browser_stays_in() -> None:
    client, _ = guarded()
    assert client.post("/enter", data={"password": " open-sesame "}).text == '"inside"'
    assert client.post("/work").text == '"worked"'
    assert "open-sesame" not in str(client.cookies)


def test_programs_send_the_password_in_a_header() -> None:
    client, _ = guarded()
    assert client.post("/work", headers={"authorization": "Bearer open-sesame"}).text == '"worked"'
    assert client.post("/work", headers={"authorization": "Bearer wrong"}).status_code == 401


def test_a_wrong_password_gets_a_sentence() -> None:
    client, _ = guarded()
    answer = client.post("/enter", data={"password": "guess"})
    assert answer.status_code == 401
    assert "That is not it" in answer.text


def test_after_five_wrong_tries_even_the_right_password_has_to_wait() -> None:
    now = [0.0]
    client, _ = guarded(clock=lambda: now[0])
    for _ in range(5):
        client.post("/enter", data={"password": "guess"})
    locked = client.post("/enter", data={"password": "open-sesame"})
    assert locked.status_code == 429
    assert "Too many wrong tries" in locked.text
    now[0] = sharing.LOCK_S + 1
    assert client.post("/enter", data={"password": "open-sesame"}).text == '"inside"'


def test_the_header_is_locked_like_the_form() -> None:
    client, lock = guarded()
    for _ in range(5):
        client.post("/work", headers={"authorization": "Bearer guess"})
    assert lock.locked_s("testclient") > 0
    assert client.post("/work", headers={"authorization": "Bearer open-sesame"}).status_code == 401


def test_those_inside_are_not_disturbed_by_a_guesser() -> None:
    client, lock = guarded()
    client.post("/enter", data={"password": "open-sesame"})
    for _ in range(9):
        lock.opens("testclient", "guess")
    assert client.post("/work").text == '"worked"'


def test_five_wrong_tries_of_one_address_do_not_lock_out_another() -> None:
    lock = Lock("open-sesame")
    for _ in range(5):
        lock.opens("10.0.0.1", "guess")
    assert lock.opens("10.0.0.2", "open-sesame")


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "localhost.evil.example:7860"},
        {"host": "127.0.0.1:7860", "origin": "https://evil.example"},
        {"host": "127.0.0.1:7860", "origin": "null"},
    ],
)
def test_on_this_machine_other_sites_cannot_make_the_studio_work(headers: dict[str, str]) -> None:
    client = TestClient(Gate(inner()))
    assert client.post("/work", headers=headers).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7861", "[::1]:7860", "localhost"])
def test_on_this_machine_the_owner_needs_no_password(host: str) -> None:
    client = TestClient(Gate(inner()))
    assert client.post("/work", headers={"host": host, "origin": f"http://{host}"}).text == '"worked"'


def test_a_missing_tunnel_is_one_sentence_and_the_studio_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    from gradio import networking

    def refuse(**_: object) -> str:
        raise OSError("no route to /home/me/frpc")

    monkeypatch.setattr(networking, "setup_tunnel", refuse)
    said = sharing.open_tunnel("http://127.0.0.1:7860")
    assert "stays local" in said
    assert "/home" not in said


def test_a_tunnel_is_shown_with_a_secure_address(monkeypatch: pytest.MonkeyPatch) -> None:
    from gradio import networking

    monkeypatch.setattr(networking, "setup_tunnel", lambda **_: "http://abc.gradio.live")
    assert "https://abc.gradio.live" in sharing.open_tunnel("http://127.0.0.1:7860")
