# A Raspberry Pi Pico W. Its radio is left alone: no driver, no network.
set(PICO_BOARD "pico_w")
include(${CMAKE_CURRENT_LIST_DIR}/../common/board.cmake)
