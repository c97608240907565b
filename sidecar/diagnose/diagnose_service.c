// SPDX-License-Identifier: GPL-3.0-or-later
//
// A run at a service: what this workload knows of it, then a real tunnel to each of its endpoints,
// by the rules that every call goes by, ended after the Reply:
//
//   view -> service -> endpoint -> resolve -> connect -> handshake -> Connect, Reply --+-> end
//                         ^                                                             |
//                         +-------------------------------------------------------------+ the next
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "diagnose/diagnose_internal.h"
#include "identity/spiffe.h"
#include "tunnel/tunnel.h"

#define VIEW_STALE_S 120 // keep-alives of the control plane come far more often
#define REPLY_BYTES (TUNNEL_PREFIX_BYTES + TUNNEL_MAX_MESSAGE_BYTES)

// One place where the service may be reached.
struct place {
    const char *address;  // borrowed from the snapshot
    const char *identity; // that it must prove; the same
    bool is_owned;        // the service's record names it
    bool is_ready;        // takes new connections
};

// A question to the workers, which may be answered after the run is gone.
struct rating {
    struct standing standing;    // theirs until the answer
    struct diagnosis *diagnosis; // NULL: gone
};

struct service_run {
    char *name;                                  // owned
    uint16_t port;                               // the service's
    const struct sidecar_outbound *fixed;        // in the configuration; borrowed; NULL: the view's
    struct place places[DIAGNOSE_MAX_ENDPOINTS]; // to try
    size_t place_count;                          // of places
    size_t place_total;                          // with those that are not tried
    size_t place_index;                          // in hand
    struct rating *rating;                       // asked for; NULL: not, or answered
    struct standing standing;                    // what was answered; entries as places
    struct tls_context *tls;                     // of an ordinary call; owned
    struct stream *tunnel;                       // under way, or NULL
    struct timer reply_timer;                    // until the Reply
    uint64_t started_ns;                         // of the handshake, later of the Reply
    uint8_t reply[REPLY_BYTES];                  // so far
    size_t reply_length;                         // of reply
};

static void place_next(struct diagnosis *diagnosis);

// --- What is known
// -------------------------------------------------------------------------------

// The destination that the configuration has for it; NULL: none.
static const struct sidecar_outbound *find_outbound(const struct sidecar_config *config,
                                                    const char *name)
{
    const struct sidecar_outbound *entries = config->outbound.items;
    for (size_t i = 0; i < config->outbound.count; i++) {
        if (strcmp(entries[i].service, name) == 0) {
            return &entries[i];
        }
    }
    return NULL;
}

static void tell_view(struct diagnosis *diagnosis)
{
    const struct snapshot *snapshot = diagnosis->snapshot;
    struct diagnose_step step = step_new("view", DIAGNOSE_PASSED);
    int64_t heard_ms = snapshot->view_received_mono_ms;
    int64_t ago_s = heard_ms == 0 ? -1 : ((int64_t)clock_mono_ms() - heard_ms) / 1000;
    bool is_complete = mesh_view_is_complete(snapshot->view);
    char ago[CLOCK_DURATION_BYTES] = "never";
    if (ago_s >= 0) {
        clock_format_duration(ago_s, ago);
    }
    step_add(&step, "complete", "%s", is_complete ? "true" : "false");
    step_add(&step, "heard_ago", "%s", ago);
    step_add(&step, "services", "%zu", mesh_view_count(snapshot->view, MESH_SERVICE));
    step_say(&step, "%s, %zu services, heard %s%s", is_complete ? "complete" : "not complete",
             mesh_view_count(snapshot->view, MESH_SERVICE), ago, ago_s >= 0 ? " ago" : "");
    if (!is_complete) {
        step.outcome = DIAGNOSE_FAILED;
        finding_add(diagnosis, FAULT_VIEW_MISSING, "%s", "");
    } else if (ago_s > VIEW_STALE_S) {
        step.outcome = DIAGNOSE_FAILED;
        finding_add(diagnosis, FAULT_VIEW_STALE, "heard %s ago", ago);
    }
    step_tell(diagnosis, &step);
}

static void take_endpoints(struct diagnosis *diagnosis, const struct mesh_service *service)
{
    struct service_run *run = diagnosis->service;
    size_t first = 0;
    size_t count = 0;
    mesh_view_endpoints(diagnosis->snapshot->view, run->name, &first, &count);
    run->place_total = count;
    for (size_t i = 0; i < count && run->place_count < DIAGNOSE_MAX_ENDPOINTS; i++) {
        const struct mesh_endpoint *endpoint =
            &mesh_view_at(diagnosis->snapshot->view, MESH_ENDPOINT, first + i)->of.endpoint;
        run->places[run->place_count++] = (struct place){
            .address = endpoint->address,
            .identity = endpoint->identity,
            .is_owned =
                mesh_service_has_identity(service, endpoint->identity, strlen(endpoint->identity)),
            .is_ready = endpoint->is_ready,
        };
    }
}

static bool has_ready_place(const struct service_run *run)
{
    bool has = run->place_total > run->place_count; // of the rest nothing is known
    for (size_t i = 0; i < run->place_count; i++) {
        has = has || (run->places[i].is_ready && run->places[i].is_owned);
    }
    return has;
}

static void tell_service(struct diagnosis *diagnosis, const struct mesh_service *service)
{
    struct service_run *run = diagnosis->service;
    struct diagnose_step step =
        step_new("service", service != NULL ? DIAGNOSE_PASSED : DIAGNOSE_FAILED);
    step_add(&step, "name", "%s", run->name);
    if (service == NULL) {
        step_say(&step, "%s: not in the view", run->name);
        finding_add(diagnosis, FAULT_SERVICE_UNKNOWN, "%s", run->name);
        step_tell(diagnosis, &step);
        return;
    }
    step_add(&step, "port", "%u", (unsigned)service->port);
    step_add(&step, "identity", "%s", service->identities[0]);
    step_add(&step, "identities", "%zu", service->identity_count);
    step_add(&step, "endpoints", "%zu", run->place_total);
    step_add(&step, "guarded", "%s", service->is_guarded ? "true" : "false");
    step_say(&step, "%s:%u of %s%s, %zu endpoint%s%s", run->name, (unsigned)service->port,
             service->identities[0], service->identity_count > 1 ? " and others" : "",
             run->place_total, run->place_total == 1 ? "" : "s",
             service->is_guarded ? ", guarded" : "");
    step_tell(diagnosis, &step);
    if (run->place_total == 0) {
        finding_add(diagnosis, FAULT_NO_ENDPOINT, "%s", run->name);
    } else if (!has_ready_place(run)) {
        finding_add(diagnosis, FAULT_NO_ENDPOINT, "%s: none of %zu is ready and owned", run->name,
                    run->place_total);
    }
}

static void tell_fixed(struct diagnosis *diagnosis)
{
    const struct sidecar_outbound *fixed = diagnosis->service->fixed;
    struct diagnose_step step = step_new("service", DIAGNOSE_PASSED);
    step_add(&step, "name", "%s", fixed->service);
    step_add(&step, "port", "%u", (unsigned)fixed->port);
    step_add(&step, "identity", "%s", fixed->identity);
    step_say(&step, "%s:%u, a fixed endpoint of the configuration", fixed->service,
             (unsigned)fixed->port);
    step_tell(diagnosis, &step);
}

// --- One place
// -----------------------------------------------------------------------------------

static struct place *place_in_hand(struct service_run *run)
{
    return &run->places[run->place_index];
}

static void tell_tunnel(struct diagnosis *diagnosis, enum diagnose_outcome outcome,
                        const char *status, const char *reason)
{
    struct service_run *run = diagnosis->service;
    struct diagnose_step step = step_new("tunnel", outcome);
    step.took_us = (clock_mono_ns() - run->started_ns) / 1000;
    step_add(&step, "status", "%s", status);
    step_add(&step, "reason", "%s", reason);
    step_say(&step, "%s%s%s", status, reason[0] != '\0' ? ": " : "", reason);
    step_tell(diagnosis, &step);
}

static void leave_tunnel(struct service_run *run)
{
    timer_stop(&run->reply_timer);
    if (run->tunnel != NULL) {
        stream_close(run->tunnel, STREAM_CLOSE_ABORT, NULL, NULL);
        run->tunnel = NULL;
    }
}

static void place_leave(struct diagnosis *diagnosis)
{
    leave_tunnel(diagnosis->service);
    diagnosis->service->place_index++;
    place_next(diagnosis);
}

static void read_reply(struct diagnosis *diagnosis, const struct tunnel_reply *reply)
{
    const char *address = place_in_hand(diagnosis->service)->address;
    const char *status = tunnel_status_name(reply->status);
    if (reply->status == TUNNEL_OK) {
        tell_tunnel(diagnosis, DIAGNOSE_PASSED, status, "");
        return;
    }
    tell_tunnel(diagnosis, DIAGNOSE_FAILED, status, reply->reason);
    enum fault fault = reply->status == TUNNEL_DENIED        ? FAULT_DENIED_BY_PEER
                       : reply->status == TUNNEL_UNREACHABLE ? FAULT_UNREACHABLE
                                                             : FAULT_DRAINING;
    enum fault exact;
    if (fault_find(reply->reason, &exact)) {
        fault = exact;
    }
    finding_add(diagnosis, fault, "said by %s: %.200s", address, reply->reason);
}

// The other end's refusal of our certificate comes here, too: it is done after us.
static void read_tunnel_end(struct diagnosis *diagnosis, enum rm_err result)
{
    struct service_run *run = diagnosis->service;
    const struct tls_failure *failure = tls_stream_failure(run->tunnel);
    if (failure != NULL && failure->fault != FAULT_OK) {
        tell_tunnel(diagnosis, DIAGNOSE_FAILED, tls_failure_name(failure), failure->detail);
        finding_add_failure(diagnosis, failure);
    } else {
        tell_tunnel(diagnosis, DIAGNOSE_FAILED, "failed", rm_err_text(result));
        finding_add(diagnosis,
                    result == RM_ERR_TIMEOUT ? FAULT_REPLY_TIMEOUT
                    : result == RM_ERR_MALFORMED || result == RM_ERR_TOO_LARGE
                        ? FAULT_REPLY_MALFORMED
                        : FAULT_TUNNEL_RESET,
                    "%s: %s", place_in_hand(run)->address, rm_err_text(result));
    }
}

static void service_on_event(void *context, unsigned events)
{
    struct diagnosis *diagnosis = context;
    struct service_run *run = diagnosis->service;
    struct tunnel_reply reply;
    size_t length = 0;
    size_t consumed = 0;
    (void)events;
    enum rm_err result = stream_read(run->tunnel, run->reply + run->reply_length,
                                     sizeof(run->reply) - run->reply_length, &length);
    if (result == RM_OK) {
        run->reply_length += length;
        result = tunnel_decode_reply(run->reply, run->reply_length, &reply, &consumed);
    }
    if (result == RM_ERR_WOULD_BLOCK) {
        return;
    }
    if (result == RM_OK) {
        read_reply(diagnosis, &reply);
    } else {
        read_tunnel_end(diagnosis, result);
    }
    place_leave(diagnosis);
}

static void service_on_reply_timer(void *context)
{
    struct diagnosis *diagnosis = context;
    read_tunnel_end(diagnosis, RM_ERR_TIMEOUT);
    place_leave(diagnosis);
}

static enum rm_err ask(struct service_run *run)
{
    struct tunnel_connect connect = {.port = run->port};
    uint8_t bytes[REPLY_BYTES];
    size_t length = 0;
    size_t written = 0;
    snprintf(connect.service, sizeof(connect.service), "%s", run->name);
    RM_TRY(random_bytes(connect.connection_id, sizeof(connect.connection_id)));
    RM_TRY(tunnel_encode_connect(&connect, bytes, &length));
    RM_TRY(stream_write_bytes(run->tunnel, bytes, length, &written));
    return written == length ? timer_start(&run->reply_timer, DIAGNOSE_REPLY_MS) : RM_ERR_INTERNAL;
}

static void tell_handshake(struct diagnosis *diagnosis, const struct tls_failure *failure)
{
    struct service_run *run = diagnosis->service;
    bool is_good = failure->fault == FAULT_OK;
    struct diagnose_step step = step_new("handshake", is_good ? DIAGNOSE_PASSED : DIAGNOSE_FAILED);
    step.took_us = (clock_mono_ns() - run->started_ns) / 1000;
    if (is_good) {
        const struct tls_facts *facts = tls_stream_facts(run->tunnel);
        step_say(&step, "%s, %s, %s; it proved %s", facts->version, facts->suite, facts->group,
                 place_in_hand(run)->identity);
        step_add(&step, "version", "%s", facts->version);
        step_add(&step, "suite", "%s", facts->suite);
        step_add(&step, "group", "%s", facts->group);
    } else {
        step_say(&step, "%s: %s", tls_failure_name(failure), failure->detail);
        step_add(&step, "error", "%s", tls_failure_name(failure));
        finding_add_failure(diagnosis, failure);
    }
    step_tell(diagnosis, &step);
}

static void service_on_ready(void *context, enum rm_err result, const struct tls_failure *failure)
{
    struct diagnosis *diagnosis = context;
    struct service_run *run = diagnosis->service;
    tell_handshake(diagnosis, failure);
    run->started_ns = clock_mono_ns();
    run->reply_length = 0;
    if (result != RM_OK) {
        place_leave(diagnosis);
        return;
    }
    stream_own(run->tunnel, service_on_event, diagnosis);
    stream_want(run->tunnel, STREAM_READ);
    result = ask(run);
    if (result != RM_OK) {
        read_tunnel_end(diagnosis, result);
        place_leave(diagnosis);
    }
}

static enum rm_err begin_handshake(struct diagnosis *diagnosis, struct stream *stream)
{
    struct service_run *run = diagnosis->service;
    struct spiffe_id id;
    uint8_t digest[SHA256_BYTES];
    char sni[SPIFFE_SNI_BYTES];
    const char *const expected[] = {place_in_hand(run)->identity};
    enum rm_err result = spiffe_id_parse(expected[0], strlen(expected[0]), &id, NULL);
    if (result != RM_OK) {
        stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
        return result;
    }
    sha256(id.text, id.length, digest);
    spiffe_sni(&id, digest, sni);
    struct tls_session_options options = {
        .tls = run->tls,
        .sni = sni,
        .expected_ids = expected,
        .expected_count = 1,
        .timeout_ms = DIAGNOSE_HANDSHAKE_MS,
    };
    run->started_ns = clock_mono_ns();
    return tls_connect(stream, &options, service_on_ready, diagnosis, &run->tunnel);
}

static void service_on_connected(void *context, enum rm_err result, struct stream *stream,
                                 uint64_t took_us)
{
    struct diagnosis *diagnosis = context;
    struct service_run *run = diagnosis->service;
    char address[STREAM_ADDRESS_TEXT_BYTES];
    struct diagnose_step step =
        step_new("connect", result == RM_OK ? DIAGNOSE_PASSED : DIAGNOSE_FAILED);
    dial_address_text(&diagnosis->dial, address);
    step.took_us = took_us;
    step_add(&step, "address", "%s", address);
    step_say(&step, "%s%s%s", address, result == RM_OK ? "" : ": ",
             result == RM_OK ? "" : rm_err_text(result));
    step_tell(diagnosis, &step);
    if (result != RM_OK) {
        finding_add(diagnosis, FAULT_ENDPOINT_UNREACHABLE, "%s: %s", address, rm_err_text(result));
    }
    if (result != RM_OK || begin_handshake(diagnosis, stream) != RM_OK) {
        run->tunnel = NULL;
        place_leave(diagnosis);
    }
}

static void service_on_resolved(void *context, enum rm_err result, uint64_t took_us)
{
    struct diagnosis *diagnosis = context;
    (void)took_us;
    if (result != RM_OK) {
        finding_add(diagnosis, FAULT_NAME_NOT_RESOLVED, "%s: %s", diagnosis->dial.host,
                    rm_err_text(result));
        place_leave(diagnosis);
        return;
    }
    dial_connect(&diagnosis->dial);
}

// True when a worker of ours would rather not call it now.
static bool note_standing(struct diagnosis *diagnosis, struct diagnose_step *step)
{
    const struct service_run *run = diagnosis->service;
    const struct standing_entry *entry = &run->standing.entries[run->place_index];
    char left[CLOCK_DURATION_BYTES];
    if (run->place_index >= run->standing.count) {
        return false; // nobody was asked
    }
    step_add(step, "set_aside", "%s", entry->aside_count > 0 ? "true" : "false");
    step_add(step, "failures", "%u", entry->failure_count);
    if (entry->aside_count == 0) {
        return false;
    }
    clock_format_duration((int64_t)((entry->left_ms + 999) / 1000), left);
    finding_add(diagnosis, FAULT_ENDPOINT_SET_ASIDE,
                "%s: by %u of its workers for another %s, after %u failures in a row",
                entry->address, entry->aside_count, left, entry->failure_count);
    return true;
}

static void tell_place(struct diagnosis *diagnosis, const struct place *place)
{
    struct diagnose_step step =
        step_new("endpoint", place->is_owned ? DIAGNOSE_PASSED : DIAGNOSE_FAILED);
    step_add(&step, "address", "%s", place->address);
    step_add(&step, "identity", "%s", place->identity);
    step_add(&step, "ready", "%s", place->is_ready ? "true" : "false");
    step_add(&step, "owned", "%s", place->is_owned ? "true" : "false");
    bool is_aside = note_standing(diagnosis, &step);
    step_say(&step, "%s, %s%s%s%s", place->address, place->identity,
             place->is_ready ? "" : ", not ready", is_aside ? ", set aside" : "",
             place->is_owned ? "" : ", which is none of the service's identities");
    step_tell(diagnosis, &step);
    if (!place->is_owned) {
        finding_add(diagnosis, FAULT_ENDPOINT_UNUSABLE, "%s: %s", place->address, place->identity);
    } else if (!place->is_ready) {
        finding_add(diagnosis, FAULT_ENDPOINT_NOT_READY, "%s", place->address);
    }
}

static void place_next(struct diagnosis *diagnosis)
{
    struct service_run *run = diagnosis->service;
    for (; run->place_index < run->place_count; run->place_index++) {
        const struct place *place = place_in_hand(run);
        tell_place(diagnosis, place);
        if (!place->is_owned || !place->is_ready || run->tls == NULL) {
            continue; // no call would go there
        }
        if (dial_parse(&diagnosis->dial, place->address) == RM_OK) {
            dial_resolve(&diagnosis->dial);
            return;
        }
    }
    diagnosis_end(diagnosis);
}

// --- Life
// ----------------------------------------------------------------------------------------

static enum rm_err make_context(struct diagnosis *diagnosis, struct rm_error *error)
{
    static const char *const alpn[] = {TUNNEL_ALPN};
    const struct snapshot_own *own = &diagnosis->own;
    struct tls_spiffe_profile profile = {
        .identity = own->identity,
        .trust = own->trust,
        .alpn = alpn,
        .alpn_count = 1,
        .is_alpn_required = true,
        .is_client_certificate_required = true,
    };
    return own->identity == NULL || own->trust == NULL
               ? RM_OK // a finding of its own; no tunnel is tried
               : tls_context_new_spiffe(&profile, &diagnosis->service->tls, error);
}

enum rm_err service_prepare(struct diagnosis *diagnosis, const struct diagnose_request *request,
                            struct rm_error *error)
{
    RM_TRY(mesh_name_check(request->service, error));
    struct service_run *run = rm_calloc(1, sizeof(*run));
    diagnosis->service = run;
    if (run != NULL) {
        timer_init(&run->reply_timer, diagnosis->dial.loop, service_on_reply_timer, diagnosis);
        run->name = rm_strdup(request->service);
    }
    if (run == NULL || run->name == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    diagnosis->dial.on_resolved = service_on_resolved;
    diagnosis->dial.on_connected = service_on_connected;
    const struct sidecar_outbound *entry = find_outbound(diagnosis->snapshot->config, run->name);
    run->fixed = entry != NULL && entry->endpoint != NULL ? entry : NULL;
    diagnosis->own = snapshot_own(diagnosis->snapshot, entry != NULL ? entry->own_index : 0);
    return make_context(diagnosis, error);
}

static void service_on_rated(void *context, enum rm_err result)
{
    struct rating *rating = context;
    struct diagnosis *diagnosis = rating->diagnosis;
    if (diagnosis != NULL) {
        diagnosis->service->rating = NULL;
        if (result == RM_OK) {
            diagnosis->service->standing = rating->standing;
        }
    }
    rm_free(rating);
    if (diagnosis != NULL) {
        place_next(diagnosis);
    }
}

// Errors: nobody was asked, which is no reason to stop.
static enum rm_err ask_standing(struct diagnosis *diagnosis)
{
    struct service_run *run = diagnosis->service;
    const struct diagnose_source *source = diagnosis_source(diagnosis);
    struct rating *rating = source->rate != NULL ? rm_calloc(1, sizeof(*rating)) : NULL;
    if (rating == NULL) {
        return RM_ERR_UNAVAILABLE;
    }
    rating->diagnosis = diagnosis;
    rating->standing.count = run->place_count;
    for (size_t i = 0; i < run->place_count; i++) {
        snprintf(rating->standing.entries[i].address, STANDING_ADDRESS_BYTES, "%s",
                 run->places[i].address);
    }
    enum rm_err result = source->rate(source->context, &rating->standing, service_on_rated, rating);
    if (result != RM_OK) {
        rm_free(rating);
        return result;
    }
    run->rating = rating;
    return RM_OK;
}

void service_start(struct diagnosis *diagnosis)
{
    struct service_run *run = diagnosis->service;
    if (run->fixed != NULL) {
        run->port = (uint16_t)run->fixed->port;
        run->places[0] = (struct place){run->fixed->endpoint, run->fixed->identity, true, true};
        run->place_count = 1;
        tell_fixed(diagnosis);
    } else {
        const struct mesh_resource *resource =
            mesh_view_find(diagnosis->snapshot->view, MESH_SERVICE, run->name);
        const struct mesh_service *service = resource != NULL ? &resource->of.service : NULL;
        tell_view(diagnosis);
        if (service != NULL) {
            run->port = service->port;
            take_endpoints(diagnosis, service);
        }
        tell_service(diagnosis, service);
    }
    if (run->place_count == 0 || ask_standing(diagnosis) != RM_OK) {
        place_next(diagnosis);
    }
}

void service_cancel(struct diagnosis *diagnosis)
{
    struct service_run *run = diagnosis->service;
    if (run == NULL) {
        return;
    }
    leave_tunnel(run);
    if (run->rating != NULL) {
        run->rating->diagnosis = NULL; // the answer frees it
        run->rating = NULL;
    }
}

void service_free(struct service_run *run)
{
    if (run != NULL) {
        timer_stop(&run->reply_timer);
        tls_context_unref(run->tls);
        rm_free(run->name);
        rm_free(run);
    }
}
