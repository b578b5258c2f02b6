// Where MicroPython goes when main.py has ended, in an image without a compiler: nowhere. The board starts again.

#include "hardware/watchdog.h"
#include "shared/runtime/pyexec.h"

int pyexec_friendly_repl(void) {
    watchdog_reboot(0, 0, 0);
    for (;;) {
    }
    return 0;
}

int pyexec_raw_repl(void) {
    return pyexec_friendly_repl();
}
