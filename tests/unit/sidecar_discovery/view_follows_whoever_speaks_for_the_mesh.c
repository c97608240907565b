// SPDX-License-Identifier: GPL-3.0-or-later
//
// Discovery beside a control plane whose Mesh.Sync the test plays: deltas and acknowledgements, a
// refused delta, make before break, silence, stop at every turn.
#include "cases.h"
#include "control_fixture.h"
#include "fake_time.h"
#include "sidecar_parts.h"

#include "crypto/crypto.h"
#include "discovery/discovery.h"
#include "mesh/mesh_wire.h"
#include "metrics_catalogue.h"

#define HOST_ID "spiffe://td.test/ns/a/sa/host"
#define MAX_CALLS 16

// One Sync call as the service saw it.
struct sync {
    struct scene *scene;
    struct rpc_call *call; // NULL once closed
    bool has_resume;       // of its Hello
    char service[64];      // the first one subscribed to; "": none
    int hello_count;
    int ack_count;     // applied
    int refusal_count; // acknowledgements with an error
    int status_count;
    int goodbye_count;
    uint64_t acked; // version of the last one
    uint8_t hash[SHA256_BYTES];
};

struct scene {
    struct loop *loop;
    struct resolver *resolver;
    struct pki_authority authority;
    struct trust_snapshot *trust;
    struct tls_identity *identity;
    struct control_plane control;
    struct sidecar_config *config;
    struct metrics *metrics;
    struct metric_set *metric_set;
    struct discovery *discovery; // NULL once stopped
    struct sync calls[MAX_CALLS];
    size_t call_count;
    bool is_silent;    // never answers a Hello
    int changed_count; // on_changed calls
};

// --- The service ---

static void hash_piece(void *context, const void *bytes, size_t length)
{
    sha256_stream_update(context, bytes, length);
}

static void hash_of(const struct mesh_view *view, uint8_t out[SHA256_BYTES])
{
    struct sha256_stream *stream = sha256_stream_new();
    assert_non_null(stream);
    mesh_view_canonical(view, hash_piece, stream);
    sha256_stream_finish(stream, out);
}

// Sends these resources (ended by NULL; taken) as one delta.
static void send_delta(struct sync *sync, bool is_full, uint64_t number,
                       struct mesh_resource *const *puts)
{
    struct mesh_bytes resources[8];
    struct mesh_response_parts parts = {
        .version = version_of(1, number), .is_full = is_full, .resources = resources};
    uint8_t *bytes = NULL;
    size_t length = 0;
    for (; puts[parts.resource_count] != NULL; parts.resource_count++) {
        struct mesh_resource *resource = puts[parts.resource_count];
        assert_int_equal(
            mesh_wire_encode_resource(resource, &resources[parts.resource_count], NULL), RM_OK);
        mesh_resource_unref(resource);
    }
    parts.server_time_ms = 1700000000000;
    assert_int_equal(mesh_wire_encode_response(&parts, &bytes, &length), RM_OK);
    assert_int_equal(rpc_call_send(sync->call, bytes, length), RM_OK);
    rm_free(bytes);
    for (size_t i = 0; i < parts.resource_count; i++) {
        rm_free(resources[i].bytes);
    }
}

static enum rpc_status sync_on_open(void *context, struct rpc_call *call, const char **text)
{
    struct scene *scene = context;
    (void)text;
    assert_true(scene->call_count < MAX_CALLS);
    struct sync *sync = &scene->calls[scene->call_count++];
    *sync = (struct sync){.scene = scene, .call = call};
    rpc_call_set_context(call, sync);
    return RPC_OK;
}

static void sync_on_hello(struct sync *sync, const struct mesh_hello *hello)
{
    sync->hello_count++;
    sync->has_resume = hello->has_resume;
    if (hello->service_count > 0) {
        (void)snprintf(sync->service, sizeof(sync->service), "%s", hello->services[0]);
    }
    if (!sync->scene->is_silent) {
        send_delta(sync, true, 10, PUTS(make_service("web", 80, LIST(WEB_ID), LIST())));
    }
}

static void sync_on_message(void *context, struct rpc_call *call, const uint8_t *bytes,
                            size_t length)
{
    struct sync *sync = context;
    struct mesh_request request;
    (void)call;
    assert_int_equal(mesh_wire_decode_request(bytes, length, &request, NULL), RM_OK);
    switch (request.kind) {
    case MESH_REQUEST_HELLO:
        sync_on_hello(sync, &request.of.hello);
        break;
    case MESH_REQUEST_ACK:
        sync->acked = request.of.ack.version.number;
        memcpy(sync->hash, request.of.ack.view_hash, sizeof(sync->hash));
        if (request.of.ack.error != NULL && request.of.ack.error[0] != '\0') {
            sync->refusal_count++;
        } else {
            sync->ack_count++;
        }
        break;
    case MESH_REQUEST_STATUS:
        sync->status_count++;
        break;
    case MESH_REQUEST_GOODBYE:
        sync->goodbye_count++;
        break;
    case MESH_REQUEST_NONE:
    case MESH_REQUEST_SUBSCRIBE:
        break;
    }
    mesh_request_deinit(&request);
}

static void sync_on_half_close(void *context, struct rpc_call *call)
{
    (void)context;
    rpc_call_end(call, RPC_OK, NULL);
}

static void sync_on_close(void *context, struct rpc_call *call, enum rpc_status status)
{
    (void)call;
    (void)status;
    ((struct sync *)context)->call = NULL;
}

static const struct rpc_method methods[] = {{
    .path = "/remora.mesh.v1.Mesh/Sync",
    .is_client_streaming = true,
    .is_server_streaming = true,
    .on_open = sync_on_open,
    .on_message = sync_on_message,
    .on_half_close = sync_on_half_close,
    .on_close = sync_on_close,
}};

// --- The sidecar's side ---

static void scene_on_changed(void *context, struct mesh_view *view)
{
    struct scene *scene = context;
    assert_non_null(view);
    scene->changed_count++;
}

static struct sidecar_config *config_for(const struct scene *scene, const char *service)
{
    char yaml[512];
    (void)snprintf(yaml, sizeof(yaml),
                   "identity: {control: {address: '%s', trust_domain: td.test, state_dir: /s}}\n"
                   "outbound: [{listen: '127.0.0.1:1', service: %s}]\n",
                   scene->control.address, service);
    return config_of(yaml);
}

static void scene_start(struct scene *scene)
{
    assert_int_equal(discovery_start(scene->loop, scene->resolver, scene->config, scene->metric_set,
                                     scene_on_changed, scene, &scene->discovery),
                     RM_OK);
}

static int scene_setup(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    scene->loop = loop_new("test");
    pki_authority_init(&scene->authority, "td.test");
    scene->trust = pki_trust("td.test", &scene->authority, NULL);
    scene->identity = pki_identity(&scene->authority, &(struct pki_recipe){.spiffe_id = HOST_ID});
    assert_int_equal(resolver_open(scene->loop, &scene->resolver, NULL), RM_OK);
    control_plane_start(&scene->control, scene->loop, &scene->authority, CONTROL_ID, scene->trust);
    assert_int_equal(rpc_server_add(scene->control.rpc, methods, 1, scene), RM_OK);
    scene->metrics = metrics_new(sidecar_metric_catalogue, SIDECAR_METRIC_COUNT);
    scene->metric_set = metrics_set_new(scene->metrics);
    scene->config = config_for(scene, "web");
    scene_start(scene);
    *state = scene;
    return 0;
}

static void scene_on_stopped(void *context)
{
    ((struct scene *)context)->discovery = NULL;
}

static bool is_stopped(void *context)
{
    return ((struct scene *)context)->discovery == NULL;
}

static void scene_stop(struct scene *scene)
{
    discovery_stop(scene->discovery, scene_on_stopped, scene);
    world_until(scene->loop, is_stopped, scene);
}

static int scene_teardown(void **state)
{
    struct scene *scene = *state;
    scene_stop(scene);
    control_plane_stop(&scene->control);
    resolver_close(scene->resolver);
    world_end(scene->loop);
    metrics_free(scene->metrics);
    sidecar_config_unref(scene->config);
    tls_identity_unref(scene->identity);
    trust_unref(scene->trust);
    pki_authority_deinit(&scene->authority);
    free(scene);
    return 0;
}

static void use_identity(struct scene *scene)
{
    discovery_set_identity(scene->discovery, scene->identity, scene->trust);
}

struct wish {
    struct scene *scene;
    size_t call; // number
    int acks;    // of it
    int refusals;
};

static bool has_come(void *context)
{
    const struct wish *wish = context;
    const struct sync *sync = &wish->scene->calls[wish->call];
    return wish->scene->call_count > wish->call && sync->hello_count > 0 &&
           sync->ack_count >= wish->acks && sync->refusal_count >= wish->refusals;
}

static void expect_acks(struct scene *scene, size_t call, int acks)
{
    struct wish wish = {.scene = scene, .call = call, .acks = acks};
    world_until(scene->loop, has_come, &wish);
}

// Time goes on until there is another call.
static void expect_call_in_time(struct scene *scene, size_t count)
{
    for (int i = 0; scene->call_count < count; i++) {
        assert_true(i < 1000);
        world_turns(scene->loop, 20);
        fake_time_jump(scene->loop, 1000);
    }
}

static void deltas_make_the_view_and_are_acknowledged(void **state)
{
    struct scene *scene = *state;
    uint8_t hash[SHA256_BYTES];
    world_turns(scene->loop, 20);
    assert_int_equal(scene->call_count, 0); // without an identity nobody is asked
    assert_false(mesh_view_is_complete(discovery_view(scene->discovery)));
    use_identity(scene);
    expect_acks(scene, 0, 1);
    assert_false(scene->calls[0].has_resume);
    assert_string_equal(scene->calls[0].service, "web");
    send_delta(&scene->calls[0], false, 11,
               PUTS(make_endpoint("web/1", "10.0.0.1:15008", WEB_ID, "")));
    expect_acks(scene, 0, 2);
    const struct mesh_view *view = discovery_view(scene->discovery);
    assert_true(mesh_view_is_complete(view));
    assert_int_equal(mesh_view_count(view, MESH_ENDPOINT), 1);
    assert_int_equal(scene->calls[0].acked, 11);
    hash_of(view, hash);
    assert_memory_equal(scene->calls[0].hash, hash, sizeof(hash));
    assert_int_equal(scene->changed_count, 2);
    assert_true(discovery_is_connected(scene->discovery));
    assert_true(discovery_last_heard_mono_ms(scene->discovery) > 0);
}

static void delta_that_does_not_fit_keeps_the_view_and_asks_for_all(void **state)
{
    struct scene *scene = *state;
    use_identity(scene);
    expect_acks(scene, 0, 1);
    const struct mesh_view *before = discovery_view(scene->discovery);
    scene->is_silent = true;               // at the next Hello
    send_delta(&scene->calls[0], false, 9, // back in time
               PUTS(make_service("cache", 6379, LIST(CACHE_ID), LIST())));
    expect_call_in_time(scene, 2);
    assert_ptr_equal(discovery_view(scene->discovery), before);
    assert_int_equal(scene->changed_count, 1);
    expect_acks(scene, 1, 0);
    assert_false(scene->calls[1].has_resume);
    send_delta(&scene->calls[1], true, 12, PUTS(make_service("web", 80, LIST(WEB_ID), LIST())));
    expect_acks(scene, 1, 1);
}

static void renewal_makes_before_it_breaks(void **state)
{
    struct scene *scene = *state;
    use_identity(scene);
    expect_acks(scene, 0, 1);
    scene->is_silent = true;
    use_identity(scene);
    expect_acks(scene, 1, 0); // says Hello beside the first
    assert_true(scene->calls[1].has_resume);
    world_turns(scene->loop, 100);
    assert_non_null(scene->calls[0].call);
    // The first still speaks.
    send_delta(&scene->calls[0], false, 11, PUTS());
    expect_acks(scene, 0, 2);
    send_delta(&scene->calls[1], false, 12, PUTS());
    expect_acks(scene, 1, 1);
    for (int i = 0; scene->calls[0].call != NULL; i++) {
        assert_true(i < 1000);
        world_turns(scene->loop, 5);
    }
    assert_non_null(scene->calls[1].call);
    assert_true(discovery_is_connected(scene->discovery));
}

static void reload_during_a_reconnect_counts(void **state)
{
    struct scene *scene = *state;
    scene->is_silent = true;
    use_identity(scene);
    expect_acks(scene, 0, 0);
    assert_string_equal(scene->calls[0].service, "web");
    struct sidecar_config *config = config_for(scene, "cache");
    discovery_configure(scene->discovery, config);
    sidecar_config_unref(config);
    // At once, not when the silence of the first is noticed.
    for (int i = 0; scene->call_count < 2; i++) {
        assert_true(i < 1000);
        world_turns(scene->loop, 5);
    }
    expect_acks(scene, 1, 0);
    assert_string_equal(scene->calls[1].service, "cache");
}

static void silence_ends_a_session(void **state)
{
    struct scene *scene = *state;
    scene->is_silent = true;
    use_identity(scene);
    expect_acks(scene, 0, 0);
    world_turns(scene->loop, 50);
    assert_int_equal(scene->call_count, 1);
    fake_time_jump(scene->loop, 16000); // no first response
    scene->is_silent = false;
    expect_call_in_time(scene, 2);
    expect_acks(scene, 1, 1);
    fake_time_jump(scene->loop, 50000); // a heartbeat came late, yet it came
    world_turns(scene->loop, 50);
    send_delta(&scene->calls[1], false, 11, PUTS());
    expect_acks(scene, 1, 2);
    fake_time_jump(scene->loop, 60000);
    world_turns(scene->loop, 50);
    assert_int_equal(scene->call_count, 2);
    fake_time_jump(scene->loop, 60000); // and then nothing more
    expect_call_in_time(scene, 3);
    assert_true(scene->calls[2].has_resume);
}

static void status_follows_and_goodbye_is_said(void **state)
{
    struct scene *scene = *state;
    struct certs_status status = {.not_after_s = 5, .serial = {1}, .serial_length = 1};
    use_identity(scene);
    discovery_report(scene->discovery, &status); // before anyone listens: kept
    expect_acks(scene, 0, 1);
    world_turns(scene->loop, 50);
    assert_int_equal(scene->calls[0].status_count, 1);
    discovery_report(scene->discovery, &status);
    discovery_goodbye(scene->discovery);
    world_turns(scene->loop, 100);
    assert_int_equal(scene->calls[0].status_count, 2);
    assert_int_equal(scene->calls[0].goodbye_count, 1);
    assert_non_null(scene->calls[0].call); // it stays open until the stop
    rpc_call_end(scene->calls[0].call, RPC_UNAVAILABLE, NULL);
    for (int i = 0; i < 40; i++) {
        world_turns(scene->loop, 5);
        fake_time_jump(scene->loop, 1000);
    }
    assert_int_equal(scene->call_count, 1); // who left does not come back
}

static void stop_works_at_every_turn(void **state)
{
    struct scene *scene = *state;
    for (unsigned turns = 0; turns < 60; turns++) {
        scene->call_count = 0;
        use_identity(scene);
        world_turns(scene->loop, turns);
        scene_stop(scene);
        world_turns(scene->loop, 30);
        scene_start(scene);
    }
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(deltas_make_the_view_and_are_acknowledged),
        SCENE_TEST(delta_that_does_not_fit_keeps_the_view_and_asks_for_all),
        SCENE_TEST(renewal_makes_before_it_breaks),
        SCENE_TEST(reload_during_a_reconnect_counts),
        SCENE_TEST(silence_ends_a_session),
        SCENE_TEST(status_follows_and_goodbye_is_said),
        SCENE_TEST(stop_works_at_every_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
