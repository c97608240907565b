// SPDX-License-Identifier: GPL-3.0-or-later
#include "local_fixture.h"

#include "base/alloc.h"
#include "base/log.h"
#include "cases.h"
#include "crypto/crypto.h"

// --- The process behind the API.

static void look(void *context, struct local_state *out)
{
    struct local_world *world = context;
    out->snapshot = world->snapshot;
    out->certs[0] = &world->certs;
    out->view_hash = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    out->is_connected = true;
    out->is_ready = false;
    strcpy(out->waits_for, "the test\xff");
    out->worker_count = LOCAL_WORKERS;
}

static void on_answer(void *context)
{
    struct local_world *world = context;
    if (!world->holds_pages) {
        local_release_page(world);
    }
}

void local_release_page(struct local_world *world)
{
    local_listed_fn held = world->held;
    if (held != NULL) {
        world->held = NULL;
        held(world->held_context, world->held_result);
    }
}

static enum rm_err list_page(void *context, size_t worker, struct listing *listing,
                             local_listed_fn done, void *done_context)
{
    struct local_world *world = context;
    assert_null(world->held);
    world->held = done;
    world->held_context = done_context;
    world->held_result = listing_fill(listing, &world->workers[worker]);
    deferred_schedule(world->loop, &world->answer);
    return RM_OK;
}

static enum rm_err renew(void *context, size_t own_index, struct certs_renewal *renewal)
{
    struct local_world *world = context;
    assert_int_equal(own_index, 0);
    list_append(&world->renewals, &renewal->node);
    return RM_OK;
}

static enum rm_err diagnose(void *context, const struct diagnose_request *request,
                            const struct diagnose_handler *handler, void *handler_context,
                            struct diagnosis **out, struct rm_error *error)
{
    (void)context;
    (void)request;
    (void)handler;
    (void)handler_context;
    (void)out;
    return rm_error_set(error, RM_ERR_CLOSED, "not here");
}

static struct connection_progress progress(const struct connection *connection)
{
    return (struct connection_progress){"relay", connection->number, 2 * connection->number};
}

void local_add_connections(struct local_world *world, size_t count)
{
    world->connections = rm_calloc(count, sizeof *world->connections);
    assert_non_null(world->connections);
    world->connection_count = count;
    for (size_t i = 0; i < count; i++) {
        struct connection *connection = &world->connections[i];
        struct worker *worker = &world->workers[i % LOCAL_WORKERS];
        connection->worker = worker;
        connection->number = ++worker->last_number;
        connection->started_ms = loop_now_ms(world->loop);
        connection->id[0] = (uint8_t)(1 + i / 256);
        connection->id[1] = (uint8_t)i;
        connection->service = i % 3 == 0 ? (char *)"third" : (char *)"other";
        connection->progress = progress;
        list_append(&worker->connections, &connection->node);
    }
}

// --- Start and end.

static struct mesh_view *view_of(size_t services)
{
    struct mesh_resource *puts[2 * 1024 + 1] = {NULL};
    assert_in_range(services, 0, 1024);
    for (size_t i = 0; i < services; i++) {
        char name[32];
        char key[96];
        char address[64];
        (void)snprintf(name, sizeof name, "s%zu", i);
        (void)snprintf(key, sizeof key, "%s/i%zu", name, i);
        (void)snprintf(address, sizeof address, "10.0.%zu.%zu:15008", i / 250, 1 + i % 250);
        puts[2 * i] = make_service(name, 80, LIST(LOCAL_PEER_ID), LIST());
        puts[2 * i + 1] = make_endpoint(key, address, LOCAL_PEER_ID, "");
    }
    return full_view(puts);
}

void local_set_view(struct local_world *world, size_t services)
{
    struct mesh_view *view = view_of(services);
    snapshot_unref(world->snapshot);
    world->snapshot =
        snapshot_new(world->config, world->identity, world->trust, view, 1, 1, NULL, 0);
    assert_non_null(world->snapshot);
    mesh_view_unref(view);
    for (size_t i = 0; i < LOCAL_WORKERS; i++) {
        world->workers[i].snapshot = world->snapshot;
    }
}

static void open_local(struct local_world *world)
{
    const struct local_source source = {world, look, list_page, renew, diagnose};
    struct rm_error error = {0};
    if (local_open(world->loop, world->config, &source, &world->local, &error) != RM_OK) {
        fail_msg("%s", rm_error_message(&error));
    }
}

int local_setup(void **state)
{
    struct local_world *world = rm_calloc(1, sizeof *world);
    char yaml[512];
    assert_non_null(world);
    assert_int_equal(crypto_init(NULL), RM_OK);
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    folder_init(&world->folder);
    folder_path(&world->folder, "local.sock", world->socket);
    (void)snprintf(yaml, sizeof yaml,
                   "identity: {control: {address: 'c:1', trust_domain: td.test, join_token_file: "
                   "/x}}\nlocal: {listen: 'unix:%s'}\n",
                   world->socket);
    world->loop = loop_new("local");
    world->config = config_of(yaml);
    pki_authority_init(&world->authority, "td.test");
    world->trust = pki_trust("td.test", &world->authority, NULL);
    world->identity =
        pki_identity(&world->authority, &(struct pki_recipe){.spiffe_id = LOCAL_OWN_ID});
    strcpy(world->certs.last_error, "said by a peer: \xff");
    world->certs.next_renewal_s = 4711;
    list_init(&world->renewals);
    deferred_init(&world->answer, on_answer, world);
    for (size_t i = 0; i < LOCAL_WORKERS; i++) {
        world->workers[i].loop = world->loop;
        list_init(&world->workers[i].connections);
    }
    local_set_view(world, 0);
    open_local(world);
    *state = world;
    return 0;
}

int local_teardown(void **state)
{
    struct local_world *world = *state;
    loop_free(world->loop);
    for (size_t i = 0; i < world->call_count; i++) {
        told_clear(&world->calls[i]);
    }
    rm_free(world->connections);
    snapshot_unref(world->snapshot);
    tls_identity_unref(world->identity);
    trust_unref(world->trust);
    pki_authority_deinit(&world->authority);
    sidecar_config_unref(world->config);
    folder_deinit(&world->folder);
    rm_free(world);
    crypto_deinit();
    return 0;
}

// --- The caller.

static void on_client_end(void *context, enum rm_err reason, const char *detail)
{
    (void)reason;
    (void)detail;
    ((struct local_world *)context)->client = NULL;
}

static void on_connected(void *context, enum rm_err result, struct stream *stream)
{
    struct local_world *world = context;
    world->is_connecting = false;
    if (result != RM_OK ||
        rpc_client_new(stream, "localhost", on_client_end, world, &world->client) != RM_OK) {
        world->client = NULL; // step_connect() tries again
    }
}

bool step_connect(void *context)
{
    struct local_world *world = context;
    struct socket_connect *connect = NULL;
    if (world->client != NULL || world->is_connecting) {
        return world->client != NULL;
    }
    world->is_connecting = socket_connect(world->loop, &world->config->local_address, 10000,
                                          on_connected, world, &connect) == RM_OK;
    return false;
}

static void on_message(void *context, struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    struct told *told = context;
    told->message_count++;
    uint8_t *grown = rm_realloc(told->bytes, told->length + length + 1);
    if (grown != NULL) {
        memcpy(grown + told->length, bytes, length);
        told->bytes = grown;
        told->length += length;
    }
    if (told->must_leave) {
        rpc_call_cancel(call);
    }
}

static void on_close(void *context, struct rpc_call *call, enum rpc_status status, const char *text)
{
    struct told *told = context;
    (void)call;
    told->call = NULL;
    told->is_closed = true;
    told->status = status;
    (void)snprintf(told->text, sizeof told->text, "%s", text);
}

static const struct rpc_client_handler handler = {.on_message = on_message, .on_close = on_close};

struct told *local_call(struct local_world *world, const char *method, const void *request,
                        size_t length)
{
    char path[128];
    assert_in_range(world->call_count, 0, LOCAL_MAX_TEST_CALLS - 1);
    struct told *told = &world->calls[world->call_count];
    (void)snprintf(path, sizeof path, "/" LOCAL_SERVICE "/%s", method);
    if (rpc_client_call(world->client, path, 20000, &handler, told, &told->call) != RM_OK) {
        return NULL;
    }
    world->call_count++;
    enum rm_err result =
        rpc_call_send(told->call, request != NULL ? request : (const uint8_t *)"", length);
    if (result == RM_OK) {
        result = rpc_call_half_close(told->call);
    }
    if (result != RM_OK) {
        rpc_call_cancel(told->call);
    }
    return told;
}

void told_clear(struct told *told)
{
    rm_free(told->bytes);
    *told = (struct told){0};
}

bool step_all_closed(void *context)
{
    const struct local_world *world = context;
    for (size_t i = 0; i < world->call_count; i++) {
        if (!world->calls[i].is_closed) {
            return false;
        }
    }
    return true;
}

static void on_closed(void *context)
{
    ((struct local_world *)context)->local = NULL;
}

static void finish(void *context)
{
    struct local_world *world = context;
    if (world->client != NULL) {
        rpc_client_drain(world->client);
    }
    if (world->local != NULL) {
        local_close(world->local, on_closed, world);
    }
}

void local_run(struct local_world *world, const scenario_step_fn *steps)
{
    scenario_run(world->loop, steps, world, finish);
    assert_null(world->local);
}
