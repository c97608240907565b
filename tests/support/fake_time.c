// SPDX-License-Identifier: GPL-3.0-or-later
#include "fake_time.h"

#include <stdbool.h>
#include <stdlib.h>

static uint64_t offset_ms;

// The linker puts __wrap_uv_now() in the place of libuv's uv_now(). The names are the linker's.
uint64_t __real_uv_now(const void *uv_loop);
uint64_t __wrap_uv_now(const void *uv_loop);

uint64_t __wrap_uv_now(const void *uv_loop)
{
    return __real_uv_now(uv_loop) + offset_ms;
}

static void on_wake(void *context)
{
    free(context);
}

// libuv's own timer was set before the jump: a new soonest timer, started before it too, makes the
// loop set it again.
void fake_time_jump(struct loop *loop, uint64_t ms)
{
    struct timer *wake = malloc(sizeof(*wake));
    if (wake == NULL) {
        abort();
    }
    timer_init(wake, loop, on_wake, wake);
    if (timer_start(wake, 0) != RM_OK) {
        abort();
    }
    offset_ms += ms;
}
