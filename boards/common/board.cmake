# What all boards of the pump share: the firmware frozen in, and how MicroPython is compiled. A board's own
# mpconfigboard.cmake names its PICO_BOARD and includes this.
set(PICO_PLATFORM "rp2040")
set(MICROPY_FROZEN_MANIFEST ${CMAKE_CURRENT_LIST_DIR}/manifest.py)

# The port sets the time a USB write may wait in a header of its own, after the board's: see usb_wait.h.
set_source_files_properties(
    ${MICROPY_DIR}/shared/tinyusb/mp_usbd_cdc.c
    PROPERTIES COMPILE_OPTIONS "-include;${CMAKE_CURRENT_LIST_DIR}/usb_wait.h"
)

# What a tick of the pump is made of: the interpreter's loop, lookups, calls and small objects. For speed rather than
# for size, 10 kB more of it.
set(THECAL_HOT argcheck bc gc malloc map mpz nlr obj objarray objboundmeth objclosure objdict objfun objgenerator objint
    objint_mpz objlist objobject objrange objtuple objtype qstr runtime sequence smallint vm)
list(TRANSFORM THECAL_HOT PREPEND ${MICROPY_DIR}/py/)
list(TRANSFORM THECAL_HOT APPEND .c)
list(APPEND THECAL_HOT ${CMAKE_CURRENT_LIST_DIR}/lookup.c)
set_source_files_properties(${THECAL_HOT} PROPERTIES COMPILE_OPTIONS "-O2")

list(APPEND MICROPY_SOURCE_BOARD ${CMAKE_CURRENT_LIST_DIR}/lookup.c ${CMAKE_CURRENT_LIST_DIR}/pystack.c)

# The release image: `make image RELEASE=1`.
if(THECAL_RELEASE)
    set(MICROPY_FROZEN_MANIFEST ${CMAKE_CURRENT_LIST_DIR}/manifest_release.py)
    list(APPEND MICROPY_DEF_BOARD THECAL_RELEASE)
    list(APPEND MICROPY_SOURCE_BOARD ${CMAKE_CURRENT_LIST_DIR}/no_prompt.c)
endif()
