// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "tunnel/tunnel.h"

#define WIRE_BYTES (TUNNEL_PREFIX_BYTES + TUNNEL_MAX_MESSAGE_BYTES)

static void connect_round_trip(void **state)
{
    (void)state;
    struct tunnel_connect sent = {.service = "web.shop_1.svc-2", .port = 65535};
    for (uint8_t i = 0; i < TUNNEL_CONNECTION_ID_BYTES; i++) {
        sent.connection_id[i] = i; // contains NUL bytes on purpose
    }
    uint8_t wire[WIRE_BYTES];
    size_t length = 0;
    assert_int_equal(tunnel_encode_connect(&sent, wire, &length), RM_OK);
    struct tunnel_connect got;
    size_t consumed = 0;
    assert_int_equal(tunnel_decode_connect(wire, length, &got, &consumed), RM_OK);
    assert_int_equal(consumed, length);
    assert_string_equal(got.service, sent.service);
    assert_int_equal(got.port, sent.port);
    assert_memory_equal(got.connection_id, sent.connection_id, TUNNEL_CONNECTION_ID_BYTES);
}

static void longest_messages_fit(void **state)
{
    (void)state;
    struct tunnel_connect connect = {.port = 1};
    memset(connect.service, 'a', TUNNEL_MAX_SERVICE_BYTES);
    connect.service[63] = connect.service[127] = connect.service[191] = '.';
    uint8_t wire[WIRE_BYTES];
    size_t length = 0;
    assert_int_equal(tunnel_encode_connect(&connect, wire, &length), RM_OK);
    struct tunnel_reply reply = {.status = TUNNEL_DENIED};
    memset(reply.reason, 'r', TUNNEL_MAX_REASON_BYTES);
    assert_int_equal(tunnel_encode_reply(&reply, wire, &length), RM_OK);
    struct tunnel_reply got;
    size_t consumed = 0;
    assert_int_equal(tunnel_decode_reply(wire, length, &got, &consumed), RM_OK);
    assert_string_equal(got.reason, reply.reason);
}

static void every_status_round_trips_and_has_a_name(void **state)
{
    (void)state;
    for (int status = TUNNEL_OK; status <= TUNNEL_DRAINING; status++) {
        struct tunnel_reply sent = {.status = (enum tunnel_status)status, .reason = "why"};
        uint8_t wire[WIRE_BYTES];
        size_t length = 0;
        assert_int_equal(tunnel_encode_reply(&sent, wire, &length), RM_OK);
        struct tunnel_reply got;
        size_t consumed = 0;
        assert_int_equal(tunnel_decode_reply(wire, length, &got, &consumed), RM_OK);
        assert_int_equal(got.status, status);
        assert_string_equal(got.reason, "why");
        assert_string_not_equal(tunnel_status_name(got.status), "invalid");
    }
    assert_string_equal(tunnel_status_name(TUNNEL_STATUS_INVALID), "invalid");
}

static void application_bytes_after_the_message_stay(void **state)
{
    (void)state;
    const struct tunnel_connect sent = {.service = "web", .port = 80};
    uint8_t wire[WIRE_BYTES + 3];
    size_t length = 0;
    assert_int_equal(tunnel_encode_connect(&sent, wire, &length), RM_OK);
    memcpy(wire + length, "GET", 3);
    struct tunnel_connect got;
    size_t consumed = 0;
    assert_int_equal(tunnel_decode_connect(wire, length + 3, &got, &consumed), RM_OK);
    assert_memory_equal(wire + consumed, "GET", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connect_round_trip),
        cmocka_unit_test(longest_messages_fit),
        cmocka_unit_test(every_status_round_trips_and_has_a_name),
        cmocka_unit_test(application_bytes_after_the_message_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
