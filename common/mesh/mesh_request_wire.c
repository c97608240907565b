// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a sidecar sends, to and from its bytes.
#include <string.h>

#include "base/alloc.h"
#include "mesh/wire_internal.h"
#include "pb/pb.h"
#include "remora/mesh/v1/mesh.pb-c.h"

enum rm_err wire_read_version(const Remora__Mesh__V1__Version *message, struct mesh_version *out,
                              struct rm_error *error)
{
    if (message == NULL || message->store_id.len != MESH_STORE_ID_BYTES) {
        return rm_error_set(error, RM_ERR_MALFORMED, "no version with a store id of %d bytes",
                            MESH_STORE_ID_BYTES);
    }
    memcpy(out->store_id, message->store_id.data, MESH_STORE_ID_BYTES);
    out->number = message->number;
    return RM_OK;
}

void wire_write_version(const struct mesh_version *version, Remora__Mesh__V1__Version *out)
{
    remora__mesh__v1__version__init(out);
    out->store_id =
        (ProtobufCBinaryData){MESH_STORE_ID_BYTES, (uint8_t *)(uintptr_t)version->store_id};
    out->number = version->number;
}

// --- Encoding -----------------------------------------------------------------------------------

static enum rm_err pack(Remora__Mesh__V1__SyncRequest__KindCase kind, void *message,
                        uint8_t **bytes, size_t *length)
{
    Remora__Mesh__V1__SyncRequest request = REMORA__MESH__V1__SYNC_REQUEST__INIT;
    request.kind_case = kind;
    request.hello = message; // the members of the union are pointers to messages
    return pb_pack(&request.base, MESH_WIRE_MAX_REQUEST_BYTES, bytes, length);
}

static char *text_or_empty(char *text)
{
    static char empty[1];
    return text == NULL ? empty : text;
}

static enum rm_err encode_hello(const struct mesh_hello *hello, uint8_t **bytes, size_t *length)
{
    char *software = wire_printable(hello->software);
    if (software == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    Remora__Mesh__V1__Version resume;
    wire_write_version(&hello->resume, &resume);
    Remora__Mesh__V1__Exposed exposed[MESH_WIRE_MAX_EXPOSED];
    Remora__Mesh__V1__Exposed *exposes[MESH_WIRE_MAX_EXPOSED];
    for (size_t i = 0; i < hello->expose_count; i++) {
        remora__mesh__v1__exposed__init(&exposed[i]);
        exposed[i].service = hello->exposes[i];
        exposes[i] = &exposed[i];
    }
    Remora__Mesh__V1__Hello message = REMORA__MESH__V1__HELLO__INIT;
    message.instance_id = (char *)(uintptr_t)hello->instance_id;
    message.n_services = hello->service_count;
    message.services = hello->services;
    message.n_exposes = hello->expose_count;
    message.exposes = exposes;
    message.resume = hello->has_resume ? &resume : NULL;
    message.software = software;
    message.zone = text_or_empty(hello->zone);
    message.tunnel_address = text_or_empty(hello->tunnel_address);
    enum rm_err err = pack(REMORA__MESH__V1__SYNC_REQUEST__KIND_HELLO, &message, bytes, length);
    rm_free(software);
    return err;
}

static enum rm_err encode_ack(const struct mesh_ack *ack, uint8_t **bytes, size_t *length)
{
    char *text = wire_printable(ack->error);
    if (text == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    Remora__Mesh__V1__Version version;
    wire_write_version(&ack->version, &version);
    Remora__Mesh__V1__Ack message = REMORA__MESH__V1__ACK__INIT;
    message.version = &version;
    message.view_hash =
        (ProtobufCBinaryData){MESH_WIRE_HASH_BYTES, (uint8_t *)(uintptr_t)ack->view_hash};
    message.error = text;
    enum rm_err err = pack(REMORA__MESH__V1__SYNC_REQUEST__KIND_ACK, &message, bytes, length);
    rm_free(text);
    return err;
}

static enum rm_err encode_subscribe(const struct mesh_subscribe *subscribe, uint8_t **bytes,
                                    size_t *length)
{
    Remora__Mesh__V1__Subscribe message = REMORA__MESH__V1__SUBSCRIBE__INIT;
    message.n_services = subscribe->service_count;
    message.services = subscribe->services;
    return pack(REMORA__MESH__V1__SYNC_REQUEST__KIND_SUBSCRIBE, &message, bytes, length);
}

static enum rm_err encode_status(const struct mesh_status *status, uint8_t **bytes, size_t *length)
{
    char *text = wire_printable(status->last_error);
    if (text == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    Remora__Mesh__V1__Status message = REMORA__MESH__V1__STATUS__INIT;
    message.not_after_s = status->not_after_s;
    message.next_renewal_s = status->next_renewal_s;
    message.last_error = text;
    message.serial =
        (ProtobufCBinaryData){status->serial_length, (uint8_t *)(uintptr_t)status->serial};
    enum rm_err err = pack(REMORA__MESH__V1__SYNC_REQUEST__KIND_STATUS, &message, bytes, length);
    rm_free(text);
    return err;
}

static enum rm_err encode(const struct mesh_request *request, uint8_t **bytes, size_t *length)
{
    Remora__Mesh__V1__Goodbye goodbye = REMORA__MESH__V1__GOODBYE__INIT;
    switch (request->kind) {
    case MESH_REQUEST_HELLO:
        return encode_hello(&request->of.hello, bytes, length);
    case MESH_REQUEST_ACK:
        return encode_ack(&request->of.ack, bytes, length);
    case MESH_REQUEST_SUBSCRIBE:
        return encode_subscribe(&request->of.subscribe, bytes, length);
    case MESH_REQUEST_STATUS:
        return encode_status(&request->of.status, bytes, length);
    case MESH_REQUEST_GOODBYE:
        return pack(REMORA__MESH__V1__SYNC_REQUEST__KIND_GOODBYE, &goodbye, bytes, length);
    case MESH_REQUEST_NONE:
        break;
    }
    return RM_ERR_MALFORMED;
}

// Texts are made printable on the way, so they are no reason to refuse.
static enum rm_err check_without_texts(const struct mesh_request *request, struct rm_error *error)
{
    struct mesh_request plain = *request;
    if (plain.kind == MESH_REQUEST_HELLO) {
        plain.of.hello.software = NULL;
    } else if (plain.kind == MESH_REQUEST_ACK) {
        plain.of.ack.error = NULL;
    } else if (plain.kind == MESH_REQUEST_STATUS) {
        plain.of.status.last_error = NULL;
    }
    return wire_check_request(&plain, error);
}

enum rm_err mesh_wire_encode_request(const struct mesh_request *request, uint8_t **bytes,
                                     size_t *length, struct rm_error *error)
{
    *bytes = NULL;
    *length = 0;
    RM_TRY(check_without_texts(request, error));
    enum rm_err err = encode(request, bytes, length);
    return err == RM_OK ? RM_OK : rm_error_set(error, err, "a request cannot be encoded");
}

// --- Decoding -----------------------------------------------------------------------------------

static enum rm_err copy_text(const char *text, char **out)
{
    *out = rm_strdup(text);
    return *out == NULL ? RM_ERR_NO_MEMORY : RM_OK;
}

static enum rm_err copy_names(char *const *names, size_t count, size_t max, char ***out,
                              size_t *out_count)
{
    if (count > max) {
        return RM_ERR_LIMIT;
    }
    RM_TRY(wire_copy_strings(names, count, out, out_count));
    mesh_sort_strings(*out, out_count);
    return RM_OK;
}

static enum rm_err copy_exposed(const Remora__Mesh__V1__Hello *message, struct mesh_hello *out)
{
    char *names[MESH_WIRE_MAX_EXPOSED];
    if (message->n_exposes > MESH_WIRE_MAX_EXPOSED) {
        return RM_ERR_LIMIT;
    }
    for (size_t i = 0; i < message->n_exposes; i++) {
        names[i] = message->exposes[i]->service;
    }
    return copy_names(names, message->n_exposes, MESH_WIRE_MAX_EXPOSED, &out->exposes,
                      &out->expose_count);
}

static enum rm_err decode_hello(const Remora__Mesh__V1__Hello *message, struct mesh_hello *out,
                                struct rm_error *error)
{
    if (strlen(message->instance_id) == MESH_WIRE_INSTANCE_ID_CHARS) {
        memcpy(out->instance_id, message->instance_id, MESH_WIRE_INSTANCE_ID_CHARS);
    }
    if (message->resume != NULL) {
        out->has_resume = true;
        RM_TRY(wire_read_version(message->resume, &out->resume, error));
    }
    RM_TRY(copy_names(message->services, message->n_services, MESH_WIRE_MAX_SUBSCRIPTIONS,
                      &out->services, &out->service_count));
    RM_TRY(copy_exposed(message, out));
    RM_TRY(copy_text(message->software, &out->software));
    RM_TRY(copy_text(message->zone, &out->zone));
    return copy_text(message->tunnel_address, &out->tunnel_address);
}

static enum rm_err decode_ack(const Remora__Mesh__V1__Ack *message, struct mesh_ack *out,
                              struct rm_error *error)
{
    RM_TRY(wire_read_version(message->version, &out->version, error));
    if (message->view_hash.len != MESH_WIRE_HASH_BYTES) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the view hash has not %d bytes",
                            MESH_WIRE_HASH_BYTES);
    }
    memcpy(out->view_hash, message->view_hash.data, MESH_WIRE_HASH_BYTES);
    return copy_text(message->error, &out->error);
}

static enum rm_err decode_status(const Remora__Mesh__V1__Status *message, struct mesh_status *out,
                                 struct rm_error *error)
{
    if (message->serial.len > SERIAL_MAX_BYTES) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the serial is longer than %d bytes",
                            SERIAL_MAX_BYTES);
    }
    if (message->serial.len > 0) {
        memcpy(out->serial, message->serial.data, message->serial.len);
    }
    out->serial_length = (uint8_t)message->serial.len;
    out->not_after_s = message->not_after_s;
    out->next_renewal_s = message->next_renewal_s;
    return copy_text(message->last_error, &out->last_error);
}

// Sets out->kind first, so that what was copied before a fault can be freed.
static enum rm_err decode(const Remora__Mesh__V1__SyncRequest *message, struct mesh_request *out,
                          struct rm_error *error)
{
    switch (message->kind_case) {
    case REMORA__MESH__V1__SYNC_REQUEST__KIND_HELLO:
        out->kind = MESH_REQUEST_HELLO;
        return decode_hello(message->hello, &out->of.hello, error);
    case REMORA__MESH__V1__SYNC_REQUEST__KIND_ACK:
        out->kind = MESH_REQUEST_ACK;
        return decode_ack(message->ack, &out->of.ack, error);
    case REMORA__MESH__V1__SYNC_REQUEST__KIND_SUBSCRIBE:
        out->kind = MESH_REQUEST_SUBSCRIBE;
        return copy_names(message->subscribe->services, message->subscribe->n_services,
                          MESH_WIRE_MAX_SUBSCRIPTIONS, &out->of.subscribe.services,
                          &out->of.subscribe.service_count);
    case REMORA__MESH__V1__SYNC_REQUEST__KIND_STATUS:
        out->kind = MESH_REQUEST_STATUS;
        return decode_status(message->status, &out->of.status, error);
    case REMORA__MESH__V1__SYNC_REQUEST__KIND_GOODBYE:
        out->kind = MESH_REQUEST_GOODBYE;
        return RM_OK;
    case REMORA__MESH__V1__SYNC_REQUEST__KIND__NOT_SET:
    case _REMORA__MESH__V1__SYNC_REQUEST__KIND__CASE_IS_INT_SIZE:
        break;
    }
    return rm_error_set(error, RM_ERR_MALFORMED, "a request of unknown kind");
}

enum rm_err mesh_wire_decode_request(const uint8_t *bytes, size_t length, struct mesh_request *out,
                                     struct rm_error *error)
{
    *out = (struct mesh_request){0};
    ProtobufCMessage *message = NULL;
    RM_TRY(pb_unpack(&remora__mesh__v1__sync_request__descriptor, bytes, length,
                     MESH_WIRE_MAX_REQUEST_BYTES, &message, error));
    struct rm_error fault = {0};
    enum rm_err err = decode((const Remora__Mesh__V1__SyncRequest *)message, out, &fault);
    pb_free(message);
    if (err == RM_OK) {
        err = wire_check_request(out, &fault);
    }
    if (err != RM_OK) {
        mesh_request_deinit(out);
        return rm_error_set(error, err, "SyncRequest: %s",
                            fault.code == RM_OK ? rm_err_text(err) : rm_error_message(&fault));
    }
    return RM_OK;
}
