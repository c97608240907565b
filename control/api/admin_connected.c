// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "api/admin_internal.h"
#include "base/alloc.h"

struct admin_connected {
    struct admin_instance *instances; // owned; room for every session
    size_t count;                     // of instances
    size_t room;                      // of instances
    struct map *by_id;                // instance id -> struct admin_instance
    struct map *by_serial;            // reported serial -> struct admin_instance
    bool is_failed;                   // memory ran out
};

// Two streams of one instance: make before break. The one that is further tells more.
static struct admin_instance *instance_of(struct admin_connected *connected,
                                          const struct push_instance *session)
{
    size_t length = strlen(session->instance_id);
    struct admin_instance *instance = map_get(connected->by_id, session->instance_id, length);
    if (instance != NULL || connected->count == connected->room) {
        return instance;
    }
    instance = &connected->instances[connected->count];
    instance->instance_id = rm_strdup(session->instance_id);
    if (instance->instance_id == NULL ||
        map_put(connected->by_id, session->instance_id, length, instance, NULL) != RM_OK) {
        rm_free(instance->instance_id);
        connected->is_failed = true;
        return NULL;
    }
    connected->count++;
    return instance;
}

static void take_status(struct admin_connected *connected, struct admin_instance *instance,
                        const struct mesh_status *status)
{
    instance->next_renewal_s = status->next_renewal_s;
    rm_free(instance->last_error);
    instance->last_error = NULL;
    if (status->last_error != NULL && status->last_error[0] != '\0') {
        instance->last_error = rm_strdup(status->last_error);
        connected->is_failed = connected->is_failed || instance->last_error == NULL;
    }
    if (status->serial_length == ISSUE_SERIAL_BYTES &&
        map_put(connected->by_serial, status->serial, ISSUE_SERIAL_BYTES, instance, NULL) !=
            RM_OK) {
        connected->is_failed = true;
    }
}

static void visit_session(void *context, const struct push_instance *session)
{
    struct admin_connected *connected = context;
    struct admin_instance *instance = instance_of(connected, session);
    if (instance == NULL) {
        return;
    }
    if (session->has_acked && session->acked.number >= instance->view_version) {
        instance->view_version = session->acked.number;
        memcpy(instance->view_hash, session->acked_hash, sizeof instance->view_hash);
    }
    if (session->status != NULL) {
        take_status(connected, instance, session->status);
    }
}

struct admin_connected *admin_connected_new(const struct push *push)
{
    struct admin_connected *connected = rm_calloc(1, sizeof *connected);
    if (connected == NULL) {
        return NULL;
    }
    connected->room = push_session_count(push);
    connected->instances = rm_calloc(connected->room + 1, sizeof *connected->instances);
    connected->by_id = map_new();
    connected->by_serial = map_new();
    if (connected->instances == NULL || connected->by_id == NULL || connected->by_serial == NULL) {
        admin_connected_free(connected);
        return NULL;
    }
    push_visit(push, visit_session, connected);
    if (connected->is_failed) {
        admin_connected_free(connected);
        return NULL;
    }
    return connected;
}

void admin_connected_free(struct admin_connected *connected)
{
    for (size_t i = 0; i < connected->count; i++) {
        rm_free(connected->instances[i].instance_id);
        rm_free(connected->instances[i].last_error);
    }
    rm_free(connected->instances);
    map_free(connected->by_id);
    map_free(connected->by_serial);
    rm_free(connected);
}

const struct admin_instance *admin_connected_instance(const struct admin_connected *connected,
                                                      const char *instance_id)
{
    return map_get(connected->by_id, instance_id, strlen(instance_id));
}

const struct admin_instance *admin_connected_serial(const struct admin_connected *connected,
                                                    const uint8_t serial[ISSUE_SERIAL_BYTES])
{
    return map_get(connected->by_serial, serial, ISSUE_SERIAL_BYTES);
}
