"""Who may talk to the desk: its own server is asked by a plain client that says what it likes of itself."""

import asyncio
import base64
import socket
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from desk_process import desk
from pump_at_pty import PtyPump
from thecal_host.desk import guard

pytestmark = pytest.mark.req("DESK-01", "SEC-01")

WEBSOCKET = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"


class Client:
    """Says what it is told to say; `at` and `token` are those of the desk."""

    def __init__(self, address):
        parts = urlsplit(address)
        assert parts.port is not None
        self.at, self.port = parts.netloc, parts.port
        self.token = parts.query.removeprefix("token=")

    def get(self, path="/", **headers):
        """Status, headers and text of the answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", path, headers={"Host": self.at, **headers})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, dict(answer.getheaders()), text

    def upgrade(self, **headers):
        """The status of the answer to a websocket's handshake."""
        said = {
            "Host": self.at,
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
            **headers,
        }
        lines = [f"GET {WEBSOCKET} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items()), "", ""]
        with socket.create_connection(("127.0.0.1", self.port), 20) as line:
            line.sendall("\r\n".join(lines).encode())
            return int(line.recv(4096).split()[1])

    @property
    def cookie(self):
        _, headers, _ = self.get(f"/?token={self.token}")
        return headers["set-cookie"].partition(";")[0]


@pytest.fixture(scope="module")
def client():
    with PtyPump() as pump, desk("--port", pump.name, "desk") as address:
        yield Client(address)


def test_the_address_it_prints_opens_it_and_the_token_goes_out_of_sight(client):
    status, headers, _ = client.get(f"/pump/1?token={client.token}&x=1")
    assert status == 303 and headers["location"] == "/pump/1?x=1"
    kept = headers["set-cookie"].lower()
    assert "httponly" in kept and "samesite=strict" in kept
    status, headers, text = client.get("/pump/1", Cookie=client.cookie)
    assert status == 200 and "Stop" in text and client.token not in text
    assert headers["content-security-policy"] == "frame-ancestors 'none'"
    assert client.upgrade(Cookie=client.cookie, Origin=f"http://{client.at}") == 101


@pytest.mark.parametrize("path", ["/", "/pump/1", "/pump/1/log", "/runs/1/report", "/_nicegui/3.18.0/vue.js"])
def test_without_the_token_there_is_nothing(client, path):
    for headers in ({}, {"Cookie": f"thecal-desk-{client.port}=wrong"}, {"Cookie": "x=" + client.token}):
        status, _, text = client.get(path, **headers)
        assert status == 403 and "token" in text and "Stop" not in text
    assert client.get(f"{path}?token={client.token[:-1]}")[0] == 403


def test_a_wrong_token_beside_the_right_cookie_sets_no_other_cookie(client):
    status, headers, _ = client.get("/?token=wrong", Cookie=client.cookie)
    assert status == 303 and client.cookie in headers["set-cookie"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:PORT", "127.0.0.1:1", "127.0.0.1", ""])
def test_under_another_name_it_answers_nobody(client, host):
    """A name that its owner points to 127.0.0.1 is the same origin to a browser."""
    named = host.replace("PORT", str(client.port))
    assert client.get(f"/?token={client.token}", Host=named)[0] in (400, 403)
    status, _, text = client.get("/", Host=named, Cookie=client.cookie)
    assert status in (400, 403) and "Stop" not in text
    assert client.upgrade(Host=named, Cookie=client.cookie) in (400, 403)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://HERE", "http://HERE.evil.example"]
)
def test_a_page_of_another_site_reaches_nothing(client, origin):
    said = origin.replace("HERE", client.at)
    assert client.get("/", Origin=said, Cookie=client.cookie)[0] == 403
    assert client.upgrade(Origin=said, Cookie=client.cookie) == 403


@pytest.mark.parametrize(
    ("address", "host", "passes"),
    [
        ("127.0.0.1", "192.0.2.7:80", False),
        ("192.0.2.7", "192.0.2.7:80", True),
        ("192.0.2.7", "192.0.2.8:80", False),
        ("0.0.0.0", "192.0.2.8:80", True),
        ("0.0.0.0", "192.0.2.8:81", False),
        ("0.0.0.0", "pump.example:80", False),
        ("::", "[2001:db8::7]:80", True),
        ("2001:db8::7", "[2001:db8::7]:80", True),
    ],
)
def test_served_to_others_it_answers_to_its_address_and_to_no_name(address, host, passes):
    sent, reached = [], []

    async def application(scope, receive, send):
        reached.append(scope)

    async def receive():
        raise AssertionError("nothing is read before it is known who comes")

    async def send(message):
        sent.append(message)

    guarded = guard.Guard(application, "token", address, 80)
    headers = [(b"host", host.encode()), (b"cookie", f"{guarded.cookie}=token".encode())]
    scope = {"type": "http", "path": "/", "query_string": b"", "headers": headers, "method": "GET"}
    asyncio.run(guarded(scope, receive, send))
    assert bool(reached) == passes and [message.get("status") for message in sent[:1]] == [403] * (not passes)


def test_a_websocket_without_the_token_is_refused(client):
    assert client.upgrade(Origin=f"http://{client.at}") == 403


def test_another_page_of_this_machine_reaches_nothing(client):
    """It is the same site to a cookie, which knows no ports."""
    assert client.upgrade(Origin="http://127.0.0.1:8000", Cookie=client.cookie) == 403
