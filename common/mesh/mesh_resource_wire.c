// SPDX-License-Identifier: GPL-3.0-or-later
//
// One resource, to and from its bytes.
#include <string.h>

#include "base/alloc.h"
#include "crypto/certificate.h"
#include "mesh/wire_internal.h"
#include "pb/pb.h"
#include "remora/mesh/v1/mesh.pb-c.h"

// Withdrawal kinds have the wire's numbers, which begin at 1, less one.
_Static_assert(TRUST_REVOKED_LINEAGE + 1 ==
                       REMORA__MESH__V1__WITHDRAWAL_KIND__WITHDRAWAL_KIND_REVOKED_LINEAGE &&
                   TRUST_LAPSED_LINEAGE + 1 ==
                       REMORA__MESH__V1__WITHDRAWAL_KIND__WITHDRAWAL_KIND_LAPSED_LINEAGE &&
                   TRUST_REVOKED_IDENTITY + 1 ==
                       REMORA__MESH__V1__WITHDRAWAL_KIND__WITHDRAWAL_KIND_REVOKED_IDENTITY &&
                   TRUST_REVOKED_ISSUER + 1 ==
                       REMORA__MESH__V1__WITHDRAWAL_KIND__WITHDRAWAL_KIND_REVOKED_ISSUER,
               "withdrawal kinds are the wire's");

// --- Encoding -----------------------------------------------------------------------------------

static enum rm_err pack_resource(Remora__Mesh__V1__Resource__OfCase of_case, const char *key,
                                 void *content, struct mesh_bytes *out)
{
    Remora__Mesh__V1__Resource message = REMORA__MESH__V1__RESOURCE__INIT;
    message.key = (char *)(uintptr_t)key;
    message.of_case = of_case;
    message.bundle = content; // the members of the union are pointers to messages
    return pb_pack(&message.base, MESH_WIRE_MAX_RESPONSE_BYTES, &out->bytes, &out->length);
}

static enum rm_err encode_bundle(const struct mesh_resource *resource, struct mesh_bytes *out)
{
    const struct mesh_bundle *bundle = &resource->of.bundle;
    ProtobufCBinaryData roots[TRUST_MAX_ROOTS_PER_DOMAIN];
    for (size_t i = 0; i < bundle->root_count; i++) {
        roots[i] = (ProtobufCBinaryData){bundle->roots[i].length, bundle->roots[i].bytes};
    }
    Remora__Mesh__V1__Bundle message = REMORA__MESH__V1__BUNDLE__INIT;
    message.n_roots = bundle->root_count;
    message.roots = roots;
    return pack_resource(REMORA__MESH__V1__RESOURCE__OF_BUNDLE, resource->key, &message, out);
}

static enum rm_err encode_service(const struct mesh_resource *resource, struct mesh_bytes *out)
{
    const struct mesh_service *service = &resource->of.service;
    Remora__Mesh__V1__Service message = REMORA__MESH__V1__SERVICE__INIT;
    message.port = service->port;
    message.n_identities = service->identity_count;
    message.identities = service->identities;
    message.n_allow = service->allow_count;
    message.allow = service->allow;
    message.guarded = service->is_guarded;
    return pack_resource(REMORA__MESH__V1__RESOURCE__OF_SERVICE, resource->key, &message, out);
}

static enum rm_err encode_endpoint(const struct mesh_resource *resource, struct mesh_bytes *out)
{
    const struct mesh_endpoint *endpoint = &resource->of.endpoint;
    Remora__Mesh__V1__Endpoint message = REMORA__MESH__V1__ENDPOINT__INIT;
    message.address = endpoint->address;
    message.identity = endpoint->identity;
    message.zone = endpoint->zone;
    message.ready = endpoint->is_ready;
    return pack_resource(REMORA__MESH__V1__RESOURCE__OF_ENDPOINT, resource->key, &message, out);
}

static enum rm_err encode_withdrawal(const struct mesh_resource *resource, struct mesh_bytes *out)
{
    const struct mesh_withdrawal *withdrawal = &resource->of.withdrawal;
    Remora__Mesh__V1__Withdrawal message = REMORA__MESH__V1__WITHDRAWAL__INIT;
    message.kind = (Remora__Mesh__V1__WithdrawalKind)((int)withdrawal->kind + 1);
    message.subject = (ProtobufCBinaryData){withdrawal->key.length, withdrawal->key.bytes};
    message.before_s = withdrawal->before_s;
    message.expires_s = withdrawal->expires_s;
    return pack_resource(REMORA__MESH__V1__RESOURCE__OF_WITHDRAWAL, resource->key, &message, out);
}

enum rm_err mesh_wire_encode_resource(const struct mesh_resource *resource, struct mesh_bytes *out,
                                      struct rm_error *error)
{
    static enum rm_err (*const encoders[MESH_KIND_COUNT])(const struct mesh_resource *resource,
                                                          struct mesh_bytes *out) = {
        [MESH_BUNDLE] = encode_bundle,
        [MESH_SERVICE] = encode_service,
        [MESH_ENDPOINT] = encode_endpoint,
        [MESH_WITHDRAWAL] = encode_withdrawal,
    };
    *out = (struct mesh_bytes){0};
    RM_TRY(mesh_resource_check(resource, error));
    enum rm_err err = encoders[resource->kind](resource, out);
    return err == RM_OK ? RM_OK
                        : rm_error_set(error, err, "\"%.300s\" cannot be encoded", resource->key);
}

// --- Decoding -----------------------------------------------------------------------------------

static enum rm_err copy_bytes(ProtobufCBinaryData from, struct mesh_bytes *out)
{
    *out = (struct mesh_bytes){rm_malloc(from.len), from.len};
    if (out->bytes == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    if (from.len > 0) {
        memcpy(out->bytes, from.data, from.len);
    }
    return RM_OK;
}

static enum rm_err decode_bundle(const Remora__Mesh__V1__Bundle *message, struct mesh_bundle *out)
{
    if (message->n_roots > TRUST_MAX_ROOTS_PER_DOMAIN) {
        return RM_ERR_LIMIT;
    }
    out->roots = rm_calloc(message->n_roots, sizeof(*out->roots));
    out->key_ids = rm_calloc(message->n_roots, sizeof(*out->key_ids));
    if (out->roots == NULL || out->key_ids == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < message->n_roots; i++) {
        size_t length = message->roots[i].len;
        if (length == 0 || length > TRUST_MAX_ROOT_DER_BYTES) {
            return RM_ERR_MALFORMED;
        }
        RM_TRY(copy_bytes(message->roots[i], &out->roots[i]));
        out->root_count++;
        RM_TRY(certificate_key_id(out->roots[i].bytes, length, out->key_ids[i]));
    }
    return RM_OK;
}

static enum rm_err decode_service(const Remora__Mesh__V1__Service *message,
                                  struct mesh_service *out)
{
    if (message->port > UINT16_MAX) {
        return RM_ERR_MALFORMED;
    }
    if (message->n_identities > MESH_MAX_IDENTITIES || message->n_allow > POLICY_MAX_RULES) {
        return RM_ERR_LIMIT;
    }
    out->port = (uint16_t)message->port;
    out->is_guarded = message->guarded != 0;
    RM_TRY(wire_copy_strings(message->identities, message->n_identities, &out->identities,
                             &out->identity_count));
    return wire_copy_strings(message->allow, message->n_allow, &out->allow, &out->allow_count);
}

static enum rm_err decode_endpoint(const Remora__Mesh__V1__Endpoint *message,
                                   struct mesh_endpoint *out)
{
    out->address = rm_strdup(message->address);
    out->identity = rm_strdup(message->identity);
    out->zone = rm_strdup(message->zone);
    out->is_ready = message->ready != 0;
    bool is_whole = out->address != NULL && out->identity != NULL && out->zone != NULL;
    return is_whole ? RM_OK : RM_ERR_NO_MEMORY;
}

static enum rm_err decode_withdrawal(const Remora__Mesh__V1__Withdrawal *message,
                                     struct mesh_withdrawal *out)
{
    int kind = (int)message->kind; // any number may have come
    if (kind < (int)REMORA__MESH__V1__WITHDRAWAL_KIND__WITHDRAWAL_KIND_REVOKED_LINEAGE ||
        kind > (int)REMORA__MESH__V1__WITHDRAWAL_KIND__WITHDRAWAL_KIND_REVOKED_ISSUER) {
        return RM_ERR_MALFORMED;
    }
    out->kind = (enum trust_withdrawal_kind)(kind - 1);
    out->before_s = message->before_s;
    out->expires_s = message->expires_s;
    return copy_bytes(message->subject, &out->key);
}

static enum rm_err kind_of(const Remora__Mesh__V1__Resource *message, enum mesh_kind *out)
{
    switch (message->of_case) {
    case REMORA__MESH__V1__RESOURCE__OF_BUNDLE:
        *out = MESH_BUNDLE;
        return RM_OK;
    case REMORA__MESH__V1__RESOURCE__OF_SERVICE:
        *out = MESH_SERVICE;
        return RM_OK;
    case REMORA__MESH__V1__RESOURCE__OF_ENDPOINT:
        *out = MESH_ENDPOINT;
        return RM_OK;
    case REMORA__MESH__V1__RESOURCE__OF_WITHDRAWAL:
        *out = MESH_WITHDRAWAL;
        return RM_OK;
    case REMORA__MESH__V1__RESOURCE__OF__NOT_SET:
    case _REMORA__MESH__V1__RESOURCE__OF__CASE_IS_INT_SIZE:
        break;
    }
    return RM_ERR_MALFORMED;
}

static enum rm_err decode_content(const Remora__Mesh__V1__Resource *message,
                                  struct mesh_resource *out)
{
    switch (out->kind) {
    case MESH_BUNDLE:
        return decode_bundle(message->bundle, &out->of.bundle);
    case MESH_SERVICE:
        return decode_service(message->service, &out->of.service);
    case MESH_ENDPOINT:
        return decode_endpoint(message->endpoint, &out->of.endpoint);
    case MESH_WITHDRAWAL:
        return decode_withdrawal(message->withdrawal, &out->of.withdrawal);
    case MESH_KIND_COUNT:
        break;
    }
    return RM_ERR_INTERNAL;
}

enum rm_err wire_decode_resource(const Remora__Mesh__V1__Resource *message,
                                 struct mesh_resource **out)
{
    enum mesh_kind kind;
    RM_TRY(kind_of(message, &kind));
    struct mesh_resource *resource = mesh_resource_new(kind, message->key);
    if (resource == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    enum rm_err err = decode_content(message, resource);
    if (err != RM_OK) {
        mesh_resource_unref(resource);
        return err;
    }
    *out = resource;
    return RM_OK;
}
