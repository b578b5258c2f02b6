"""What a board without a rig has in place of motor, sensors and annunciator: its pins stay inputs."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..signals import Inputs


class Unfitted:
    """Does nothing and finds nothing; the inputs stay as they were made."""

    moving = False

    def read(self, inputs: "Inputs") -> None:
        """Nothing is felt, and nothing moved."""

    def self_test(self) -> bool:
        """What is not there cannot fail."""
        return True

    def enable(self, on: bool) -> None:
        """Nobody knows which level that would be."""

    def halt(self) -> None:
        """It rests."""

    def show(self, priority: int, sounding: bool) -> None:
        """Neither light nor sound."""
