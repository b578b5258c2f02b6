#define MICROPY_HW_BOARD_NAME "Thecal pump bench on Raspberry Pi Pico W"

#include "../common/board.h"
