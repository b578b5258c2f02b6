"""What the desk sends, each as the command of the same name does it, in a conversation of its own.

An order opens the port beside the one who listens (`sharing`), says hello, asks, and lets go: none waits for
another. What comes back is a sentence, or a `Proposal` that nothing follows from until it is confirmed. What
a person can mend is raised as one of MENDABLE, with the pump's own sentence in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from thecal.dose import prescription
from thecal.link import commands
from thecal_bench.scenario.reader import therapy_of
from thecal_model import foreknown, quantities
from thecal_model.link import LinkError
from thecal_model.problems import InputError
from thecal_model.text import volume_text

from thecal_host import ports, verbs
from thecal_host.archive import ArchiveError
from thecal_host.connection import PortError
from thecal_host.desk.session import Session
from thecal_host.files import FileError
from thecal_host.keys import KeysError
from thecal_host.log import LogError
from thecal_host.pump import Pump, PumpError, Refused
from thecal_host.python.amounts import time_ms, volume_nl
from thecal_host.readbacks import KeptError, Proposal
from thecal_host.recording import RecordError
from thecal_host.weighing import WeighingError
from thecal_host.weighing.balance import BalanceError

MENDABLE = (
    ArchiveError,
    BalanceError,
    FileError,
    InputError,
    KeptError,
    KeysError,
    LinkError,
    LogError,
    PortError,
    PumpError,
    RecordError,
    WeighingError,
    quantities.QuantityError,
)

FORM = "the therapy"
"""How the text of the form is called where something in it is wrong."""


def why_not(session: Session, command: str) -> str:
    """Why the role that is here may not give this command; empty where it may, or where it needs none."""
    found = commands.find(command)
    needed = commands.SERVICE if found is None else found.role
    if command == commands.STOP or needed == commands.OBSERVER:
        return ""
    least = commands.ROLES[needed]
    if session.role is not None and commands.ROLES.index(session.role) < needed:
        return f"a {session.role} may not: it takes the role {least}"
    if not session.paired:
        return ""
    held = [name for name in session.keys if session.role in (None, name)]
    if any(commands.ROLES.index(name) >= needed for name in held):
        return ""
    return f"this computer has no {least} key of this pump"


@contextmanager
def conversation(session: Session, command: str) -> Iterator[Pump]:
    """The pump, after its hello, to give it `command`. PumpError where the role may not."""
    why = why_not(session, command)
    if why:
        raise PumpError(f"nothing was sent: {why}")
    open_port = ports.open_in_a_hurry if command == commands.STOP else ports.open_port
    pump = Pump(open_port(session.name))
    pump.reopen = lambda: open_port(session.name)
    try:
        pump.connect()
        if pump.paired:
            pump.signer.keys, pump.signer.role = dict(session.keys), session.role
        yield pump
    finally:
        pump.port.close()


def start(session: Session) -> str:
    with conversation(session, "start") as pump:
        return verbs.start(pump)


def stop(session: Session) -> str:
    """Whoever is here may; without a key it goes unsigned, and the pump tells that by an alarm."""
    with conversation(session, commands.STOP) as pump:
        return verbs.stop(pump)


def acknowledge(session: Session) -> str:
    with conversation(session, "acknowledge") as pump:
        return verbs.acknowledge(pump)


def silence(session: Session) -> str:
    with conversation(session, "audio_pause") as pump:
        return verbs.silence(pump)


def bolus(session: Session, volume: str, duration: str, accept: Sequence[str] = ()) -> str:
    """A clinician's; `accept` names bounds of the drug library that it may break."""
    amounts = volume_nl("volume", volume), time_ms("duration", duration)
    with conversation(session, "bolus") as pump:
        return verbs.bolus(pump, *amounts, accept)


def patient_bolus(session: Session) -> str:
    with conversation(session, "patient_bolus") as pump:
        return verbs.patient_bolus(pump)


def set_time(session: Session, time: str) -> str:
    """To a time of the week as "mon 06:30", or to the one here."""
    week_s = quantities.parse_clock_ms(time) // 1000 if time.strip() else verbs.week_s_here()
    with conversation(session, "set_time") as pump:
        return verbs.set_time(pump, week_s)


def prime(session: Session, volume: str) -> str:
    amount_nl = volume_nl("volume", volume)
    with conversation(session, "prime") as pump:
        return verbs.prime(pump, amount_nl)


def propose_refill(session: Session, volume: str) -> Proposal:
    amount_nl = volume_nl("volume", volume)
    if amount_nl > prescription.MOST_RESERVOIR_NL:
        most = volume_text(prescription.MOST_RESERVOIR_NL)
        raise quantities.QuantityError(f'volume: expected {most} at most, found "{volume}"')
    with conversation(session, "refill") as pump:
        return pump.propose_refill(amount_nl)


def propose_new_line(session: Session) -> Proposal:
    with conversation(session, "new_line") as pump:
        return pump.propose_new_line()


def propose_therapy(session: Session, text: str) -> Proposal:
    """Have the therapy of a file's text read back."""
    therapy, profile = therapy_of(FORM, text)
    if therapy.mode == "stopped":
        raise PumpError("the therapy is `stopped`: there is nothing to program; Stop does that")
    message = therapy.message(profile)
    with conversation(session, "program") as pump:
        try:
            return pump.propose(message)
        except Refused as why:
            placed = foreknown.placed(FORM, text, therapy, why.message)
            raise PumpError(f"the pump refuses the therapy:\n{placed}") from None


def confirm(session: Session, proposal: Proposal, accepted: Sequence[str]) -> None:
    """Put in force what was read back; each soft limit that it breaks has to be among the `accepted`."""
    lacking = [name for name in proposal.soft if name not in accepted]
    if lacking:
        raise PumpError(f"nothing was confirmed: {', '.join(lacking)} was not accepted by name")
    with conversation(session, commands.CONFIRM) as pump:
        pump.confirm(proposal)
