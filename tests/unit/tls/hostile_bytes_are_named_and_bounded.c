// SPDX-License-Identifier: GPL-3.0-or-later
//
// Bytes that are no TLS, or no TLS that makes sense, at each stage: a name, an end, and a bounded
// cost. Key updates work, and a flood of them ends the connection.
#include "tls_fixture.h"

#include <string.h>

#include "base/alloc.h"
#include "tls/tls_internal.h"

// One TLS end against raw bytes.
struct raw {
    struct loop *loop;  // owned
    struct end end;     // the TLS one
    struct stream *far; // what a hostile peer holds
};

static void raw_init(struct raw *raw, const struct world *world, bool is_server)
{
    struct stream *lower = NULL;
    memset(raw, 0, sizeof(*raw));
    raw->loop = loop_new("test");
    assert_int_equal(memory_stream_pair(raw->loop, 1U << 20, &lower, &raw->far), RM_OK);
    stream_own(raw->far, end_on_event, &raw->end);
    if (is_server) {
        end_accept(&raw->end, lower, world->server);
    } else {
        end_connect(&raw->end, lower, world->client);
    }
}

static void raw_deinit(struct raw *raw)
{
    end_close(&raw->end, STREAM_CLOSE_ABORT);
    stream_close(raw->far, STREAM_CLOSE_ABORT, NULL, NULL);
    world_end(raw->loop);
}

static void raw_send(struct raw *raw, const void *bytes, size_t length)
{
    size_t written = 0;
    assert_int_equal(stream_write_bytes(raw->far, bytes, length, &written), RM_OK);
    assert_int_equal(written, length);
}

static void assert_named(const struct world *world, bool is_server, const void *bytes,
                         size_t length, const char *name, const char *detail)
{
    struct raw raw;
    raw_init(&raw, world, is_server);
    world_turns(raw.loop, 4);
    raw_send(&raw, bytes, length);
    world_until(raw.loop, end_is_done, &raw.end);
    if (strcmp(tls_failure_name(&raw.end.failure), name) != 0) {
        fail_msg("%s: %s", tls_failure_name(&raw.end.failure), raw.end.failure.detail);
    }
    if (strstr(raw.end.failure.detail, detail) == NULL) {
        fail_msg("%s", raw.end.failure.detail);
    }
    assert_int_not_equal(raw.end.result, RM_OK);
    raw_deinit(&raw);
}

static void plain_http_is_named(void **state)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    assert_named(*state, true, request, sizeof(request) - 1, "not_tls", "plain HTTP");
    assert_named(*state, false, answer, sizeof(answer) - 1, "not_tls", "plain HTTP");
}

static void other_protocols_are_named(void **state)
{
    static const char ssh[] = "SSH-2.0-OpenSSH_9.2\r\n";
    static const uint8_t zeros[64];
    assert_named(*state, true, ssh, sizeof(ssh) - 1, "not_tls", "is no TLS record");
    assert_named(*state, false, ssh, sizeof(ssh) - 1, "not_tls", "is no TLS record");
    assert_named(*state, true, zeros, sizeof(zeros), "not_tls", "is no TLS record");
}

static void end_before_anything_is_named(void **state)
{
    for (int is_server = 0; is_server < 2; is_server++) {
        struct raw raw;
        raw_init(&raw, *state, is_server == 1);
        assert_int_equal(stream_finish(raw.far), RM_OK);
        world_until(raw.loop, end_is_done, &raw.end);
        assert_string_equal(tls_failure_name(&raw.end.failure), "closed");
        assert_int_equal(raw.end.result, RM_ERR_RESET);
        raw_deinit(&raw);
    }
}

static void reset_before_anything_is_named(void **state)
{
    for (int is_server = 0; is_server < 2; is_server++) {
        struct raw raw;
        struct stream *lower_end = NULL;
        struct stream *unused = NULL;
        raw_init(&raw, *state, is_server == 1);
        stream_close(raw.far, STREAM_CLOSE_ABORT, NULL, NULL);
        world_until(raw.loop, end_is_done, &raw.end);
        assert_string_equal(tls_failure_name(&raw.end.failure), "closed");
        assert_int_equal(memory_stream_pair(raw.loop, 16, &lower_end, &unused), RM_OK);
        stream_close(unused, STREAM_CLOSE_ABORT, NULL, NULL);
        raw.far = lower_end;
        raw_deinit(&raw);
    }
}

// A handshake message that says it has 16 MiB is refused by its length, not collected.
static void huge_handshake_message_is_refused_at_once(void **state)
{
    static const uint8_t record[] = {22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff};
    uint8_t bytes[16384 + 5] = {0};
    memcpy(bytes, record, sizeof(record));
    assert_named(*state, true, bytes, sizeof(bytes), "protocol", "");
}

static void oversized_record_is_refused_by_its_header(void **state)
{
    static const uint8_t header[] = {22, 3, 3, 0xff, 0xff};
    assert_named(*state, true, header, sizeof(header), "protocol", "");
    assert_named(*state, false, header, sizeof(header), "protocol", "");
}

// Every prefix of a real ClientHello followed by noise, and noise behind a TLS record header.
static void noise_never_gets_through(void **state)
{
    uint32_t seed = 7;
    for (int round = 0; round < 200; round++) {
        struct raw raw;
        uint8_t bytes[300];
        raw_init(&raw, *state, round % 2 == 0);
        for (size_t i = 0; i < sizeof(bytes); i++) {
            seed = seed * 1664525U + 1013904223U;
            bytes[i] = (uint8_t)(seed >> 16);
        }
        bytes[0] = (uint8_t)(20 + round % 5);
        bytes[1] = 3;
        bytes[2] = (uint8_t)(round % 4);
        bytes[3] = 0;
        bytes[4] = (uint8_t)(round % 3 == 0 ? 2 : 200);
        world_turns(raw.loop, 3);
        raw_send(&raw, bytes, sizeof(bytes));
        assert_int_equal(stream_finish(raw.far), RM_OK);
        world_until(raw.loop, end_is_done, &raw.end);
        assert_int_not_equal(raw.end.result, RM_OK);
        assert_null(stream_peer(raw.end.stream));
        raw_deinit(&raw);
    }
}

// --- On an established connection
// ---------------------------------------------------------------------

static struct tls_session *session_of(struct end *end)
{
    return tls_session_of(end->stream);
}

static void changed_record_is_an_error_at_both_ends(void **state)
{
    const struct world *world = *state;
    static const uint8_t record[] = {23, 3,  3,  0,  24, 1,  2,  3,  4,  5,  6,  7,  8,  9, 10,
                                     11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};
    struct pair pair;
    char text[16];
    size_t written = 0;
    pair_init(&pair, world->client, world->server);
    assert_int_equal(
        stream_write_bytes(session_of(&pair.client)->lower, record, sizeof(record), &written),
        RM_OK);
    assert_int_equal(end_read(&pair, &pair.server, text, sizeof(text)), RM_ERR_TLS);
    const struct tls_failure *failure = tls_stream_failure(pair.server.stream);
    assert_int_equal(failure->fault, FAULT_PROTOCOL);
    assert_int_not_equal(failure->alert_sent, 0);
    assert_int_equal(stream_write_bytes(pair.server.stream, "x", 1, &written), RM_ERR_TLS);
    assert_int_equal(end_read(&pair, &pair.client, text, sizeof(text)), RM_ERR_REFUSED_BY_PEER);
    assert_int_equal(tls_stream_failure(pair.client.stream)->alert_received, failure->alert_sent);
    pair_deinit(&pair);
}

static void plain_bytes_on_a_connection_are_an_error(void **state)
{
    const struct world *world = *state;
    struct pair pair;
    char text[16];
    size_t written = 0;
    pair_init(&pair, world->client, world->server);
    assert_int_equal(
        stream_write_bytes(session_of(&pair.client)->lower, "hello world", 11, &written), RM_OK);
    assert_int_equal(end_read(&pair, &pair.server, text, sizeof(text)), RM_ERR_TLS);
    pair_deinit(&pair);
}

static void key_updates_work_both_ways(void **state)
{
    const struct world *world = *state;
    struct pair pair;
    char text[16];
    pair_init(&pair, world->client, world->server);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(wolfSSL_update_keys(session_of(&pair.client)->ssl), WOLFSSL_SUCCESS);
        end_write(&pair.client, "up");
        assert_int_equal(end_read(&pair, &pair.server, text, sizeof(text)), RM_OK);
        assert_string_equal(text, "up");
        end_write(&pair.server, "down");
        assert_int_equal(end_read(&pair, &pair.client, text, sizeof(text)), RM_OK);
        assert_string_equal(text, "down");
    }
    pair_deinit(&pair);
}

// A peer that asks for new keys all the time and reads nothing.
static void flood_of_key_updates_ends_the_connection(void **state)
{
    const struct world *world = *state;
    struct pair pair;
    char text[16];
    pair_init(&pair, world->client, world->server);
    for (int i = 0; i < 500; i++) {
        struct tls_session *client = session_of(&pair.client);
        assert_int_equal(wolfSSL_update_keys(client->ssl), WOLFSSL_SUCCESS);
    }
    tls_bytes_flush(session_of(&pair.client));
    assert_int_equal(end_read(&pair, &pair.server, text, sizeof(text)), RM_ERR_TLS);
    assert_int_equal(tls_stream_failure(pair.server.stream)->fault, FAULT_PROTOCOL);
    assert_non_null(strstr(tls_stream_failure(pair.server.stream)->detail, "key updates"));
    struct tls_session *server = session_of(&pair.server);
    assert_in_range(server->output_end - server->output_start, 0, 2 * TLS_ANSWER_MAX_BYTES);
    pair_deinit(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_http_is_named),
        cmocka_unit_test(other_protocols_are_named),
        cmocka_unit_test(end_before_anything_is_named),
        cmocka_unit_test(reset_before_anything_is_named),
        cmocka_unit_test(huge_handshake_message_is_refused_at_once),
        cmocka_unit_test(oversized_record_is_refused_by_its_header),
        cmocka_unit_test(noise_never_gets_through),
        cmocka_unit_test(changed_record_is_an_error_at_both_ends),
        cmocka_unit_test(plain_bytes_on_a_connection_are_an_error),
        cmocka_unit_test(key_updates_work_both_ways),
        cmocka_unit_test(flood_of_key_updates_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
