// What this board changes of MicroPython's rp2 port.

#define MICROPY_HW_BOARD_NAME "Thecal pump bench on Raspberry Pi Pico"
#define MICROPY_HW_USB_MANUFACTURER_STRING "Thecal"
#define MICROPY_HW_USB_PRODUCT_FS_STRING "Thecal pump bench"

// 640 KiB of the 2 MiB flash for the image, the rest for records.
#define MICROPY_HW_FLASH_STORAGE_BYTES (1408 * 1024)

// GP0 and GP1 stay free, and there is one way in: USB.
#define MICROPY_HW_ENABLE_UART_REPL (0)

// A frame is at most 1024 bytes either way. The pump looks at the link ten times a second, so a whole frame has to
// wait in the buffers, and the next one beside it.
#define MICROPY_HW_STDIN_BUFFER_LEN (2048 + 1) // one place of the ring stays empty
#define CFG_TUD_CDC_RX_BUFSIZE (512)
#define CFG_TUD_CDC_TX_BUFSIZE (2048)
