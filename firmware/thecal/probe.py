"""What the pins say, raw, for whoever builds a pump (RIG-06): asked in one tick, read and told in the next.

No tick reads pads that nobody has asked for, and no room reads one by itself.
"""

from .link.session import refusal, reply_to
from .signals import NETS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .rig import Rig
    from .signals import Inputs, Outputs


class Probe:
    """One at a time. An analogue pin is told where the rig has a sensor on it: no other is ever converted."""

    def __init__(self, rig: "Rig") -> None:
        self.rig = rig
        self.asked = {}  # the request that waits, empty without one

    def ask(self, request: dict, outputs: "Outputs"):
        """Have the next tick read every pad. None, or the answer where another one is under way."""
        if self.asked:
            return refusal(request, "busy", "another probe is under way")
        self.asked = request
        outputs.read_pads = True
        return None

    def answer(self, inputs: "Inputs"):
        """The answer to what the last tick has asked: codes, levels, and counts since boot."""
        codes = {}
        for net, sensor, code in (
            ("PRESSURE_DOWN", self.rig.pressure_down, inputs.pressure_down_raw),
            ("PRESSURE_UP", self.rig.pressure_up, inputs.pressure_up_raw),
            ("SUPPLY", self.rig.supply, inputs.supply_raw),
        ):
            if sensor:
                codes[net] = code
        said = {
            "adc": codes,
            "levels": {NETS[number]: inputs.levels >> number & 1 for number in range(len(NETS))},
            "counts": {
                "steps": inputs.executed_steps,
                "reverse_steps": inputs.reverse_steps,
                "encoder": inputs.encoder_count,
                "index": inputs.index_count,
            },
        }
        said.update(reply_to(self.asked))
        said["ok"] = True
        self.asked = {}
        return said
