// SPDX-License-Identifier: GPL-3.0-or-later
//
// Half-close: close_notify ends one direction and the other goes on; an end without close_notify is
// a truncation; an end by the mesh (user_canceled) and an abort are resets, never orderly ends.
#include "tls_fixture.h"

#include <string.h>

#include "tls/tls_internal.h"

struct stage {
    const struct world *world; // borrowed
    struct pair pair;          // both ready
};

static int stage_begin(void **state)
{
    static struct stage stage;
    stage.world = *state;
    pair_init(&stage.pair, stage.world->client, stage.world->server);
    assert_int_equal(stage.pair.client.result, RM_OK);
    assert_int_equal(stage.pair.server.result, RM_OK);
    *state = &stage;
    return 0;
}

static int stage_end(void **state)
{
    struct stage *stage = *state;
    pair_deinit(&stage->pair);
    *state = (void *)(uintptr_t)stage->world;
    return 0;
}

static void assert_half_close(struct pair *pair, struct end *first, struct end *second)
{
    char text[64];
    end_write(first, "last words");
    assert_int_equal(stream_finish(first->stream), RM_OK);
    assert_int_equal(stream_finish(first->stream), RM_OK);
    assert_int_equal(end_read(pair, second, text, sizeof(text)), RM_OK);
    assert_string_equal(text, "last words");
    assert_int_equal(end_read(pair, second, text, sizeof(text)), RM_ERR_EOF);
    assert_int_equal(end_read(pair, second, text, sizeof(text)), RM_ERR_EOF);
    end_write(second, "still here");
    assert_int_equal(end_read(pair, first, text, sizeof(text)), RM_OK);
    assert_string_equal(text, "still here");
    assert_int_equal(stream_finish(second->stream), RM_OK);
    assert_int_equal(end_read(pair, first, text, sizeof(text)), RM_ERR_EOF);
}

static void client_ends_first(void **state)
{
    struct stage *stage = *state;
    assert_half_close(&stage->pair, &stage->pair.client, &stage->pair.server);
}

static void server_ends_first(void **state)
{
    struct stage *stage = *state;
    assert_half_close(&stage->pair, &stage->pair.server, &stage->pair.client);
}

static void write_after_finish_is_refused(void **state)
{
    struct stage *stage = *state;
    size_t written = 7;
    assert_int_equal(stream_finish(stage->pair.client.stream), RM_OK);
    assert_int_equal(stream_write_bytes(stage->pair.client.stream, "x", 1, &written),
                     RM_ERR_CLOSED);
    assert_int_equal(written, 0);
}

static void orderly_close_is_an_orderly_end(void **state)
{
    struct stage *stage = *state;
    char text[64];
    end_write(&stage->pair.client, "bye");
    end_close(&stage->pair.client, STREAM_CLOSE_ORDERLY);
    assert_int_equal(end_read(&stage->pair, &stage->pair.server, text, sizeof(text)), RM_OK);
    assert_string_equal(text, "bye");
    assert_int_equal(end_read(&stage->pair, &stage->pair.server, text, sizeof(text)), RM_ERR_EOF);
}

static void abort_is_a_reset(void **state)
{
    struct stage *stage = *state;
    char text[64];
    end_close(&stage->pair.client, STREAM_CLOSE_ABORT);
    assert_int_equal(end_read(&stage->pair, &stage->pair.server, text, sizeof(text)), RM_ERR_RESET);
}

static void cancel_is_a_reset_after_what_was_sent(void **state)
{
    struct stage *stage = *state;
    char text[64];
    size_t written = 0;
    end_write(&stage->pair.client, "before");
    tls_stream_cancel(stage->pair.client.stream);
    assert_int_equal(stream_write_bytes(stage->pair.client.stream, "x", 1, &written),
                     RM_ERR_CLOSED);
    end_close(&stage->pair.client, STREAM_CLOSE_ABORT);
    assert_int_equal(end_read(&stage->pair, &stage->pair.server, text, sizeof(text)), RM_OK);
    assert_string_equal(text, "before");
    assert_int_equal(end_read(&stage->pair, &stage->pair.server, text, sizeof(text)),
                     RM_ERR_CANCELLED);
    const struct tls_failure *failure = tls_stream_failure(stage->pair.server.stream);
    assert_int_equal(failure->fault, FAULT_REFUSED_BY_PEER);
    assert_int_equal(failure->alert_received, TLS_ALERT_USER_CANCELED);
    end_close(&stage->pair.server, STREAM_CLOSE_ABORT);
}

static void server_cancels_too(void **state)
{
    struct stage *stage = *state;
    char text[64];
    tls_stream_cancel(stage->pair.server.stream);
    end_close(&stage->pair.server, STREAM_CLOSE_ABORT);
    assert_int_equal(end_read(&stage->pair, &stage->pair.client, text, sizeof(text)),
                     RM_ERR_CANCELLED);
}

// Cuts the transport under one end: what a lost close_notify looks like.
static void end_without_close_notify_is_truncation(void **state)
{
    struct stage *stage = *state;
    char text[64];
    struct tls_session *client = tls_session_of(stage->pair.client.stream);
    assert_int_equal(stream_finish(client->lower), RM_OK);
    assert_int_equal(end_read(&stage->pair, &stage->pair.server, text, sizeof(text)),
                     RM_ERR_TRUNCATED);
    assert_int_equal(end_read(&stage->pair, &stage->pair.server, text, sizeof(text)),
                     RM_ERR_TRUNCATED);
}

static void end_inside_a_record_is_truncation(void **state)
{
    struct stage *stage = *state;
    char text[64];
    size_t written = 0;
    struct tls_session *client = tls_session_of(stage->pair.client.stream);
    static const uint8_t header[] = {23, 3, 3, 0, 100, 1, 2, 3};
    assert_int_equal(stream_write_bytes(client->lower, header, sizeof(header), &written), RM_OK);
    assert_int_equal(stream_finish(client->lower), RM_OK);
    assert_int_equal(end_read(&stage->pair, &stage->pair.server, text, sizeof(text)),
                     RM_ERR_TRUNCATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(client_ends_first, stage_begin, stage_end),
        cmocka_unit_test_setup_teardown(server_ends_first, stage_begin, stage_end),
        cmocka_unit_test_setup_teardown(write_after_finish_is_refused, stage_begin, stage_end),
        cmocka_unit_test_setup_teardown(orderly_close_is_an_orderly_end, stage_begin, stage_end),
        cmocka_unit_test_setup_teardown(abort_is_a_reset, stage_begin, stage_end),
        cmocka_unit_test_setup_teardown(cancel_is_a_reset_after_what_was_sent, stage_begin,
                                        stage_end),
        cmocka_unit_test_setup_teardown(server_cancels_too, stage_begin, stage_end),
        cmocka_unit_test_setup_teardown(end_without_close_notify_is_truncation, stage_begin,
                                        stage_end),
        cmocka_unit_test_setup_teardown(end_inside_a_record_is_truncation, stage_begin, stage_end),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
