// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/alloc.h"
#include "loop/loop_internal.h"

struct loop_signal {
    uv_signal_t handle;       // libuv's own
    struct loop_signal *next; // of the loop's list
    signal_fn on_signal;      // the user's
    void *context;            // for on_signal
};

static void signal_on_delivery(uv_signal_t *handle, int number)
{
    struct loop_signal *signal = handle->data;
    signal->on_signal(signal->context, number);
}

static void signal_on_closed(uv_handle_t *handle)
{
    rm_free(handle->data);
}

enum rm_err loop_on_signal(struct loop *loop, int number, signal_fn on_signal, void *context)
{
    struct loop_signal *signal = rm_malloc(sizeof(*signal));
    if (signal == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    int result = uv_signal_init(&loop->uv, &signal->handle);
    if (result != 0) {
        rm_free(signal);
        return rm_err_from_errno(result);
    }
    signal->handle.data = signal;
    result = uv_signal_start(&signal->handle, signal_on_delivery, number);
    if (result != 0) {
        uv_close((uv_handle_t *)&signal->handle, signal_on_closed);
        return rm_err_from_errno(result);
    }
    signal->on_signal = on_signal;
    signal->context = context;
    signal->next = loop->signals;
    loop->signals = signal;
    return RM_OK;
}

void signals_close(struct loop *loop)
{
    while (loop->signals != NULL) {
        struct loop_signal *signal = loop->signals;
        loop->signals = signal->next;
        uv_close((uv_handle_t *)&signal->handle, signal_on_closed);
    }
}
