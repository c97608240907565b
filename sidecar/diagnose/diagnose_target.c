// SPDX-License-Identifier: GPL-3.0-or-later
//
// A run at an address: resolve, then look after look, each over a connection of its own:
//
//   resolve -> connect -> look -> connect -> look ... -> what they say together -> end
//                 |         |
//                 +---------+-> end                     nobody there, or nothing that speaks
//                 TLS 1.3
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "diagnose/diagnose_internal.h"
#include "identity/spiffe.h"
#include "tunnel/tunnel.h"

static const char *const known_alpn[] = {TUNNEL_ALPN, "h2", "http/1.1"};
#define KNOWN_ALPN_COUNT (sizeof(known_alpn) / sizeof(known_alpn[0]))

// --- What is asked for
// ---------------------------------------------------------------------------

static enum rm_err take_expected(struct diagnosis *diagnosis, const char *id,
                                 struct rm_error *error)
{
    struct spiffe_id parsed;
    RM_TRY(spiffe_id_parse(id, strlen(id), &parsed, error));
    diagnosis->expected = rm_strdup(id);
    return diagnosis->expected != NULL ? RM_OK
                                       : rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
}

static bool name_is_clean(const char *name, size_t room, const char *allowed)
{
    size_t length = strlen(name);
    return length > 0 && length < room && strspn(name, allowed) == length;
}

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

static enum rm_err take_names(struct diagnosis *diagnosis, const struct diagnose_request *request,
                              struct rm_error *error)
{
    if (request->sni != NULL && !name_is_clean(request->sni, SPIFFE_SNI_BYTES, LETTERS)) {
        return rm_error_set(error, RM_ERR_MALFORMED, "this is no server name (SNI)");
    }
    if (request->alpn != NULL && !name_is_clean(request->alpn, 32, LETTERS "/")) {
        return rm_error_set(error, RM_ERR_MALFORMED, "this is no application protocol (ALPN)");
    }
    diagnosis->sni = request->sni != NULL ? rm_strdup(request->sni) : NULL;
    diagnosis->alpn = request->alpn != NULL ? rm_strdup(request->alpn) : NULL;
    bool is_lost = (request->sni != NULL && diagnosis->sni == NULL) ||
                   (request->alpn != NULL && diagnosis->alpn == NULL);
    return is_lost ? rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory") : RM_OK;
}

static void target_on_resolved(void *context, enum rm_err result, uint64_t took_us);
static void target_on_connected(void *context, enum rm_err result, struct stream *stream,
                                uint64_t took_us);

enum rm_err target_prepare(struct diagnosis *diagnosis, const struct diagnose_request *request,
                           struct rm_error *error)
{
    if (strlen(request->target) >= DIAGNOSE_TARGET_BYTES ||
        dial_parse(&diagnosis->dial, request->target) != RM_OK) {
        return rm_error_set(error, RM_ERR_MALFORMED, "an address is HOST:PORT or [IPv6]:PORT");
    }
    struct stream_address numeric;
    diagnosis->dial.is_numeric = socket_address_parse(request->target, &numeric, NULL) == RM_OK;
    diagnosis->dial.on_resolved = target_on_resolved;
    diagnosis->dial.on_connected = target_on_connected;
    diagnosis->control_offset_ms = request->control_offset_ms;
    if (request->expected != NULL) {
        RM_TRY(take_expected(diagnosis, request->expected, error));
    }
    RM_TRY(take_names(diagnosis, request, error));
    diagnosis->looks = rm_calloc(LOOK_COUNT, sizeof(*diagnosis->looks));
    return diagnosis->looks != NULL ? RM_OK
                                    : rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
}

// --- Looks
// ---------------------------------------------------------------------------------------

static bool look_applies(const struct diagnosis *diagnosis, enum look_kind kind)
{
    if (kind == LOOK_ANONYMOUS) {
        return diagnosis->own.identity != NULL;
    }
    return kind != LOOK_NO_SNI || diagnosis->sni != NULL;
}

static void target_conclude(struct diagnosis *diagnosis)
{
    if (!diagnosis->is_over) {
        read_client_certificate(diagnosis);
        read_sni(diagnosis);
        read_alpn(diagnosis);
        read_tickets(diagnosis);
        read_clock(diagnosis);
    }
    diagnosis_end(diagnosis);
}

static void look_next(struct diagnosis *diagnosis)
{
    do {
        diagnosis->look++;
    } while (diagnosis->look < LOOK_COUNT && !look_applies(diagnosis, diagnosis->look));
    if (diagnosis->is_over || diagnosis->look >= LOOK_COUNT) {
        target_conclude(diagnosis);
    } else {
        dial_connect(&diagnosis->dial);
    }
}

// Whoever does not speak TLS 1.3 will not do so the next time.
static bool look_was_in_vain(const struct tls_probe_report *report)
{
    return report->result != RM_OK && !report->hello.is_there &&
           (report->failure.alert_received == 0 ||
            strcmp(tls_failure_name(&report->failure), "wrong_version") == 0);
}

static void target_on_probed(void *context, const struct tls_probe_report *report)
{
    struct diagnosis *diagnosis = context;
    struct look *look = &diagnosis->looks[diagnosis->look];
    diagnosis->probe = NULL;
    look->is_made = true;
    look->report = *report;
    look->report.chain_count = 0; // the certificates are gone after this call
    if (report->chain_count > 0) {
        look->has_leaf = true;
        sha256(report->chain[0].bytes, report->chain[0].length, look->leaf_hash);
    }
    if (diagnosis->look == LOOK_MAIN) {
        read_main(diagnosis, report);
        diagnosis->is_over = look_was_in_vain(report);
    }
    look_next(diagnosis);
}

static void choose_alpn(const struct diagnosis *diagnosis, const char *single[1],
                        struct tls_probe_options *options)
{
    options->alpn = single;
    options->alpn_count = 1;
    switch (diagnosis->look) {
    case LOOK_TUNNEL:
        single[0] = TUNNEL_ALPN;
        return;
    case LOOK_H2:
        single[0] = "h2";
        return;
    case LOOK_HTTP:
        single[0] = "http/1.1";
        return;
    case LOOK_NO_ALPN:
        options->alpn_count = 0;
        return;
    case LOOK_MAIN:
    case LOOK_ANONYMOUS:
    case LOOK_NO_SNI:
    case LOOK_COUNT:
        break;
    }
    single[0] = diagnosis->alpn;
    if (diagnosis->alpn == NULL) {
        options->alpn = known_alpn;
        options->alpn_count = KNOWN_ALPN_COUNT;
    }
}

static enum rm_err look_start(struct diagnosis *diagnosis, struct stream *stream)
{
    const char *single[1];
    const char *const expected[] = {diagnosis->expected};
    struct trust_snapshot *empty =
        diagnosis->own.trust == NULL ? trust_builder_finish(trust_builder_new()) : NULL;
    struct tls_probe_options options = {
        .identity = diagnosis->look == LOOK_ANONYMOUS ? NULL : diagnosis->own.identity,
        .trust = diagnosis->own.trust != NULL ? diagnosis->own.trust : empty,
        .sni = diagnosis->look == LOOK_NO_SNI ? NULL : diagnosis->sni,
        .expected_ids = diagnosis->expected != NULL ? expected : NULL,
        .expected_count = diagnosis->expected != NULL ? 1 : 0,
        .timeout_ms = DIAGNOSE_HANDSHAKE_MS,
        .asks_date = diagnosis->look == LOOK_HTTP,
    };
    choose_alpn(diagnosis, single, &options);
    enum rm_err result =
        tls_probe_start(stream, &options, target_on_probed, diagnosis, &diagnosis->probe);
    trust_unref(empty);
    return result;
}

// --- The way there
// -------------------------------------------------------------------------------

static void read_connect(struct diagnosis *diagnosis, enum rm_err result, uint64_t took_us)
{
    char address[STREAM_ADDRESS_TEXT_BYTES];
    struct diagnose_step step =
        step_new("connect", result == RM_OK ? DIAGNOSE_PASSED : DIAGNOSE_FAILED);
    dial_address_text(&diagnosis->dial, address);
    step.took_us = took_us;
    step_say(&step, "%s%s%s", address, result == RM_OK ? "" : ": ",
             result == RM_OK ? "" : rm_err_text(result));
    step_add(&step, "address", "%s", address);
    step_tell(diagnosis, &step);
    if (result != RM_OK) {
        finding_add(diagnosis, FAULT_ENDPOINT_UNREACHABLE, "%s: %s", address, rm_err_text(result));
    }
}

// A later connection may fail where the first did not: the look counts as not made.
static void target_on_connected(void *context, enum rm_err result, struct stream *stream,
                                uint64_t took_us)
{
    struct diagnosis *diagnosis = context;
    if (diagnosis->look == LOOK_MAIN) {
        read_connect(diagnosis, result, took_us);
        diagnosis->is_over = result != RM_OK;
    }
    if (result == RM_OK && look_start(diagnosis, stream) == RM_OK) {
        return;
    }
    look_next(diagnosis);
}

// The view may say who lives at an address.
static const struct mesh_resource *find_endpoint(const struct diagnosis *diagnosis)
{
    const struct mesh_view *view = diagnosis->snapshot->view;
    for (size_t i = 0; i < mesh_view_count(view, MESH_ENDPOINT); i++) {
        const struct mesh_resource *resource = mesh_view_at(view, MESH_ENDPOINT, i);
        struct stream_address address;
        if (socket_address_parse(resource->of.endpoint.address, &address, NULL) == RM_OK &&
            socket_address_equal(&address, &diagnosis->dial.addresses[0])) {
            return resource;
        }
    }
    return NULL;
}

static void use_sni_of(struct diagnosis *diagnosis)
{
    struct spiffe_id id;
    uint8_t digest[SHA256_BYTES];
    char sni[SPIFFE_SNI_BYTES];
    if (diagnosis->sni != NULL) {
        return;
    }
    if (diagnosis->expected != NULL &&
        spiffe_id_parse(diagnosis->expected, strlen(diagnosis->expected), &id, NULL) == RM_OK) {
        sha256(id.text, id.length, digest);
        spiffe_sni(&id, digest, sni);
        diagnosis->sni = rm_strdup(sni);
    } else if (!diagnosis->dial.is_numeric &&
               name_is_clean(diagnosis->dial.host, SPIFFE_SNI_BYTES, LETTERS)) {
        diagnosis->sni = rm_strdup(diagnosis->dial.host);
    }
}

static void target_on_resolved(void *context, enum rm_err result, uint64_t took_us)
{
    struct diagnosis *diagnosis = context;
    char address[STREAM_ADDRESS_TEXT_BYTES];
    struct diagnose_step step =
        step_new("resolve", result == RM_OK ? DIAGNOSE_PASSED : DIAGNOSE_FAILED);
    step.took_us = took_us;
    if (result != RM_OK) {
        step_say(&step, "%s: %s", diagnosis->dial.host, rm_err_text(result));
        step_tell(diagnosis, &step);
        finding_add(diagnosis, FAULT_NAME_NOT_RESOLVED, "%s: %s", diagnosis->dial.host,
                    rm_err_text(result));
        diagnosis_end(diagnosis);
        return;
    }
    dial_address_text(&diagnosis->dial, address);
    const struct mesh_resource *endpoint =
        diagnosis->expected == NULL ? find_endpoint(diagnosis) : NULL;
    step_say(&step, "%s is %s%s%s", diagnosis->dial.host, address,
             endpoint != NULL ? ", in the mesh's view " : "",
             endpoint != NULL ? endpoint->key : "");
    step_add(&step, "addresses", "%zu", diagnosis->dial.address_count);
    if (endpoint != NULL) {
        step_add(&step, "endpoint", "%s", endpoint->key);
        diagnosis->expected = rm_strdup(endpoint->of.endpoint.identity);
    }
    step_tell(diagnosis, &step);
    use_sni_of(diagnosis);
    dial_connect(&diagnosis->dial);
}

void target_start(struct diagnosis *diagnosis)
{
    diagnosis->look = LOOK_MAIN;
    dial_resolve(&diagnosis->dial);
}

void target_cancel(struct diagnosis *diagnosis)
{
    if (diagnosis->probe != NULL) {
        tls_probe_cancel(diagnosis->probe);
        diagnosis->probe = NULL;
    }
}
