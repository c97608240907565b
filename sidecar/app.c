// SPDX-License-Identifier: GPL-3.0-or-later
//
//   start -> RUNNING -> DRAINING (SIGTERM, SIGINT: Goodbye, workers drain) -> STOPPING -> end
//               ^ |
//               +-+ SIGHUP or a changed configuration file: reload in two phases
#include "app.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/admin.h"
#include "base/clock.h"
#include "base/harden.h"
#include "base/log.h"
#include "base/version.h"
#include "certs/certs.h"
#include "config/sidecar_config.h"
#include "crypto/crypto.h"
#include "diagnose/diagnose.h"
#include "discovery/discovery.h"
#include "local/local.h"
#include "loop/loop.h"
#include "loop/resolver.h"
#include "metrics_catalogue.h"
#include "workers/workers.h"

#define CONFIG_LOOK_MS 2000 // how often the configuration file is looked at
#define WORKERS_AT_MOST 8   // by default; more CPUs than that belong to the application

struct app;

// One of our own identities: 0 is the configuration's `identity`, others are its `identities`.
struct app_own {
    struct app *app; // it belongs to
    struct certs *certs;
    struct tls_identity *identity; // in force; shares; NULL before the first
    struct trust_snapshot *trust;  // bundle of the identity's source; shares
};

struct app {
    const char *config_path;
    struct loop *loop;
    struct resolver *resolver;
    struct metrics *metrics;
    struct metric_set *metric_set; // the main loop's
    struct sidecar_config *config; // in force; shares
    struct sidecar_config *next;   // being reloaded; shares; NULL: no reload runs
    struct snapshot *snapshot;     // published last; shares
    struct workers *workers;       // NULL once they ended
    struct app_own owns[1 + SIDECAR_MORE_IDENTITIES_MAX];
    size_t own_count;            // of owns
    struct discovery *discovery; // NULL without a control plane
    struct admin *admin;
    struct diagnose *diagnose; // NULL once it ended
    struct local *local;
    struct mesh_view *view;      // in force; shares
    struct timer config_timer;   // looks at the configuration file
    struct timespec config_seen; // its modification time when last read
    uint64_t generation;         // of the snapshot published last
    bool is_draining;            // told to stop
    int exit_status;
};

// --- Snapshots.
// ---------------------------------------------------------------------------------------------

// The view's bundles win once there is a complete view: they carry withdrawals too.
static struct trust_snapshot *trust_in_force(const struct app *app)
{
    if (app->discovery != NULL && mesh_view_is_complete(app->view)) {
        struct trust_snapshot *trust = mesh_view_trust(app->view);
        if (trust != NULL && trust_domain_count(trust) > 0) {
            return trust;
        }
    }
    return app->owns[0].trust;
}

static struct snapshot *make_snapshot(struct app *app, struct sidecar_config *config)
{
    int64_t heard_ms = app->discovery != NULL ? discovery_last_heard_mono_ms(app->discovery) : 0;
    struct snapshot_own more[SIDECAR_MORE_IDENTITIES_MAX] = {0};
    size_t more_count = app->own_count > 0 ? app->own_count - 1 : 0;
    for (size_t i = 0; i < more_count; i++) {
        more[i].identity = app->owns[i + 1].identity;
        more[i].trust = app->owns[i + 1].trust;
    }
    return snapshot_new(config, app->owns[0].identity, trust_in_force(app), app->view, heard_ms,
                        ++app->generation, more, more_count);
}

static void publish(struct app *app)
{
    struct snapshot *snapshot = make_snapshot(app, app->config);
    if (snapshot == NULL) {
        log_error(LOG_MAIN, "snapshot_not_made", LOG_ERR(RM_ERR_NO_MEMORY));
        return;
    }
    snapshot_unref(app->snapshot);
    app->snapshot = snapshot;
    if (app->workers != NULL) {
        workers_publish(app->workers, snapshot);
    }
}

// Two identities that are one: the second is never chosen, and what belongs to it never reached.
static void warn_of_twins(const struct app *app, const struct app_own *own)
{
    for (size_t i = 0; i < app->own_count; i++) {
        const struct app_own *other = &app->owns[i];
        if (other != own && other->identity != NULL &&
            strcmp(other->identity->spiffe_id, own->identity->spiffe_id) == 0) {
            log_error(LOG_CERTS, "identity_twice", LOG_STR("identity", own->identity->spiffe_id),
                      LOG_STR("hint", "two of this sidecar's identities have one SPIFFE ID; "
                                      "services of the later one are not reached"));
        }
    }
}

static void app_on_identity(void *context, struct tls_identity *identity,
                            struct trust_snapshot *trust)
{
    struct app_own *own = context;
    struct app *app = own->app;
    tls_identity_ref(identity);
    trust_ref(trust);
    tls_identity_unref(own->identity);
    trust_unref(own->trust);
    own->identity = identity;
    own->trust = trust;
    warn_of_twins(app, own);
    publish(app);
    if (app->discovery != NULL) {
        discovery_set_identity(app->discovery, identity, trust_in_force(app));
        discovery_report(app->discovery, certs_status(own->certs));
    }
}

static void app_on_view(void *context, struct mesh_view *view)
{
    struct app *app = context;
    if (view != app->view) {
        mesh_view_ref(view);
        mesh_view_unref(app->view);
        app->view = view;
        certs_set_trust(app->owns[0].certs, trust_in_force(app));
    }
    publish(app);
}

// --- Readiness.
// -----------------------------------------------------------------------------------------------

static bool own_is_ready(const struct app_own *own, char reason[ADMIN_REASON_BYTES])
{
    const struct certs_status *status = certs_status(own->certs);
    if (own->identity == NULL) {
        snprintf(reason, ADMIN_REASON_BYTES, "a first certificate%s%s",
                 status->last_error[0] != '\0' ? ": " : "", status->last_error);
        return false;
    }
    if (own->identity->not_after_s <= clock_wall_s()) {
        snprintf(reason, ADMIN_REASON_BYTES, "a new certificate, the last one has expired: %s",
                 status->last_error);
        return false;
    }
    return true;
}

_Static_assert(LOCAL_REASON_BYTES == ADMIN_REASON_BYTES, "one reason for both");

static bool app_is_ready(void *context, char reason[ADMIN_REASON_BYTES])
{
    struct app *app = context;
    if (app->is_draining) {
        snprintf(reason, ADMIN_REASON_BYTES, "nothing: it is draining");
        return false;
    }
    for (size_t i = 0; i < app->own_count; i++) {
        if (!own_is_ready(&app->owns[i], reason)) {
            return false;
        }
    }
    if (app->discovery != NULL && !mesh_view_is_complete(app->view)) {
        snprintf(reason, ADMIN_REASON_BYTES, "a first complete view from the control plane");
        return false;
    }
    return true;
}

// --- What the local API asks.
// -------------------------------------------------------------------------------

static void app_look(void *context, struct local_state *out)
{
    struct app *app = context;
    out->snapshot = app->snapshot;
    for (size_t i = 0; i < app->own_count; i++) {
        out->certs[i] = certs_status(app->owns[i].certs);
    }
    out->view_hash = app->discovery != NULL ? discovery_view_hash(app->discovery) : "";
    out->is_connected = app->discovery != NULL && discovery_is_connected(app->discovery);
    out->is_ready = app_is_ready(app, out->waits_for);
    out->worker_count = app->workers != NULL ? workers_count(app->workers) : 0;
}

static enum rm_err app_list(void *context, size_t worker, struct listing *listing,
                            local_listed_fn done, void *done_context)
{
    struct app *app = context;
    return app->workers != NULL ? workers_list(app->workers, worker, listing, done, done_context)
                                : RM_ERR_CLOSED;
}

static enum rm_err app_renew(void *context, size_t own_index, struct certs_renewal *renewal)
{
    struct app *app = context;
    if (app->is_draining) {
        return RM_ERR_CLOSED;
    }
    certs_renew(app->owns[own_index].certs, renewal);
    return RM_OK;
}

static enum rm_err app_rate(void *context, struct standing *standing, diagnose_rated_fn done,
                            void *done_context)
{
    struct app *app = context;
    return app->workers != NULL ? workers_rate(app->workers, standing, done, done_context)
                                : RM_ERR_CLOSED;
}

static enum rm_err app_diagnose(void *context, const struct diagnose_request *request,
                                const struct diagnose_handler *handler, void *handler_context,
                                struct diagnosis **out, struct rm_error *error)
{
    struct app *app = context;
    struct diagnose_request whole = *request;
    if (app->diagnose == NULL) {
        return rm_error_set(error, RM_ERR_CLOSED, "the sidecar is stopping");
    }
    whole.control_offset_ms = certs_status(app->owns[0].certs)->clock_offset_ms;
    return diagnose_start(app->diagnose, app->snapshot, &whole, handler, handler_context, out,
                          error);
}

// --- Reload.
// ----------------------------------------------------------------------------------------------------

static void apply_settings(const struct sidecar_config *config)
{
    socket_set_vanished_ms((uint32_t)config->vanished_ms);
    log_configure((enum log_level)config->log_level, (enum log_format)config->log_format);
}

static void app_on_reloaded(void *context, enum rm_err result, const struct rm_error *error)
{
    struct app *app = context;
    struct sidecar_config *config = app->next;
    app->next = NULL;
    if (result != RM_OK) {
        admin_undo(app->admin);
        local_undo(app->local);
        log_error(LOG_CONFIG, "reload_refused", LOG_STR("error", rm_error_message(error)),
                  LOG_STR("text", "the configuration before it stays in force"));
        sidecar_config_unref(config);
        return;
    }
    admin_commit(app->admin);
    local_commit(app->local);
    sidecar_config_unref(app->config);
    app->config = config;
    apply_settings(config);
    for (size_t i = 0; i < app->own_count; i++) {
        certs_configure(app->owns[i].certs, config);
    }
    if (app->discovery != NULL) {
        discovery_configure(app->discovery, config);
    }
    publish(app);
    log_info(LOG_CONFIG, "reloaded", LOG_STR("path", config->path));
}

static bool has_same_identities(const struct sidecar_config *a, const struct sidecar_config *b)
{
    const struct sidecar_more_identity *before = a->more_identities.items;
    const struct sidecar_more_identity *now = b->more_identities.items;
    if (a->more_identities.count != b->more_identities.count) {
        return false;
    }
    for (size_t i = 0; i < a->more_identities.count; i++) {
        if (strcmp(before[i].name, now[i].name) != 0) {
            return false;
        }
    }
    return true;
}

// What cannot change while running, said before anything is touched.
static enum rm_err check_unchangeable(const struct app *app, const struct sidecar_config *config,
                                      struct rm_error *error)
{
    bool had_control = app->config->control.address != NULL;
    bool has_control = config->control.address != NULL;
    if (had_control != has_control) {
        return rm_error_set(
            error, RM_ERR_CONFIG,
            "%s: identity cannot change between 'control' and 'files' while running: "
            "restart the sidecar",
            config->path);
    }
    if (has_control &&
        strcmp(app->config->control.trust_domain, config->control.trust_domain) != 0) {
        return rm_error_set(error, RM_ERR_CONFIG,
                            "%s: the trust domain cannot change while running: restart the sidecar",
                            config->path);
    }
    if (!has_same_identities(app->config, config)) {
        return rm_error_set(error, RM_ERR_CONFIG,
                            "%s: 'identities' cannot come, go or change their names while running: "
                            "restart the sidecar",
                            config->path);
    }
    if (app->config->workers != config->workers) {
        return rm_error_set(error, RM_ERR_CONFIG,
                            "%s: 'workers' cannot change while running: restart the sidecar",
                            config->path);
    }
    if (app->config->local_gid != config->local_gid) {
        return rm_error_set(error, RM_ERR_CONFIG,
                            "%s: 'local.group' cannot change while running: restart the sidecar",
                            config->path);
    }
    return RM_OK;
}

static void note_config_time(struct app *app)
{
    struct stat status;
    if (stat(app->config_path, &status) == 0) {
        app->config_seen = status.st_mtim;
    }
}

static void reload(struct app *app)
{
    struct rm_error error = {0};
    struct sidecar_config *config = NULL;
    struct snapshot *snapshot = NULL;
    if (app->next != NULL || app->is_draining) {
        return;
    }
    note_config_time(app);
    enum rm_err result = sidecar_config_read(app->config_path, &config, &error);
    if (result == RM_OK) {
        result = check_unchangeable(app, config, &error);
    }
    if (result == RM_OK) {
        result = admin_prepare(app->admin, config, &error);
    }
    if (result == RM_OK) {
        result = local_prepare(app->local, config, &error);
    }
    if (result == RM_OK) {
        snapshot = make_snapshot(app, config);
        result = snapshot != NULL ? RM_OK : rm_error_set(&error, RM_ERR_NO_MEMORY, "out of memory");
    }
    if (result != RM_OK) {
        admin_undo(app->admin);
        local_undo(app->local);
        log_error(LOG_CONFIG, "reload_refused", LOG_STR("error", rm_error_message(&error)),
                  LOG_STR("text", "the configuration before it stays in force"));
        sidecar_config_unref(config);
        return;
    }
    app->next = config;
    workers_reload(app->workers, snapshot, app_on_reloaded, app);
    snapshot_unref(snapshot);
}

static void app_on_config_timer(void *context)
{
    struct app *app = context;
    struct stat status;
    if (stat(app->config_path, &status) == 0 &&
        (status.st_mtim.tv_sec != app->config_seen.tv_sec ||
         status.st_mtim.tv_nsec != app->config_seen.tv_nsec)) {
        reload(app);
    }
    if (!app->is_draining && timer_start(&app->config_timer, CONFIG_LOOK_MS) != RM_OK) {
        log_error(LOG_CONFIG, "timer_not_started", LOG_ERR(RM_ERR_NO_MEMORY));
    }
}

// --- The end.
// ---------------------------------------------------------------------------------------------------

static void app_on_discovery_stopped(void *context)
{
    struct app *app = context;
    app->discovery = NULL;
    loop_stop(app->loop);
}

static void app_on_certs_stopped(void *context)
{
    struct app_own *own = context;
    struct app *app = own->app;
    own->certs = NULL;
    for (size_t i = 0; i < app->own_count; i++) {
        if (app->owns[i].certs != NULL) {
            return; // its turn comes
        }
    }
    if (app->discovery != NULL) {
        discovery_stop(app->discovery, app_on_discovery_stopped, app);
    } else {
        loop_stop(app->loop);
    }
}

static void app_on_local_closed(void *context)
{
    struct app *app = context;
    app->local = NULL;
    // Backwards: a stop may end at once, and the last one to end ends the loop.
    for (size_t i = app->own_count; i > 0; i--) {
        certs_stop(app->owns[i - 1].certs, app_on_certs_stopped, &app->owns[i - 1]);
    }
}

static void app_on_drained(void *context, size_t cut_count)
{
    struct app *app = context;
    log_info(LOG_MAIN, "drained", LOG_U64("cut", cut_count));
    workers_join(app->workers);
    app->workers = NULL;
    admin_close(app->admin);
    app->admin = NULL;
    diagnose_close(app->diagnose);
    app->diagnose = NULL;
    resolver_close(app->resolver);
    app->resolver = NULL;
    local_close(app->local, app_on_local_closed, app);
}

static void app_on_stop_signal(void *context, int number)
{
    struct app *app = context;
    if (app->is_draining) {
        return;
    }
    app->is_draining = true;
    log_info(LOG_MAIN, "draining", LOG_STR("signal", strsignal(number)),
             LOG_I64("deadline_ms", app->config->drain_ms));
    timer_stop(&app->config_timer);
    if (app->discovery != NULL) {
        discovery_goodbye(app->discovery);
    }
    workers_drain(app->workers, (uint32_t)app->config->drain_ms, app_on_drained, app);
}

static void app_on_reload_signal(void *context, int number)
{
    (void)number;
    reload(context);
}

// --- The start.
// ---------------------------------------------------------------------------------------------------

static size_t worker_count(const struct sidecar_config *config)
{
    if (config->workers > 0) {
        return (size_t)config->workers;
    }
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (cpus < 1) {
        return 1;
    }
    return cpus < WORKERS_AT_MOST ? (size_t)cpus : WORKERS_AT_MOST;
}

static enum rm_err start_identity(struct app *app, struct rm_error *error)
{
    if (app->config->control.address != NULL) {
        RM_TRY(discovery_start(app->loop, app->resolver, app->config, app->metric_set, app_on_view,
                               app, &app->discovery));
    }
    for (size_t i = 0; i <= app->config->more_identities.count; i++) {
        struct app_own *own = &app->owns[i];
        own->app = app;
        app->own_count = i + 1;
        RM_TRY(certs_start(app->loop, app->resolver, app->config, i, app->metric_set,
                           app_on_identity, own, &own->certs, error));
    }
    return RM_OK;
}

static enum rm_err start_signals(struct app *app)
{
    RM_TRY(loop_on_signal(app->loop, SIGTERM, app_on_stop_signal, app));
    RM_TRY(loop_on_signal(app->loop, SIGINT, app_on_stop_signal, app));
    return loop_on_signal(app->loop, SIGHUP, app_on_reload_signal, app);
}

static enum rm_err start(struct app *app, struct rm_error *error)
{
    RM_TRY(sidecar_config_read(app->config_path, &app->config, error));
    apply_settings(app->config);
    note_config_time(app);
    app->loop = loop_new("main");
    app->metrics = metrics_new(sidecar_metric_catalogue, SIDECAR_METRIC_COUNT);
    app->view = mesh_view_empty();
    if (app->loop == NULL || app->metrics == NULL || app->view == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    app->metric_set = metrics_set_new(app->metrics);
    if (app->metric_set == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    const char *labels[] = {REMORA_VERSION};
    metric_gauge_set(app->metric_set, SIDECAR_METRIC_BUILD_INFO, labels, 1);
    RM_TRY(resolver_open(app->loop, &app->resolver, error));
    RM_TRY(start_signals(app));
    app->snapshot = make_snapshot(app, app->config);
    if (app->snapshot == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    RM_TRY(start_identity(app, error));
    RM_TRY(admin_open(app->loop, app->config, app->metrics, app_is_ready, app, &app->admin, error));
    RM_TRY(workers_start(app->loop, worker_count(app->config), app->snapshot, app->metrics,
                         &app->workers, error));
    const struct diagnose_source diagnose_source = {app, app_rate};
    app->diagnose = diagnose_open(app->loop, app->resolver, &diagnose_source);
    if (app->diagnose == NULL) {
        return rm_error_set(error, RM_ERR_NO_MEMORY, "out of memory");
    }
    const struct local_source source = {app, app_look, app_list, app_renew, app_diagnose};
    RM_TRY(local_open(app->loop, app->config, &source, &app->local, error));
    timer_init(&app->config_timer, app->loop, app_on_config_timer, app);
    return timer_start(&app->config_timer, CONFIG_LOOK_MS);
}

static void release(struct app *app)
{
    snapshot_unref(app->snapshot);
    mesh_view_unref(app->view);
    for (size_t i = 0; i < app->own_count; i++) {
        tls_identity_unref(app->owns[i].identity);
        trust_unref(app->owns[i].trust);
    }
    sidecar_config_unref(app->config);
    loop_free(app->loop);
    metrics_free(app->metrics);
}

int app_run(const char *config_path)
{
    // Static: a start that fails half-way leaves threads and memory that still point here.
    static struct app app;
    struct rm_error error = {0};
    app.config_path = config_path;
    enum rm_err result = process_harden(&error);
    if (result == RM_OK) {
        result = crypto_init(&error);
    }
    if (result == RM_OK) {
        result = start(&app, &error);
    }
    if (result != RM_OK) {
        // The process ends here; what was opened is the kernel's to close.
        log_error(
            LOG_MAIN, "not_started",
            LOG_STR("error", error.code != RM_OK ? rm_error_message(&error) : rm_err_text(result)));
        return 1;
    }
    log_info(LOG_MAIN, "started", LOG_STR("version", REMORA_VERSION),
             LOG_U64("workers", worker_count(app.config)));
    loop_run(app.loop);
    release(&app);
    crypto_deinit();
    return app.exit_status;
}

int app_check(const char *config_path)
{
    struct rm_error error = {0};
    struct sidecar_config *config = NULL;
    if (sidecar_config_read(config_path, &config, &error) != RM_OK) {
        fprintf(stderr, "%s\n", rm_error_message(&error));
        return 1;
    }
    printf("%s: ok\n", config_path);
    sidecar_config_unref(config);
    return 0;
}
