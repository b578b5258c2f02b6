"""A real MQTT broker of a test's own, that can be killed and comes back; and someone who reads there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from pump_at_pty import until

PROGRAM = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

SETPRIV = shutil.which("setpriv")  # of util-linux

needs_mosquitto = pytest.mark.skipif(
    PROGRAM is None, reason="no mosquitto on this machine: `make desk` asks Debian for it"
)

# As root the broker becomes the user mosquitto, who may not write the folder of a test.
CONFIG = """
listener {port} 127.0.0.1
allow_anonymous {anybody}
{root}
{persistence}
{more}
"""
ACCOUNT = """
password_file {folder}/accounts
"""
ENCRYPTED = """
certfile {folder}/broker.pem
keyfile {folder}/broker.key
"""
PERSISTENCE = """
persistence true
persistence_location {folder}/
autosave_on_changes true
autosave_interval 1
"""


def certify(folder: Path) -> None:
    """An authority of its own, `ca.pem`, and by that a certificate for 127.0.0.1, `broker.pem`."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on this machine: `make desk` asks Debian for it")
    new = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    new += ["-days", "2"]
    ca = [*new, "-subj", "/CN=An authority", "-out", folder / "ca.pem", "-keyout", folder / "ca.key"]
    by_ca = ["-CA", folder / "ca.pem", "-CAkey", folder / "ca.key"]
    by_ca += ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    its = [*new, "-subj", "/CN=A broker", "-out", folder / "broker.pem", "-keyout", folder / "broker.key"]
    for command in (ca, [*its, *by_ca]):
        subprocess.run(command, check=True, capture_output=True)


class Broker:
    """Without `keeps` it forgets all when it is killed; without `anybody` it has an account for nobody, or
    for the user and the password of `account`. `encrypted`: its certificate is of the authority `ca`.
    """

    def __init__(
        self,
        folder: Path,
        keeps: bool = True,
        anybody: bool = True,
        account: tuple[str, str] | None = None,
        encrypted: bool = False,
    ) -> None:
        self.ca = folder / "ca.pem"
        more = ENCRYPTED if encrypted else ""
        if encrypted:
            certify(folder)
        if account is not None:
            more += ACCOUNT
            subprocess.run(["mosquitto_passwd", "-c", "-b", folder / "accounts", *account], check=True)
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            CONFIG.format(
                port=self.port,
                anybody=str(anybody).lower(),
                root="user root" if os.geteuid() == 0 else "",
                persistence=PERSISTENCE.format(folder=folder) if keeps else "persistence false",
                more=more.format(folder=folder),
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert PROGRAM is not None
        # Tests that are killed leave no broker behind.
        first = [SETPRIV, "--pdeathsig", "KILL"] if SETPRIV else []
        command = [*first, PROGRAM, "-c", str(self._config)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until(self._answers)

    def kill(self) -> None:
        """As a loss of power: SIGKILL."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def _answers(self) -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()


class Reader:
    """Reads all topics, with a session that the broker keeps for it (`name`), or none (no name)."""

    def __init__(
        self, port: int, name: str = "", account: tuple[str, str] | None = None, ca: Path | None = None
    ) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.messages = []
        self.retained = {}  # the newest of each topic
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=not name)
        self.client.reconnect_delay_set(1, 1)
        if account is not None:
            self.client.username_pw_set(*account)
        if ca is not None:
            self.client.tls_set(str(ca))
        self.client.on_connect = self._subscribe
        self.client.on_message = lambda _client, _user, message: self._take(message)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        until(self.client.is_connected)

    def _subscribe(self, client, _user, _flags, _reason, _properties) -> None:
        client.subscribe("#", qos=1)

    def _take(self, message) -> None:
        self.messages.append(message)
        self.retained[message.topic] = message.payload

    def said(self, topic: str) -> Any:
        """The newest payload of a topic, parsed; None while there is none."""
        data = self.retained.get(topic)
        return None if not data else json.loads(data)

    def all(self, topic: str, retained: bool = False):
        """Every payload of a topic, parsed."""
        return [
            json.loads(message.payload)
            for message in list(self.messages)
            if message.topic == topic and (retained or not message.retain)
        ]

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(20)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def settle(seconds: float = 0.3) -> None:
    """Give what must not come the time to come."""
    time.sleep(seconds)
