"""The very image behind the gateway, and `thecal` beside it at the same port."""

import threading

import pytest
from at_gateway import Served
from mosquitto import Broker, Reader, needs_mosquitto
from pump_at_pty import until
from test_serve import PATIENCE_S, tcp_url
from thecal_bench.chip.serve import Server
from thecal_host import ports
from thecal_host.pump import Pump

pytestmark = [pytest.mark.chip, needs_mosquitto, pytest.mark.req("DESK-05")]


@pytest.fixture
def url(make_board):
    server = Server(make_board(maintenance=False), tcp_port=0, speed=None)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield tcp_url(server)
    server.stop()
    thread.join(PATIENCE_S)
    server.close()


class PumpAt:
    """As `Served` wants it."""

    out = False

    def __init__(self, name):
        self.name = name


def test_a_board_is_served_beside_the_command(monkeypatch, tmp_path, url):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with (
        Broker(tmp_path) as broker,
        Reader(broker.port) as reader,
        Served(monkeypatch, broker.port, [PumpAt(url)], open_port=ports.open_port) as served,
    ):
        until(lambda: [topic for topic in reader.retained if topic.endswith("/recent")])
        (topic,) = [topic for topic in reader.retained if topic.endswith("/recent")]
        place = topic.removesuffix("/recent")
        assert reader.said(topic)["events"][0]["code"] == "boot", served.notes
        assert place == f"thecal/pump/{reader.said(f'{place}/hello')['serial']}"
        with ports.open_port(url) as port:  # the gateway's, shared
            pump = Pump(port)
            pump.connect()
            pump.ask("set_time", week_s=7)
        until(lambda: reader.all(f"{place}/event"))
        (event,) = reader.all(f"{place}/event")
        assert (event["code"], event["a"]) == ("clock", 7)
        # Nothing hangs on its pins: its self-test says so.
        until(lambda: (reader.said(f"{place}/state") or {}).get("state") == "HALTED")
        assert reader.said(f"{place}/alarms")["priority"] == "HIGH"
