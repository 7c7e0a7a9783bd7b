import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.requests import Request

from studio import gate, sharing
from studio.gate import Entrance, Gate
from studio.sharing import Lock

LOCAL = "http://127.0.0.1:7860"


def inner() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    def page() -> str:
        return "inside"

    @app.post("/work")
    def work() -> str:
        return "worked"

    @app.get("/where")
    def where(request: Request) -> dict[str, object]:
        assert request.client is not None
        return {"client": request.client.host, "forwarded": request.headers.get("x-forwarded-host")}

    return app


def guarded(entrance: Entrance | None = None, base: str = LOCAL, **options: object) -> tuple[TestClient, Lock]:
    lock = Lock("open-sesame", **options)
    return TestClient(Gate(inner(), lock, entrance, slow_s=0.0), base_url=base), lock


def local(entrance: Entrance | None = None, base: str = LOCAL) -> TestClient:
    return TestClient(Gate(inner(), None, entrance), base_url=base)


# --- the password --------------------------------------------------------------------------------------------------


def test_without_the_password_there_is_only_the_login_page():
    client, _ = guarded()
    page = client.get("/")
    assert '"inside"' not in page.text
    assert 'type="password"' in page.text
    assert "密码" in page.text
    refused = client.post("/work")
    assert (refused.status_code, refused.json()) == (401, {"error": "A password is needed."})


def test_the_password_opens_and_the_browser_stays_in():
    client, _ = guarded()
    assert client.post("/enter", data={"password": " open-sesame "}).text == '"inside"'
    assert client.post("/work").text == '"worked"'
    assert "open-sesame" not in str(client.cookies)


def test_programs_send_the_password_in_a_header():
    client, _ = guarded()
    assert client.post("/work", headers={"authorization": "Bearer open-sesame"}).text == '"worked"'
    assert client.post("/work", headers={"authorization": "Bearer wrong"}).status_code == 401


def test_a_wrong_password_gets_a_sentence():
    client, _ = guarded()
    answer = client.post("/enter", data={"password": "guess"})
    assert answer.status_code == 401
    assert "Wrong password" in answer.text


@pytest.mark.parametrize(
    "form",
    [
        {"content": b"password=open-sesame"},
        {"json": {"password": "open-sesame"}},
        {"files": {"password": b"open-sesame"}},
        {"data": {}},
        {"data": {"password": "x" * 100_000}},
        {"data": {f"field{n}": "x" for n in range(100)}},
    ],
)
def test_an_odd_form_is_a_wrong_password(form):
    client, _ = guarded()
    assert client.post("/enter", **form).status_code == 401


def test_after_five_wrong_tries_even_the_right_password_has_to_wait():
    now = [0.0]
    client, _ = guarded(clock=lambda: now[0])
    for _ in range(5):
        client.post("/enter", data={"password": "guess"})
    locked = client.post("/enter", data={"password": "open-sesame"})
    assert locked.status_code == 429
    assert "Too many wrong attempts" in locked.text
    now[0] = sharing.LOCK_S + 1
    assert client.post("/enter", data={"password": "open-sesame"}).text == '"inside"'


def test_the_header_is_locked_like_the_form():
    client, lock = guarded()
    for _ in range(5):
        client.post("/work", headers={"authorization": "Bearer guess"})
    assert lock.locked_s("testclient") > 0
    assert client.post("/work", headers={"authorization": "Bearer open-sesame"}).status_code == 401


def test_those_inside_are_not_disturbed_by_a_guesser():
    client, lock = guarded()
    client.post("/enter", data={"password": "open-sesame"})
    for _ in range(9):
        lock.opens("testclient", "guess")
    assert client.post("/work").text == '"worked"'


@pytest.mark.parametrize("other", ["a@b=1", 'state={"a":[1,2],"b":"c;d"}', "=x; y", 'broken="'])
def test_cookies_of_other_programs_on_the_same_host_do_no_harm(other):
    client, _ = guarded()
    assert 'type="password"' in client.get("/", headers={"cookie": other}).text
    client.post("/enter", data={"password": "open-sesame"})
    key = f"{gate.COOKIE}={client.cookies[gate.COOKIE]}"
    client.cookies.clear()
    for cookies in (f"{other}; {key}", f"{key}; {other}"):
        assert client.post("/work", headers={"cookie": cookies}).text == '"worked"'


def test_a_key_ends_after_its_time():
    now = [0.0]
    client, _ = guarded(clock=lambda: now[0])
    client.post("/enter", data={"password": "open-sesame"})
    now[0] = gate.KEY_S - 1
    assert client.post("/work").status_code == 200
    now[0] = gate.KEY_S
    assert client.post("/work").status_code == 401


def test_logging_out_ends_the_key_even_for_whoever_copied_it():
    client, _ = guarded()
    client.post("/enter", data={"password": "open-sesame"})
    key = client.cookies[gate.COOKIE]
    assert "Log out" in client.get("/leave").text
    assert "You are logged out" in client.post("/leave").text
    assert gate.COOKIE not in client.cookies
    assert client.post("/work", headers={"cookie": f"{gate.COOKIE}={key}"}).status_code == 401


def test_everyone_is_logged_out_by_whoever_has_the_password():
    client, lock = guarded()
    client.post("/enter", data={"password": "open-sesame"})
    other = TestClient(client.app, base_url=LOCAL)
    other.post("/enter", data={"password": "open-sesame"})
    assert client.post("/leave", data={"everyone": "1", "password": "guess"}).status_code == 401
    assert other.post("/work").status_code == 200
    assert client.post("/leave", data={"everyone": "1", "password": "open-sesame"}).status_code == 200
    assert other.post("/work").status_code == 401
    assert lock.opens("testclient", "open-sesame")


def test_the_address_is_the_connections_own_unless_it_comes_through_the_tunnel():
    client, lock = guarded(Entrance(tunnel_port=7999))
    claims = {"x-forwarded-for": "10.0.0.1, 10.0.0.2", "authorization": "Bearer guess"}
    client.post("/work", headers=claims)
    assert set(lock.wrong) == {"testclient"}
    tunnel = TestClient(client.app, base_url="http://127.0.0.1:7999")
    tunnel.post("/work", headers=claims | {"host": "abc.gradio.live"})
    assert set(lock.wrong) == {"testclient", "10.0.0.2"}


# --- names and origins ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "testserver"},
        {"host": "localhost.evil.example:7860"},
        {"host": "[::1"},
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:3000"},
        {"origin": "http://localhost:7860"},
        {"origin": "http://[broken"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"},
    ],
)
@pytest.mark.parametrize("path", ["/work", "/where"])
def test_other_sites_and_other_ports_cannot_make_the_studio_work(headers, path):
    client = local()
    answer = client.post(path, headers=headers) if path == "/work" else client.get(path, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["error"].startswith("This page answers only under its own address")


def test_a_link_from_another_site_opens_the_page_but_not_in_a_frame():
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert local().get("/", headers=link).text == '"inside"'
    assert local().get("/where", headers=link).status_code == 403
    assert local().get("/", headers=link | {"sec-fetch-dest": "iframe"}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7861", "[::1]:7860", "localhost"])
def test_on_this_machine_the_owner_needs_no_password(host):
    own = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
    assert local().post("/work", headers=own).text == '"worked"'


def test_a_proxy_is_let_through_by_the_name_it_passes_on():
    entrance = Entrance(names=frozenset({"studio.example"}))
    kept = {"host": "studio.example", "origin": "https://studio.example"}
    changed = {"host": "127.0.0.1:7860", "origin": "https://studio.example"}
    for headers in (kept, changed):
        assert local().post("/work", headers=headers).status_code == 403
        assert local(entrance).post("/work", headers=headers).text == '"worked"'
    assert local(entrance).post("/work", headers={"host": "evil.example"}).status_code == 403


@pytest.mark.parametrize("root", ["/app", "/app/", "https://studio.example/app"])
def test_below_a_path_it_makes_no_difference_whether_the_proxy_takes_the_path_away(root):
    client, _ = guarded(Entrance(root_path=root))
    assert 'action="/app/enter"' in client.get("/app/").text
    assert 'action="/app/enter"' in client.get("/").text
    entered = client.post("/enter", data={"password": "open-sesame"}, follow_redirects=False)
    assert entered.headers["location"] == "/app/"
    assert "Path=/app/" in entered.headers["set-cookie"]
    assert client.post("/app/work").text == '"worked"'
    assert client.post("/apple/work").status_code != 200


def test_who_stands_behind_a_proxy_is_told_by_a_trusted_proxy_only():
    forged = {"x-forwarded-host": "evil.example", "x-forwarded-for": "10.0.0.1"}
    assert local().get("/where", headers=forged).json() == {"client": "testclient", "forwarded": None}
    proxied = local(Entrance(names=frozenset({"studio.example"})))
    assert proxied.get("/where", headers=forged).json() == {"client": "testclient", "forwarded": "evil.example"}


def test_the_cookie_is_for_secure_connections_only_where_the_proxy_has_one():
    entrance = Entrance(names=frozenset({"studio.example"}))
    client, _ = guarded(entrance)
    form = {"password": "open-sesame"}
    plain = client.post("/enter", data=form, follow_redirects=False)
    secure = client.post("/enter", data=form, headers={"x-forwarded-proto": "https"}, follow_redirects=False)
    assert "Secure" not in plain.headers["set-cookie"]
    assert "Secure" in secure.headers["set-cookie"]
