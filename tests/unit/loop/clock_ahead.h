// SPDX-License-Identifier: GPL-3.0-or-later
//
// The loop's clock, moved ahead by the test: link with --wrap=uv_now. libuv's own timer still
// waits, so whoever moves the clock wakes the loop (any event does), and the due timers expire
// then.
#pragma once

#include <stdint.h>

uint64_t __real_uv_now(const void *loop);
uint64_t __wrap_uv_now(const void *loop);

static uint64_t clock_ahead_ms;

uint64_t __wrap_uv_now(const void *loop)
{
    return __real_uv_now(loop) + clock_ahead_ms;
}
