// How long a write to USB may wait for the host, included ahead of shared/tinyusb/mp_usbd_cdc.c.
//
// The pump must never wait for a host that does not read: its writes end as soon as the buffer is full, and what did
// not fit is for the pump to count. A person at the prompt, or mpremote, loses output that way, so for them the
// port's half second stays. The two are told apart by Ctrl-C: the pump switches it off (micropython.kbd_intr(-1))
// before it does anything else, programs started from the prompt leave it on.

#include "py/runtime.h"
#include "py/mphal.h"
#include "shared/runtime/interrupt_char.h"

#undef MICROPY_HW_USB_CDC_TX_TIMEOUT
#define MICROPY_HW_USB_CDC_TX_TIMEOUT (mp_interrupt_char < 0 ? 0 : 500) // ms
