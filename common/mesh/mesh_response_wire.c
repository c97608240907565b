// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the control plane sends, to and from its bytes. A resource is encoded once for all who get
// it: a message's bytes may be put together from the bytes of its fields, so a response is its own
// few fields and then each resource's bytes behind a tag and a length.
#include <string.h>

#include "base/alloc.h"
#include "mesh/wire_internal.h"
#include "pb/pb.h"
#include "remora/mesh/v1/mesh.pb-c.h"

// Field 3 (puts), length-delimited: encoding.proto's (3 << 3) | 2.
#define PUTS_TAG 0x1a

// Kinds have the wire's numbers, which begin at 1, less one.
_Static_assert(MESH_BUNDLE + 1 == REMORA__MESH__V1__KIND__KIND_BUNDLE &&
                   MESH_WITHDRAWAL + 1 == REMORA__MESH__V1__KIND__KIND_WITHDRAWAL,
               "kinds are the wire's");
static size_t varint_length(size_t value)
{
    size_t length = 1;
    for (; value >= 0x80; value >>= 7) {
        length++;
    }
    return length;
}

static uint8_t *put_varint(uint8_t *at, size_t value)
{
    for (; value >= 0x80; value >>= 7) {
        *at++ = (uint8_t)(value | 0x80);
    }
    *at++ = (uint8_t)value;
    return at;
}

// Everything but the puts. *removals are scratch memory for `message`, the caller's to free.
static enum rm_err fill_frame(const struct mesh_response_parts *parts,
                              Remora__Mesh__V1__SyncResponse *message,
                              Remora__Mesh__V1__Removal **removals)
{
    message->is_full = parts->is_full;
    message->server_time_ms = parts->server_time_ms;
    size_t count = parts->removal_count;
    if (count > MESH_MAX_RESOURCES) {
        return RM_ERR_TOO_LARGE;
    }
    // One block: the messages, then the pointers to them.
    *removals = rm_calloc(count, sizeof(**removals) + sizeof(*removals));
    if (*removals == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    message->removals = (Remora__Mesh__V1__Removal **)(void *)(*removals + count);
    message->n_removals = count;
    for (size_t i = 0; i < count; i++) {
        remora__mesh__v1__removal__init(&(*removals)[i]);
        (*removals)[i].kind = (Remora__Mesh__V1__Kind)((int)parts->removals[i].kind + 1);
        (*removals)[i].key = (char *)(uintptr_t)parts->removals[i].key;
        message->removals[i] = &(*removals)[i];
    }
    return RM_OK;
}

// Errors: RM_ERR_TOO_LARGE.
static enum rm_err measure(const struct mesh_response_parts *parts, size_t frame_length,
                           size_t *total)
{
    *total = frame_length;
    for (size_t i = 0; i < parts->resource_count; i++) {
        size_t length = parts->resources[i].length;
        if (*total > MESH_WIRE_MAX_RESPONSE_BYTES || length > MESH_WIRE_MAX_RESPONSE_BYTES) {
            return RM_ERR_TOO_LARGE;
        }
        *total += 1 + varint_length(length) + length;
    }
    return *total > MESH_WIRE_MAX_RESPONSE_BYTES ? RM_ERR_TOO_LARGE : RM_OK;
}

static enum rm_err splice(const struct mesh_response_parts *parts, const ProtobufCMessage *frame,
                          uint8_t **bytes, size_t *length)
{
    size_t total = 0;
    RM_TRY(measure(parts, protobuf_c_message_get_packed_size(frame), &total));
    *bytes = rm_malloc(total);
    if (*bytes == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    uint8_t *at = *bytes + protobuf_c_message_pack(frame, *bytes);
    for (size_t i = 0; i < parts->resource_count; i++) {
        const struct mesh_bytes *resource = &parts->resources[i];
        *at++ = PUTS_TAG;
        at = put_varint(at, resource->length);
        memcpy(at, resource->bytes, resource->length);
        at += resource->length;
    }
    *length = total;
    return RM_OK;
}

enum rm_err mesh_wire_encode_response(const struct mesh_response_parts *parts, uint8_t **bytes,
                                      size_t *length)
{
    *bytes = NULL;
    *length = 0;
    Remora__Mesh__V1__Version version;
    wire_write_version(&parts->version, &version);
    Remora__Mesh__V1__SyncResponse frame = REMORA__MESH__V1__SYNC_RESPONSE__INIT;
    frame.version = &version;
    Remora__Mesh__V1__Removal *removals = NULL;
    enum rm_err err = fill_frame(parts, &frame, &removals);
    if (err == RM_OK) {
        err = splice(parts, &frame.base, bytes, length);
    }
    rm_free(removals);
    return err;
}

static enum rm_err decode_puts(const Remora__Mesh__V1__SyncResponse *message,
                               struct mesh_delta *delta, struct rm_error *error)
{
    delta->puts = rm_calloc(message->n_puts, sizeof(*delta->puts));
    if (delta->puts == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    for (; delta->put_count < message->n_puts; delta->put_count++) {
        enum rm_err err =
            wire_decode_resource(message->puts[delta->put_count], &delta->puts[delta->put_count]);
        if (err != RM_OK) {
            return rm_error_set(error, err, "resource %zu: %s", delta->put_count + 1,
                                rm_err_text(err));
        }
    }
    return RM_OK;
}

static enum rm_err decode_removals(const Remora__Mesh__V1__SyncResponse *message,
                                   struct mesh_delta *delta, struct rm_error *error)
{
    delta->removals = rm_calloc(message->n_removals, sizeof(*delta->removals));
    if (delta->removals == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    for (; delta->removal_count < message->n_removals; delta->removal_count++) {
        const Remora__Mesh__V1__Removal *removal = message->removals[delta->removal_count];
        if ((int)removal->kind < (int)REMORA__MESH__V1__KIND__KIND_BUNDLE ||
            (int)removal->kind > (int)REMORA__MESH__V1__KIND__KIND_WITHDRAWAL) {
            return rm_error_set(error, RM_ERR_MALFORMED, "removal %zu is of unknown kind",
                                delta->removal_count + 1);
        }
        char *key = rm_strdup(removal->key);
        if (key == NULL) {
            return RM_ERR_NO_MEMORY;
        }
        delta->removals[delta->removal_count] =
            (struct mesh_removal){(enum mesh_kind)((int)removal->kind - 1), key};
    }
    return RM_OK;
}

static enum rm_err decode(const Remora__Mesh__V1__SyncResponse *message, struct mesh_response *out,
                          struct rm_error *error)
{
    if (message->server_time_ms < 0) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the server's time is before 1970");
    }
    out->server_time_ms = message->server_time_ms;
    out->delta.is_full = message->is_full != 0;
    RM_TRY(wire_read_version(message->version, &out->delta.version, error));
    RM_TRY(decode_puts(message, &out->delta, error));
    return decode_removals(message, &out->delta, error);
}

enum rm_err mesh_wire_decode_response(const uint8_t *bytes, size_t length,
                                      struct mesh_response *out, struct rm_error *error)
{
    *out = (struct mesh_response){0};
    ProtobufCMessage *message = NULL;
    RM_TRY(pb_unpack(&remora__mesh__v1__sync_response__descriptor, bytes, length,
                     MESH_WIRE_MAX_RESPONSE_BYTES, &message, error));
    struct rm_error fault = {0};
    enum rm_err err = decode((const Remora__Mesh__V1__SyncResponse *)message, out, &fault);
    pb_free(message);
    if (err != RM_OK) {
        mesh_response_deinit(out);
        return rm_error_set(error, err, "SyncResponse: %s",
                            fault.code == RM_OK ? rm_err_text(err) : rm_error_message(&fault));
    }
    return RM_OK;
}
