// SPDX-License-Identifier: GPL-3.0-or-later
#include "tunnel_world.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "cases.h"
#include "inbound/inbound.h"
#include "metrics_catalogue.h"
#include "outbound/outbound.h"
#include "stream/memory.h"

#define CONTROL                                                                                    \
    "identity: {control: {address: 'c:1', trust_domain: td.test, join_token_file: /x}}\n"
#define FILES "identity: {files: {certificate: /x, key: /x, bundle: /x}}\n"

// --- Parties ---

static void party_on_event(void *context, unsigned events)
{
    struct party *party = context;
    size_t length = 0;
    (void)events;
    enum rm_err result = stream_read(party->stream, (uint8_t *)party->bytes + party->length,
                                     sizeof(party->bytes) - 1 - party->length, &length);
    if (result == RM_ERR_WOULD_BLOCK) {
        return;
    }
    if (result != RM_OK) {
        party->end = result;
        stream_want(party->stream, 0);
        return;
    }
    if (party->must_echo) {
        size_t written = 0;
        result = stream_write_bytes(party->stream, party->bytes + party->length, length, &written);
        // Who is cut off meanwhile learns it when reading.
        if (result == RM_OK) {
            assert_int_equal(written, length);
        }
    }
    party->length += length;
    party->bytes[party->length] = '\0';
}

void party_begin(struct party *party, struct stream *stream)
{
    bool must_echo = party->must_echo;
    memset(party, 0, sizeof(*party));
    party->must_echo = must_echo;
    party->stream = stream;
    stream_own(stream, party_on_event, party);
    stream_want(stream, STREAM_READ);
}

void party_send(struct party *party, const char *text)
{
    size_t written = 0;
    assert_int_equal(stream_write_bytes(party->stream, text, strlen(text), &written), RM_OK);
    assert_int_equal(written, strlen(text));
}

void party_close(struct party *party, enum stream_close_mode mode)
{
    if (party->stream != NULL) {
        stream_close(party->stream, mode, NULL, NULL);
        party->stream = NULL;
    }
}

// --- Sidecars ---

static struct snapshot *snapshot_of(struct tunnel_world *world, struct sidecar *sidecar,
                                    const char *yaml, struct mesh_view *view)
{
    struct sidecar_config *config = config_of(yaml);
    sidecar_config_unref(sidecar->config);
    sidecar->config = config;
    struct mesh_view *used = view != NULL ? view : mesh_view_empty();
    struct snapshot *snapshot = snapshot_new(sidecar->config, sidecar->identity, world->trust, used,
                                             0, ++world->generation, NULL, 0);
    assert_non_null(snapshot);
    mesh_view_unref(used);
    return snapshot;
}

void sidecar_adopt(struct tunnel_world *world, struct sidecar *sidecar, const char *yaml,
                   struct mesh_view *view)
{
    struct snapshot *snapshot = snapshot_of(world, sidecar, yaml, view);
    worker_adopt(&sidecar->worker, snapshot);
    snapshot_unref(snapshot);
}

static void sidecar_init(struct tunnel_world *world, struct sidecar *sidecar, const char *id)
{
    sidecar->metrics = metrics_new(sidecar_metric_catalogue, SIDECAR_METRIC_COUNT);
    sidecar->identity = pki_identity(&world->authority, &(struct pki_recipe){.spiffe_id = id});
    struct snapshot *snapshot = snapshot_of(world, sidecar, FILES, NULL);
    assert_int_equal(worker_init(&sidecar->worker, 0, world->loop,
                                 metrics_set_new(sidecar->metrics), snapshot, NULL, NULL),
                     RM_OK);
    snapshot_unref(snapshot);
}

static void sidecar_deinit(struct sidecar *sidecar)
{
    worker_deinit(&sidecar->worker);
    sidecar_config_unref(sidecar->config);
    tls_identity_unref(sidecar->identity);
}

void client_calls(struct tunnel_world *world, const char *address, const char *identity)
{
    char yaml[512];
    (void)snprintf(yaml, sizeof(yaml),
                   FILES "outbound:\n  - {listen: '127.0.0.1:1', service: web, port: 80, "
                         "endpoint: '%s', identity: '%s'}\n",
                   address, identity);
    sidecar_adopt(world, &world->client, yaml, NULL);
}

void server_hosts(struct tunnel_world *world, const char *allow)
{
    char yaml[512];
    (void)snprintf(yaml, sizeof(yaml),
                   FILES "inbound:\n  services: [{name: web, port: 80, target: '%s', allow: "
                         "['%s']}]\n  edges: [{listen: '127.0.0.1:1', service: web}]\n",
                   world->application_address, allow);
    sidecar_adopt(world, &world->server, yaml, NULL);
}

void client_has_view(struct tunnel_world *world, const char *const *addresses)
{
    struct mesh_resource *puts[10] = {
        make_service("web", 80, LIST(SERVER_ID), LIST()),
    };
    for (size_t i = 0; addresses[i] != NULL; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "web/%zu", i);
        puts[i + 1] = make_endpoint(key, addresses[i], SERVER_ID, "");
    }
    sidecar_adopt(world, &world->client,
                  CONTROL "outbound: [{listen: '127.0.0.1:1', service: web}]\n", full_view(puts));
}

void world_call(struct tunnel_world *world, const char *text)
{
    struct stream *near = NULL;
    struct stream *far = NULL;
    assert_int_equal(memory_stream_pair(world->loop, 65536, &near, &far), RM_OK);
    party_close(&world->before, STREAM_CLOSE_ABORT);
    party_begin(&world->before, near);
    if (text != NULL) {
        party_send(&world->before, text);
    }
    const struct sidecar_outbound *targets = world->client.config->outbound.items;
    outbound_accept(&world->client.worker, far, &targets[0]);
}

// --- Listeners ---

static void world_on_tunnel(void *context, struct stream *stream)
{
    struct tunnel_world *world = context;
    inbound_accept(&world->server.worker, stream);
}

static void world_on_edge(void *context, struct stream *stream)
{
    struct tunnel_world *world = context;
    inbound_accept_edge(&world->server.worker, stream, 0);
}

static void world_on_application(void *context, struct stream *stream)
{
    struct tunnel_world *world = context;
    world->application_count++;
    party_close(&world->behind, STREAM_CLOSE_ABORT);
    if (world->refuses_behind) {
        stream_close(stream, STREAM_CLOSE_ABORT, NULL, NULL);
    } else {
        party_begin(&world->behind, stream);
    }
}

static struct listener *listen_on_loopback(struct loop *loop, listener_fn on_accept, void *context,
                                           char address[32])
{
    struct listener *listener = NULL;
    struct listener_options options = {.unix_uid = -1, .unix_gid = -1};
    char text[STREAM_ADDRESS_TEXT_BYTES];
    assert_int_equal(socket_address_parse("127.0.0.1:0", &options.address, NULL), RM_OK);
    assert_int_equal(listener_open(loop, &options, on_accept, context, &listener, NULL), RM_OK);
    stream_address_text(listener_address(listener), text);
    (void)snprintf(address, 32, "%.31s", text);
    return listener;
}

// --- The false peer ---

static void liar_on_event(void *context, unsigned events)
{
    struct false_peer *liar = context;
    uint8_t bytes[4096];
    size_t length = 0;
    (void)events;
    struct stream **stream = &liar->streams[liar->stream_count - 1];
    if (stream_read(*stream, bytes, sizeof(bytes), &length) == RM_ERR_WOULD_BLOCK) {
        return;
    }
    stream_want(*stream, 0);
    switch (liar->manners) {
    case FALSE_SILENT:
        return;
    case FALSE_ANSWERS:
        assert_int_equal(stream_write_bytes(*stream, liar->answer, liar->answer_length, &length),
                         RM_OK);
        return;
    case FALSE_CLOSES:
    case FALSE_RESETS:
        stream_close(*stream,
                     liar->manners == FALSE_CLOSES ? STREAM_CLOSE_ORDERLY : STREAM_CLOSE_ABORT,
                     NULL, NULL);
        *stream = NULL;
        return;
    }
}

static void liar_on_ready(void *context, enum rm_err result, const struct tls_failure *failure)
{
    struct false_peer *liar = context;
    struct stream *stream = liar->streams[liar->stream_count - 1];
    (void)failure;
    if (result == RM_OK) {
        stream_own(stream, liar_on_event, liar);
        stream_want(stream, STREAM_READ);
    }
}

static void liar_on_accept(void *context, struct stream *stream)
{
    struct false_peer *liar = context;
    struct tls_session_options options = {.tls = liar->tls};
    liar->accepted_count++;
    assert_true(liar->stream_count < 8);
    assert_int_equal(
        tls_accept(stream, &options, liar_on_ready, liar, &liar->streams[liar->stream_count++]),
        RM_OK);
}

void liar_start(struct tunnel_world *world, enum false_manners manners)
{
    struct false_peer *liar = &world->liar;
    liar->manners = manners;
    liar->tls = pki_context(world->server.identity, world->trust);
    liar->listener = listen_on_loopback(world->loop, liar_on_accept, liar, liar->address);
}

static void liar_stop(struct false_peer *liar)
{
    if (liar->listener == NULL) {
        return;
    }
    listener_close(liar->listener, false);
    for (size_t i = 0; i < liar->stream_count; i++) {
        if (liar->streams[i] != NULL) {
            stream_close(liar->streams[i], STREAM_CLOSE_ABORT, NULL, NULL);
        }
    }
    tls_context_unref(liar->tls);
}

// --- The world ---

int tunnel_world_setup(void **state)
{
    struct tunnel_world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->loop = loop_new("test");
    pki_authority_init(&world->authority, "td.test");
    world->trust = pki_trust("td.test", &world->authority, NULL);
    sidecar_init(world, &world->client, CLIENT_ID);
    sidecar_init(world, &world->server, SERVER_ID);
    world->tunnel = listen_on_loopback(world->loop, world_on_tunnel, world, world->tunnel_address);
    world->edge = listen_on_loopback(world->loop, world_on_edge, world, world->edge_address);
    world->application =
        listen_on_loopback(world->loop, world_on_application, world, world->application_address);
    world->behind.must_echo = true;
    server_hosts(world, "spiffe://td.test/**");
    client_calls(world, world->tunnel_address, SERVER_ID);
    *state = world;
    return 0;
}

static bool is_quiet(void *context)
{
    struct tunnel_world *world = context;
    return world->client.worker.connection_count == 0 && world->server.worker.connection_count == 0;
}

void expect_quiet(struct tunnel_world *world)
{
    world_until(world->loop, is_quiet, world);
}

int tunnel_world_teardown(void **state)
{
    struct tunnel_world *world = *state;
    party_close(&world->before, STREAM_CLOSE_ABORT);
    party_close(&world->behind, STREAM_CLOSE_ABORT);
    liar_stop(&world->liar);
    worker_cut_all(&world->client.worker, FAULT_DRAIN_DEADLINE);
    worker_cut_all(&world->server.worker, FAULT_DRAIN_DEADLINE);
    expect_quiet(world);
    listener_close(world->tunnel, false);
    listener_close(world->edge, false);
    listener_close(world->application, false);
    sidecar_deinit(&world->client);
    sidecar_deinit(&world->server);
    world_end(world->loop);
    metrics_free(world->client.metrics);
    metrics_free(world->server.metrics);
    trust_unref(world->trust);
    pki_authority_deinit(&world->authority);
    free(world);
    return 0;
}

struct wish {
    struct tunnel_world *world;
    const char *text;
    enum rm_err end;
};

static bool has_come(void *context)
{
    const struct wish *wish = context;
    const struct party *before = &wish->world->before;
    if (before->end != RM_OK) {
        fail_msg("ended with %s before '%s' came", rm_err_name(before->end), wish->text);
    }
    return strcmp(before->bytes, wish->text) == 0;
}

void expect_before(struct tunnel_world *world, const char *text)
{
    struct wish wish = {.world = world, .text = text};
    world_until(world->loop, has_come, &wish);
}

static bool has_ended(void *context)
{
    return ((struct tunnel_world *)context)->before.end != RM_OK;
}

void expect_end(struct tunnel_world *world, enum rm_err end)
{
    world_until(world->loop, has_ended, world);
    assert_string_equal(rm_err_name(world->before.end), rm_err_name(end));
}

int result_count(const struct sidecar *sidecar, const char *direction, const char *result)
{
    struct buffer text;
    char start[64];
    char middle[96];
    int count = 0;
    buffer_init(&text, 1U << 20);
    assert_int_equal(metrics_write(sidecar->metrics, &text), RM_OK);
    assert_int_equal(buffer_append(&text, "", 1), RM_OK);
    (void)snprintf(start, sizeof(start), "remora_connections_total{direction=\"%s\"", direction);
    (void)snprintf(middle, sizeof(middle), "result=\"%s\"} ", result);
    const char *line = (const char *)buffer_data(&text);
    for (; line != NULL; line = strchr(line, '\n') != NULL ? strchr(line, '\n') + 1 : NULL) {
        const char *found = strstr(line, middle);
        const char *end = strchr(line, '\n');
        if (strncmp(line, start, strlen(start)) == 0 && found != NULL && found < end) {
            count += atoi(found + strlen(middle));
        }
    }
    buffer_deinit(&text);
    return count;
}
