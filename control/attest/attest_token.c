// SPDX-License-Identifier: GPL-3.0-or-later
//
// Join tokens: "rmt1.<12 hex digits of id>.<base64url of 32 secret bytes>.<base64url of a root's
// SPKI SHA-256>[+<another>...]". The store keeps SHA-256 of the secret.
#include <stdio.h>
#include <string.h>

#include "attest/attest_internal.h"
#include "audit/audit.h"
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/encode.h"
#include "crypto/crypto.h"
#include "identity/spiffe.h"
#include "mesh/resource.h"
#include "records/address_range.h"

#define TOKEN_PREFIX "rmt1."
#define TOKEN_SECRET_BYTES 32
#define TOKEN_SECRET_CHARS (BASE64_BYTES(TOKEN_SECRET_BYTES) - 2) // without padding and NUL
#define TOKEN_PIN_CHARS (BASE64_BYTES(KEY_ID_BYTES) - 2)
#define TOKEN_MAX_SERVICES 64
#define TOKEN_MAX_RANGES 16

// For sidecars, not for us; still, a token that was pasted together is refused as what it is.
static bool are_pins(const char *text)
{
    uint8_t pin[KEY_ID_BYTES + 3];
    size_t pin_length = 0;
    size_t length = strcspn(text, "+");
    while (length == TOKEN_PIN_CHARS &&
           base64_decode(text, length, true, pin, &pin_length) == RM_OK &&
           pin_length == KEY_ID_BYTES) {
        if (text[length] == '\0') {
            return true;
        }
        text += length + 1;
        length = strcspn(text, "+");
    }
    return false;
}

enum rm_err attest_token_parse(const char *text, struct token_parts *out)
{
    const size_t id_at = strlen(TOKEN_PREFIX);
    const size_t secret_at = id_at + ATTEST_TOKEN_ID_DIGITS + 1;
    const size_t pins_at = secret_at + TOKEN_SECRET_CHARS + 1;
    size_t length = strnlen(text, ATTEST_TOKEN_MAX_BYTES + 1);
    uint8_t id[ATTEST_TOKEN_ID_DIGITS / 2];
    uint8_t secret[TOKEN_SECRET_BYTES + 3];
    size_t secret_length = 0;
    if (length > ATTEST_TOKEN_MAX_BYTES || length <= pins_at ||
        memcmp(text, TOKEN_PREFIX, id_at) != 0 || text[secret_at - 1] != '.' ||
        text[pins_at - 1] != '.' || !are_pins(text + pins_at)) {
        return RM_ERR_MALFORMED;
    }
    RM_TRY(hex_decode(text + id_at, ATTEST_TOKEN_ID_DIGITS, id, sizeof id));
    RM_TRY(base64_decode(text + secret_at, TOKEN_SECRET_CHARS, true, secret, &secret_length));
    enum rm_err result = secret_length == TOKEN_SECRET_BYTES ? RM_OK : RM_ERR_MALFORMED;
    hex_encode(id, sizeof id, out->id);
    sha256(secret, TOKEN_SECRET_BYTES, out->secret_hash);
    rm_wipe(secret, sizeof secret);
    return result;
}

// --- Create.

struct creation {
    struct attest *attest;               // counts this as pending
    char id[ATTEST_TOKEN_ID_DIGITS + 1]; // NUL-terminated
    struct buffer token;                 // its text; secret
    int64_t expires_at_s;                // Unix seconds
    attest_token_fn on_created;          // once
    void *context;                       // for on_created
};

static void creation_free(struct creation *creation)
{
    buffer_deinit_wiped(&creation->token);
    rm_free(creation);
}

static enum rm_err check_request(const struct attest *attest,
                                 const struct attest_token_request *request, struct rm_error *error)
{
    struct spiffe_id id;
    RM_TRY(spiffe_id_parse(request->identity, strlen(request->identity), &id, error));
    if (!spiffe_id_in_domain(&id, attest->options.trust_domain) || id.path_length == 0) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "'%s' is no workload of this trust domain: tokens are for "
                            "spiffe://%s/...",
                            request->identity, attest->options.trust_domain);
    }
    if (spiffe_id_is_reserved(&id)) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "'%s' is reserved for the mesh itself: choose an identity outside of "
                            "/remora",
                            request->identity);
    }
    if (request->lifetime_s < 1 || request->lifetime_s > ATTEST_TOKEN_MAX_LIFETIME_S) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "a join token lives between 1 second and 30 days");
    }
    if (request->service_count > TOKEN_MAX_SERVICES ||
        request->address_range_count > TOKEN_MAX_RANGES) {
        return rm_error_set(error, RM_ERR_MALFORMED,
                            "a join token names at most %d services and %d address ranges",
                            TOKEN_MAX_SERVICES, TOKEN_MAX_RANGES);
    }
    for (size_t i = 0; i < request->service_count; i++) {
        RM_TRY(mesh_name_check(request->services[i], error));
    }
    for (size_t i = 0; i < request->address_range_count; i++) {
        RM_TRY(address_range_check(request->address_ranges[i], error));
    }
    return RM_OK;
}

static enum rm_err append_pins(const struct attest *attest, struct buffer *token)
{
    const struct trust_domain *domain =
        trust_domain_find(authority_trust(attest->authority), attest->options.trust_domain,
                          strlen(attest->options.trust_domain));
    if (domain == NULL) {
        return RM_ERR_INTERNAL;
    }
    for (size_t i = 0; i < domain->root_count; i++) {
        char pin[BASE64_BYTES(KEY_ID_BYTES)];
        base64_encode(domain->roots[i].key_id, KEY_ID_BYTES, true, pin);
        RM_TRY(buffer_printf(token, "%s%s", i == 0 ? "" : "+", pin));
    }
    return RM_OK;
}

// Draws id and secret; the record gets the secret's hash.
static enum rm_err draw(struct creation *creation, struct token_record *record)
{
    uint8_t id[ATTEST_TOKEN_ID_DIGITS / 2];
    uint8_t secret[TOKEN_SECRET_BYTES];
    char encoded[BASE64_BYTES(TOKEN_SECRET_BYTES)];
    RM_TRY(random_bytes(id, sizeof id));
    RM_TRY(random_bytes(secret, sizeof secret));
    hex_encode(id, sizeof id, creation->id);
    sha256(secret, sizeof secret, record->secret_hash);
    base64_encode(secret, sizeof secret, true, encoded);
    enum rm_err result =
        buffer_printf(&creation->token, TOKEN_PREFIX "%s.%s.", creation->id, encoded);
    rm_wipe(secret, sizeof secret);
    rm_wipe(encoded, sizeof encoded);
    RM_TRY(result);
    return append_pins(creation->attest, &creation->token);
}

static void on_created(void *context, enum rm_err result, uint64_t revision)
{
    struct creation *creation = context;
    struct attest *attest = creation->attest;
    (void)revision;
    const char *text = result == RM_OK ? buffer_text(&creation->token) : NULL;
    if (result == RM_OK && text == NULL) {
        result = RM_ERR_NO_MEMORY;
    }
    creation->on_created(creation->context, result, text, creation->id, creation->expires_at_s);
    creation_free(creation);
    attest_leave(attest);
}

static enum rm_err commit(struct creation *creation, const struct attest_token_request *request)
{
    char key[RECORD_KEY_BYTES];
    struct transaction transaction;
    struct token_record record = {
        .identity = (char *)request->identity,
        .services = {(char **)request->services, request->service_count},
        .address_ranges = {(char **)request->address_ranges, request->address_range_count},
        .created_at_s = clock_wall_s(),
        .expires_at_s = clock_wall_s() + request->lifetime_s,
    };
    creation->expires_at_s = record.expires_at_s;
    RM_TRY(draw(creation, &record));
    RM_TRY(record_key_token(creation->id, key));
    transaction_init(&transaction);
    transaction_require(&transaction, key, 0);
    transaction_put_token(&transaction, creation->id, &record);
    audit_record_operation(&transaction, "token_create", request->actor, request->identity,
                           creation->id);
    return transaction_commit(&transaction, creation->attest->store, on_created, creation);
}

enum rm_err attest_create_token(struct attest *attest, const struct attest_token_request *request,
                                attest_token_fn on_done, void *context, struct rm_error *error)
{
    RM_TRY(check_request(attest, request, error));
    struct creation *creation = rm_calloc(1, sizeof *creation);
    if (creation == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    creation->attest = attest;
    creation->on_created = on_done;
    creation->context = context;
    buffer_init(&creation->token, ATTEST_TOKEN_MAX_BYTES);
    enum rm_err result = commit(creation, request);
    if (result != RM_OK) {
        creation_free(creation);
        return rm_error_set(error, result, "the token cannot be stored: %s", rm_err_text(result));
    }
    attest->pending_count++;
    return RM_OK;
}
