// SPDX-License-Identifier: GPL-3.0-or-later
#include "certs/certs.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/log.h"
#include "certs/certs_internal.h"
#include "crypto/crypto.h"
#include "metrics_catalogue.h"

static bool is_by_files(const struct certs *certs)
{
    return sidecar_config_files(certs->config, certs->own_index)->certificate != NULL;
}

void certs_look_again(struct certs *certs, uint64_t delay_ms)
{
    if (!certs->is_stopping && timer_start(&certs->timer, delay_ms) != RM_OK) {
        log_error(LOG_CERTS, "timer_not_started", LOG_ERR(RM_ERR_NO_MEMORY));
    }
}

static void certs_on_timer(void *context)
{
    struct certs *certs = context;
    if (is_by_files(certs)) {
        bool is_wanted = certs->is_renewal_wanted;
        certs->is_renewal_wanted = false;
        certs_files_look(certs);
        certs_look_again(certs, CERTS_FILES_LOOK_MS);
        if (is_wanted && !certs->has_files_seen) {
            certs_note_failure(certs, "out of memory");
        }
        if (is_wanted) {
            certs_attempt_ended(certs);
        }
        return;
    }
    bool is_due = certs->is_renewal_wanted || certs->identity == NULL ||
                  certs->backoff.attempt > 0 ||
                  rotation_is_due(&certs->rotation, clock_wall_s(), clock_mono_ms());
    if (!is_due) {
        certs_look_again(certs, rotation_sleep_ms(&certs->rotation, clock_mono_ms()));
    } else if (certs->link == NULL) {
        certs->is_renewal_wanted = false;
        certs_control_attempt(certs);
    }
}

void certs_attempt_ended(struct certs *certs)
{
    enum rm_err result = certs->status.last_error[0] == '\0' ? RM_OK : RM_ERR_CLOSED;
    struct list told;
    // Who asks from inside a callback waits for the next attempt.
    list_init(&told);
    list_each_safe (node, following, &certs->renewals) {
        list_remove(node);
        list_append(&told, node);
    }
    while (!list_is_empty(&told)) {
        struct certs_renewal *renewal = list_entry(list_first(&told), struct certs_renewal, node);
        list_remove(&renewal->node);
        renewal->done(renewal->context, certs->is_stopping ? RM_ERR_CANCELLED : result);
    }
}

static void export_expiry(struct certs *certs, const struct tls_identity *identity)
{
    const char *labels[] = {identity->spiffe_id};
    if (certs->identity != NULL && strcmp(certs->identity->spiffe_id, identity->spiffe_id) != 0) {
        const char *before[] = {certs->identity->spiffe_id};
        metric_gauge_clear(certs->metrics, SIDECAR_METRIC_CERTIFICATE_EXPIRY, before);
    }
    metric_gauge_set(certs->metrics, SIDECAR_METRIC_CERTIFICATE_EXPIRY, labels,
                     (double)identity->not_after_s);
}

void certs_adopt(struct certs *certs, struct tls_identity *identity, struct trust_snapshot *trust,
                 int64_t issued_at_s)
{
    int64_t now_s = clock_wall_s();
    export_expiry(certs, identity);
    tls_identity_ref(identity);
    trust_ref(trust);
    tls_identity_unref(certs->identity);
    trust_unref(certs->trust);
    certs->identity = identity;
    certs->trust = trust;
    backoff_reset(&certs->backoff);
    certs->is_renewal_refused = false;
    certs->is_rejoin_refused = false;
    struct certs_status *status = &certs->status;
    status->not_after_s = identity->not_after_s;
    status->last_error[0] = '\0';
    status->serial_length = identity->serial_length;
    memcpy(status->serial, identity->serial, identity->serial_length);
    if (!is_by_files(certs)) {
        certs->rotation = rotation_plan(issued_at_s, identity->not_after_s, issued_at_s,
                                        clock_mono_ms(), random_u32());
        // The plan is in the control plane's clock; our own may be off.
        certs->rotation.due_wall_s += now_s - issued_at_s;
        status->next_renewal_s = certs->rotation.due_wall_s;
        certs_look_again(certs, rotation_sleep_ms(&certs->rotation, clock_mono_ms()));
    }
    const char *labels[] = {"ok"};
    metric_add(certs->metrics, SIDECAR_METRIC_CERTIFICATE_RENEWALS_TOTAL, labels, 1);
    char serial[HEX_BYTES(SERIAL_MAX_BYTES)];
    char left[CLOCK_DURATION_BYTES];
    hex_encode(identity->serial, identity->serial_length, serial);
    clock_format_duration(identity->not_after_s - now_s, left);
    log_info(LOG_CERTS, "certificate_in_force", LOG_STR("identity", identity->spiffe_id),
             LOG_STR("serial", serial), LOG_STR("time_left", left));
    certs->on_changed(certs->context, certs->identity, certs->trust);
}

void certs_note_failure(struct certs *certs, const char *sentence)
{
    const char *labels[] = {"failed"};
    metric_add(certs->metrics, SIDECAR_METRIC_CERTIFICATE_RENEWALS_TOTAL, labels, 1);
    snprintf(certs->status.last_error, sizeof certs->status.last_error, "%s", sentence);
    int64_t left_s = certs->identity != NULL ? certs->identity->not_after_s - clock_wall_s() : 0;
    if (left_s > 0) {
        char left[CLOCK_DURATION_BYTES];
        clock_format_duration(left_s, left);
        log_warn(LOG_CERTS, "renewal_failed", LOG_STR("error", sentence),
                 LOG_STR("time_left", left));
    } else {
        log_error(LOG_CERTS, "no_certificate", LOG_STR("error", sentence));
    }
}

enum rm_err certs_start(struct loop *loop, struct resolver *resolver, struct sidecar_config *config,
                        size_t own_index, struct metric_set *metrics, certs_changed_fn on_changed,
                        void *context, struct certs **out, struct rm_error *error)
{
    struct certs *certs = rm_calloc(1, sizeof *certs);
    if (certs == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    certs->loop = loop;
    certs->resolver = resolver;
    certs->config = sidecar_config_ref(config);
    certs->own_index = own_index;
    certs->metrics = metrics;
    certs->on_changed = on_changed;
    certs->context = context;
    list_init(&certs->renewals);
    timer_init(&certs->timer, loop, certs_on_timer, certs);
    backoff_init(&certs->backoff, CERTS_BACKOFF_MIN_MS, CERTS_BACKOFF_MAX_MS);
    enum rm_err result = RM_OK;
    if (config->control.address != NULL && config->control.state_dir != NULL) {
        result = state_dir_read(config->control.state_dir, config->control.trust_domain,
                                &certs->state, error);
    }
    if (result == RM_OK && is_by_files(certs)) {
        result = certs_files_start(certs, error);
    }
    if (result == RM_OK) {
        result = timer_start(&certs->timer, 0);
    }
    if (result != RM_OK) {
        tls_identity_unref(certs->identity);
        trust_unref(certs->trust);
        state_dir_deinit(&certs->state);
        sidecar_config_unref(certs->config);
        rm_free(certs);
        return result;
    }
    loop_open(loop);
    *out = certs;
    return RM_OK;
}

// Another folder: what it holds counts from now on.
static void read_state_anew(struct certs *certs, const char *path)
{
    struct rm_error error = {0};
    state_dir_deinit(&certs->state);
    if (path != NULL &&
        state_dir_read(path, certs->config->control.trust_domain, &certs->state, &error) != RM_OK) {
        certs_note_failure(certs, rm_error_message(&error));
    }
}

static bool is_same_path(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

void certs_configure(struct certs *certs, struct sidecar_config *config)
{
    bool is_same_state = is_same_path(certs->config->control.state_dir, config->control.state_dir);
    sidecar_config_ref(config);
    sidecar_config_unref(certs->config);
    certs->config = config;
    if (!is_same_state) {
        read_state_anew(certs, config->control.state_dir);
    }
    certs->has_files_seen = false;
    certs->is_renewal_refused = false;
    certs->is_rejoin_refused = false;
    if (certs->link == NULL) {
        certs_look_again(certs, 0);
    }
}

void certs_set_trust(struct certs *certs, struct trust_snapshot *trust)
{
    trust_ref(trust);
    trust_unref(certs->view_trust);
    certs->view_trust = trust;
}

const struct certs_status *certs_status(const struct certs *certs)
{
    return &certs->status;
}

void certs_renew(struct certs *certs, struct certs_renewal *renewal)
{
    list_append(&certs->renewals, &renewal->node);
    if (certs->link != NULL) {
        return; // the attempt that runs will tell
    }
    certs->is_renewal_wanted = true;
    certs->has_files_seen = false;
    certs_look_again(certs, 0);
}

void certs_renew_cancel(struct certs_renewal *renewal)
{
    if (renewal->node.next != NULL) {
        list_remove(&renewal->node);
    }
}

void certs_finish_stop(struct certs *certs)
{
    if (!certs->is_stopping || certs->link != NULL) {
        return;
    }
    certs_attempt_ended(certs);
    certs->on_stopped(certs->stopped_context);
    loop_close(certs->loop);
    tls_identity_unref(certs->identity);
    trust_unref(certs->trust);
    trust_unref(certs->view_trust);
    key_unref(certs->new_key);
    key_unref(certs->new_rejoin_key);
    state_dir_deinit(&certs->state);
    sidecar_config_unref(certs->config);
    rm_free(certs);
}

void certs_stop(struct certs *certs, certs_stopped_fn done, void *context)
{
    certs->is_stopping = true;
    certs->on_stopped = done;
    certs->stopped_context = context;
    timer_stop(&certs->timer);
    if (certs->link != NULL) {
        link_close(certs->link);
    } else {
        certs_finish_stop(certs);
    }
}
