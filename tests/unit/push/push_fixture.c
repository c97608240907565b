// SPDX-License-Identifier: GPL-3.0-or-later
#include "push_fixture.h"

#include <stdio.h>

#include "base/clock.h"
#include "crypto/crypto.h"
#include "push/push_internal.h"
#include "stream/memory.h"

// --- Life.

static struct trust_snapshot *trust_of(void *context)
{
    struct push_fixture *fixture = context;
    return registry_trust(fixture->mesh->registry);
}

static void do_start(struct fixture *base, void *context)
{
    struct push_fixture *fixture = context;
    struct registry *registry = fixture->mesh->registry;
    const struct access_options options = {
        .trust_domain = TD, .admin_group = GROUP_NONE, .source = {trust_of, fixture}};
    assert_int_equal(access_new(&options, &fixture->access), RM_OK);
    assert_int_equal(push_new(base->loop, base->store, registry, fixture->access, &fixture->push),
                     RM_OK);
    fixture->server = rpc_server_new(base->loop);
    assert_int_equal(push_add_to(fixture->push, fixture->server), RM_OK);
}

static void start(struct push_fixture *fixture)
{
    fixture_run(fixture->mesh->base, do_start, fixture);
}

static void on_drained(void *context)
{
    struct push_fixture *fixture = context;
    fixture_count(fixture->mesh->base, &fixture->drained);
}

static void do_drain(struct fixture *base, void *context)
{
    struct push_fixture *fixture = context;
    (void)base;
    push_shutdown(fixture->push);
    rpc_server_drain(fixture->server, 0, on_drained, fixture);
}

static void do_free(struct fixture *base, void *context)
{
    struct push_fixture *fixture = context;
    (void)base;
    assert_int_equal(push_session_count(fixture->push), 0);
    rpc_server_free(fixture->server);
    push_free(fixture->push);
    access_free(fixture->access);
}

static void stop(struct push_fixture *fixture)
{
    fixture->drained = 0;
    fixture_run(fixture->mesh->base, do_drain, fixture);
    fixture_wait(fixture->mesh->base, &fixture->drained, 1);
    fixture_run(fixture->mesh->base, do_free, fixture);
}

int push_fixture_setup(void **state)
{
    struct push_fixture *fixture = rm_calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->mesh = registry_fixture_new();
    start(fixture);
    *state = fixture;
    return 0;
}

int push_fixture_teardown(void **state)
{
    struct push_fixture *fixture = *state;
    stop(fixture);
    registry_fixture_free(fixture->mesh);
    rm_free(fixture);
    return 0;
}

void push_fixture_restart(struct push_fixture *fixture)
{
    stop(fixture);
    registry_stop(fixture->mesh);
    registry_start(fixture->mesh);
    start(fixture);
}

// --- Messages.

static void hash_piece(void *context, const void *bytes, size_t length)
{
    sha256_stream_update(context, bytes, length);
}

// Where memory fails a sidecar, it gives its stream up.
static void give_up(struct sidecar *sidecar, enum rm_err result)
{
    assert_int_equal(result, RM_ERR_NO_MEMORY);
    if (sidecar->call != NULL) {
        rpc_call_cancel(sidecar->call);
    }
}

static void send_request(struct sidecar *sidecar, const struct mesh_request *request)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    struct rm_error error = {0};
    enum rm_err result = mesh_wire_encode_request(request, &bytes, &length, &error);
    if (result != RM_OK) {
        give_up(sidecar, result);
        return;
    }
    if (sidecar->call != NULL) {
        enum rm_err ignored = rpc_call_send(sidecar->call, bytes, length);
        (void)ignored; // the call may end at any time
    }
    rm_free(bytes);
}

static void acknowledge(struct sidecar *sidecar)
{
    struct mesh_request request = {.kind = MESH_REQUEST_ACK};
    struct sha256_stream *stream = sha256_stream_new();
    if (stream == NULL) {
        give_up(sidecar, RM_ERR_NO_MEMORY);
        return;
    }
    request.of.ack.version = mesh_view_version(sidecar->view);
    mesh_view_canonical(sidecar->view, hash_piece, stream);
    sha256_stream_finish(stream, request.of.ack.view_hash);
    request.of.ack.view_hash[0] ^= sidecar->is_wrong ? 1 : 0;
    send_request(sidecar, &request);
}

static void on_message(void *context, struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    struct sidecar *sidecar = context;
    struct mesh_response response;
    struct mesh_view *view = NULL;
    struct rm_error error = {0};
    (void)call;
    enum rm_err result = mesh_wire_decode_response(bytes, length, &response, &error);
    if (result == RM_OK) {
        result = mesh_view_apply(sidecar->view, &response.delta, &view, &error);
    }
    if (result != RM_OK) {
        mesh_response_deinit(&response);
        give_up(sidecar, result);
        return;
    }
    mesh_view_unref(sidecar->view);
    sidecar->view = view;
    sidecar->responses++;
    sidecar->full_count += response.delta.is_full;
    sidecar->put_count = response.delta.put_count;
    sidecar->removal_count = response.delta.removal_count;
    mesh_response_deinit(&response);
    if (!sidecar->is_silent) {
        acknowledge(sidecar);
    }
}

static void on_close(void *context, struct rpc_call *call, enum rpc_status status, const char *text)
{
    struct sidecar *sidecar = context;
    (void)call;
    sidecar->call = NULL;
    sidecar->status = status;
    snprintf(sidecar->text, sizeof sidecar->text, "%s", text != NULL ? text : "");
    sidecar->is_ended = true;
}

static void on_client_end(void *context, enum rm_err reason, const char *detail)
{
    (void)reason;
    (void)detail;
    ((struct sidecar *)context)->client = NULL;
}

// --- Opening and closing.

struct opening {
    struct sidecar *sidecar;
    unsigned number;
    const char *identity;
    int64_t not_after_s;
};

static struct peer *make_peer(const struct opening *opening)
{
    struct chain_facts facts = {.spiffe_id = opening->identity,
                                .spiffe_id_length = strlen(opening->identity),
                                .uri_count = 1,
                                .serial_length = 16,
                                .is_anchored = true,
                                .has_digital_signature = true,
                                .has_client_auth = true,
                                .has_server_auth = true,
                                .not_before_s = 1000000000,
                                .not_after_s = opening->not_after_s,
                                .leaf_not_before_s = 1000000000,
                                .leaf_not_after_s = opening->not_after_s};
    memcpy(facts.serial, lineage(opening->number), LINEAGE_BYTES);
    memset(facts.serial + LINEAGE_BYTES, 7, 16 - LINEAGE_BYTES);
    memcpy(facts.anchor_key_id, opening->sidecar->fixture->mesh->root_key_id, KEY_ID_BYTES);
    struct peer *peer = peer_new(&facts, false);
    assert_non_null(peer);
    assert_true(peer->has_lineage);
    return peer;
}

static void do_open(struct fixture *base, void *context)
{
    static const struct rpc_client_handler handler = {.on_message = on_message,
                                                      .on_close = on_close};
    const struct opening *opening = context;
    struct sidecar *sidecar = opening->sidecar;
    struct stream *server_end = NULL;
    struct stream *client_end = NULL;
    struct peer *peer = make_peer(opening);
    assert_int_equal(memory_stream_pair(base->loop, 65536, &server_end, &client_end), RM_OK);
    memory_stream_set_peer(server_end, peer);
    peer_unref(peer);
    assert_int_equal(rpc_server_accept(sidecar->fixture->server, server_end), RM_OK);
    assert_int_equal(
        rpc_client_new(client_end, "control", on_client_end, sidecar, &sidecar->client), RM_OK);
    assert_int_equal(rpc_client_call(sidecar->client, "/remora.mesh.v1.Mesh/Sync", 0, &handler,
                                     sidecar, &sidecar->call),
                     RM_OK);
}

struct sidecar *sidecar_open_until(struct push_fixture *fixture, unsigned number,
                                   const char *identity, int64_t not_after_s)
{
    struct sidecar *sidecar = rm_calloc(1, sizeof *sidecar);
    assert_non_null(sidecar);
    sidecar->fixture = fixture;
    sidecar->view = mesh_view_empty();
    struct opening opening = {sidecar, number, identity, not_after_s};
    fixture_run(fixture->mesh->base, do_open, &opening);
    return sidecar;
}

struct sidecar *sidecar_open(struct push_fixture *fixture, unsigned number, const char *identity)
{
    return sidecar_open_until(fixture, number, identity, clock_wall_s() + 3600);
}

static void do_cut(struct fixture *base, void *context)
{
    struct sidecar *sidecar = context;
    (void)base;
    if (sidecar->client != NULL) {
        rpc_client_abort(sidecar->client, RM_ERR_CANCELLED);
    }
}

void sidecar_cut(struct sidecar *sidecar)
{
    fixture_run(sidecar->fixture->mesh->base, do_cut, sidecar);
}

static bool is_gone(struct registry_fixture *mesh, const void *context)
{
    const struct sidecar *sidecar = context;
    (void)mesh;
    return sidecar->client == NULL;
}

void sidecar_free(struct sidecar *sidecar)
{
    sidecar_cut(sidecar);
    wait_until(sidecar->fixture->mesh, is_gone, sidecar);
    mesh_view_unref(sidecar->view);
    rm_free(sidecar);
}

// --- Saying.

struct saying {
    struct sidecar *sidecar;
    const struct mesh_request *request; // NULL: bytes, or the acknowledgement
    const void *bytes;
    size_t length;
};

static void do_say(struct fixture *base, void *context)
{
    const struct saying *saying = context;
    (void)base;
    if (saying->request != NULL) {
        send_request(saying->sidecar, saying->request);
    } else if (saying->bytes != NULL) {
        assert_int_equal(rpc_call_send(saying->sidecar->call, saying->bytes, saying->length),
                         RM_OK);
    } else {
        acknowledge(saying->sidecar);
    }
}

void sidecar_say(struct sidecar *sidecar, const struct mesh_request *request)
{
    struct saying saying = {.sidecar = sidecar, .request = request};
    fixture_run(sidecar->fixture->mesh->base, do_say, &saying);
}

void sidecar_say_bytes(struct sidecar *sidecar, const void *bytes, size_t length)
{
    struct saying saying = {.sidecar = sidecar, .bytes = bytes, .length = length};
    fixture_run(sidecar->fixture->mesh->base, do_say, &saying);
}

void sidecar_ack(struct sidecar *sidecar)
{
    struct saying saying = {.sidecar = sidecar};
    fixture_run(sidecar->fixture->mesh->base, do_say, &saying);
}

static size_t length_of(const char *const *list)
{
    size_t count = 0;
    while (list != NULL && list[count] != NULL) {
        count++;
    }
    return count;
}

void sidecar_hello(struct sidecar *sidecar, const struct hello *hello)
{
    struct mesh_request request = {.kind = MESH_REQUEST_HELLO};
    struct mesh_hello *out = &request.of.hello;
    const char *address = hello->address != NULL ? hello->address : A;
    snprintf(out->instance_id, sizeof out->instance_id, "%s",
             hello->instance_id != NULL ? hello->instance_id : FIRST_PROCESS);
    out->services = (char **)(uintptr_t)hello->calls;
    out->service_count = length_of(hello->calls);
    out->exposes = (char **)(uintptr_t)hello->exposes;
    out->expose_count = length_of(hello->exposes);
    out->software = (char *)(uintptr_t) "test/1";
    out->tunnel_address = (char *)(uintptr_t)address;
    out->has_resume = hello->resume != NULL;
    if (hello->resume != NULL) {
        out->resume = mesh_view_version(hello->resume);
    }
    sidecar_say(sidecar, &request);
}

void sidecar_subscribe(struct sidecar *sidecar, const char *service)
{
    char *services[] = {(char *)(uintptr_t)service};
    const struct mesh_request request = {.kind = MESH_REQUEST_SUBSCRIBE,
                                         .of.subscribe = {services, 1}};
    sidecar_say(sidecar, &request);
}

void sidecar_goodbye(struct sidecar *sidecar)
{
    sidecar_say(sidecar, &(struct mesh_request){.kind = MESH_REQUEST_GOODBYE});
}

static void do_half_close(struct fixture *base, void *context)
{
    struct sidecar *sidecar = context;
    (void)base;
    assert_int_equal(rpc_call_half_close(sidecar->call), RM_OK);
}

void sidecar_half_close(struct sidecar *sidecar)
{
    fixture_run(sidecar->fixture->mesh->base, do_half_close, sidecar);
}

struct sidecar *sidecar_start(struct push_fixture *fixture, unsigned number, const char *identity,
                              const struct hello *hello)
{
    struct sidecar *sidecar = sidecar_open(fixture, number, identity);
    sidecar_hello(sidecar, hello);
    wait_responses(sidecar, 1);
    return sidecar;
}

// --- Waiting.

struct wish {
    struct sidecar *sidecar;
    size_t count;
    enum mesh_kind kind;
    const char *key;
    bool is_there;
    struct push_fixture *fixture;
};

static bool is_ended(struct registry_fixture *mesh, const void *context)
{
    (void)mesh;
    return ((const struct wish *)context)->sidecar->is_ended;
}

void wait_ended(struct sidecar *sidecar, enum rpc_status status, const char *text)
{
    const struct wish wish = {.sidecar = sidecar};
    wait_until(sidecar->fixture->mesh, is_ended, &wish);
    if (sidecar->status != status || strstr(sidecar->text, text) == NULL) {
        fail_msg("ended with %s: %s", rpc_status_name(sidecar->status), sidecar->text);
    }
}

static bool has_responses(struct registry_fixture *mesh, const void *context)
{
    const struct wish *wish = context;
    (void)mesh;
    if (wish->sidecar->is_ended) {
        fail_msg("ended with %s: %s", rpc_status_name(wish->sidecar->status), wish->sidecar->text);
    }
    return wish->sidecar->responses >= wish->count;
}

void wait_responses(struct sidecar *sidecar, size_t count)
{
    const struct wish wish = {.sidecar = sidecar, .count = count};
    wait_until(sidecar->fixture->mesh, has_responses, &wish);
}

static bool is_as_wished(struct registry_fixture *mesh, const void *context)
{
    const struct wish *wish = context;
    (void)mesh;
    return (mesh_view_find(wish->sidecar->view, wish->kind, wish->key) != NULL) == wish->is_there;
}

void wait_has(struct sidecar *sidecar, enum mesh_kind kind, const char *key)
{
    const struct wish wish = {.sidecar = sidecar, .kind = kind, .key = key, .is_there = true};
    wait_until(sidecar->fixture->mesh, is_as_wished, &wish);
}

void wait_lacks(struct sidecar *sidecar, enum mesh_kind kind, const char *key)
{
    const struct wish wish = {.sidecar = sidecar, .kind = kind, .key = key, .is_there = false};
    wait_until(sidecar->fixture->mesh, is_as_wished, &wish);
}

static bool all_in_step(struct registry_fixture *mesh, const void *context)
{
    const struct wish *wish = context;
    list_each (node, &wish->fixture->push->sessions) {
        const struct session *session = list_entry(node, struct session, node);
        if (session->is_in_flight || !session->has_acked || session->mismatches > 0 ||
            !delta_is_sent(&session->delta) ||
            session->drafted != registry_version(mesh->registry).number) {
            return false;
        }
    }
    return true;
}

void wait_in_step(struct sidecar *sidecar)
{
    const struct wish wish = {.fixture = sidecar->fixture};
    wait_until(sidecar->fixture->mesh, all_in_step, &wish);
}

struct sight {
    struct sidecar *sidecar;
    enum mesh_kind kind;
    const char *key;
    const struct mesh_resource *resource;
    size_t count;
};

static void do_see(struct fixture *base, void *context)
{
    struct sight *sight = context;
    (void)base;
    sight->resource =
        sight->key != NULL ? mesh_view_find(sight->sidecar->view, sight->kind, sight->key) : NULL;
    sight->count = mesh_view_count(sight->sidecar->view, sight->kind);
}

const struct mesh_resource *seen(struct sidecar *sidecar, enum mesh_kind kind, const char *key)
{
    struct sight sight = {.sidecar = sidecar, .kind = kind, .key = key};
    fixture_run(sidecar->fixture->mesh->base, do_see, &sight);
    return sight.resource;
}

size_t seen_count(struct sidecar *sidecar, enum mesh_kind kind)
{
    struct sight sight = {.sidecar = sidecar, .kind = kind};
    fixture_run(sidecar->fixture->mesh->base, do_see, &sight);
    return sight.count;
}

static bool has_sessions(struct registry_fixture *mesh, const void *context)
{
    const struct wish *wish = context;
    (void)mesh;
    return push_session_count(wish->fixture->push) == wish->count;
}

void wait_sessions(struct push_fixture *fixture, size_t count)
{
    const struct wish wish = {.fixture = fixture, .count = count};
    wait_until(fixture->mesh, has_sessions, &wish);
}
