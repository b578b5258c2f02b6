"""What the image does by itself on the board: names its pins, runs only what is frozen, never formats."""

import pytest
from thecal_bench.chip import RawRepl

pytestmark = pytest.mark.chip

STORAGE_START = 640 * 1024
STORAGE_END = 2048 * 1024


@pytest.mark.req("SIM-01")
def test_every_net_is_a_pin_of_the_board(prompt):
    names = prompt.run("from machine import Pin\nprint([(n, str(getattr(Pin.board, n))) for n in NET])")
    pins = dict(eval(names))
    assert pins.keys() == prompt.board.nets.keys()
    for net, gpio in prompt.board.nets.items():
        assert pins[net].startswith(f"Pin(GPIO{gpio},")


@pytest.mark.req("REC-05")
@pytest.mark.parametrize("content", [b"\xff", b"\x00", b"\x5a\xa5littlefs"], ids=["empty", "zero", "damaged"])
def test_storage_that_is_no_filesystem_is_left_as_it_is(make_board, content):
    board = make_board(maintenance=True)
    size = STORAGE_END - STORAGE_START
    before = (content * (size // len(content) + 1))[:size]
    board.mcu.flash[STORAGE_START:STORAGE_END] = before
    board.boot()
    assert RawRepl(board).run("print(2 + 2)") == "4\n"
    assert bytes(board.mcu.flash[STORAGE_START:STORAGE_END]) == before


@pytest.mark.req("SIM-01", "SEC-04")
def test_files_on_the_board_do_not_replace_frozen_ones(prompt):
    prompt.run(
        "import os, rp2, vfs\n"
        "flash = rp2.Flash()\n"
        "vfs.VfsLfs2.mkfs(flash, progsize=256)\n"
        "vfs.mount(vfs.VfsLfs2(flash, progsize=256), '/')\n"
        "os.mkdir('/thecal')\n"
        "for name in ('boot.py', 'main.py', 'thecal/__init__.py', 'thecal/version.py', 'extra.py'):\n"
        "    with open('/' + name, 'w') as f:\n"
        "        f.write('import builtins\\nVERSION = builtins.intruder = 1\\n')\n",
        limit_ms=60_000,
    )
    board = prompt.board
    board.power_cycle()
    board.boot()
    again = RawRepl(board)
    answer = again.run(
        "import builtins, os, rp2, vfs\n"
        "vfs.mount(vfs.VfsLfs2(rp2.Flash(), progsize=256), '/')\n"  # nothing does so by itself
        "from thecal.version import VERSION\n"
        "print(hasattr(builtins, 'intruder'), type(VERSION), 'extra.py' in os.listdir('/'))\n"
        "try:\n"
        "    import extra\n"
        "except ImportError:\n"
        "    print('not found')\n"
    )
    assert answer == "False <class 'str'> True\nnot found\n"


@pytest.mark.req("LNK-03")
def test_only_a_person_at_the_prompt_waits_for_the_host(prompt):
    prompt.start(
        "import micropython, sys, time\n"
        "dots = b'.' * 5000\n"
        "def write():\n"
        "    start_us = time.ticks_us()\n"
        "    taken = sys.stdout.buffer.write(dots)\n"
        "    return taken, time.ticks_diff(time.ticks_us(), start_us)\n"
        "micropython.kbd_intr(-1)\n"
        "pump = write(), write()\n"
        "micropython.kbd_intr(3)\n"
        "person = write()\n"
        "time.sleep_ms(500)\n"
    )
    board = prompt.board
    board.host.stop_reading()
    board.run_for_ms(700)
    board.host.resume_reading()
    prompt.result()
    (first, second), person = eval(prompt.run("print((pump, person))"))
    assert first[0] >= 1024  # a whole frame finds room
    assert second[0] == 0 and second[1] <= 1_000
    assert person[0] == 0 and 490_000 <= person[1] <= 510_000
