// Where the interpreter keeps the frames of Python functions: a stack of its own. Without one, every call with a
// frame of more than 11 words takes it from the heap and gives it back.

#include "py/runtime.h"

// A pump that is programmed and runs has had 1.2 kB of it in use at most.
#define PYSTACK_BYTES (3072)

static mp_obj_t pystack[PYSTACK_BYTES / sizeof(mp_obj_t)];

void board_init_pystack(void) {
    mp_pystack_init(pystack, &pystack[MP_ARRAY_SIZE(pystack)]);
}
