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

// Hand-made protobuf: service (field 1), port (field 2), connection_id (field 3).
static size_t make(uint8_t *wire, const char *service, uint32_t port, size_t id_bytes)
{
    size_t n = TUNNEL_PREFIX_BYTES;
    size_t service_bytes = strlen(service);
    if (service_bytes > 0) {
        wire[n++] = 0x0a;
        if (service_bytes > 127) {
            wire[n++] = (uint8_t)(0x80 | (service_bytes & 0x7f));
            wire[n++] = (uint8_t)(service_bytes >> 7);
        } else {
            wire[n++] = (uint8_t)service_bytes;
        }
        memcpy(wire + n, service, service_bytes);
        n += service_bytes;
    }
    if (port > 0) {
        wire[n++] = 0x10;
        for (; port > 0x7f; port >>= 7) {
            wire[n++] = (uint8_t)(0x80 | (port & 0x7f));
        }
        wire[n++] = (uint8_t)port;
    }
    if (id_bytes > 0) {
        wire[n++] = 0x1a;
        wire[n++] = (uint8_t)id_bytes;
        memset(wire + n, 7, id_bytes);
        n += id_bytes;
    }
    wire[0] = (uint8_t)((n - TUNNEL_PREFIX_BYTES) >> 8);
    wire[1] = (uint8_t)(n - TUNNEL_PREFIX_BYTES);
    return n;
}

static enum rm_err decode(const char *service, uint32_t port, size_t id_bytes)
{
    uint8_t wire[WIRE_BYTES];
    size_t length = make(wire, service, port, id_bytes);
    struct tunnel_connect got;
    size_t consumed = 0;
    return tunnel_decode_connect(wire, length, &got, &consumed);
}

static void the_hand_made_form_is_right(void **state)
{
    (void)state;
    assert_int_equal(decode("web", 80, 16), RM_OK);
    assert_int_equal(decode("web", 65535, 16), RM_OK);
}

static void bad_names(void **state)
{
    (void)state;
    static const char *const names[] = {"",    ".",   "a..b", ".a",    "a.",     "Web",
                                        "a b", "a/b", "a\n",  "a\x80", "../etc", "a:80"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(decode(names[i], 80, 16), RM_ERR_MALFORMED);
    }
    char longest[TUNNEL_MAX_SERVICE_BYTES + 2];
    memset(longest, 'a', sizeof(longest));
    longest[63] = longest[127] = longest[191] = '.';
    longest[TUNNEL_MAX_SERVICE_BYTES + 1] = '\0';
    assert_int_equal(decode(longest, 80, 16), RM_ERR_MALFORMED);
    longest[TUNNEL_MAX_SERVICE_BYTES] = '\0';
    assert_int_equal(decode(longest, 80, 16), RM_OK);
    longest[63] = 'a'; // a label of 127
    assert_int_equal(decode(longest, 80, 16), RM_ERR_MALFORMED);
}

static void bad_ports_and_ids(void **state)
{
    (void)state;
    assert_int_equal(decode("web", 0, 16), RM_ERR_MALFORMED);
    assert_int_equal(decode("web", 65536, 16), RM_ERR_MALFORMED);
    assert_int_equal(decode("web", 65536 + 80, 16), RM_ERR_MALFORMED);
    assert_int_equal(decode("web", 80, 0), RM_ERR_MALFORMED);
    assert_int_equal(decode("web", 80, 15), RM_ERR_MALFORMED);
    assert_int_equal(decode("web", 80, 17), RM_ERR_MALFORMED);
}

static void garbage(void **state)
{
    (void)state;
    uint8_t wire[WIRE_BYTES] = {0, 5, 'G', 'E', 'T', ' ', '/'};
    struct tunnel_connect got;
    size_t consumed = 0;
    assert_int_equal(tunnel_decode_connect(wire, 7, &got, &consumed), RM_ERR_MALFORMED);
}

static void we_do_not_send_it_either(void **state)
{
    (void)state;
    uint8_t wire[WIRE_BYTES];
    size_t length = 0;
    struct tunnel_connect connect = {.service = "Web", .port = 80};
    assert_int_equal(tunnel_encode_connect(&connect, wire, &length), RM_ERR_MALFORMED);
    connect = (struct tunnel_connect){.service = "web", .port = 0};
    assert_int_equal(tunnel_encode_connect(&connect, wire, &length), RM_ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hand_made_form_is_right), cmocka_unit_test(bad_names),
        cmocka_unit_test(bad_ports_and_ids),           cmocka_unit_test(garbage),
        cmocka_unit_test(we_do_not_send_it_either),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
