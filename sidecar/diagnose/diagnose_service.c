// SPDX-License-Identifier: GPL-3.0-or-later
//
// A run at a service: what this workload knows of it, then a call to each of its endpoints:
//
//   view -> service -> endpoint -> call (diagnose_call.c) --+-> end
//                         ^                                 |
//                         +---------------------------------+ the next
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "diagnose/diagnose_service_internal.h"

#define VIEW_STALE_S 120 // keep-alives of the control plane come far more often

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

// --- Place after place
// -----

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
        if (call_begin(diagnosis) == RM_OK) {
            return;
        }
    }
    diagnosis_end(diagnosis);
}

void service_place_done(struct diagnosis *diagnosis)
{
    diagnosis->service->place_index++;
    place_next(diagnosis);
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
        call_prepare(diagnosis);
        run->name = rm_strdup(request->service);
    }
    if (run == NULL || run->name == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
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
    call_cancel(run);
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
