"""The states of the pump and the moves between them: one table, one door (`Control.enter`).

BOOT: nothing is known yet. POST: self-test. STOPPED: by command, or not started. PRIMING: filling the line.
RUNNING: delivering, forward only. HALTED: stopped by an alarm, until acknowledged. DRAW_BACK: relieving a
blocked line, backward only; cut short by anything it ends HALTED. JOGGING: moving for whoever builds or
calibrates the pump, forward only, with nobody connected. The motor has power in PRIMING, RUNNING, DRAW_BACK
and JOGGING only.
"""

STATES = ("BOOT", "POST", "STOPPED", "RUNNING", "HALTED", "PRIMING", "DRAW_BACK", "JOGGING")
BOOT, POST, STOPPED, RUNNING, HALTED, PRIMING, DRAW_BACK, JOGGING = range(len(STATES))
MOVING = (RUNNING, PRIMING, DRAW_BACK, JOGGING)  # the motor has power
# A motion whose volume and rate the therapy in force has judged: of another one nobody has, and it ends.
JUDGED = (PRIMING, JOGGING)

# From each state, where to.
MOVES = (
    (POST,),  # BOOT
    (STOPPED, HALTED),  # POST
    (RUNNING, PRIMING, HALTED, JOGGING),  # STOPPED
    (STOPPED, HALTED),  # RUNNING
    (STOPPED, DRAW_BACK),  # HALTED
    (STOPPED, HALTED),  # PRIMING
    (STOPPED, HALTED),  # DRAW_BACK
    (STOPPED, HALTED),  # JOGGING
)
