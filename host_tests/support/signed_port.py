"""A pump that can be paired, with a hand at it and a cable that may be pulled; and how people go the way."""

import pytest
from pump_port import CutAtPort
from thecal.link.commands import ROLES
from thecal_bench.bench import Bench
from thecal_host import keys
from thecal_host.keys import FileStore, Held, Ring
from thecal_model import signing

THERAPY = """
[therapy]
mode = "continuous"
rate = "6 mL/h"
[therapy.limit]
volume = "10 mL"
window = "1 h"
[therapy.patient_bolus]
volume = "20 uL"
rate = "3.6 mL/h"
lockout = "5 min"
max_per_day = 6
"""


class SignedPort(CutAtPort):
    """`hand`: ticks after `pair` at which STOP is pressed, None for nobody; and whether somebody `fits` the
    jumper when it is asked for. `sent` has pairs of command and role, None where nobody signed it.
    """

    TICKS_TO_ACT = 100  # keys are written down

    def __init__(self, hand: int | None = 20, bench: Bench | None = None):
        super().__init__(bench)
        self.hand = hand
        self.fits = False

    def sends(self, request, line):
        cmd, signed = request["cmd"], signing.parts(line)
        self.sent.append((cmd, None if signed is None else signed.role))
        if cmd == "pair" and self.hand is not None:
            self.bench.schedule(self.bench.tick + self.hand, lambda: self.bench.press("stop", 3))
        if self.fits and cmd == "confirm":
            self.bench.jumper = True
            self.bench.advance_to_tick(self.bench.tick + 3)

    def roles_of(self, *cmds):
        """In which roles these were sent since the last look."""
        found = [(cmd, role) for cmd, role in self.sent if cmd in cmds]
        self.sent.clear()
        return found

    @property
    def paired(self):
        return self.bench.pump.host.session.keys.paired


@pytest.fixture
def account(monkeypatch, tmp_path):
    """Make one's own, or go back to one; what it keeps."""

    def become(name):
        monkeypatch.setenv(keys.PLACE, str(tmp_path / name))
        return Ring([FileStore(tmp_path / name)])

    return become


@pytest.fixture
def therapy(tmp_path):
    file = tmp_path / "therapy.toml"
    file.write_text(THERAPY)
    return file


def serial_of(ring):
    return next(iter(ring.pumps()))


def paired_programmed_and_refused(run, port, account, therapy):
    """Pair, program as clinician, bolus as patient, each refused under the other's key. The pump is STOPPED
    then, with its keys in the account `clinic`.
    """
    ring = account("clinic")
    unpaired = run(port, "status")
    assert "not paired: whoever has its port" in unpaired.output
    said = run(port, "pair")
    assert said.exit_code == 0, said.output + said.stderr
    assert "Within 30 s, press the STOP button" in said.output and "Paired: pump " in said.output
    assert ring.get(serial_of(ring)).keys.keys() == set(ROLES)
    assert f"paired, serial number {serial_of(ring)}" in run(port, "status").output
    assert not any(key.hex() in said.output + said.stderr for key in ring.get(serial_of(ring)).keys.values())
    port.sent.clear()

    for args in (["program", therapy, "--yes"], ["start"]):
        done = run(port, *args)
        assert done.exit_code == 0, done.output + done.stderr
    given = port.roles_of("program", "confirm", "start", "hello", "status", "readback")
    assert {role for cmd, role in given if cmd in ("program", "confirm", "start")} == {"clinician"}
    assert {role for cmd, role in given if cmd in ("hello", "status")} == {None}
    granted = run(port, "patient-bolus")
    assert granted.exit_code == 0 and "Granted" in granted.output
    assert port.roles_of("patient_bolus") == [("patient_bolus", "patient")]
    assert run(port, "stop").output.startswith("The pump is STOPPED.")
    assert port.roles_of("stop") == [("stop", "patient")]

    refused = run(port, "--role", "patient", "program", therapy, "--yes")
    assert refused.exit_code == 1 and "needs the role clinician" in refused.stderr
    # The keys of the two exchanged: no signature holds.
    serial = serial_of(ring)
    held = ring.get(serial)
    exchanged = {"patient": held.keys["clinician"], "clinician": held.keys["patient"]}
    ring.put(serial, Held({**held.keys, **exchanged}))
    for role, args in (("clinician", ["start"]), ("patient", ["patient-bolus"])):
        refused = run(port, "--role", role, *args)
        assert refused.exit_code == 1 and "does not take this computer's key" in refused.stderr
    port.sleep(2)
    stopped = run(port, "stop")
    assert stopped.exit_code == 0 and "STOPPED" in stopped.output
    ring.put(serial, held)
    port.sleep(2)


def as_a_fresh_account(run, port, account, therapy, folder):
    """From where no key is: read, then with the patient's a bolus, then a stop from where none is again. The
    pump is STOPPED before, with a therapy, and its keys are in the account `clinic`.
    """
    ring = account("clinic")
    file = folder / "patient.key"
    assert run(port, "start").exit_code == 0
    assert run(port, "keys", "export", "patient", file).exit_code == 0
    again = run(port, "keys", "export", "patient", file)
    assert again.exit_code == 2 and "there already" in again.stderr

    home = account("home")
    assert "RUNNING" in run(port, "status").output
    refused = run(port, "patient-bolus")
    assert refused.exit_code == 1
    assert "has no key for that" in refused.stderr and "thecal keys import" in refused.stderr
    assert run(port, "keys", "import", file).exit_code == 0
    assert home.pumps() == {serial_of(ring): Held({"patient": ring.get(serial_of(ring)).keys["patient"]})}
    asked = run(port, "patient-bolus")
    # It is the pump that grants or denies it, no key: a second one may come too soon.
    assert asked.exit_code == 0 or "lockout" in asked.stderr, asked.stderr
    for args in (
        ["start"],
        ["bolus", "--volume", "1 uL", "--duration", "1 s"],
        ["program", therapy, "--yes"],
    ):
        refused = run(port, *args)
        assert refused.exit_code == 1 and "needs the role clinician" in refused.stderr, args
    missing = run(port, "--role", "clinician", "start")
    assert missing.exit_code == 1 and "has no clinician key for pump" in missing.stderr
    assert "(held: patient)" in missing.stderr
    nothing = run(port, "keys", "rotate")
    assert nothing.exit_code == 1 and "only who has the service key" in nothing.stderr

    account("nobody")
    stopped = run(port, "stop")
    assert stopped.exit_code == 0
    assert "The pump is STOPPED, by a stop without a signature" in stopped.output
    assert port.sent[-1] == ("stop", None)
    assert "BAD_AUTH" in run(port, "alarms").output
