# A Raspberry Pi Pico with the pump's firmware frozen in.
set(PICO_BOARD "pico")
set(PICO_PLATFORM "rp2040")
set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/manifest.py)

# The port sets the time a USB write may wait in a header of its own, after the board's: see usb_wait.h.
set_source_files_properties(
    ${MICROPY_DIR}/shared/tinyusb/mp_usbd_cdc.c
    PROPERTIES COMPILE_OPTIONS "-include;${MICROPY_BOARD_DIR}/usb_wait.h"
)

# What a tick of the pump is made of: the interpreter's loop, lookups, calls and small objects. For speed rather than
# for size, 10 kB more of it.
set(THECAL_HOT argcheck bc gc malloc map mpz nlr obj objarray objboundmeth objclosure objdict objfun objgenerator objint
    objint_mpz objlist objobject objrange objtuple objtype qstr runtime sequence smallint vm)
list(TRANSFORM THECAL_HOT PREPEND ${MICROPY_DIR}/py/)
list(TRANSFORM THECAL_HOT APPEND .c)
set_source_files_properties(${THECAL_HOT} PROPERTIES COMPILE_OPTIONS "-O2")

list(APPEND MICROPY_SOURCE_BOARD ${MICROPY_BOARD_DIR}/pystack.c)
