// SPDX-License-Identifier: GPL-3.0-or-later
//
// The rules of what a sidecar sends, and the end of what a decoder gave.
#include <string.h>

#include "base/alloc.h"
#include "mesh/wire_internal.h"

static bool is_printable(char c)
{
    return c >= ' ' && c <= '~';
}

char *wire_printable(const char *text)
{
    char *copy = rm_strndup(text == NULL ? "" : text, MESH_WIRE_MAX_TEXT_BYTES);
    for (char *c = copy; c != NULL && *c != '\0'; c++) {
        *c = is_printable(*c) ? *c : '?';
    }
    return copy;
}

enum rm_err wire_copy_strings(char *const *strings, size_t count, char ***out, size_t *out_count)
{
    *out_count = 0;
    *out = rm_calloc(count, sizeof(**out));
    if (*out == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    for (; *out_count < count; ++*out_count) {
        (*out)[*out_count] = rm_strdup(strings[*out_count]);
        if ((*out)[*out_count] == NULL) {
            return RM_ERR_NO_MEMORY;
        }
    }
    return RM_OK;
}

// Operators read these on a terminal, so nothing in them may steer one.
static enum rm_err check_text(const char *text, const char *noun, struct rm_error *error)
{
    size_t length = text == NULL ? 0 : strnlen(text, MESH_WIRE_MAX_TEXT_BYTES + 1);
    for (size_t i = 0; i < length; i++) {
        if (!is_printable(text[i])) {
            return rm_error_set(error, RM_ERR_MALFORMED, "%s holds byte 0x%02x (offset %zu)", noun,
                                (unsigned)(unsigned char)text[i], i);
        }
    }
    if (length > MESH_WIRE_MAX_TEXT_BYTES) {
        return rm_error_set(error, RM_ERR_LIMIT, "%s is longer than %d bytes", noun,
                            MESH_WIRE_MAX_TEXT_BYTES);
    }
    return RM_OK;
}

static enum rm_err check_names(char *const *names, size_t count, size_t max, bool may_be_all,
                               const char *noun, struct rm_error *error)
{
    if (count > max) {
        return rm_error_set(error, RM_ERR_LIMIT, "%zu %s are over the limit of %zu", count, noun,
                            max);
    }
    for (size_t i = 0; i < count; i++) {
        bool is_all = may_be_all && strcmp(names[i], "*") == 0;
        if (!is_all && mesh_name_check(names[i], error) != RM_OK) {
            (void)rm_error_wrap(error, "%s %zu", noun, i + 1);
            return RM_ERR_MALFORMED;
        }
    }
    return RM_OK;
}

static enum rm_err check_hello(const struct mesh_hello *hello, struct rm_error *error)
{
    if (strspn(hello->instance_id, "0123456789abcdef") != MESH_WIRE_INSTANCE_ID_CHARS) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the instance id is not %d of 0-9a-f",
                            MESH_WIRE_INSTANCE_ID_CHARS);
    }
    RM_TRY(check_names(hello->services, hello->service_count, MESH_WIRE_MAX_SUBSCRIPTIONS, true,
                       "services", error));
    RM_TRY(check_names(hello->exposes, hello->expose_count, MESH_WIRE_MAX_EXPOSED, false,
                       "exposed services", error));
    RM_TRY(check_text(hello->software, "the software name", error));
    if (hello->zone != NULL && hello->zone[0] != '\0' && !mesh_label_is_valid(hello->zone)) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the zone is not up to %d of A-Za-z0-9._-",
                            MESH_MAX_LABEL_BYTES);
    }
    if (hello->tunnel_address != NULL && hello->tunnel_address[0] != '\0' &&
        mesh_address_check(hello->tunnel_address, true, error) != RM_OK) {
        (void)rm_error_wrap(error, "tunnel address");
        return RM_ERR_MALFORMED;
    }
    return RM_OK;
}

static enum rm_err check_subscribe(const struct mesh_subscribe *subscribe, struct rm_error *error)
{
    if (subscribe->service_count == 0) {
        return rm_error_set(error, RM_ERR_MALFORMED, "a subscription to nothing");
    }
    return check_names(subscribe->services, subscribe->service_count, MESH_WIRE_MAX_SUBSCRIPTIONS,
                       true, "services", error);
}

static enum rm_err check_status(const struct mesh_status *status, struct rm_error *error)
{
    if (status->not_after_s < 0 || status->next_renewal_s < 0) {
        return rm_error_set(error, RM_ERR_MALFORMED, "a time is before 1970");
    }
    if (status->serial_length > SERIAL_MAX_BYTES) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the serial is longer than %d bytes",
                            SERIAL_MAX_BYTES);
    }
    return check_text(status->last_error, "the last error", error);
}

enum rm_err wire_check_request(const struct mesh_request *request, struct rm_error *error)
{
    switch (request->kind) {
    case MESH_REQUEST_HELLO:
        return check_hello(&request->of.hello, error);
    case MESH_REQUEST_ACK:
        return check_text(request->of.ack.error, "the error", error);
    case MESH_REQUEST_SUBSCRIBE:
        return check_subscribe(&request->of.subscribe, error);
    case MESH_REQUEST_STATUS:
        return check_status(&request->of.status, error);
    case MESH_REQUEST_GOODBYE:
        return RM_OK;
    case MESH_REQUEST_NONE:
        break;
    }
    return rm_error_set(error, RM_ERR_MALFORMED, "a request of unknown kind");
}

static void free_strings(char **strings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rm_free(strings[i]);
    }
    rm_free(strings);
}

void mesh_request_deinit(struct mesh_request *request)
{
    switch (request->kind) {
    case MESH_REQUEST_HELLO:
        free_strings(request->of.hello.services, request->of.hello.service_count);
        free_strings(request->of.hello.exposes, request->of.hello.expose_count);
        rm_free(request->of.hello.software);
        rm_free(request->of.hello.zone);
        rm_free(request->of.hello.tunnel_address);
        break;
    case MESH_REQUEST_ACK:
        rm_free(request->of.ack.error);
        break;
    case MESH_REQUEST_SUBSCRIBE:
        free_strings(request->of.subscribe.services, request->of.subscribe.service_count);
        break;
    case MESH_REQUEST_STATUS:
        rm_free(request->of.status.last_error);
        break;
    case MESH_REQUEST_NONE:
    case MESH_REQUEST_GOODBYE:
        break;
    }
    *request = (struct mesh_request){0};
}

void mesh_response_deinit(struct mesh_response *response)
{
    struct mesh_delta *delta = &response->delta;
    for (size_t i = 0; i < delta->put_count; i++) {
        mesh_resource_unref(delta->puts[i]);
    }
    rm_free(delta->puts);
    for (size_t i = 0; i < delta->removal_count; i++) {
        rm_free((void *)(uintptr_t)delta->removals[i].key);
    }
    rm_free(delta->removals);
    *response = (struct mesh_response){0};
}
