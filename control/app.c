// SPDX-License-Identifier: GPL-3.0-or-later
//
// The control plane's life.
//
//   STARTING: store -> authority -> registry -> attest -> services -> listeners
//       |  \ a step failed, or told to stop
//       v   \.
//   SERVING -> DRAINING (SIGTERM, SIGINT; again: at once) -> STOPPING (store) -> end
//     ^  |
//     +--+ SIGHUP: reload in two phases
#include "app.h"

#include <signal.h>
#include <stdio.h>

#include "app_internal.h"
#include "audit/alarms.h"
#include "audit/replacement.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/version.h"
#include "ca/bundle.h"
#include "descriptor_set.h"

enum app_state { APP_STARTING, APP_SERVING, APP_DRAINING, APP_STOPPING };

static const struct sm_state states[] = {
    [APP_STARTING] = {"starting", SM_BIT(APP_SERVING) | SM_BIT(APP_STOPPING)},
    [APP_SERVING] = {"serving", SM_BIT(APP_DRAINING)},
    [APP_DRAINING] = {"draining", SM_BIT(APP_STOPPING)},
    [APP_STOPPING] = {"stopping", 0},
};

struct trust_snapshot *app_trust(void *context)
{
    const struct app *app = context;
    return app->registry != NULL ? registry_trust(app->registry) : authority_trust(app->authority);
}

bool app_is_serving(const struct app *app)
{
    return sm_is(&app->sm, APP_SERVING);
}

// --- The end.

static void on_store_closed(void *context)
{
    struct app *app = context;
    app->store = NULL;
    loop_stop(app->loop);
}

// Rooms in the reverse order of their start; each may be absent.
static void stop(struct app *app)
{
    sm_move(&app->sm, APP_STOPPING);
    timer_stop(&app->identity_timer);
    timer_stop(&app->trust_timer);
    app_stop_listening(app);
    app_stop_health(app);
    if (app->server != NULL) {
        rpc_server_free(app->server);
    }
    if (app->push != NULL) {
        push_free(app->push);
    }
    admin_api_free(app->admin_api);
    identity_service_free(app->identity_service);
    attest_free(app->attest);
    if (app->registry != NULL) {
        registry_free(app->registry);
    }
    access_free(app->access);
    authority_close(app->authority);
    tls_context_unref(app->tls);
    trust_unref(app->trust);
    tls_identity_unref(app->identity);
    if (app->store != NULL) {
        store_close(app->store, on_store_closed, app);
    } else {
        loop_stop(app->loop);
    }
}

static void on_finish(void *context)
{
    struct app *app = context;
    if (!sm_is(&app->sm, APP_STOPPING)) {
        stop(app);
    }
}

// Later, from the loop: whoever calls may be inside a room that ends.
static void stop_soon(struct app *app)
{
    deferred_schedule(app->loop, &app->finish);
}

static void on_drained(void *context)
{
    stop_soon(context);
}

static void drain(struct app *app)
{
    sm_move(&app->sm, APP_DRAINING);
    app->waits_for = "nothing: it is draining";
    app_stop_listening(app);
    push_shutdown(app->push);
    rpc_server_drain(app->server, (uint32_t)app->config->drain_ms, on_drained, app);
}

static void on_stop_signal(void *context, int number)
{
    struct app *app = context;
    log_info(LOG_MAIN, "told_to_stop", LOG_STR("signal", number == SIGTERM ? "TERM" : "INT"));
    if (sm_is(&app->sm, APP_SERVING)) {
        drain(app);
    } else if (sm_is(&app->sm, APP_DRAINING)) {
        rpc_server_drain(app->server, 0, on_drained, app);
    } else if (sm_is(&app->sm, APP_STARTING)) {
        app->waits_for = NULL; // the step under way ends it
    }
}

// --- The start, step by step. A stop that was asked for meanwhile ends it between two steps.

static void fail(struct app *app, const struct rm_error *error)
{
    fprintf(stderr, "remora-control: %s\n", rm_error_message(error));
    app->exit_status = 1;
    stop_soon(app);
}

static bool goes_on(struct app *app, enum rm_err result, const struct rm_error *error)
{
    if (result != RM_OK) {
        fail(app, error);
        return false;
    }
    if (app->waits_for == NULL) {
        stop_soon(app);
        return false;
    }
    return true;
}

static enum rm_err dns_names(void *context, const char *identity, char ***names, size_t *count)
{
    const struct app *app = context;
    return registry_dns_names(app->registry, identity, names, count);
}

static struct attest_options attest_options_of(struct app *app, const struct control_config *config)
{
    return (struct attest_options){
        .trust_domain = config->trust_domain,
        .default_lifetime_s = config->certificates.lifetime_ms / 1000,
        .minimum_lifetime_s = config->certificates.minimum_ms / 1000,
        .maximum_lifetime_s = config->certificates.maximum_ms / 1000,
        .attestations_per_s = (double)config->limits.attestations_per_second,
        .attestation_burst = (double)config->limits.attestation_burst,
        .signings_per_s = (double)config->limits.signings_per_second,
        .signing_burst = (double)config->limits.signing_burst,
        .dns_names = dns_names,
        .dns_context = app,
    };
}

static enum rm_err open_services(struct app *app)
{
    const struct trust_source source = {app_trust, app};
    const struct identity_options identity = {.attest = app->attest,
                                              .access = app->access,
                                              .trust_domain = app->config->trust_domain,
                                              .source = source};
    const struct admin_api_options admin = {
        .loop = app->loop,
        .store = app->store,
        .registry = app->registry,
        .push = app->push,
        .attest = app->attest,
        .authority = app->authority,
        .access = app->access,
        .trust_domain = app->config->trust_domain,
        .address = app->address,
        .data_folder = app->config->data_dir,
        .started_at_s = app->started_at_s,
    };
    RM_TRY(identity_service_new(&identity, app->server, &app->identity_service));
    RM_TRY(push_add_to(app->push, app->server));
    RM_TRY(admin_api_new(&admin, &app->admin_api));
    RM_TRY(admin_api_add_to(app->admin_api, app->server));
    RM_TRY(rpc_server_add_health(app->server));
    return rpc_server_add_reflection(app->server, remora_descriptor_set,
                                     remora_descriptor_set_length);
}

static enum rm_err make_services(struct app *app)
{
    const struct control_config *config = app->config;
    const struct access_options options = {
        .trust_domain = config->trust_domain,
        .admins = (const char *const *)config->admins.items,
        .admin_count = config->admins.count,
        .admin_group = config->admin_gid,
        .source = {app_trust, app},
    };
    RM_TRY(access_new(&options, &app->access));
    RM_TRY(push_new(app->loop, app->store, app->registry, app->access, &app->push));
    app->server = rpc_server_new(app->loop);
    if (app->server == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    RM_TRY(open_services(app));
    app->trust_number = registry_version(app->registry).number;
    return registry_on_change(app->registry, app_on_view_change, app);
}

static void warn(const struct app *app)
{
    if (app->config->is_test_lifetimes) {
        alarms_raise(ALARM_TEST_LIFETIMES,
                     "test_lifetimes is on: certificates may live for seconds "
                     "only, which is for tests and demonstrations");
    }
    if (app->config->is_kek_in_data_dir) {
        log_warn(LOG_MAIN, "kek_beside_data",
                 LOG_STR("hint", "the key-encryption key lies in the data folder: a copy of the "
                                 "folder holds the keys, too; see kek_file"));
    }
}

static void on_attest_ready(void *context, enum rm_err result)
{
    struct app *app = context;
    struct rm_error error = {0};
    if (result == RM_OK) {
        result = make_services(app);
    }
    if (result != RM_OK) {
        rm_error_set(&error, result, "the services cannot start: %s", rm_err_text(result));
    } else {
        result = app_renew_identity(app, app->config, &error);
    }
    if (result == RM_OK) {
        result = app_listen(app, &error);
    }
    if (!goes_on(app, result, &error)) {
        return;
    }
    app->waits_for = NULL;
    sm_move(&app->sm, APP_SERVING);
    warn(app);
    replacement_check(app->store);
    log_info(LOG_MAIN, "ready", LOG_STR("trust_domain", app->config->trust_domain),
             LOG_STR("version", REMORA_VERSION),
             LOG_U64("start_ms", clock_mono_ms() - app->started_ms));
}

static void on_registry_ready(void *context, enum rm_err result)
{
    struct app *app = context;
    struct rm_error error = {0};
    const struct attest_options options = attest_options_of(app, app->config);
    app->waits_for = app->waits_for != NULL ? "the lineages and tokens" : NULL;
    if (result == RM_OK) {
        result = attest_new(app->loop, app->store, app->authority, &options, &app->attest);
    }
    if (result == RM_OK) {
        result = attest_load(app->attest, on_attest_ready, app);
    }
    if (result != RM_OK) {
        rm_error_set(&error, result, "the store cannot be read: %s", rm_err_text(result));
        fail(app, &error);
    }
}

// The public roots, for sidecars that pin by file.
static void write_bundle(const struct app *app)
{
    struct rm_error error = {0};
    if (bundle_write(app->config->data_dir, authority_root(app->authority), &error) != RM_OK) {
        log_warn(LOG_MAIN, "bundle_not_written", LOG_STR("reason", rm_error_message(&error)));
    }
}

static void on_authority_ready(void *context, enum rm_err result, struct authority *authority,
                               const struct rm_error *load_error)
{
    struct app *app = context;
    struct rm_error error = {0};
    app->authority = authority;
    if (!goes_on(app, result, load_error)) {
        return;
    }
    write_bundle(app);
    app->waits_for = "the registry";
    result = registry_new(app->loop, app->store, app->config->trust_domain,
                          authority_trust(authority), on_registry_ready, app, &app->registry);
    if (result != RM_OK) {
        rm_error_set(&error, result, "the registry cannot start: %s", rm_err_text(result));
        fail(app, &error);
    }
}

static enum rm_err start(struct app *app, struct rm_error *error)
{
    const struct control_config *config = app->config;
    app->waits_for = "the store";
    RM_TRY(kek_read(config, &app->kek, error));
    RM_TRY(store_open_sqlite(app->loop, config->data_dir, &app->store, error));
    RM_TRY(app_listen_health(app, error));
    app->waits_for = "the certificate authority";
    enum rm_err result = authority_load(app->loop, app->store, config->trust_domain, &app->kek,
                                        on_authority_ready, app);
    return result == RM_OK
               ? RM_OK
               : rm_error_set(error, result, "the certificate authority: %s", rm_err_text(result));
}

// --- Reload.

static enum rm_err take_over(struct app *app, struct control_config *next, struct rm_error *error)
{
    RM_TRY(app_renew_identity(app, next, error));
    enum rm_err result = access_set_admins(app->access, (const char *const *)next->admins.items,
                                           next->admins.count, next->admin_gid);
    if (result != RM_OK) {
        return rm_error_set(error, result, "out of memory");
    }
    const struct attest_options options = attest_options_of(app, next);
    attest_set_options(app->attest, &options);
    log_configure((enum log_level)next->log_level, (enum log_format)next->log_format);
    return RM_OK;
}

static void on_reload_signal(void *context, int number)
{
    struct app *app = context;
    struct control_config *next = NULL;
    struct rm_error error = {0};
    (void)number;
    if (!app_is_serving(app)) {
        return;
    }
    enum rm_err result = control_config_read(app->config->path, &next, &error);
    if (result == RM_OK) {
        result = control_config_check_reload(app->config, next, &error);
    }
    if (result == RM_OK) {
        result = take_over(app, next, &error);
    }
    if (result != RM_OK) {
        log_error(LOG_CONFIG, "reload_failed", LOG_STR("reason", rm_error_message(&error)),
                  LOG_STR("in_force", "the configuration as it was"));
        control_config_free(next);
        return;
    }
    control_config_free(app->config);
    app->config = next;
    log_info(LOG_CONFIG, "reloaded", LOG_STR("file", next->path));
}

static enum rm_err follow_signals(struct app *app, struct rm_error *error)
{
    enum rm_err result = loop_on_signal(app->loop, SIGTERM, on_stop_signal, app);
    if (result == RM_OK) {
        result = loop_on_signal(app->loop, SIGINT, on_stop_signal, app);
    }
    if (result == RM_OK) {
        result = loop_on_signal(app->loop, SIGHUP, on_reload_signal, app);
    }
    return result == RM_OK ? RM_OK : rm_error_set(error, result, "signals cannot be followed");
}

int app_serve(struct control_config *config)
{
    struct rm_error error = {0};
    struct app app = {
        .config = config, .started_at_s = clock_wall_s(), .started_ms = clock_mono_ms()};
    log_configure((enum log_level)config->log_level, (enum log_format)config->log_format);
    list_init(&app.handshakes);
    sm_init(&app.sm, "control", 0, states, APP_STARTING);
    deferred_init(&app.finish, on_finish, &app);
    app.loop = loop_new("control");
    if (app.loop == NULL) {
        fputs("remora-control: out of memory or file descriptors\n", stderr);
        control_config_free(config);
        return 1;
    }
    timer_init(&app.identity_timer, app.loop, app_on_identity_timer, &app);
    timer_init(&app.trust_timer, app.loop, app_on_trust_timer, &app);
    enum rm_err result = follow_signals(&app, &error);
    if (result == RM_OK) {
        result = start(&app, &error);
    }
    if (result != RM_OK) {
        fail(&app, &error);
    }
    loop_run(app.loop);
    loop_free(app.loop);
    secret_free(&app.kek);
    control_config_free(app.config);
    return app.exit_status;
}
