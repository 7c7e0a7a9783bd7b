import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.testclient import TestClient

from studio.page import Page


def client() -> TestClient:
    app = FastAPI()

    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse("<!doctype html><html><head><title>x</title></head><body></body></html>")

    @app.get("/other")
    def other() -> JSONResponse:
        return JSONResponse({"text": "<head>"})

    @app.get("/gradio_api/{rest:path}")
    def gradio(rest: str) -> str:
        return rest

    return TestClient(Page(app))


def test_our_script_stands_before_anything_else_in_the_head() -> None:
    page = client().get("/")
    assert page.text.startswith('<!doctype html><html><head><link rel="icon"')
    assert page.text.index("(()=>{") < page.text.index("<title>")
    assert int(page.headers["content-length"]) == len(page.content)


def test_the_page_carries_the_policy() -> None:
    assert "default-src 'self'" in client().get("/").headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    ["/gradio_api/proxy=http://a.example/x", "/gradio_api/file=https://a.example/x", "/gradio_api/file=ftp://a/x"],
)
def test_no_address_is_fetched_for_whoever_asks(path: str) -> None:
    assert client().get(path).status_code == 404
    assert client().get("/gradio_api/file=/tmp/photo.jpg").status_code == 200


def test_everything_else_passes_as_it_is() -> None:
    answer = client().get("/other")
    assert answer.json() == {"text": "<head>"}
    assert "content-security-policy" not in answer.headers
