// SPDX-License-Identifier: GPL-3.0-or-later
//
// One attempt: choose the evidence, connect to the proven control plane, call Issue with a fresh
// key, check what came back, put it in force.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "certs/certs_internal.h"
#include "certs/certs_wire.h"
#include "certs/join_token.h"
#include "crypto/crypto.h"
#include "crypto/issue.h"
#include "identity/spiffe.h"
#include "metrics_catalogue.h"

static const char *const control_alpn[] = {"h2"};

static enum rm_err own_bundle(const struct certs *certs, struct trust_snapshot **out,
                              struct rm_error *error)
{
    const struct sidecar_identity_control *control = &certs->config->control;
    struct trust_builder *builder = trust_builder_new();
    if (builder == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    enum rm_err result =
        bundle_file_read(control->bundle_file, control->trust_domain, builder, error);
    if (result != RM_OK) {
        trust_builder_free(builder);
        return result;
    }
    *out = trust_builder_finish(builder);
    return *out != NULL ? RM_OK : rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
}

static enum rm_err spiffe_context(struct tls_identity *identity, struct trust_snapshot *trust,
                                  struct tls_context **out, struct rm_error *error)
{
    struct tls_spiffe_profile profile = {
        .identity = identity,
        .trust = trust,
        .alpn = control_alpn,
        .alpn_count = 1,
        .is_alpn_required = true,
    };
    return tls_context_new_spiffe(&profile, out, error);
}

// Before any bundle is known the token's pins must match; without either there is no start.
static enum rm_err pinned_context(const struct certs *certs, struct tls_context **out,
                                  struct rm_error *error)
{
    struct join_token token;
    const struct sidecar_identity_control *control = &certs->config->control;
    RM_TRY(join_token_read(control->join_token_file, &token, error));
    enum rm_err result = RM_OK;
    if (token.pin_count == 0) {
        result =
            rm_error_set(error, RM_ERR_CONFIG,
                         "%s: the token carries no pins and identity.control.bundle is not set: "
                         "the control plane cannot be told from an impostor",
                         control->join_token_file);
    } else {
        char *control_id = spiffe_control_id(control->trust_domain);
        result =
            control_id == NULL
                ? rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory")
                : tls_context_new_pinned(control_id, (const uint8_t(*)[KEY_ID_BYTES])token.pins,
                                         token.pin_count, out, error);
        rm_free(control_id);
    }
    join_token_deinit(&token);
    return result;
}

static enum rm_err choose_attempt(struct certs *certs, struct rm_error *error)
{
    const struct sidecar_identity_control *control = &certs->config->control;
    bool is_alive = certs->identity != NULL && certs->identity->not_after_s > clock_wall_s();
    if (is_alive && !certs->is_renewal_refused) {
        certs->attempt = CERTS_RENEW;
    } else if (certs->state.rejoin_key != NULL && !certs->is_rejoin_refused) {
        certs->attempt = CERTS_REJOIN;
    } else if (control->join_token_file != NULL) {
        certs->attempt = CERTS_JOIN;
        // If the token is refused too, the next round begins with what we have again.
        certs->is_renewal_refused = false;
        certs->is_rejoin_refused = false;
    } else {
        certs->is_renewal_refused = false;
        certs->is_rejoin_refused = false;
        return rm_error_set(error, RM_ERR_CONFIG,
                            "no certificate that the control plane renews, no re-join key in '%s' "
                            "that it accepts, and no join_token_file: make a token with 'remora "
                            "token create' and name its file",
                            control->state_dir);
    }
    return RM_OK;
}

static enum rm_err make_context(struct certs *certs, struct tls_context **out,
                                struct rm_error *error)
{
    struct trust_snapshot *live = certs->view_trust != NULL ? certs->view_trust : certs->trust;
    if (certs->attempt == CERTS_RENEW) {
        return spiffe_context(certs->identity, live, out, error);
    }
    struct trust_snapshot *trust = NULL;
    if (certs->config->control.bundle_file != NULL) {
        RM_TRY(own_bundle(certs, &trust, error));
    } else if (live != NULL) {
        trust = trust_ref(live);
    } else if (certs->attempt == CERTS_REJOIN && certs->state.trust != NULL) {
        trust = trust_ref(certs->state.trust);
    } else {
        // A token's pins are newer than any bundle that was kept.
        return pinned_context(certs, out, error);
    }
    enum rm_err result = spiffe_context(NULL, trust, out, error);
    trust_unref(trust);
    return result;
}

// --- The request. ---

#define REJOIN_LABEL "remora-rejoin-v1" // with its NUL: separates the domains of signatures

static enum rm_err sign_rejoin(const struct certs *certs, struct issue_request *request,
                               uint8_t *signature, size_t *signature_length)
{
    struct buffer signed_bytes;
    uint8_t time[8];
    request->rejoin_signed_at_s = clock_wall_s();
    for (size_t i = 0; i < sizeof time; i++) {
        time[i] = (uint8_t)((uint64_t)request->rejoin_signed_at_s >> (56 - 8 * i));
    }
    buffer_init(&signed_bytes, CSR_MAX_DER_BYTES + sizeof REJOIN_LABEL + sizeof time);
    enum rm_err result = buffer_append(&signed_bytes, REJOIN_LABEL, sizeof REJOIN_LABEL);
    if (result == RM_OK) {
        result = buffer_append(&signed_bytes, request->csr, request->csr_length);
    }
    if (result == RM_OK) {
        result = buffer_append(&signed_bytes, time, sizeof time);
    }
    if (result == RM_OK) {
        result = key_sign_sha256(certs->state.rejoin_key, buffer_data(&signed_bytes),
                                 buffer_length(&signed_bytes), signature, signature_length);
    }
    buffer_deinit(&signed_bytes);
    return result;
}

// Fills in the evidence; `token` and `signature` outlive the encoding.
static enum rm_err add_evidence(struct certs *certs, struct issue_request *request,
                                struct join_token *token, uint8_t *signature,
                                struct rm_error *error)
{
    const struct sidecar_identity_control *control = &certs->config->control;
    if (certs->attempt == CERTS_JOIN) {
        RM_TRY(join_token_read(control->join_token_file, token, error));
        request->join_token = (const char *)token->text.bytes;
    } else if (certs->attempt == CERTS_REJOIN) {
        request->rejoin_identity = certs->state.identity;
        key_spki(certs->state.rejoin_key, &request->rejoin_public_key,
                 &request->rejoin_public_key_length);
        request->rejoin_signature = signature;
        RM_TRY(sign_rejoin(certs, request, signature, &request->rejoin_signature_length));
    }
    // Who joins anew had no re-join key, or one that was refused: it is replaced.
    certs->is_rejoin_offered = control->state_dir != NULL &&
                               (certs->state.rejoin_key == NULL || certs->attempt == CERTS_JOIN);
    if (certs->is_rejoin_offered) {
        if (certs->new_rejoin_key == NULL) {
            RM_TRY(key_generate(&certs->new_rejoin_key));
        }
        key_spki(certs->new_rejoin_key, &request->new_rejoin_key, &request->new_rejoin_key_length);
    }
    return RM_OK;
}

// A join keeps its key over retries: the same token and key may ask again after a lost answer.
static enum rm_err make_key(struct certs *certs)
{
    if (certs->new_key != NULL) {
        return RM_OK;
    }
    return key_generate(&certs->new_key);
}

static enum rm_err make_request(struct certs *certs, uint8_t **bytes, size_t *length,
                                struct rm_error *error)
{
    uint8_t *csr = NULL;
    uint8_t signature[SIGNATURE_P256_MAX_BYTES];
    struct join_token token = {0};
    struct issue_request request = {
        .wanted_lifetime_s = (uint32_t)(certs->config->control.lifetime_ms / 1000),
    };
    RM_TRY(make_key(certs));
    RM_TRY(csr_make(certs->new_key, &csr, &request.csr_length));
    request.csr = csr;
    enum rm_err result = add_evidence(certs, &request, &token, signature, error);
    if (result == RM_OK) {
        result = issue_request_encode(&request, bytes, length);
    }
    join_token_deinit(&token);
    rm_free(csr);
    return result;
}

// --- The answer. ---

// What was issued must be ours: our key, our trust domain, a chain to the bundle that came along.
static enum rm_err check_issued(const struct certs *certs, const struct issue_response *response,
                                const struct tls_identity *identity, struct rm_error *error)
{
    struct der ders[CHAIN_MAX_CERTIFICATES];
    struct certificate leaf;
    struct chain_facts facts;
    struct spiffe_id id;
    const char *why = "";
    const char *domain = certs->config->control.trust_domain;
    if (identity->spiffe_id == NULL ||
        spiffe_id_parse(identity->spiffe_id, strlen(identity->spiffe_id), &id, error) != RM_OK ||
        !spiffe_id_in_domain(&id, domain)) {
        return rm_error_set(error, RM_ERR_UNTRUSTED,
                            "the issued certificate is for '%s', not for the trust domain %s",
                            identity->spiffe_id != NULL ? identity->spiffe_id : "", domain);
    }
    if (strcmp(identity->spiffe_id, response->identity) != 0) {
        return rm_error_set(error, RM_ERR_UNTRUSTED,
                            "the issued certificate is for '%s', the answer says '%s'",
                            identity->spiffe_id, response->identity);
    }
    for (size_t i = 0; i < identity->chain.count; i++) {
        ders[i].bytes = identity->chain.certificates[i].bytes;
        ders[i].length = identity->chain.certificates[i].length;
    }
    RM_TRY(chain_examine(ders, identity->chain.count, response->trust, &leaf, &facts, &why));
    certificate_deinit(&leaf);
    return facts.is_anchored ? RM_OK
                             : rm_error_set(error, RM_ERR_UNTRUSTED,
                                            "the issued chain does not reach the bundle that came "
                                            "with it: %s",
                                            why);
}

static void keep_rejoin_key(struct certs *certs, const struct issue_response *response)
{
    struct rm_error error = {0};
    if (!certs->is_rejoin_offered || !response->is_rejoin_registered) {
        return;
    }
    enum rm_err result =
        state_dir_write(certs->config->control.state_dir, certs->config->control.trust_domain,
                        certs->new_rejoin_key, response->identity, response->trust, &error);
    if (result != RM_OK) {
        log_error(LOG_CERTS, "rejoin_key_not_kept", LOG_STR("error", rm_error_message(&error)));
        return;
    }
    state_dir_deinit(&certs->state);
    certs->state.rejoin_key = certs->new_rejoin_key;
    certs->new_rejoin_key = NULL;
    certs->state.identity = rm_strdup(response->identity);
    certs->state.trust = trust_ref(response->trust);
    if (certs->state.identity == NULL) {
        state_dir_deinit(&certs->state);
    }
}

static void note_clock(struct certs *certs, const struct issue_response *response)
{
    certs->status.clock_offset_ms = response->issued_at_s * 1000 - clock_wall_ms();
    metric_gauge_set(certs->metrics, SIDECAR_METRIC_CLOCK_OFFSET, NULL,
                     (double)certs->status.clock_offset_ms / 1000.0);
    int64_t offset_s = certs->status.clock_offset_ms / 1000;
    if (offset_s > 30 || offset_s < -30) {
        log_warn(LOG_CERTS, "clock_is_off", LOG_I64("offset_s", offset_s),
                 LOG_STR("text", "our clock and the control plane's differ: certificates will look "
                                 "expired or not yet valid; set the clock (NTP)"));
    }
}

static enum rm_err take_answer(struct certs *certs, const uint8_t *bytes, size_t length,
                               struct rm_error *error)
{
    struct issue_response response;
    struct tls_identity *identity = NULL;
    RM_TRY(issue_response_decode(bytes, length, certs->config->control.trust_domain, &response,
                                 error));
    enum rm_err result = tls_identity_new(&response.chain, certs->new_key, &identity, error);
    if (result == RM_OK) {
        result = check_issued(certs, &response, identity, error);
    }
    if (result == RM_OK) {
        note_clock(certs, &response);
        keep_rejoin_key(certs, &response);
        key_unref(certs->new_key);
        certs->new_key = NULL;
        certs_adopt(certs, identity, response.trust, response.issued_at_s);
    }
    tls_identity_unref(identity);
    issue_response_deinit(&response);
    return result;
}

// Without memory for a sentence the code must do.
static const char *sentence_of(const struct rm_error *error, enum rm_err result)
{
    return error->message[0] != '\0' ? error->message : rm_err_text(result);
}

static void certs_on_message(void *context, struct rpc_call *call, const uint8_t *bytes,
                             size_t length)
{
    struct certs *certs = context;
    struct rm_error error = {0};
    (void)call;
    if (certs->is_stopping || certs->has_answer) {
        return; // one request, one answer
    }
    certs->has_answer = true;
    enum rm_err result = take_answer(certs, bytes, length, &error);
    if (result != RM_OK) {
        certs_note_failure(certs, sentence_of(&error, result));
    }
}

// The server said no for a reason that repeating the same evidence cannot mend.
static bool is_refusal(enum rpc_status status)
{
    return status == RPC_PERMISSION_DENIED || status == RPC_UNAUTHENTICATED ||
           status == RPC_FAILED_PRECONDITION || status == RPC_NOT_FOUND;
}

// Why no certificate came. `failure` NULL: TLS has nothing to say about it.
static void note_refusal(struct certs *certs, enum rpc_status status, const char *text,
                         const struct tls_failure *failure)
{
    char sentence[RM_ERROR_MESSAGE_BYTES];
    if (failure != NULL) {
        char why[TLS_FAILURE_TEXT_BYTES];
        tls_failure_text(failure, why, sizeof why);
        snprintf(sentence, sizeof sentence, "the control plane at %s ended the connection: %s",
                 certs->config->control.address, why);
    } else {
        snprintf(sentence, sizeof sentence,
                 "the control plane refused to issue a certificate (%s): %s",
                 rpc_status_name(status), text != NULL ? text : "");
    }
    // A certificate that it does not accept cannot renew itself.
    if (is_refusal(status) || (failure != NULL && failure->fault == FAULT_REFUSED_BY_PEER)) {
        certs->is_renewal_refused = certs->is_renewal_refused || certs->attempt == CERTS_RENEW;
        certs->is_rejoin_refused = certs->is_rejoin_refused || certs->attempt == CERTS_REJOIN;
    }
    certs_note_failure(certs, sentence);
}

static void certs_on_call_close(void *context, struct rpc_call *call, enum rpc_status status,
                                const char *text)
{
    struct certs *certs = context;
    (void)call;
    if (status != RPC_OK && !certs->is_stopping) {
        note_refusal(certs, status, text, certs->link != NULL ? link_failure(certs->link) : NULL);
    } else if (!certs->has_answer && !certs->is_stopping) {
        certs_note_failure(certs, "the control plane answered without a certificate");
    }
    if (certs->link != NULL) {
        link_drain(certs->link);
    }
}

static const struct rpc_client_handler issue_handler = {
    .on_message = certs_on_message,
    .on_close = certs_on_call_close,
};

static void certs_on_link_ready(void *context, struct rpc_client *client)
{
    struct certs *certs = context;
    struct rpc_call *call = NULL;
    uint8_t *bytes = NULL;
    size_t length = 0;
    struct rm_error error = {0};
    enum rm_err result = make_request(certs, &bytes, &length, &error);
    if (result == RM_OK) {
        result = rpc_client_call(client, IDENTITY_ISSUE_PATH, CERTS_CALL_TIMEOUT_MS, &issue_handler,
                                 certs, &call);
    }
    if (result == RM_OK) {
        result = rpc_call_send(call, bytes, length);
        if (result == RM_OK) {
            result = rpc_call_half_close(call);
        }
        if (result != RM_OK) {
            rpc_call_cancel(call); // its close tells
        }
    } else {
        certs_note_failure(certs, sentence_of(&error, result));
        link_close(certs->link);
    }
    rm_free_wiped(bytes, length);
}

static void certs_on_link_end(void *context, enum rm_err reason, const char *sentence)
{
    struct certs *certs = context;
    certs->link = NULL;
    if (reason != RM_ERR_CANCELLED) {
        certs_note_failure(certs, sentence);
    }
    if (certs->is_stopping) {
        certs_finish_stop(certs);
        return;
    }
    if (certs->status.last_error[0] != '\0') {
        certs_look_again(certs, backoff_next_ms(&certs->backoff, random_u32()));
    } else {
        // The next renewal may have become due while this connection was ending.
        certs_look_again(certs, rotation_sleep_ms(&certs->rotation, clock_mono_ms()));
    }
    certs_attempt_ended(certs);
}

void certs_control_attempt(struct certs *certs)
{
    struct rm_error error = {0};
    struct tls_context *tls = NULL;
    certs->has_answer = false;
    enum rm_err result = choose_attempt(certs, &error);
    if (result == RM_OK) {
        result = make_context(certs, &tls, &error);
    }
    if (result == RM_OK) {
        struct link_options options = {
            .loop = certs->loop,
            .resolver = certs->resolver,
            .address = certs->config->control.address,
            .trust_domain = certs->config->control.trust_domain,
            .tls = tls,
        };
        result = link_open(&options, certs_on_link_ready, certs_on_link_end, certs, &certs->link);
        if (result != RM_OK) {
            (void)rm_error_set(&error, result,
                               "identity.control.address '%s': %s; expected host:port",
                               certs->config->control.address, rm_err_text(result));
        }
    }
    tls_context_unref(tls);
    if (result != RM_OK) {
        certs->link = NULL;
        certs_note_failure(certs, sentence_of(&error, result));
        certs_look_again(certs, backoff_next_ms(&certs->backoff, random_u32()));
        certs_attempt_ended(certs);
    }
}
