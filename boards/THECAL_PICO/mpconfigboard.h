#define MICROPY_HW_BOARD_NAME "Thecal pump bench on Raspberry Pi Pico"

#include "../common/board.h"
