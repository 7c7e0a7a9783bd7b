from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.testclient import TestClient

from studio.early_script import EarlyScript


def client() -> TestClient:
    app = FastAPI()

    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse("<!doctype html><html><head><title>x</title></head><body></body></html>")

    @app.get("/other")
    def other() -> JSONResponse:
        return JSONResponse({"text": "<head>"})

    return TestClient(EarlyScript(app))


def test_our_script_stands_before_anything_else_in_the_head():
    page = client().get("/")
    assert page.text.startswith('<!doctype html><html><head><link rel="icon"')
    assert page.text.index("<script>") < page.text.index("<title>")
    assert int(page.headers["content-length"]) == len(page.content)


def test_everything_else_passes_as_it_is():
    answer = client().get("/other")
    assert answer.json() == {"text": "<head>"}
