# A Raspberry Pi Pico with the pump's firmware frozen in.
set(PICO_BOARD "pico")
set(PICO_PLATFORM "rp2040")
set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/manifest.py)

# The port sets the time a USB write may wait in a header of its own, after the board's: see usb_wait.h.
set_source_files_properties(
    ${MICROPY_DIR}/shared/tinyusb/mp_usbd_cdc.c
    PROPERTIES COMPILE_OPTIONS "-include;${MICROPY_BOARD_DIR}/usb_wait.h"
)
