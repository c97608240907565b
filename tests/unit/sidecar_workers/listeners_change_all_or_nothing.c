// SPDX-License-Identifier: GPL-3.0-or-later
//
// A configuration's listeners open together or not at all: whatever fails, and whenever, those in
// force go on untouched. Ports that stay are not closed for an instant; nothing is handed over
// through a new one before the commit.
#include "sidecar_parts.h"
#include "tls_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/alloc.h"
#include "metrics_catalogue.h"
#include "outbound/outbound.h"
#include "stream/socket.h"
#include "workers/listeners.h"

enum port { TUNNEL, EDGE, OUTBOUND, OTHER, PORTS };

// --- What is opened, and what comes through ------------------------------------------------------

enum rm_err __real_listener_open(struct loop *loop, const struct listener_options *options,
                                 listener_fn on_accept, void *context, struct listener **out,
                                 struct rm_error *error);
enum rm_err __wrap_listener_open(struct loop *loop, const struct listener_options *options,
                                 listener_fn on_accept, void *context, struct listener **out,
                                 struct rm_error *error);
void __real_listener_close(struct listener *listener, bool drain);
void __wrap_listener_close(struct listener *listener, bool drain);
// Kept also where the whole program is optimised at once: only the linker knows of their use.
void __wrap_inbound_accept(struct worker *worker, struct stream *lower) __attribute__((used));
void __wrap_inbound_accept_edge(struct worker *worker, struct stream *lower, size_t service)
    __attribute__((used));
void __wrap_outbound_accept(struct worker *worker, struct stream *stream,
                            const struct sidecar_outbound *target) __attribute__((used));

static struct {
    unsigned calls;           // of listener_open
    unsigned fail_at;         // this one fails; 0: none
    int open;                 // listeners now
    unsigned accepted[PORTS]; // handed over, by kind
    uint64_t service_port;    // of the last outbound one
} seen;

enum rm_err __wrap_listener_open(struct loop *loop, const struct listener_options *options,
                                 listener_fn on_accept, void *context, struct listener **out,
                                 struct rm_error *error)
{
    if (++seen.calls == seen.fail_at) {
        return rm_error_set(error, RM_ERR_NO_DESCRIPTORS, "told to fail");
    }
    enum rm_err result = __real_listener_open(loop, options, on_accept, context, out, error);
    seen.open += result == RM_OK;
    return result;
}

void __wrap_listener_close(struct listener *listener, bool drain)
{
    seen.open--;
    __real_listener_close(listener, drain);
}

static void seen_accept(enum port kind, struct stream *stream)
{
    seen.accepted[kind]++;
    stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
}

void __wrap_inbound_accept(struct worker *worker, struct stream *lower)
{
    (void)worker;
    seen_accept(TUNNEL, lower);
}

void __wrap_inbound_accept_edge(struct worker *worker, struct stream *lower, size_t service)
{
    (void)worker;
    assert_int_equal(service, 1);
    seen_accept(EDGE, lower);
}

void __wrap_outbound_accept(struct worker *worker, struct stream *stream,
                            const struct sidecar_outbound *target)
{
    (void)worker;
    seen.service_port = (uint64_t)target->port;
    seen_accept(OUTBOUND, stream);
}

// --- A worker with listeners ---------------------------------------------------------------------

struct scene {
    struct loop *loop;
    struct metrics *metrics;
    struct worker worker;
    struct listeners *listeners;
    uint16_t ports[PORTS];         // chosen by the kernel
    int holds[PORTS];              // bound to them, so that they stay ours; never listen
    struct sidecar_config *config; // in force
    uint64_t generation;           // of snapshots
};

// SO_REUSEPORT, as the listeners': they may share it.
static int bind_shared(uint16_t *port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    const int on = 1;
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
    assert_int_equal(bind(descriptor, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(descriptor, (struct sockaddr *)&address, &length), 0);
    *port = ntohs(address.sin_port);
    return descriptor;
}

// -1: the kernel says that nobody listens.
static int try_connect(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(descriptor, (const struct sockaddr *)&address, sizeof(address)) == 0) {
        return descriptor;
    }
    assert_int_equal(errno, ECONNREFUSED);
    close(descriptor);
    return -1;
}

static bool is_listening(const struct scene *scene, enum port port)
{
    int descriptor = try_connect(scene->ports[port]);
    if (descriptor >= 0) {
        close(descriptor);
    }
    return descriptor >= 0;
}

#define HEAD                                                                                       \
    "identity: {files: {certificate: /x, key: /x, bundle: /x}}\n"                                  \
    "inbound:\n  listen: '127.0.0.1:%u'\n"                                                         \
    "  services: [{name: api, port: 81, target: '127.0.0.1:9'}, "                                  \
    "{name: web, port: 80, target: '127.0.0.1:9'}]\n"
#define OUTBOUND_TO                                                                                \
    "{listen: '127.0.0.1:%u', service: far, port: %d, endpoint: '127.0.0.1:9', "                   \
    "identity: 'spiffe://td.test/far'}"

// Tunnel, edge and one outbound listener.
static struct sidecar_config *first_config(const struct scene *scene)
{
    char yaml[1024];
    (void)snprintf(yaml, sizeof(yaml),
                   HEAD "  edges: [{listen: '127.0.0.1:%u', service: web}]\n"
                        "outbound: [" OUTBOUND_TO "]\n",
                   scene->ports[TUNNEL], scene->ports[EDGE], scene->ports[OUTBOUND], 1);
    return config_of(yaml);
}

// The edge is gone, an outbound listener came, the old one leads to another service port.
static struct sidecar_config *second_config(const struct scene *scene)
{
    char yaml[1024];
    (void)snprintf(yaml, sizeof(yaml), HEAD "outbound: [" OUTBOUND_TO ", " OUTBOUND_TO "]\n",
                   scene->ports[TUNNEL], scene->ports[OUTBOUND], 2, scene->ports[OTHER], 3);
    return config_of(yaml);
}

static struct snapshot *snapshot_of(struct scene *scene, struct sidecar_config *config)
{
    struct mesh_view *view = mesh_view_empty();
    struct snapshot *snapshot =
        snapshot_new(config, NULL, NULL, view, 0, ++scene->generation, NULL, 0);
    assert_non_null(snapshot);
    mesh_view_unref(view);
    return snapshot;
}

static void scene_commit(struct scene *scene, struct sidecar_config *config)
{
    struct snapshot *snapshot = snapshot_of(scene, config);
    worker_adopt(&scene->worker, snapshot);
    snapshot_unref(snapshot);
    listeners_commit(scene->listeners);
    sidecar_config_unref(scene->config);
    scene->config = config;
}

static int scene_setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    memset(&seen, 0, sizeof(seen));
    scene->loop = loop_new("test");
    scene->metrics = metrics_new(sidecar_metric_catalogue, SIDECAR_METRIC_COUNT);
    for (int i = 0; i < PORTS; i++) {
        scene->holds[i] = bind_shared(&scene->ports[i]);
    }
    scene->config = first_config(scene);
    struct snapshot *snapshot = snapshot_of(scene, scene->config);
    assert_int_equal(worker_init(&scene->worker, 0, scene->loop, metrics_set_new(scene->metrics),
                                 snapshot, NULL, NULL),
                     RM_OK);
    snapshot_unref(snapshot);
    scene->listeners = listeners_new(&scene->worker);
    assert_non_null(scene->listeners);
    *state = scene;
    return 0;
}

// With the first configuration in force.
static int scene_setup_open(void **state)
{
    scene_setup(state);
    struct scene *scene = *state;
    assert_int_equal(listeners_prepare(scene->listeners, scene->config, NULL), RM_OK);
    listeners_commit(scene->listeners);
    return 0;
}

static int scene_teardown(void **state)
{
    struct scene *scene = *state;
    listeners_free(scene->listeners);
    assert_int_equal(seen.open, 0);
    worker_deinit(&scene->worker);
    sidecar_config_unref(scene->config);
    world_end(scene->loop);
    metrics_free(scene->metrics);
    for (int i = 0; i < PORTS; i++) {
        close(scene->holds[i]);
    }
    free(scene);
    return 0;
}

static void expect_first_in_force(const struct scene *scene)
{
    assert_int_equal(seen.open, 3);
    assert_true(is_listening(scene, TUNNEL));
    assert_true(is_listening(scene, EDGE));
    assert_true(is_listening(scene, OUTBOUND));
    assert_false(is_listening(scene, OTHER));
}

// --- Promises ------------------------------------------------------------------------------------

static bool have_all_come(void *context)
{
    (void)context;
    return seen.accepted[TUNNEL] == 1 && seen.accepted[EDGE] == 1 && seen.accepted[OUTBOUND] == 1;
}

static void nothing_is_handed_over_before_the_commit(void **state)
{
    struct scene *scene = *state;
    int early[3];
    assert_int_equal(listeners_prepare(scene->listeners, scene->config, NULL), RM_OK);
    for (int i = 0; i < 3; i++) {
        early[i] = try_connect(scene->ports[i]);
        assert_true(early[i] >= 0);
    }
    world_turns(scene->loop, 20);
    for (int i = 0; i < PORTS; i++) {
        assert_int_equal(seen.accepted[i], 0);
    }
    listeners_commit(scene->listeners);
    world_until(scene->loop, have_all_come, NULL);
    assert_int_equal(seen.service_port, 1);
    for (int i = 0; i < 3; i++) {
        close(early[i]);
    }
}

// The open listener of a port that stays is never touched: who waits in its queue is served, by
// what the new configuration says.
static void ports_are_kept_over_a_reload(void **state)
{
    struct scene *scene = *state;
    struct sidecar_config *next = second_config(scene);
    unsigned calls = seen.calls;
    int queued = try_connect(scene->ports[OUTBOUND]);
    assert_true(queued >= 0);
    assert_int_equal(listeners_prepare(scene->listeners, next, NULL), RM_OK);
    assert_int_equal(seen.calls - calls, 1); // the new one's alone
    scene_commit(scene, next);
    assert_int_equal(seen.open, 3);
    while (seen.accepted[OUTBOUND] == 0) {
        world_turns(scene->loop, 1);
    }
    assert_int_equal(seen.service_port, 2);
    close(queued);
    assert_false(is_listening(scene, EDGE));
    assert_true(is_listening(scene, OTHER));
}

static void undo_leaves_what_was(void **state)
{
    struct scene *scene = *state;
    struct sidecar_config *next = second_config(scene);
    assert_int_equal(listeners_prepare(scene->listeners, next, NULL), RM_OK);
    assert_true(is_listening(scene, OTHER));
    listeners_undo(scene->listeners);
    expect_first_in_force(scene);
    unsigned calls = seen.calls;
    assert_int_equal(listeners_prepare(scene->listeners, scene->config, NULL), RM_OK);
    listeners_commit(scene->listeners);
    assert_int_equal(seen.calls, calls);
    expect_first_in_force(scene);
    sidecar_config_unref(next);
}

static void first_start_is_all_or_nothing(void **state)
{
    struct scene *scene = *state;
    for (unsigned n = 1; n <= 3; n++) {
        struct rm_error error = {0};
        seen.calls = 0;
        seen.fail_at = n;
        assert_int_equal(listeners_prepare(scene->listeners, scene->config, &error),
                         RM_ERR_NO_DESCRIPTORS);
        assert_string_equal(error.message, "told to fail");
        assert_int_equal(seen.calls, n);
        assert_int_equal(seen.open, 0);
        for (int i = 0; i < PORTS; i++) {
            assert_false(is_listening(scene, (enum port)i));
        }
    }
    seen.fail_at = 0;
    assert_int_equal(listeners_prepare(scene->listeners, scene->config, NULL), RM_OK);
    listeners_commit(scene->listeners);
    expect_first_in_force(scene);
}

static void failed_reload_changes_nothing(void **state)
{
    struct scene *scene = *state;
    struct sidecar_config *next = second_config(scene);
    seen.fail_at = seen.calls + 1;
    assert_int_equal(listeners_prepare(scene->listeners, next, NULL), RM_ERR_NO_DESCRIPTORS);
    expect_first_in_force(scene);
    // What the failed attempt no longer wanted is wanted again.
    assert_int_equal(listeners_prepare(scene->listeners, scene->config, NULL), RM_OK);
    listeners_commit(scene->listeners);
    expect_first_in_force(scene);
    sidecar_config_unref(next);
}

static void each_failed_allocation_changes_nothing(void **state)
{
    struct scene *scene = *state;
    struct sidecar_config *next = second_config(scene);
    unsigned failures = 0;
    uint64_t total = 0;
    for (uint64_t n = 0; n <= total; n++) {
        rm_alloc_fail_at(n);
        enum rm_err result = listeners_prepare(scene->listeners, next, NULL);
        total = n == 0 ? rm_alloc_count() : total;
        rm_alloc_fail_at(0);
        if (result == RM_OK) {
            listeners_undo(scene->listeners);
        } else {
            assert_int_equal(result, RM_ERR_NO_MEMORY);
            failures++;
        }
        expect_first_in_force(scene);
    }
    assert_in_range(failures, 2, total);
    sidecar_config_unref(next);
}

// Not through SO_REUSEPORT: the kernel says so itself.
static void address_of_another_process_fails_all(void **state)
{
    struct scene *scene = *state;
    struct rm_error error = {0};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(scene->ports[OUTBOUND]),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char port[16];
    close(scene->holds[OUTBOUND]);
    scene->holds[OUTBOUND] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(scene->holds[OUTBOUND], (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(scene->holds[OUTBOUND], 1), 0);
    assert_int_equal(listeners_prepare(scene->listeners, scene->config, &error),
                     RM_ERR_ADDRESS_IN_USE);
    (void)snprintf(port, sizeof(port), ":%u", scene->ports[OUTBOUND]);
    assert_non_null(strstr(error.message, port));
    assert_int_equal(seen.open, 0);
    assert_false(is_listening(scene, TUNNEL));
    assert_false(is_listening(scene, EDGE));
}

// A process of the same user could share the port without a word: the check finds it.
static void shared_port_is_found_before(void **state)
{
    struct scene *scene = *state;
    struct rm_error error = {0};
    for (int i = 0; i < PORTS; i++) {
        close(scene->holds[i]);
    }
    assert_int_equal(listeners_check_free(scene->loop, NULL, scene->config, NULL), RM_OK);
    assert_int_equal(seen.open, 0);
    scene->holds[EDGE] = bind_shared(&scene->ports[EDGE]);
    assert_int_equal(listen(scene->holds[EDGE], 1), 0);
    assert_int_equal(listeners_check_free(scene->loop, NULL, scene->config, &error),
                     RM_ERR_ADDRESS_IN_USE);
    assert_int_equal(seen.open, 0);
    // Our own workers hold what is in force.
    assert_int_equal(listeners_check_free(scene->loop, scene->config, scene->config, NULL), RM_OK);
    struct sidecar_config *next = second_config(scene);
    assert_int_equal(listeners_check_free(scene->loop, scene->config, next, NULL), RM_OK);
    sidecar_config_unref(next);
    for (int i = 0; i < PORTS; i++) {
        scene->holds[i] = i == EDGE ? scene->holds[i] : bind_shared(&scene->ports[i]);
    }
}

static void draining_closes_the_edges_alone(void **state)
{
    struct scene *scene = *state;
    listeners_drain(scene->listeners);
    assert_int_equal(seen.open, 2);
    assert_true(is_listening(scene, TUNNEL));
    assert_false(is_listening(scene, EDGE));
    assert_true(is_listening(scene, OUTBOUND));
}

static void path_has_one_listener(void **state)
{
    struct scene *scene = *state;
    struct folder folder;
    char yaml[512];
    folder_init(&folder);
    (void)snprintf(yaml, sizeof(yaml),
                   "identity: {files: {certificate: /x, key: /x, bundle: /x}}\noutbound: [{listen: "
                   "'unix:%s/s', service: far, port: 1, endpoint: '127.0.0.1:9', identity: "
                   "'spiffe://td.test/far'}]\n",
                   folder.path);
    struct sidecar_config *config = config_of(yaml);
    scene->worker.index = 1;
    assert_int_equal(listeners_prepare(scene->listeners, config, NULL), RM_OK);
    assert_int_equal(seen.open, 0);
    scene->worker.index = 0;
    assert_int_equal(listeners_prepare(scene->listeners, config, NULL), RM_OK);
    assert_int_equal(seen.open, 1);
    listeners_undo(scene->listeners);
    assert_int_equal(seen.open, 0);
    sidecar_config_unref(config);
    folder_deinit(&folder);
}

#define FRESH(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)
#define OPEN(test) cmocka_unit_test_setup_teardown(test, scene_setup_open, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(nothing_is_handed_over_before_the_commit),
        OPEN(ports_are_kept_over_a_reload),
        OPEN(undo_leaves_what_was),
        FRESH(first_start_is_all_or_nothing),
        OPEN(failed_reload_changes_nothing),
        OPEN(each_failed_allocation_changes_nothing),
        FRESH(address_of_another_process_fails_all),
        FRESH(shared_port_is_found_before),
        OPEN(draining_closes_the_edges_alone),
        FRESH(path_has_one_listener),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
