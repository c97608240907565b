// SPDX-License-Identifier: GPL-3.0-or-later
#include "service_fixture.h"

#include <stdio.h>

#include "base/alloc.h"
#include "stream/memory.h"

static struct trust_snapshot *give_trust(void *context)
{
    return ((struct service_fixture *)context)->trust;
}

static void do_setup(struct fixture *base, void *context)
{
    struct service_fixture *fixture = context;
    const struct trust_source source = {give_trust, fixture};
    const struct access_options access = {
        .trust_domain = TEST_DOMAIN, .admin_group = GROUP_NONE, .source = source};
    fixture->trust = trust_ref(authority_trust(fixture->attest->ca->authority));
    assert_int_equal(access_new(&access, &fixture->access), RM_OK);
    const struct identity_options options = {.attest = fixture->attest->attest,
                                             .access = fixture->access,
                                             .trust_domain = TEST_DOMAIN,
                                             .source = source};
    fixture->server = rpc_server_new(base->loop);
    assert_int_equal(identity_service_new(&options, fixture->server, &fixture->service), RM_OK);
}

int service_fixture_setup(void **state)
{
    struct service_fixture *fixture = rm_calloc(1, sizeof *fixture);
    void *attest = NULL;
    attest_fixture_setup(&attest);
    fixture->attest = attest;
    fixture_run(fixture->attest->ca->base, do_setup, fixture);
    service_fixture_connect(fixture, NULL);
    *state = fixture;
    return 0;
}

static void on_client_end(void *context, enum rm_err reason, const char *detail)
{
    struct service_fixture *fixture = context;
    (void)reason;
    (void)detail;
    fixture->client = NULL;
    fixture_count(fixture->attest->ca->base, &fixture->ended);
}

struct connect {
    struct service_fixture *fixture;
    struct peer *peer;
};

static void do_connect(struct fixture *base, void *context)
{
    struct connect *connect = context;
    struct stream *ours = NULL;
    struct stream *theirs = NULL;
    assert_int_equal(memory_stream_pair(base->loop, 65536, &ours, &theirs), RM_OK);
    if (connect->peer != NULL) {
        memory_stream_set_peer(theirs, connect->peer);
    }
    assert_int_equal(rpc_server_accept(connect->fixture->server, theirs), RM_OK);
    assert_int_equal(
        rpc_client_new(ours, "test", on_client_end, connect->fixture, &connect->fixture->client),
        RM_OK);
}

void service_fixture_connect(struct service_fixture *fixture, struct peer *peer)
{
    struct connect connect = {fixture, peer};
    fixture_run(fixture->attest->ca->base, do_connect, &connect);
}

static void do_disconnect(struct fixture *base, void *context)
{
    struct service_fixture *fixture = context;
    (void)base;
    if (fixture->client != NULL) {
        rpc_client_abort(fixture->client, RM_ERR_CANCELLED);
    }
}

void service_fixture_disconnect(struct service_fixture *fixture)
{
    size_t before = fixture->ended;
    fixture_run(fixture->attest->ca->base, do_disconnect, fixture);
    fixture_wait(fixture->attest->ca->base, &fixture->ended, before + 1);
}

static void on_drained(void *context)
{
    struct service_fixture *fixture = context;
    fixture_count(fixture->attest->ca->base, &fixture->drained);
}

static void do_drain(struct fixture *base, void *context)
{
    struct service_fixture *fixture = context;
    (void)base;
    rpc_server_drain(fixture->server, 0, on_drained, fixture);
}

static void do_teardown(struct fixture *base, void *context)
{
    struct service_fixture *fixture = context;
    (void)base;
    rpc_server_free(fixture->server);
    identity_service_free(fixture->service);
    access_free(fixture->access);
    trust_unref(fixture->trust);
}

int service_fixture_teardown(void **state)
{
    struct service_fixture *fixture = *state;
    struct fixture *base = fixture->attest->ca->base;
    service_fixture_disconnect(fixture);
    fixture_run(base, do_drain, fixture);
    fixture_wait(base, &fixture->drained, 1);
    fixture_run(base, do_teardown, fixture);
    void *attest = fixture->attest;
    attest_fixture_teardown(&attest);
    rm_free(fixture);
    return 0;
}

// --- Calls.

static void on_message(void *context, struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    struct reply *reply = context;
    (void)call;
    buffer_clear(&reply->message);
    assert_int_equal(buffer_append(&reply->message, bytes, length), RM_OK);
    fixture_count(reply->fixture->attest->ca->base, &reply->messages);
}

static void on_close(void *context, struct rpc_call *call, enum rpc_status status, const char *text)
{
    struct reply *reply = context;
    (void)call;
    reply->call = NULL;
    reply->status = status;
    snprintf(reply->text, sizeof reply->text, "%s", text != NULL ? text : "");
    fixture_count(reply->fixture->attest->ca->base, &reply->closed);
}

static const struct rpc_client_handler handler = {.on_message = on_message, .on_close = on_close};

struct start {
    struct reply *reply;
    const char *method;
    const void *message;
    size_t length;
};

static void do_start(struct fixture *base, void *context)
{
    struct start *start = context;
    struct reply *reply = start->reply;
    (void)base;
    assert_int_equal(
        rpc_client_call(reply->fixture->client, start->method, 0, &handler, reply, &reply->call),
        RM_OK);
    assert_int_equal(rpc_call_send(reply->call, start->message, start->length), RM_OK);
    assert_int_equal(rpc_call_half_close(reply->call), RM_OK);
}

void reply_start(struct service_fixture *fixture, const char *method, const void *message,
                 size_t length, struct reply *reply)
{
    *reply = (struct reply){.fixture = fixture};
    buffer_init(&reply->message, RPC_MAX_MESSAGE_BYTES);
    struct start start = {reply, method, message, length};
    fixture_run(fixture->attest->ca->base, do_start, &start);
}

void reply_wait(struct reply *reply)
{
    fixture_wait(reply->fixture->attest->ca->base, &reply->closed, 1);
}

void reply_wait_messages(struct reply *reply, size_t count)
{
    fixture_wait(reply->fixture->attest->ca->base, &reply->messages, count);
}

static void do_cancel(struct fixture *base, void *context)
{
    struct reply *reply = context;
    (void)base;
    if (reply->call != NULL) {
        rpc_call_cancel(reply->call);
    }
}

void reply_cancel(struct reply *reply)
{
    fixture_run(reply->fixture->attest->ca->base, do_cancel, reply);
    reply_wait(reply);
}

void reply_free(struct reply *reply)
{
    buffer_deinit(&reply->message);
}

static void put_field(struct buffer *out, uint8_t tag, const void *bytes, size_t length)
{
    uint8_t head[] = {tag, (uint8_t)length, 0};
    size_t head_length = 2;
    assert_true(length < 16384);
    if (length >= 0x80) {
        head[1] = (uint8_t)(0x80 | (length & 0x7f));
        head[2] = (uint8_t)(length >> 7);
        head_length = 3;
    }
    assert_int_equal(buffer_append(out, head, head_length), RM_OK);
    assert_int_equal(buffer_append(out, bytes, length), RM_OK);
}

void issue_request(struct buffer *out, const struct workload *workload, const char *join_token)
{
    buffer_init(out, 65536);
    put_field(out, 0x0a, workload->csr, workload->csr_length);
    if (join_token != NULL) {
        put_field(out, 0x12, join_token, strlen(join_token));
    }
}
