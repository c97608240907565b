// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/alloc.h"
#include "loop/loop_internal.h"

struct work_item {
    uv_work_t request; // libuv's own
    struct loop *loop; // where `done` is called
    work_fn work;      // on a pool thread
    work_fn done;      // on the loop
    void *context;     // for both
};

static void work_on_pool(uv_work_t *request)
{
    struct work_item *item = request->data;
    item->work(item->context);
}

static void work_on_done(uv_work_t *request, int status)
{
    (void)status; // never cancelled
    struct work_item item = *(struct work_item *)request->data;
    rm_free(request->data);
    item.done(item.context);
    loop_close(item.loop);
}

enum rm_err loop_work(struct loop *loop, work_fn work, work_fn done, void *context)
{
    struct work_item *item = rm_malloc(sizeof(*item));
    if (item == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    item->request.data = item;
    item->loop = loop;
    item->work = work;
    item->done = done;
    item->context = context;
    int result = uv_queue_work(&loop->uv, &item->request, work_on_pool, work_on_done);
    if (result != 0) {
        rm_free(item);
        return rm_err_from_errno(result);
    }
    loop_open(loop);
    return RM_OK;
}
