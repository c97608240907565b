# SPDX-License-Identifier: GPL-3.0-or-later
# The target `fake_time`, for whichever room's tests want it. An object library: its wrapped call must
# be there before libuv's archive is asked for it.
if(NOT TARGET fake_time)
    add_library(fake_time OBJECT ${CMAKE_CURRENT_LIST_DIR}/fake_time.c)
    target_include_directories(fake_time PUBLIC ${CMAKE_CURRENT_LIST_DIR})
    target_link_libraries(fake_time PUBLIC remora_loop)
    target_link_options(fake_time INTERFACE LINKER:--wrap=uv_now)
endif()
