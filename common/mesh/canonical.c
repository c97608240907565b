// SPDX-License-Identifier: GPL-3.0-or-later
//
// The canonical bytes of a view. Both ends hash them and compare, so a change here is a change of
// the wire contract: the test of these bytes holds a fixed example.
#include <string.h>

#include "mesh/view_internal.h"

struct output {
    mesh_sink_fn sink; // takes each piece
    void *context;     // of sink
};

static void put_integer(const struct output *output, uint64_t value, size_t bytes)
{
    uint8_t text[8];
    for (size_t i = 0; i < bytes; i++) {
        text[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    }
    output->sink(output->context, text, bytes);
}

static void put_bytes(const struct output *output, const void *bytes, size_t length)
{
    put_integer(output, length, 4);
    if (length > 0) {
        output->sink(output->context, bytes, length);
    }
}

static void put_text(const struct output *output, const char *text)
{
    put_bytes(output, text, strlen(text));
}

static void put_strings(const struct output *output, char *const *strings, size_t count)
{
    put_integer(output, count, 4);
    for (size_t i = 0; i < count; i++) {
        put_text(output, strings[i]);
    }
}

static void put_bundle(const struct output *output, const struct mesh_bundle *bundle)
{
    put_integer(output, bundle->root_count, 4);
    for (size_t i = 0; i < bundle->root_count; i++) {
        put_bytes(output, bundle->roots[i].bytes, bundle->roots[i].length);
    }
}

static void put_service(const struct output *output, const struct mesh_service *service)
{
    put_integer(output, service->port, 2);
    put_strings(output, service->identities, service->identity_count);
    put_strings(output, service->allow, service->allow_count);
    put_integer(output, service->is_guarded, 1);
}

static void put_endpoint(const struct output *output, const struct mesh_endpoint *endpoint)
{
    put_text(output, endpoint->address);
    put_text(output, endpoint->identity);
    put_text(output, endpoint->zone);
    put_integer(output, endpoint->is_ready, 1);
}

static void put_withdrawal(const struct output *output, const struct mesh_withdrawal *withdrawal)
{
    put_integer(output, (uint64_t)withdrawal->kind + 1, 1);
    put_bytes(output, withdrawal->key.bytes, withdrawal->key.length);
    put_integer(output, (uint64_t)withdrawal->before_s, 8);
    put_integer(output, (uint64_t)withdrawal->expires_s, 8);
}

// The wire's number of the kind, key, content.
static void put_resource(const struct output *output, const struct mesh_resource *resource)
{
    put_integer(output, (uint64_t)resource->kind + 1, 1);
    put_text(output, resource->key);
    switch (resource->kind) {
    case MESH_BUNDLE:
        put_bundle(output, &resource->of.bundle);
        break;
    case MESH_SERVICE:
        put_service(output, &resource->of.service);
        break;
    case MESH_ENDPOINT:
        put_endpoint(output, &resource->of.endpoint);
        break;
    case MESH_WITHDRAWAL:
        put_withdrawal(output, &resource->of.withdrawal);
        break;
    case MESH_KIND_COUNT:
        break;
    }
}

void mesh_view_canonical(const struct mesh_view *view, mesh_sink_fn sink, void *context)
{
    const struct output output = {sink, context};
    for (size_t kind = 0; kind < MESH_KIND_COUNT; kind++) {
        const struct mesh_set *set = view->sets[kind];
        for (size_t i = 0; i < set->count; i++) {
            put_resource(&output, set->items[i]);
        }
    }
}
