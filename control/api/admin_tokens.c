// SPDX-License-Identifier: GPL-3.0-or-later
//
// Join tokens: create, delete, list. A token's identity becomes an owner of each service it names
// before the token is made, so that no token exists that could not do what it says.
#include <string.h>

#include "api/admin_internal.h"
#include "audit/audit.h"
#include "base/alloc.h"
#include "base/log.h"
#include "identity/spiffe.h"
#include "mesh/resource.h"
#include "records/address_range.h"
#include "records/records_wire.h"

// Attestation's own limits, judged here first, before any service is changed.
#define MAX_SERVICES 64
#define MAX_RANGES 16

// --- Create.

struct token_work {
    char *identity;                 // SPIFFE ID; owned
    struct record_strings services; // each once; owned
    size_t at;                      // service that comes next
    unsigned attempts;              // conflicts met with it
};

static void work_free(void *context)
{
    struct token_work *work = context;
    rm_free(work->identity);
    record_strings_deinit(&work->services);
    rm_free(work);
}

static enum rm_err work_fill(struct admin_call *call, struct token_work *work)
{
    const struct admin_create_token *request = &call->request.of.create_token;
    work->identity = admin_full_identity(call->api, request->identity);
    if (work->identity == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < request->services.count; i++) {
        RM_TRY(admin_strings_add(&work->services, request->services.items[i]));
    }
    return RM_OK;
}

static enum rm_err check_identity(const struct admin_call *call, const char *identity,
                                  struct rm_error *error)
{
    const char *trust_domain = call->api->options.trust_domain;
    struct spiffe_id id;
    if (spiffe_id_parse(identity, strlen(identity), &id, error) != RM_OK) {
        return rm_error_wrap(error, "'%.128s' is no SPIFFE ID", identity);
    }
    if (!spiffe_id_in_domain(&id, trust_domain) || id.path_length == 0) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "'%s' is no workload of this trust domain: tokens are for "
                            "spiffe://%s/...",
                            identity, trust_domain);
    }
    if (spiffe_id_is_reserved(&id)) {
        return rm_error_set(error, RM_ERR_MALFORMED, "'%s' is reserved for the mesh itself",
                            identity);
    }
    return RM_OK;
}

static int64_t lifetime_of(const struct admin_create_token *request)
{
    return request->lifetime_s != 0 ? (int64_t)request->lifetime_s
                                    : ADMIN_API_DEFAULT_TOKEN_LIFETIME_S;
}

// Everything that can be judged, before any service is changed.
static enum rm_err check_request(const struct admin_call *call, struct rm_error *error)
{
    const struct admin_create_token *request = &call->request.of.create_token;
    const struct token_work *work = call->work;
    RM_TRY(check_identity(call, work->identity, error));
    if (lifetime_of(request) > ATTEST_TOKEN_MAX_LIFETIME_S) {
        return rm_error_set(error, RM_ERR_MALFORMED, "a join token lives at most 30 days");
    }
    if (work->services.count > MAX_SERVICES || request->address_ranges.count > MAX_RANGES) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "a join token names at most %d services and %d address ranges",
                            MAX_SERVICES, MAX_RANGES);
    }
    for (size_t i = 0; i < request->address_ranges.count; i++) {
        RM_TRY(address_range_check(request->address_ranges.items[i], error));
    }
    for (size_t i = 0; i < work->services.count; i++) {
        const struct service_record *record = NULL;
        uint64_t revision = 0;
        const char *name = work->services.items[i];
        if (!registry_service(call->api->options.registry, name, &record, &revision)) {
            return rm_error_set(error, RM_ERR_NOT_FOUND,
                                "service '%s' does not exist: create it first", name);
        }
    }
    return RM_OK;
}

static void on_token(void *context, enum rm_err result, const char *token, const char *id,
                     int64_t expires_at_s)
{
    struct admin_call *call = context;
    if (!admin_call_resume(call)) {
        return;
    }
    if (result != RM_OK) {
        admin_call_fail(call, result, "the store did not take the token: none was made; try again");
        return;
    }
    admin_call_answer_if(call, admin_wire_created_token(&call->response, token, id, expires_at_s));
}

static void make_token(struct admin_call *call)
{
    const struct admin_create_token *request = &call->request.of.create_token;
    const struct token_work *work = call->work;
    struct rm_error error = {0};
    struct attest_token_request wanted = {
        .identity = work->identity,
        .services = (const char *const *)work->services.items,
        .service_count = work->services.count,
        .address_ranges = (const char *const *)request->address_ranges.items,
        .address_range_count = request->address_ranges.count,
        .lifetime_s = lifetime_of(request),
        .actor = call->actor,
    };
    enum rm_err result =
        attest_create_token(call->api->options.attest, &wanted, on_token, call, &error);
    if (result != RM_OK) {
        admin_call_fail(call, result, rm_error_message(&error));
        return;
    }
    admin_call_wait(call);
}

static void own_next(struct admin_call *call);

static void on_owned(void *context, enum rm_err result, const struct rm_error *error)
{
    struct admin_call *call = context;
    if (!admin_call_resume(call)) {
        return;
    }
    struct token_work *work = call->work;
    if (result == RM_ERR_CONFLICT && work->attempts++ < ADMIN_RETRIES) {
        own_next(call);
    } else if (result != RM_OK) {
        admin_call_fail(call, result, rm_error_message(error));
    } else {
        work->at++;
        work->attempts = 0;
        own_next(call);
    }
}

static enum rm_err put_owner(struct admin_call *call, const char *name,
                             const struct service_record *record, uint64_t revision,
                             struct rm_error *error)
{
    const struct token_work *work = call->work;
    const char *identities[MESH_MAX_IDENTITIES + 1];
    size_t count = record->identities.count;
    if (count >= MESH_MAX_IDENTITIES) {
        return rm_error_set(error, RM_ERR_LIMIT, "service '%s' has %d identities already", name,
                            MESH_MAX_IDENTITIES);
    }
    memcpy(identities, record->identities.items, count * sizeof *identities);
    identities[count] = work->identity;
    struct registry_service service = {
        .name = name,
        .port = record->port,
        .identities = identities,
        .identity_count = count + 1,
        .allow = (const char *const *)record->allow.items,
        .allow_count = record->allow.count,
        .dns_names = (const char *const *)record->dns_names.items,
        .dns_count = record->dns_names.count,
        .is_guarded = record->is_guarded,
    };
    return registry_put_service(call->api->options.registry, &service, revision, call->actor,
                                on_owned, call, error);
}

// Makes the identity an owner of the next service that it does not own yet; after the last: the
// token.
static void own_next(struct admin_call *call)
{
    struct token_work *work = call->work;
    for (; work->at < work->services.count; work->at++) {
        const char *name = work->services.items[work->at];
        const struct service_record *record = NULL;
        uint64_t revision = 0;
        struct rm_error error = {0};
        if (!registry_service(call->api->options.registry, name, &record, &revision)) {
            admin_call_refuse(call, RPC_ABORTED, "service '%s' was deleted meanwhile", name);
            return;
        }
        if (admin_strings_have(&record->identities, work->identity)) {
            continue;
        }
        enum rm_err result = put_owner(call, name, record, revision, &error);
        if (result != RM_OK) {
            admin_call_fail(call, result, rm_error_message(&error));
        } else {
            admin_call_wait(call);
        }
        return;
    }
    make_token(call);
}

void admin_create_token(struct admin_call *call)
{
    struct rm_error error = {0};
    if (!admin_call_set_work(call, rm_calloc(1, sizeof(struct token_work)), work_free)) {
        return;
    }
    enum rm_err result = work_fill(call, call->work);
    if (result == RM_OK) {
        result = check_request(call, &error);
    }
    if (result != RM_OK) {
        admin_call_fail(call, result, rm_error_message(&error));
        return;
    }
    own_next(call);
}

// --- Delete.

static void on_deleted(void *context, enum rm_err result, uint64_t revision)
{
    struct admin_call *call = context;
    (void)revision;
    if (!admin_call_resume(call)) {
        return;
    }
    if (result == RM_ERR_CONFLICT) {
        admin_call_fail(call, result, "the token was used or deleted meanwhile: look again");
    } else if (result != RM_OK) {
        admin_call_fail(call, result, "the store did not take the write: nothing was changed");
    } else {
        log_info(LOG_API, "token_deleted", LOG_STR("actor", call->actor),
                 LOG_STR("token", call->request.of.name));
        admin_call_answer(call); // DeleteTokenResponse is empty
    }
}

static void delete_at(struct admin_call *call, const struct store_entry *entry)
{
    const char *id = call->request.of.name;
    struct token_record record;
    enum rm_err result = token_record_decode(entry->value, entry->value_length, &record);
    if (result != RM_OK) {
        admin_call_fail(call, result == RM_ERR_MALFORMED ? RM_ERR_IO : result,
                        "the token's record cannot be read");
        return;
    }
    struct transaction transaction;
    transaction_init(&transaction);
    transaction_require(&transaction, entry->key, entry->revision);
    transaction_delete(&transaction, entry->key);
    audit_record_operation(&transaction, "token_delete", call->actor, record.identity, id);
    token_record_deinit(&record);
    result = transaction_commit(&transaction, call->api->options.store, on_deleted, call);
    if (result != RM_OK) {
        admin_call_fail(call, result, NULL);
        return;
    }
    admin_call_wait(call);
}

static void on_found(void *context, enum rm_err result, const struct store_entry *entries,
                     size_t count, uint64_t revision)
{
    struct admin_call *call = context;
    (void)revision;
    if (!admin_call_resume(call)) {
        return;
    }
    if (result != RM_OK) {
        admin_call_fail(call, result, NULL);
    } else if (count == 0) {
        admin_call_refuse(call, RPC_NOT_FOUND, "there is no join token '%s'",
                          call->request.of.name);
    } else {
        delete_at(call, &entries[0]);
    }
}

static bool is_token_id(const char *id)
{
    return strlen(id) == ATTEST_TOKEN_ID_DIGITS &&
           strspn(id, "0123456789abcdef") == ATTEST_TOKEN_ID_DIGITS;
}

void admin_delete_token(struct admin_call *call)
{
    char key[RECORD_KEY_BYTES];
    // Somebody may paste the whole token, and an answer must not repeat a secret.
    if (!is_token_id(call->request.of.name)) {
        admin_call_refuse(call, RPC_INVALID_ARGUMENT,
                          "a token's id is %d hexadecimal digits: see 'remora token list'",
                          ATTEST_TOKEN_ID_DIGITS);
        return;
    }
    enum rm_err result = record_key_token(call->request.of.name, key);
    if (result == RM_OK) {
        result = store_read(call->api->options.store, key, on_found, call);
    }
    if (result != RM_OK) {
        admin_call_fail(call, result, NULL);
        return;
    }
    admin_call_wait(call);
}

// --- List.

static enum rm_err append_token(struct admin_call *call, const struct store_entry *entry)
{
    struct token_record record;
    RM_TRY(token_record_decode(entry->value, entry->value_length, &record));
    struct admin_token token = {
        .id = entry->key + strlen(RECORD_TOKEN_PREFIX),
        .identity = record.identity,
        .services = &record.services,
        .expires_at_s = record.expires_at_s,
        .used_at_s = record.used_at_s,
    };
    enum rm_err result = admin_wire_token(&call->response, &token);
    token_record_deinit(&record);
    return result;
}

void admin_list_tokens(struct admin_call *call)
{
    admin_call_scan(call, RECORD_TOKEN_PREFIX, append_token, admin_call_answer);
}
