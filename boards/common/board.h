// What the pump changes of MicroPython's rp2 port, on every board; a board's own mpconfigboard.h names it and
// includes this.

#define MICROPY_HW_USB_MANUFACTURER_STRING "Thecal"
#define MICROPY_HW_USB_PRODUCT_FS_STRING "Thecal pump bench"

// 640 KiB of the 2 MiB flash for the image, the rest for records.
#define MICROPY_HW_FLASH_STORAGE_BYTES (1408 * 1024)

// GP0 and GP1 stay free, and there is one way in: USB.
#define MICROPY_HW_ENABLE_UART_REPL (0)

// The pump looks at the link ten times a second: what comes between has to wait in the buffers. A frame of up to
// 4096 bytes that does not fit waits in the host, USB holds it back.
#define MICROPY_HW_STDIN_BUFFER_LEN (2048 + 1) // one place of the ring stays empty
#define CFG_TUD_CDC_RX_BUFSIZE (512)
#define CFG_TUD_CDC_TX_BUFSIZE (2048)

// The loop is mostly lookups of names: see lookup.c, which stands in front of the interpreter's own.
#define MICROPY_WRAP_MP_MAP_LOOKUP(function) function##_any
#define MICROPY_OPT_MAP_LOOKUP_CACHE (0)

// Frames of Python functions lie on a stack of their own (pystack.c), not in the heap.
#define MICROPY_ENABLE_PYSTACK (1)
void board_init_pystack(void);
#define MICROPY_BOARD_EARLY_INIT() board_init_pystack()

#ifdef THECAL_RELEASE
#include "release.h"
#endif
