// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the TLS port is made of: our own certificate, renewed at half its life, and the trust that
// callers are judged by. A change of either makes a new context; connections that stand keep
// theirs, unless their caller was withdrawn.
#include "app_internal.h"
#include "base/clock.h"
#include "base/log.h"

static enum rm_err make_context(struct app *app, struct tls_identity *identity,
                                struct trust_snapshot *trust, struct rm_error *error)
{
    static const char *const alpn[] = {"h2"};
    const struct tls_spiffe_profile profile = {
        .identity = identity,
        .trust = trust,
        .alpn = alpn,
        .alpn_count = 1,
        .is_alpn_required = true,
        .is_client_certificate_required = false, // the first certificate is asked for without one
    };
    struct tls_context *context = NULL;
    RM_TRY(tls_context_new_spiffe(&profile, &context, error));
    trust_ref(trust);
    trust_unref(app->trust);
    app->trust = trust;
    tls_context_unref(app->tls);
    app->tls = context;
    return RM_OK;
}

// When to look again: at half life, but at least every 30 s, since the wall clock may jump.
static void plan(struct app *app)
{
    uint64_t delay_ms = APP_IDENTITY_LOOK_MS;
    if (app->identity != NULL) {
        int64_t life_s = app->identity->not_after_s - app->identity->not_before_s;
        int64_t left_s = app->identity->not_before_s + AUTHORITY_BACKDATE_S +
                         (life_s - AUTHORITY_BACKDATE_S) / 2 - clock_wall_s();
        uint64_t left_ms = left_s > 0 ? (uint64_t)left_s * 1000 : 1000;
        delay_ms = left_ms < delay_ms ? left_ms : delay_ms;
    }
    if (timer_start(&app->identity_timer, delay_ms) != RM_OK) {
        log_error(LOG_MAIN, "own_certificate_not_watched", LOG_ERR(RM_ERR_NO_MEMORY));
    }
}

static bool is_due(const struct tls_identity *identity)
{
    int64_t issued_s = identity->not_before_s + AUTHORITY_BACKDATE_S;
    return clock_wall_s() >= issued_s + (identity->not_after_s - issued_s) / 2;
}

enum rm_err app_renew_identity(struct app *app, const struct control_config *config,
                               struct rm_error *error)
{
    struct tls_identity *identity = NULL;
    enum rm_err result = authority_own_identity(
        app->authority, (const char *const *)config->dns_names.items, config->dns_names.count,
        config->certificates.lifetime_ms / 1000, &identity, error);
    if (result == RM_OK) {
        result = make_context(app, identity, app_trust(app), error);
    }
    if (result != RM_OK) {
        tls_identity_unref(identity);
        plan(app);
        return result;
    }
    tls_identity_unref(app->identity);
    app->identity = identity;
    plan(app);
    log_debug(LOG_MAIN, "own_certificate", LOG_I64("not_after_s", identity->not_after_s));
    return RM_OK;
}

void app_on_identity_timer(void *context)
{
    struct app *app = context;
    struct rm_error error = {0};
    if (!is_due(app->identity)) {
        plan(app);
        return;
    }
    if (app_renew_identity(app, app->config, &error) != RM_OK) {
        log_error(LOG_MAIN, "own_certificate_not_renewed",
                  LOG_STR("reason", rm_error_message(&error)));
    }
}

static bool is_withdrawn(void *context, const struct peer *peer)
{
    struct app *app = context;
    return !access_still_holds(app->access, peer);
}

void app_on_trust_timer(void *context)
{
    struct app *app = context;
    struct rm_error error = {0};
    struct trust_snapshot *trust = app_trust(app);
    if (!app_is_serving(app)) {
        return;
    }
    bool is_new_bundle = trust == NULL || !trust_same_roots(app->trust, trust);
    if (make_context(app, app->identity, trust, &error) != RM_OK) {
        // Calls are judged by the trust of the day in any case; only handshakes are behind.
        log_error(LOG_MAIN, "tls_context_not_made", LOG_STR("reason", rm_error_message(&error)));
        if (timer_start(&app->trust_timer, 1000) != RM_OK) {
            log_error(LOG_MAIN, "trust_not_taken_over", LOG_ERR(RM_ERR_NO_MEMORY));
        }
    }
    if (is_new_bundle) {
        identity_service_trust_changed(app->identity_service);
    }
    rpc_server_close_peers(app->server, is_withdrawn, app);
}

static void note_kind(void *context, uint64_t number, enum mesh_kind kind, const char *key)
{
    bool *is_trust = context;
    (void)number;
    (void)key;
    *is_trust = *is_trust || kind == MESH_WITHDRAWAL || kind == MESH_BUNDLE;
}

void app_on_view_change(void *context)
{
    struct app *app = context;
    bool is_trust = false;
    if (!registry_changes_since(app->registry, app->trust_number, note_kind, &is_trust)) {
        is_trust = true;
    }
    app->trust_number = registry_version(app->registry).number;
    if (is_trust && !timer_is_active(&app->trust_timer) &&
        timer_start(&app->trust_timer, APP_TRUST_DELAY_MS) != RM_OK) {
        app_on_trust_timer(app);
    }
}
