"""The phase of the rotor (`dose/head.py`) over a reset, in the fields of the journal."""

from .record.layout import place_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .position import Position

MARK = place_of("mark_steps")
BEFORE = place_of("mark_before_steps")
BEHIND = place_of("mark_behind_steps")
BY_TABLE = place_of("mark_by_table")
FIELDS = (MARK, BEFORE, BEHIND, BY_TABLE)


def fill(words, position: "Position", quantum_steps: int) -> None:
    """Where the mark was, if it would be known still were `quantum_steps` made or not; -1: what moves now is
    not booked, so nothing is.
    """
    head = position.head
    words[MARK] = -1
    words[BEFORE] = words[BEHIND] = words[BY_TABLE] = 0
    if quantum_steps < 0 or not head.known(position.counted_steps) or not head.known_after(quantum_steps):
        return
    words[MARK] = max(head.mark_steps(), -1)
    words[BEFORE] = head.mark_before_steps()
    words[BEHIND] = head.high - head.low - words[BEFORE]
    words[BY_TABLE] = 1 if head.compensates else 0


def restore(words, position: "Position", unsure_steps: int) -> None:
    """Know it again; of what counts as executed the last `unsure_steps` may not have been made."""
    if words[MARK] >= 0:
        position.head.resume(
            position.executed_steps,
            unsure_steps,
            words[MARK],
            words[BEFORE],
            words[BEHIND],
            words[BY_TABLE],
        )
