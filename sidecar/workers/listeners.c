// SPDX-License-Identifier: GPL-3.0-or-later
#include "workers/listeners.h"

#include <string.h>

#include "base/alloc.h"
#include "base/list.h"
#include "base/log.h"
#include "inbound/inbound.h"
#include "metrics_catalogue.h"
#include "outbound/outbound.h"
#include "stream/socket.h"

enum door_kind { DOOR_TUNNEL, DOOR_EDGE, DOOR_OUTBOUND };

// One open listener. The service it leads to is looked up by address in the configuration in force,
// so that a reload may change it without closing the port.
struct door {
    struct list node;              // of listeners->doors
    struct worker *worker;         // it accepts for
    enum door_kind kind;           // what comes through
    struct stream_address address; // as configured
    struct listener *listener;     // open
    bool is_new;                   // opened by prepare, not yet committed
    bool is_wanted;                // by the configuration that is being prepared
};

struct listeners {
    struct worker *worker;
    struct list doors; // struct door
};

static const struct sidecar_outbound *find_outbound(const struct sidecar_config *config,
                                                    const struct stream_address *address)
{
    const struct sidecar_outbound *items = config->outbound.items;
    for (size_t i = 0; i < config->outbound.count; i++) {
        if (socket_address_equal(&items[i].listen_address, address)) {
            return &items[i];
        }
    }
    return NULL;
}

// Number of the hosted service that an edge leads to; false when it leads nowhere any more.
static bool find_edge(const struct sidecar_config *config, const struct stream_address *address,
                      size_t *service)
{
    const struct sidecar_edge *edges = config->edges.items;
    const struct sidecar_inbound_service *services = config->services.items;
    for (size_t i = 0; i < config->edges.count; i++) {
        if (!socket_address_equal(&edges[i].listen_address, address)) {
            continue;
        }
        for (*service = 0; *service < config->services.count; (*service)++) {
            if (strcmp(services[*service].name, edges[i].service) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void door_on_accept(void *context, struct stream *stream)
{
    struct door *door = context;
    const struct sidecar_config *config = door->worker->snapshot->config;
    const struct sidecar_outbound *outbound = NULL;
    size_t service = 0;
    switch (door->kind) {
    case DOOR_TUNNEL:
        inbound_accept(door->worker, stream);
        return;
    case DOOR_EDGE:
        if (find_edge(config, &door->address, &service)) {
            inbound_accept_edge(door->worker, stream, service);
            return;
        }
        break;
    case DOOR_OUTBOUND:
        outbound = find_outbound(config, &door->address);
        if (outbound != NULL) {
            outbound_accept(door->worker, stream, outbound);
            return;
        }
        break;
    }
    stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
}

static void door_on_shortage(void *context)
{
    struct door *door = context;
    metric_add(door->worker->metrics, SIDECAR_METRIC_ACCEPT_PAUSES_TOTAL, NULL, 1);
}

// The configuration in force no longer leads anywhere from here, so connections that the kernel has
// queued are reset, as later ones would be refused; accepting them would also need the door.
static void door_free(struct door *door)
{
    list_remove(&door->node);
    listener_close(door->listener, false);
    rm_free(door);
}

static struct door *find_door(const struct listeners *listeners, enum door_kind kind,
                              const struct stream_address *address)
{
    list_each (node, &listeners->doors) {
        struct door *door = list_entry(node, struct door, node);
        if (door->kind == kind && socket_address_equal(&door->address, address)) {
            return door;
        }
    }
    return NULL;
}

static enum rm_err want_door(void *context, enum door_kind kind,
                             const struct stream_address *address, int unix_mode,
                             struct rm_error *error)
{
    struct listeners *listeners = context;
    bool is_unix = address->address.ss_family == AF_UNIX;
    if (is_unix && listeners->worker->index > 0) {
        return RM_OK; // a path has one listener: the first worker's
    }
    struct door *door = find_door(listeners, kind, address);
    if (door != NULL) {
        door->is_wanted = true;
        return RM_OK;
    }
    door = rm_calloc(1, sizeof *door);
    if (door == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    struct listener_options options = {
        .address = *address,
        .reuse_port = !is_unix,
        .unix_mode = unix_mode,
        .unix_uid = -1,
        .unix_gid = -1,
        .on_shortage = door_on_shortage,
    };
    *door = (struct door){.worker = listeners->worker,
                          .kind = kind,
                          .address = *address,
                          .is_new = true,
                          .is_wanted = true};
    enum rm_err result = listener_open(listeners->worker->loop, &options, door_on_accept, door,
                                       &door->listener, error);
    if (result != RM_OK) {
        rm_free(door);
        return result;
    }
    listener_pause(door->listener);
    list_append(&listeners->doors, &door->node);
    return RM_OK;
}

// Every address that a configuration listens on.
typedef enum rm_err (*address_fn)(void *context, enum door_kind kind,
                                  const struct stream_address *address, int unix_mode,
                                  struct rm_error *error);

static enum rm_err visit_addresses(const struct sidecar_config *config, address_fn visit,
                                   void *context, struct rm_error *error)
{
    if (config->services.count > 0) {
        RM_TRY(visit(context, DOOR_TUNNEL, &config->inbound_address, 0, error));
    }
    const struct sidecar_edge *edges = config->edges.items;
    for (size_t i = 0; i < config->edges.count; i++) {
        RM_TRY(visit(context, DOOR_EDGE, &edges[i].listen_address, 0, error));
    }
    const struct sidecar_outbound *outbound = config->outbound.items;
    for (size_t i = 0; i < config->outbound.count; i++) {
        RM_TRY(visit(context, DOOR_OUTBOUND, &outbound[i].listen_address, outbound[i].mode, error));
    }
    return RM_OK;
}

static enum rm_err refuse_equal(void *context, enum door_kind kind,
                                const struct stream_address *address, int unix_mode,
                                struct rm_error *error)
{
    (void)kind;
    (void)unix_mode;
    (void)error;
    return socket_address_equal(context, address) ? RM_ERR_EXISTS : RM_OK;
}

static bool is_listened_on(const struct sidecar_config *config,
                           const struct stream_address *address)
{
    struct stream_address wanted = *address;
    return config != NULL && visit_addresses(config, refuse_equal, &wanted, NULL) != RM_OK;
}

struct probe {
    struct loop *loop;                   // the main loop
    const struct sidecar_config *before; // in force; NULL: none
};

static void probe_on_accept(void *context, struct stream *stream)
{
    (void)context;
    stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
}

static enum rm_err probe_address(void *context, enum door_kind kind,
                                 const struct stream_address *address, int unix_mode,
                                 struct rm_error *error)
{
    const struct probe *probe = context;
    (void)kind;
    (void)unix_mode;
    if (address->address.ss_family == AF_UNIX || is_listened_on(probe->before, address)) {
        return RM_OK;
    }
    struct listener *listener = NULL;
    struct listener_options options = {.address = *address, .unix_uid = -1, .unix_gid = -1};
    RM_TRY(listener_open(probe->loop, &options, probe_on_accept, NULL, &listener, error));
    listener_close(listener, false);
    return RM_OK;
}

enum rm_err listeners_check_free(struct loop *loop, const struct sidecar_config *before,
                                 const struct sidecar_config *config, struct rm_error *error)
{
    struct probe probe = {.loop = loop, .before = before};
    return visit_addresses(config, probe_address, &probe, error);
}

struct listeners *listeners_new(struct worker *worker)
{
    struct listeners *listeners = rm_calloc(1, sizeof *listeners);
    if (listeners != NULL) {
        listeners->worker = worker;
        list_init(&listeners->doors);
    }
    return listeners;
}

enum rm_err listeners_prepare(struct listeners *listeners, struct sidecar_config *config,
                              struct rm_error *error)
{
    list_each (node, &listeners->doors) {
        list_entry(node, struct door, node)->is_wanted = false;
    }
    enum rm_err result = visit_addresses(config, want_door, listeners, error);
    if (result != RM_OK) {
        listeners_undo(listeners);
    }
    return result;
}

void listeners_commit(struct listeners *listeners)
{
    list_each_safe (node, following, &listeners->doors) {
        struct door *door = list_entry(node, struct door, node);
        if (!door->is_wanted) {
            door_free(door);
        } else if (door->is_new) {
            door->is_new = false;
            listener_resume(door->listener);
        }
    }
}

void listeners_undo(struct listeners *listeners)
{
    list_each_safe (node, following, &listeners->doors) {
        struct door *door = list_entry(node, struct door, node);
        if (door->is_new) {
            door_free(door);
        }
    }
}

void listeners_drain(struct listeners *listeners)
{
    list_each_safe (node, following, &listeners->doors) {
        struct door *door = list_entry(node, struct door, node);
        if (door->kind == DOOR_EDGE) {
            door_free(door);
        }
    }
}

void listeners_free(struct listeners *listeners)
{
    if (listeners == NULL) {
        return;
    }
    list_each_safe (node, following, &listeners->doors) {
        door_free(list_entry(node, struct door, node));
    }
    rm_free(listeners);
}
