"""Builds the handlers of one pump out of its parts."""

from ..forecast import Forecast
from . import Handlers
from .applying import Applying
from .boluses import Boluses
from .denials import Denials
from .judge import Judge
from .keyring import Keyring
from .programming import Programming
from .proposals import Proposals
from .proposing import Proposing
from .questions import Questions
from .rigging import Rigging
from .running import Running
from .service import Service
from .supply import Supply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..control import Control
    from ..link.signing import Keys
    from ..rig import Rig
    from ..watch.counts import Counts
    from ..watch.guard import Guard
    from ..watch.limits import WindowLedger
    from ..watch.reservoir import Reservoir


def assemble(
    rig: "Rig",
    control: "Control",
    regimen,
    ledger: "WindowLedger",
    guard: "Guard",
    reservoir: "Reservoir",
    counts: "Counts",
    persistence,
    keys: "Keys",
):
    """The `Handlers` of a pump on `rig`; `persistence` is None without a flash, `keys` are the link's."""
    dosing = control.dosing
    mechanism = dosing.mechanism
    line = dosing.line
    delivery = dosing.delivery
    lockout = dosing.lockout
    forecast = Forecast(mechanism, regimen, line, delivery, ledger, guard, reservoir, control)
    denials = Denials(mechanism, regimen, line, delivery, lockout, reservoir, counts, forecast, control)
    judge = Judge(rig, mechanism, regimen, keys, control.clock)
    applying = Applying(regimen, line, delivery, forecast, judge, persistence, control)
    proposals = Proposals()
    proposing = Proposing(mechanism, regimen, line, forecast, judge, applying, proposals, control)
    programming = Programming(regimen, persistence, proposals, proposing, control)
    running = Running(mechanism, regimen, line, guard, forecast, denials, keys, control)
    boluses = Boluses(mechanism, regimen, lockout, forecast, denials, control)
    supply = Supply(mechanism, regimen, line, reservoir, counts, persistence, denials, proposals, control)
    service = Service(mechanism, line, forecast, denials, running, proposals, control)
    rigging = Rigging(rig, regimen, reservoir, persistence, denials, proposals, control)
    questions = Questions(rig, mechanism, regimen, lockout, control, persistence, keys)
    keyring = Keyring(keys, rig, persistence, denials, proposals, control)
    others = (supply, rigging, service, questions)
    return Handlers(rig, mechanism, persistence, denials, programming, running, boluses, keyring, others)
