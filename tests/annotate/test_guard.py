"""Who may talk to the annotation page: attacks on token, Host, Origin, path and size are refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inter2former_onnx.annotate.app import build_app
from inter2former_onnx.annotate.guard import Guard, new_token, parse_origin
from inter2former_onnx.annotate.photos import Gallery
from inter2former_onnx.annotate.workspace import Workspace
from inter2former_onnx.errors import ArgumentError
from inter2former_onnx.runtime import Segmenter
from support.annotate_page import BASE, PORT, TOKEN, write_pictures
from support.fake_bundle import write_fake_bundle

BEARER = {"authorization": f"Bearer {TOKEN}"}
PATHS = ["/", "/page/main.js", "/api/state", "/api/images/0/picture", "/api/images/0/thumbnail", "/api/events"]
POSTS = ["/api/images/0/open", "/api/images/0/edit", "/api/images/0/preview", "/api/classes", "/api/export"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("guard")
    segmenter = Segmenter(write_fake_bundle(folder / "bundle"), threads=1)
    pictures = write_pictures(folder / "pictures")
    (folder / "secret.png").write_bytes((pictures / "one.png").read_bytes())
    workspace = Workspace(segmenter, Gallery.open(pictures), folder / "out")
    yield workspace
    workspace.close()


def client(workspace: Workspace, host: str = "127.0.0.1", allowed: tuple[str, ...] = (), **options: Any) -> Any:
    from starlette.testclient import TestClient

    guard = Guard(build_app(workspace), TOKEN, PORT, host, [parse_origin(text) for text in allowed])
    return TestClient(guard, base_url=options.pop("base_url", BASE), follow_redirects=False, **options)  # type: ignore[arg-type]


@pytest.fixture
def anonymous(workspace: Workspace) -> Any:
    return client(workspace)


def test_nothing_without_the_token(anonymous: Any) -> None:
    for path in [*PATHS, "/nowhere", f"/page/main.js?token={TOKEN}", f"/api/state?token={TOKEN}"]:
        assert anonymous.get(path).status_code == 401, path
    for path in POSTS:
        assert anonymous.post(path, json={}).status_code == 401, path
    assert anonymous.post(f"/?token={TOKEN}").status_code == 401


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "ü", "\udcff", "%00"])
def test_wrong_tokens(anonymous: Any, token: str) -> None:
    quoted = token.encode("utf-8", "surrogateescape")
    assert anonymous.get("/api/state", headers={"authorization": b"Bearer " + quoted}).status_code == 401
    assert anonymous.get("/api/state", headers={"cookie": b"inter2former_8675=" + quoted}).status_code == 401
    assert anonymous.get("/", params={"token": quoted}).status_code == 401


def test_two_authorizations_are_none(anonymous: Any) -> None:
    headers = [("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer x")]
    assert anonymous.get("/api/state", headers=headers).status_code == 401


def test_the_address_sets_a_cookie_and_leaves_the_address_bar(anonymous: Any) -> None:
    answer = anonymous.get(f"/?token={TOKEN}")
    assert answer.status_code == 303 and answer.headers["location"] == "./"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"inter2former_{PORT}={TOKEN};") and "HttpOnly" in cookie and "SameSite=Lax" in cookie
    page = anonymous.get("/")  # the client keeps cookies as browsers do
    assert page.status_code == 200 and "<canvas" in page.text
    assert anonymous.get("/api/state").status_code == 200
    assert anonymous.get("/page/main.js").headers["content-type"].startswith("text/javascript")


def test_tokens_are_long_and_new() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100 and all(re.fullmatch(r"[\w-]{43}", token) for token in tokens)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8675", "127.0.0.1", "127.0.0.1:80", "127.0.0.1.evil.example:8675", "", "[::1"]
    + ["192.168.1.7:8675", "localhost:8676", "127.0.0.1:8675@evil.example", "evil.example@127.0.0.1:8675"]
    + ["127.0.0.1:8675/x"],
)
def test_other_hosts_are_refused(anonymous: Any, host: str) -> None:
    assert anonymous.get("/api/state", headers={**BEARER, "host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8675", "localhost:8675", "LOCALHOST:8675", "[::1]:8675"])
def test_our_own_names(anonymous: Any, host: str) -> None:
    assert anonymous.get("/api/state", headers={**BEARER, "host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://127.0.0.1:8676", "https://127.0.0.1:8675", "http://127.0.0.1", "file://"]
    + ["http://localhost:8675.evil.example", "http://evil.example:8675", ""],
)
def test_other_origins_are_refused(anonymous: Any, origin: str) -> None:
    for path in PATHS[:-1]:
        assert anonymous.get(path, headers={**BEARER, "origin": origin}).status_code == 403
    assert anonymous.post("/api/classes", json={}, headers={**BEARER, "origin": origin}).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_the_browser_says_is_another_site_is_refused(anonymous: Any, site: str) -> None:
    assert anonymous.get("/api/images/0/picture", headers={**BEARER, "sec-fetch-site": site}).status_code == 403


def test_a_cookie_alone_changes_nothing_without_an_origin(anonymous: Any) -> None:
    anonymous.get(f"/?token={TOKEN}")
    body = {"type": "add", "name": "from elsewhere"}
    assert anonymous.post("/api/classes", json=body).status_code == 403
    assert anonymous.post("/api/classes", json=body, headers={"origin": "http://evil.example"}).status_code == 403
    assert anonymous.post("/api/classes", json={}, headers={"origin": BASE}).status_code == 422  # let in, and unusable
    assert anonymous.post("/api/classes", content=b"{}", headers={"origin": BASE}).status_code == 422  # no JSON form


def test_every_answer_has_the_policy(anonymous: Any) -> None:
    for path, headers in [("/", BEARER), ("/", {}), ("/page/main.js", BEARER), ("/nowhere", BEARER)]:
        answer = anonymous.get(path, headers=headers)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in answer.headers


def test_the_page_needs_nothing_from_elsewhere() -> None:
    from inter2former_onnx.annotate.app import PAGE

    for path in PAGE.iterdir():
        text = path.read_text()
        found = set(re.findall(r"https?://[\w.-]+", text)) - {"http://www.w3.org"}  # SVG's namespace
        assert not found, (path.name, found)
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text), path.name
        assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=", text) or path.suffix != ".html", path.name


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page/..%2fapp.py",
        "/page//etc/passwd",
        "/page/%2fetc/passwd",
        "/api/images/../../secret.png/picture",
        "/api/images/..%2f..%2fsecret.png/picture",
        "/api/images/-1/picture",
        "/api/images/3/picture",
        "/api/images/99999999999999999999/picture",
        "/api/images/0%00/picture",
        "/api/images/one.png/picture",
    ],
)
def test_paths_lead_nowhere(anonymous: Any, path: str) -> None:
    assert anonymous.get(path, headers=BEARER).status_code in (404, 422)


def test_large_bodies_are_refused(anonymous: Any) -> None:
    headers = {**BEARER, "content-type": "application/json"}
    big = b'{"name": "' + b"x" * (1 << 17) + b'"}'
    assert anonymous.post("/api/classes", content=big, headers=headers).status_code == 413
    pieces = (big[start : start + 4096] for start in range(0, len(big), 4096))  # without a length
    assert anonymous.post("/api/classes", content=pieces, headers=headers).status_code == 400
    assert anonymous.post("/api/classes", content=b"", headers={**headers, "content-length": "x"}).status_code == 413


def test_with_another_host_addresses_are_let_in_and_names_are_not(workspace: Workspace) -> None:
    everywhere = client(workspace, host="0.0.0.0")
    for host, status in [("192.168.1.7:8675", 200), ("[fe80::1]:8675", 200), ("evil.example:8675", 421)]:
        assert everywhere.get("/api/state", headers={**BEARER, "host": host}).status_code == status
    named = client(workspace, host="workstation.lan")
    assert named.get("/api/state", headers={**BEARER, "host": "workstation.lan:8675"}).status_code == 200
    assert named.get("/api/state", headers={"host": "workstation.lan:8675"}).status_code == 401


@pytest.mark.parametrize(
    "headers, named",
    [
        ({"host": "localhost:9000"}, "http://localhost:9000"),  # ssh -L 9000:localhost:8675, docker run -p 9000:8675
        ({"host": "hub.example.org", "x-forwarded-proto": "https"}, "https://hub.example.org"),
        ({"host": "hub.example.org"}, "http://hub.example.org"),
        ({"host": "127.0.0.1:8675", "origin": "https://hub.example.org"}, "https://hub.example.org"),  # Jupyter
        ({"host": "[::1]:9000"}, "http://[::1]:9000"),
    ],
)
def test_a_refused_proxy_is_told_the_remedy(workspace: Workspace, headers: dict[str, str], named: str) -> None:
    answer = client(workspace).get("/api/state", headers={**BEARER, **headers})
    assert answer.status_code == (403 if "origin" in headers else 421)
    assert f"--allow-origin {named} " in answer.text
    assert client(workspace, allowed=(named,)).get("/api/state", headers={**BEARER, **headers}).status_code == 200


@pytest.mark.parametrize("headers", [{"host": "a b<script>:1"}, {"origin": "null"}, {"origin": "file://"}])
def test_what_is_no_origin_is_not_repeated(anonymous: Any, headers: dict[str, str]) -> None:
    answer = anonymous.get("/api/state", headers={**BEARER, **headers})
    assert answer.status_code in (403, 421) and "--allow-origin" not in answer.text and "<" not in answer.text


def test_allowed_origins_let_nobody_else_in(workspace: Workspace) -> None:
    proxied = client(workspace, allowed=("https://hub.example.org", "http://localhost:9000"))
    for host, status in [
        ("hub.example.org", 200),
        ("HUB.example.org:443", 200),
        ("localhost:9000", 200),
        ("127.0.0.1:8675", 200),
        ("hub.example.org:80", 421),
        ("hub.example.org:8675", 421),
        ("evil.example.org", 421),
        ("hub.example.org.evil.example", 421),
        ("localhost:9001", 421),
    ]:
        assert proxied.get("/api/state", headers={**BEARER, "host": host}).status_code == status, host
    for origin, status in [
        ("https://hub.example.org", 422),
        ("http://localhost:9000", 422),
        (BASE, 422),
        ("http://hub.example.org", 403),
        ("https://localhost:9000", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ]:
        headers = {**BEARER, "host": "hub.example.org", "origin": origin}
        assert proxied.post("/api/classes", json={}, headers=headers).status_code == status, origin
    assert proxied.get("/api/state", headers={"host": "hub.example.org"}).status_code == 401


@pytest.mark.parametrize(
    "text, found",
    [
        ("http://localhost:9000", "http://localhost:9000"),
        ("https://Hub.Example.org:443", "https://hub.example.org"),
        ("http://h:443", "http://h:443"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_origins_are_read(text: str, found: str) -> None:
    assert parse_origin(text).text == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hub.example.org",
        "https://",
        "ftp://hub",
        "https://hub/user/x",
        "https://hub/?a",
        "https://a@hub",
        "http://h:0",
    ]
    + ["http://h:x", "http://[::1", "null", "*", "https://hub#x", "http://h\n"],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="expected http"):
        parse_origin(text)


def test_without_the_token_a_page_says_what_to_do(anonymous: Any) -> None:
    accept = {"accept": "text/html,application/xhtml+xml"}
    for headers, word in [
        ({}, "open the address that the inter2former command printed"),
        ({"host": "h:1"}, "--allow-origin"),
    ]:
        answer = anonymous.get("/", headers={**accept, **headers})
        assert answer.status_code in (401, 421) and answer.headers["content-type"] == "text/html; charset=utf-8"
        assert word.lower() in answer.text.lower() and "<h1>" in answer.text and 'content="light dark"' in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert anonymous.get("/api/state", headers=accept).headers["content-type"].startswith("text/plain")


def test_addresses_in_the_page_are_relative() -> None:
    """So the page works under a path too, which a proxy takes away before it passes a request on."""
    from inter2former_onnx.annotate.app import PAGE

    for path in PAGE.iterdir():
        absolute = re.findall(r"""["'`(=]/(?:page|api)\b[^"'`)]*""", path.read_text())
        assert not absolute, (path.name, absolute)


def test_a_link_that_comes_to_lead_out_is_not_followed(workspace: Workspace, anonymous: Any) -> None:
    path: Path = workspace.gallery.photos[2].path
    content = path.read_bytes()
    assert anonymous.get("/api/images/2/picture", headers=BEARER).status_code == 200
    path.unlink()
    path.symlink_to(workspace.gallery.root.parent / "secret.png")
    try:
        answer = anonymous.get("/api/images/2/picture", headers=BEARER)
        assert answer.status_code == 422 and "no longer a file in" in answer.json()["error"]
    finally:
        path.unlink()
        path.write_bytes(content)
