// SPDX-License-Identifier: GPL-3.0-or-later
#include "rpc_fixture.h"

// An HTTP/2 server that answers every request with what the row says.
struct row {
    const char *status;       // :status
    const char *content_type; // NULL: none
    const char *body;         // after the headers
    size_t body_length;       // of body
    const char *grpc_status;  // in trailers; NULL: the body ends without
    const char *grpc_message; // NULL: none
    bool is_trailers_only;    // status and message come in the headers
    enum rpc_status expected; // what the call must end with
    int message_count;        // that the caller must have seen
};

#define OK_BODY "\0\0\0\0\2hi", 7
static const struct row rows[] = {
    {"200", "application/grpc", OK_BODY, "0", NULL, false, RPC_OK, 1},
    {"200", "application/grpc+proto", OK_BODY, "0", NULL, false, RPC_OK, 1},
    {"200", "application/grpc", OK_BODY, "5", "gone%20away", false, RPC_NOT_FOUND, 1},
    {"200", "application/grpc", "", 0, "7", "no", true, RPC_PERMISSION_DENIED, 0},
    {"200", "application/grpc", "", 0, NULL, NULL, true, RPC_UNKNOWN, 0},
    {"200", "application/grpc", OK_BODY, "17", NULL, false, RPC_UNKNOWN, 1},
    {"200", "application/grpc", OK_BODY, "", NULL, false, RPC_UNKNOWN, 1},
    {"200", "application/grpc", OK_BODY, NULL, NULL, false, RPC_INTERNAL, 1},          // no status
    {"200", "application/grpc", "\0\0\0\0\5hi", 7, "0", NULL, false, RPC_INTERNAL, 0}, // cut
    {"200", "application/grpc", "\0\0\0", 3, "0", NULL, false, RPC_INTERNAL, 0},
    {"200", "application/grpc", "\1\0\0\0\2hi", 7, "0", NULL, false, RPC_INTERNAL, 0},
    {"200", "application/grpc", "\0\0\x40\0\1x", 6, "0", NULL, false, RPC_RESOURCE_EXHAUSTED, 0},
    {"200", "text/html", "<html>", 6, NULL, NULL, false, RPC_UNKNOWN, 0},
    {"200", NULL, OK_BODY, "0", NULL, false, RPC_UNKNOWN, 0},
    {"400", "text/html", "", 0, NULL, NULL, false, RPC_INTERNAL, 0},
    {"401", "text/html", "", 0, NULL, NULL, false, RPC_UNAUTHENTICATED, 0},
    {"403", "text/html", "", 0, NULL, NULL, false, RPC_PERMISSION_DENIED, 0},
    {"404", "application/grpc", OK_BODY, "0", NULL, false, RPC_UNIMPLEMENTED, 0},
    {"429", "text/html", "", 0, NULL, NULL, false, RPC_UNAVAILABLE, 0},
    {"502", "text/html", "", 0, NULL, NULL, false, RPC_UNAVAILABLE, 0},
    {"503", "text/html", "", 0, NULL, NULL, false, RPC_UNAVAILABLE, 0},
    {"504", "text/html", "", 0, NULL, NULL, false, RPC_UNAVAILABLE, 0},
    {"418", "text/html", "", 0, NULL, NULL, false, RPC_UNKNOWN, 0},
};

static const struct row *current;
static struct h2_session *session;
static struct h2_stream *stream_of_call;
static char request_head[2048];

static struct h2_header field(const char *name, const char *value)
{
    return (struct h2_header){name, value, strlen(name), strlen(value)};
}

static void respond(const struct row *row)
{
    struct h2_header head[4];
    size_t count = 0;
    head[count++] = field(":status", row->status);
    if (row->content_type != NULL) {
        head[count++] = field("content-type", row->content_type);
    }
    if (row->is_trailers_only && row->grpc_status != NULL) {
        head[count++] = field("grpc-status", row->grpc_status);
        head[count++] = field("grpc-message", row->grpc_message);
    }
    assert_int_equal(h2_stream_respond(stream_of_call, head, count, row->is_trailers_only), RM_OK);
    if (row->is_trailers_only) {
        return;
    }
    assert_int_equal(
        h2_stream_send(stream_of_call, row->body, row->body_length, row->grpc_status == NULL),
        RM_OK);
    if (row->grpc_status != NULL) {
        struct h2_header trailers[2] = {field("grpc-status", row->grpc_status)};
        size_t trailer_count = 1;
        if (row->grpc_message != NULL) {
            trailers[trailer_count++] = field("grpc-message", row->grpc_message);
        }
        assert_int_equal(h2_stream_trailers(stream_of_call, trailers, trailer_count), RM_OK);
    }
}

static void on_headers(void *context, const struct h2_header *headers, size_t count,
                       bool is_trailer, bool is_end)
{
    (void)context;
    (void)is_trailer;
    (void)is_end;
    request_head[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        strcat(request_head, headers[i].name);
        strcat(request_head, "=");
        strcat(request_head, headers[i].value);
        strcat(request_head, "\n");
    }
}

static void on_data(void *context, const uint8_t *bytes, size_t length)
{
    (void)context;
    (void)bytes;
    (void)length;
}

static void on_end(void *context)
{
    (void)context;
    respond(current);
}

static void on_writable(void *context)
{
    (void)context;
}

static void on_close(void *context, uint32_t code)
{
    (void)context;
    (void)code;
}

static const struct h2_stream_handler handler = {on_headers, on_data, on_end, on_writable,
                                                 on_close};

static enum rm_err on_stream(void *context, struct h2_stream *stream,
                             const struct h2_stream_handler **out, void **out_context)
{
    (void)context;
    stream_of_call = stream;
    *out = &handler;
    *out_context = NULL;
    return RM_OK;
}

static void on_session_end(void *context, enum rm_err reason, const char *detail)
{
    (void)context;
    (void)reason;
    (void)detail;
    session = NULL;
}

static const struct h2_session_handler session_handler = {on_stream, on_session_end};

static struct world *start(void)
{
    struct stream *end = NULL;
    struct world *world = world_new_client(&end);
    assert_int_equal(h2_server_new(end, &session_handler, NULL, &session), RM_OK);
    return world;
}

static bool ask(void *context)
{
    struct record *record = call_open(context, "/test.T/Unary", 1234);
    call_send(record, 3);
    call_finish(record);
    return true;
}

static bool close_all(void *context)
{
    (void)context;
    if (session != NULL) {
        h2_session_abort(session, RM_ERR_CANCELLED);
    }
    return true;
}

static void each_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        current = &rows[i];
        struct world *world = start();
        world_run(world, (const scenario_step_fn[]){ask, step_first_closed, close_all, NULL});
        struct record *record = &world->client_calls[0];
        if (record->status != current->expected ||
            record->message_count != current->message_count) {
            fail_msg("row %zu: %s, %d messages", i, rpc_status_name(record->status),
                     record->message_count);
        }
        if (current->grpc_message != NULL && current->grpc_message[0] == 'g') {
            assert_string_equal(record->text, "gone away");
        }
        world_free(world);
    }
}

static void our_request_is_as_the_protocol_says(void **state)
{
    (void)state;
    current = &rows[0];
    struct world *world = start();
    world_run(world, (const scenario_step_fn[]){ask, step_first_closed, close_all, NULL});
    assert_string_equal(request_head, ":method=POST\n:scheme=http\n:path=/test.T/Unary\n"
                                      ":authority=control.test\nte=trailers\n"
                                      "content-type=application/grpc\nuser-agent=remora/0.1.0\n"
                                      "grpc-timeout=1234m\n");
    world_free(world);
}

static uint32_t reset_code;

static bool reset(void *context)
{
    struct world *world = context;
    if (world->count == 0) {
        world->count = 1;
        stream_of_call = NULL;
        (void)call_open(world, "/test.T/Chat", 0);
    }
    if (stream_of_call == NULL) {
        return false;
    }
    h2_stream_reset(stream_of_call, reset_code);
    return true;
}

static void resets_have_their_meaning(void **state)
{
    (void)state;
    static const struct {
        uint32_t code;            // of RST_STREAM
        enum rpc_status expected; // of the call
    } meanings[] = {
        {H2_NO_ERROR, RPC_INTERNAL},
        {H2_PROTOCOL_ERROR, RPC_INTERNAL},
        {H2_REFUSED_STREAM, RPC_UNAVAILABLE},
        {H2_CANCEL, RPC_CANCELLED},
        {H2_ENHANCE_YOUR_CALM, RPC_RESOURCE_EXHAUSTED},
        {H2_INADEQUATE_SECURITY, RPC_PERMISSION_DENIED},
    };
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        reset_code = meanings[i].code;
        struct world *world = start();
        world_run(world, (const scenario_step_fn[]){reset, step_first_closed, close_all, NULL});
        assert_int_equal(world->client_calls[0].status, meanings[i].expected);
        world_free(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row),
        cmocka_unit_test(our_request_is_as_the_protocol_says),
        cmocka_unit_test(resets_have_their_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
