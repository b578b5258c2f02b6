"""The pump's two buttons: STOP ends all that flows or waits, the patient's asks for a bolus."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .control import Control
    from .critical import Critical
    from .host import Host
    from .signals import Inputs, Outputs
    from .watch.button import Button


class Buttons:
    """Looked at once a tick; who does calls what follows."""

    def __init__(
        self,
        control: "Control",
        critical: "Critical",
        host: "Host",
        boluses,
        stop: "Button",
        patient: "Button",
    ) -> None:
        self.control = control
        self.critical = critical
        self.host = host
        self.boluses = boluses
        self.stop = stop
        self.patient = patient

    def obey_stop(self, outputs: "Outputs") -> None:
        """It was pressed, before the commands of this tick."""
        self.critical.before_change()
        self.host.keyring.by_hand(True)
        self.host.cancel_all(outputs)
        self.control.stop_ordered()

    def obey_patient(self, inputs: "Inputs", ticks: int) -> None:
        """It is down, or held. After the commands of this tick: what was held for it came first. `ticks` have
        passed since the last one.
        """
        patient = self.patient
        patient.look(inputs.button_patient, ticks)
        if patient.pressed:
            self.critical.before_change()
            self.control.to_boundary()
            self.control.teller.early = True
            self.boluses.ask_for_patient()
            self.control.teller.early = False
