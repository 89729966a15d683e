"""Test the guard: only requests with the right host, origin and key pass."""

import os
import stat

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from gpt2_small.app.serving.guard import MOST_BYTES, Guard, names_of
from gpt2_small.app.serving.key import FILE, page_key
from gpt2_small.app.serving.responses import HANDLERS

KEY = "a-key-of-the-page"
HERE = {"host": "127.0.0.1:8000"}


async def length(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture(scope="module")
def client() -> TestClient:
    routes = [Route("/", length, methods=["GET", "POST"])]
    app = Starlette(routes=routes, exception_handlers=HANDLERS)
    return TestClient(Guard(app, token=KEY), base_url="http://127.0.0.1:8000")


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost:9000", "LOCALHOST", "[::1]:8000", "localhost.:80"]
)
def test_requests_to_a_name_of_this_machine_pass_with_any_port(
    client: TestClient, host: str
) -> None:
    assert client.get(f"/{KEY}/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "example.org",
        "127.0.0.1.example.org",
        "localhost@example.org",
        "10.0.0.1",
        "",
        "localhost:x",
    ],
)
def test_a_request_to_another_host_name_is_refused(client: TestClient, host: str) -> None:
    response = client.get(f"/{KEY}/", headers={"host": host})
    assert response.status_code == 403
    assert "host" in response.json()["error"]["message"]


def test_a_server_for_other_machines_accepts_its_addresses_and_names() -> None:
    names, any_address = names_of("0.0.0.0")
    guard = Guard(Starlette(), token=None, names=names, any_address=any_address)
    assert guard._is_known("192.168.1.5:80")
    assert guard._is_known("[fe80::1]:80")
    assert not guard._is_known("example.org")


def test_a_path_without_a_slash_is_refused() -> None:
    guard = Guard(Starlette(), token=KEY)
    assert guard._path_refusal({"path": "*"}) is not None  # the path of `OPTIONS *`


@pytest.mark.parametrize("path", ["/", "", "/x", "/x/", f"/{KEY}x/", f"//{KEY}/"])
def test_an_address_without_the_key_is_refused(client: TestClient, path: str) -> None:
    assert client.get(path, headers=HERE).status_code == 403


def test_an_address_without_its_last_slash_is_refused_with_a_hint(client: TestClient) -> None:
    response = client.get(f"/{KEY}", headers=HERE)
    assert response.status_code == 404
    assert "/ at its end" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "origin",
    [
        "http://example.org",
        "null",
        "http://127.0.0.1:8001",
        "file://",
        "http://127.0.0.1:8000/x",
        "http://[x",
    ],
)
def test_a_request_from_another_origin_is_refused(client: TestClient, origin: str) -> None:
    response = client.post(f"/{KEY}/", headers=HERE | {"origin": origin})
    assert response.status_code == 403


def test_requests_through_a_tunnel_pass(client: TestClient) -> None:
    headers = {"host": "localhost:9000", "origin": "http://localhost:9000"}
    assert client.post(f"/{KEY}/", headers=headers).status_code == 200


def test_a_request_body_that_is_too_long_is_refused_unread(client: TestClient) -> None:
    long, longest = b"x" * (MOST_BYTES + 1), b"x" * MOST_BYTES
    refused = client.post(f"/{KEY}/", content=long, headers=HERE)
    assert refused.status_code == 413
    assert refused.json()["error"]["message"].startswith("a request of more than")
    assert client.post(f"/{KEY}/", content=longest, headers=HERE).text == str(MOST_BYTES)


@pytest.mark.parametrize("path", [f"/{KEY}/", "/", f"/{KEY}/missing"])
def test_every_answer_carries_the_content_security_policy(client: TestClient, path: str) -> None:
    headers = client.get(path, headers=HERE).headers
    policy = dict(
        directive.split(" ", 1) for directive in headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == policy["style-src"] == "'self'"
    assert policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "gpt2-small"


def test_the_key_stays_the_same_between_starts_and_only_its_user_can_read_it(cache) -> None:
    first = page_key()
    assert len(first) >= 32
    assert page_key() == first
    if hasattr(os, "getuid"):
        assert stat.S_IMODE((cache / FILE).stat().st_mode) == 0o600


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="file modes are POSIX's")
def test_a_key_file_that_others_can_read_is_not_used(cache) -> None:
    first = page_key()
    (cache / FILE).chmod(0o644)
    assert page_key() != first


def test_a_damaged_key_is_replaced(cache) -> None:
    page_key()
    (cache / FILE).write_text("short")
    assert page_key() == page_key() != "short"


def test_without_a_cache_folder_the_key_is_new(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert page_key() != page_key()
