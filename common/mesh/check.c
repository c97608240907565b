// SPDX-License-Identifier: GPL-3.0-or-later
//
// The rules that each resource must keep before a view takes it in.
#include <string.h>

#include "base/alloc.h"
#include "identity/spiffe.h"
#include "mesh/resource.h"
#include "policy/glob.h"

#define MAX_KEY_BYTES (2 + SPIFFE_ID_MAX_BYTES) // the longest: a withdrawn identity's

// Identities of workloads: with a path, and none of the mesh's own.
static enum rm_err check_workload_id(const char *text, struct rm_error *error)
{
    struct spiffe_id id;
    if (spiffe_id_parse(text, strlen(text), &id, error) != RM_OK) {
        return RM_ERR_MALFORMED;
    }
    if (id.path_length == 0) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the SPIFFE ID has no path");
    }
    if (spiffe_id_is_reserved(&id)) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the path /remora is the mesh's own");
    }
    return RM_OK;
}

static enum rm_err check_bundle(const struct mesh_resource *resource, struct rm_error *error)
{
    const struct mesh_bundle *bundle = &resource->of.bundle;
    if (spiffe_trust_domain_check(resource->key, strlen(resource->key), error) != RM_OK) {
        return RM_ERR_MALFORMED;
    }
    if (bundle->root_count == 0 || bundle->roots == NULL || bundle->key_ids == NULL) {
        return rm_error_set(error, RM_ERR_MALFORMED, "it has no root");
    }
    if (bundle->root_count > TRUST_MAX_ROOTS_PER_DOMAIN) {
        return rm_error_set(error, RM_ERR_LIMIT, "%zu roots are over the limit of %d",
                            bundle->root_count, TRUST_MAX_ROOTS_PER_DOMAIN);
    }
    for (size_t i = 0; i < bundle->root_count; i++) {
        size_t length = bundle->roots[i].length;
        if (length == 0 || length > TRUST_MAX_ROOT_DER_BYTES) {
            return rm_error_set(error, RM_ERR_MALFORMED, "root %zu has %zu bytes, not 1 to %d",
                                i + 1, length, TRUST_MAX_ROOT_DER_BYTES);
        }
    }
    return RM_OK;
}

typedef enum rm_err (*string_check_fn)(const char *text, struct rm_error *error);

static enum rm_err check_strings(char *const *strings, size_t count, const char *noun,
                                 string_check_fn check, struct rm_error *error)
{
    for (size_t i = 0; i < count; i++) {
        if (check(strings[i], error) != RM_OK) {
            (void)rm_error_wrap(error, "%s %zu", noun, i + 1);
            return RM_ERR_MALFORMED;
        }
        if (i > 0 && strcmp(strings[i - 1], strings[i]) >= 0) {
            return rm_error_set(error, RM_ERR_MALFORMED, "%s %zu is out of order or repeated", noun,
                                i + 1);
        }
    }
    return RM_OK;
}

static enum rm_err check_service(const struct mesh_resource *resource, struct rm_error *error)
{
    const struct mesh_service *service = &resource->of.service;
    RM_TRY(mesh_name_check(resource->key, error));
    if (service->port == 0) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the port is 0");
    }
    if (service->identity_count == 0) {
        return rm_error_set(error, RM_ERR_MALFORMED, "no identity owns it");
    }
    if (service->identity_count > MESH_MAX_IDENTITIES) {
        return rm_error_set(error, RM_ERR_LIMIT, "%zu identities are over the limit of %d",
                            service->identity_count, MESH_MAX_IDENTITIES);
    }
    if (service->allow_count > POLICY_MAX_RULES) {
        return rm_error_set(error, RM_ERR_LIMIT, "%zu allow patterns are over the limit of %d",
                            service->allow_count, POLICY_MAX_RULES);
    }
    RM_TRY(check_strings(service->identities, service->identity_count, "identity",
                         check_workload_id, error));
    return check_strings(service->allow, service->allow_count, "allow pattern", glob_check, error);
}

static enum rm_err check_endpoint_key(const char *key, struct rm_error *error)
{
    const char *slash = strchr(key, '/');
    if (slash == NULL || !mesh_label_is_valid(slash + 1)) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "the key is not <service>/<instance> with 1 to %d of A-Za-z0-9._-",
                            MESH_MAX_LABEL_BYTES);
    }
    char service[MESH_MAX_NAME_BYTES + 1];
    size_t length = (size_t)(slash - key);
    if (length > MESH_MAX_NAME_BYTES) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the service name is longer than %d bytes",
                            MESH_MAX_NAME_BYTES);
    }
    memcpy(service, key, length);
    service[length] = '\0';
    return mesh_name_check(service, error);
}

static enum rm_err check_endpoint(const struct mesh_resource *resource, struct rm_error *error)
{
    const struct mesh_endpoint *endpoint = &resource->of.endpoint;
    RM_TRY(check_endpoint_key(resource->key, error));
    if (endpoint->address == NULL || endpoint->identity == NULL || endpoint->zone == NULL) {
        return rm_error_set(error, RM_ERR_MALFORMED, "address, identity or zone is missing");
    }
    RM_TRY(mesh_address_check(endpoint->address, false, error));
    RM_TRY(check_workload_id(endpoint->identity, error));
    if (endpoint->zone[0] != '\0' && !mesh_label_is_valid(endpoint->zone)) {
        return rm_error_set(error, RM_ERR_MALFORMED, "the zone is not up to %d of A-Za-z0-9._-",
                            MESH_MAX_LABEL_BYTES);
    }
    return RM_OK;
}

static bool is_subject(enum trust_withdrawal_kind kind, const struct mesh_bytes *subject)
{
    struct spiffe_id id;
    switch (kind) {
    case TRUST_REVOKED_LINEAGE:
    case TRUST_LAPSED_LINEAGE:
        return subject->length == LINEAGE_BYTES;
    case TRUST_REVOKED_ISSUER:
        return subject->length == KEY_ID_BYTES;
    case TRUST_REVOKED_IDENTITY:
        return spiffe_id_parse((const char *)subject->bytes, subject->length, &id, NULL) == RM_OK;
    }
    return false;
}

static enum rm_err check_withdrawal(const struct mesh_resource *resource, struct rm_error *error)
{
    const struct mesh_withdrawal *withdrawal = &resource->of.withdrawal;
    const struct mesh_bytes *subject = &withdrawal->key;
    if (subject->bytes == NULL || !is_subject(withdrawal->kind, subject)) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "%zu bytes are no subject of a withdrawal of kind %d", subject->length,
                            (int)withdrawal->kind + 1);
    }
    if (withdrawal->before_s < 0 || withdrawal->expires_s < 0) {
        return rm_error_set(error, RM_ERR_MALFORMED, "a time is before 1970");
    }
    char *wanted = mesh_withdrawal_key(withdrawal->kind, subject->bytes, subject->length);
    if (wanted == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "no memory to check it");
    }
    bool is_key = strcmp(wanted, resource->key) == 0;
    rm_free(wanted);
    return is_key ? RM_OK
                  : rm_error_set(error, RM_ERR_MALFORMED, "the key does not name its subject");
}

// Keys stand in messages and logs, so they are looked at before anything names them.
static enum rm_err check_key(const char *key, struct rm_error *error)
{
    size_t length = strnlen(key, MAX_KEY_BYTES + 1);
    for (size_t i = 0; i < length; i++) {
        if (key[i] <= ' ' || key[i] > '~') {
            return rm_error_set(error, RM_ERR_MALFORMED,
                                "a resource's key holds byte 0x%02x (offset %zu)",
                                (unsigned)(unsigned char)key[i], i);
        }
    }
    if (length == 0 || length > MAX_KEY_BYTES) {
        return rm_error_set(error, RM_ERR_MALFORMED, "a resource's key has not 1 to %d bytes",
                            MAX_KEY_BYTES);
    }
    return RM_OK;
}

enum rm_err mesh_resource_check(const struct mesh_resource *resource, struct rm_error *error)
{
    static const struct {
        const char *name;
        enum rm_err (*check)(const struct mesh_resource *resource, struct rm_error *error);
    } kinds[MESH_KIND_COUNT] = {
        [MESH_BUNDLE] = {"bundle", check_bundle},
        [MESH_SERVICE] = {"service", check_service},
        [MESH_ENDPOINT] = {"endpoint", check_endpoint},
        [MESH_WITHDRAWAL] = {"withdrawal", check_withdrawal},
    };
    if ((unsigned)resource->kind >= MESH_KIND_COUNT) {
        return rm_error_set(error, RM_ERR_MALFORMED, "a resource of unknown kind %d",
                            (int)resource->kind);
    }
    RM_TRY(check_key(resource->key, error));
    enum rm_err err = kinds[resource->kind].check(resource, error);
    if (err != RM_OK) {
        (void)rm_error_wrap(error, "%s \"%.300s\"", kinds[resource->kind].name, resource->key);
    }
    return err;
}
