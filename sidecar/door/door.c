// SPDX-License-Identifier: GPL-3.0-or-later
#include "door/door.h"

#include <stddef.h>

enum rm_err door_prepare(struct door *door, struct loop *loop,
                         const struct listener_options *options, listener_fn on_accept,
                         void *context, struct rm_error *error)
{
    if (door->listener != NULL && socket_address_equal(&door->address, &options->address)) {
        return RM_OK;
    }
    RM_TRY(listener_open(loop, options, on_accept, context, &door->next, error));
    door->next_address = options->address;
    return RM_OK;
}

void door_commit(struct door *door)
{
    if (door->next == NULL) {
        return;
    }
    if (door->listener != NULL) {
        listener_close(door->listener, false);
    }
    door->listener = door->next;
    door->address = door->next_address;
    door->next = NULL;
}

void door_undo(struct door *door)
{
    if (door->next != NULL) {
        listener_close(door->next, false);
        door->next = NULL;
    }
}

void door_close(struct door *door)
{
    door_undo(door);
    if (door->listener != NULL) {
        listener_close(door->listener, false);
        door->listener = NULL;
    }
}
