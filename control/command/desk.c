// SPDX-License-Identifier: GPL-3.0-or-later
#include "command/desk.h"

#include <stdio.h>

enum rm_err desk_open(struct desk *desk, const struct control_config *config)
{
    *desk = (struct desk){.config = config};
    desk->loop = loop_new("command");
    return desk->loop != NULL
               ? RM_OK
               : rm_error_set(&desk->error, RM_ERR_NO_MEMORY, "out of memory or file descriptors");
}

enum rm_err desk_open_store(struct desk *desk)
{
    return store_open_sqlite(desk->loop, desk->config->data_dir, &desk->store, &desk->error);
}

enum rm_err desk_read_kek(struct desk *desk)
{
    return kek_read(desk->config, &desk->kek, &desk->error);
}

static void on_store_closed(void *context)
{
    struct desk *desk = context;
    desk->store = NULL;
    loop_stop(desk->loop);
}

void desk_finish(struct desk *desk, enum rm_err result, const struct rm_error *error)
{
    desk->result = result;
    if (result != RM_OK && error != NULL) {
        desk->error = *error;
    }
    if (desk->store != NULL) {
        store_close(desk->store, on_store_closed, desk);
    } else {
        loop_stop(desk->loop);
    }
}

enum rm_err desk_run(struct desk *desk)
{
    loop_run(desk->loop);
    return desk->result;
}

void desk_close(struct desk *desk)
{
    if (desk->store != NULL) {
        desk_finish(desk, desk->result, NULL);
        loop_run(desk->loop);
    }
    if (desk->loop != NULL) {
        loop_free(desk->loop);
    }
    secret_free(&desk->kek);
}

int desk_complain(const struct rm_error *error)
{
    fprintf(stderr, "remora-control: %s\n", rm_error_message(error));
    return 1;
}
