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
#include "discovery/discovery.h"
#include "loop/loop.h"
#include "loop/resolver.h"
#include "metrics_catalogue.h"
#include "workers/workers.h"

#define CONFIG_LOOK_MS 2000 // how often the configuration file is looked at
#define WORKERS_AT_MOST 8   // by default; more CPUs than that belong to the application

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
    struct certs *certs;
    struct discovery *discovery; // NULL without a control plane
    struct admin *admin;
    struct tls_identity *identity; // in force; shares; NULL before the first
    struct trust_snapshot *trust;  // bundle of the identity's source; shares
    struct mesh_view *view;        // in force; shares
    struct timer config_timer;     // looks at the configuration file
    struct timespec config_seen;   // its modification time when last read
    uint64_t generation;           // of the snapshot published last
    bool is_draining;              // told to stop
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
    return app->trust;
}

static struct snapshot *make_snapshot(struct app *app, struct sidecar_config *config)
{
    int64_t heard_ms = app->discovery != NULL ? discovery_last_heard_mono_ms(app->discovery) : 0;
    return snapshot_new(config, app->identity, trust_in_force(app), app->view, heard_ms,
                        ++app->generation);
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

static void app_on_identity(void *context, struct tls_identity *identity,
                            struct trust_snapshot *trust)
{
    struct app *app = context;
    tls_identity_ref(identity);
    trust_ref(trust);
    tls_identity_unref(app->identity);
    trust_unref(app->trust);
    app->identity = identity;
    app->trust = trust;
    publish(app);
    if (app->discovery != NULL) {
        discovery_set_identity(app->discovery, identity, trust_in_force(app));
        discovery_report(app->discovery, certs_status(app->certs));
    }
}

static void app_on_view(void *context, struct mesh_view *view)
{
    struct app *app = context;
    if (view != app->view) {
        mesh_view_ref(view);
        mesh_view_unref(app->view);
        app->view = view;
        certs_set_trust(app->certs, trust_in_force(app));
    }
    publish(app);
}

// --- Readiness.
// -----------------------------------------------------------------------------------------------

static bool app_is_ready(void *context, char reason[ADMIN_REASON_BYTES])
{
    struct app *app = context;
    const struct certs_status *status = certs_status(app->certs);
    if (app->is_draining) {
        snprintf(reason, ADMIN_REASON_BYTES, "nothing: it is draining");
        return false;
    }
    if (app->identity == NULL) {
        snprintf(reason, ADMIN_REASON_BYTES, "a first certificate%s%s",
                 status->last_error[0] != '\0' ? ": " : "", status->last_error);
        return false;
    }
    if (app->identity->not_after_s <= clock_wall_s()) {
        snprintf(reason, ADMIN_REASON_BYTES, "a new certificate, the last one has expired: %s",
                 status->last_error);
        return false;
    }
    if (app->discovery != NULL && !mesh_view_is_complete(app->view)) {
        snprintf(reason, ADMIN_REASON_BYTES, "a first complete view from the control plane");
        return false;
    }
    return true;
}

// --- Reload.
// ----------------------------------------------------------------------------------------------------

static void apply_log(const struct sidecar_config *config)
{
    log_configure((enum log_level)config->log_level, (enum log_format)config->log_format);
}

static void app_on_reloaded(void *context, enum rm_err result, const struct rm_error *error)
{
    struct app *app = context;
    struct sidecar_config *config = app->next;
    app->next = NULL;
    if (result != RM_OK) {
        admin_undo(app->admin);
        log_error(LOG_CONFIG, "reload_refused", LOG_STR("error", rm_error_message(error)),
                  LOG_STR("text", "the configuration before it stays in force"));
        sidecar_config_unref(config);
        return;
    }
    admin_commit(app->admin);
    sidecar_config_unref(app->config);
    app->config = config;
    apply_log(config);
    certs_configure(app->certs, config);
    if (app->discovery != NULL) {
        discovery_configure(app->discovery, config);
    }
    publish(app);
    log_info(LOG_CONFIG, "reloaded", LOG_STR("path", config->path));
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
    if (app->config->workers != config->workers) {
        return rm_error_set(error, RM_ERR_CONFIG,
                            "%s: 'workers' cannot change while running: restart the sidecar",
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
        snapshot = make_snapshot(app, config);
        result = snapshot != NULL ? RM_OK : rm_error_set(&error, RM_ERR_NO_MEMORY, "out of memory");
    }
    if (result != RM_OK) {
        admin_undo(app->admin);
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
    struct app *app = context;
    app->certs = NULL;
    if (app->discovery != NULL) {
        discovery_stop(app->discovery, app_on_discovery_stopped, app);
    } else {
        loop_stop(app->loop);
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
    resolver_close(app->resolver);
    app->resolver = NULL;
    certs_stop(app->certs, app_on_certs_stopped, app);
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
    return certs_start(app->loop, app->resolver, app->config, app->metric_set, app_on_identity, app,
                       &app->certs, error);
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
    apply_log(app->config);
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
    timer_init(&app->config_timer, app->loop, app_on_config_timer, app);
    return timer_start(&app->config_timer, CONFIG_LOOK_MS);
}

static void release(struct app *app)
{
    snapshot_unref(app->snapshot);
    mesh_view_unref(app->view);
    tls_identity_unref(app->identity);
    trust_unref(app->trust);
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
