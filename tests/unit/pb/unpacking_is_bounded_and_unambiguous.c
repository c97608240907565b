// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "pb/pb.h"
#include "remora/mesh/v1/mesh.pb-c.h"

#define LARGE 60000

static const ProtobufCMessageDescriptor *const response =
    &remora__mesh__v1__sync_response__descriptor;
static const ProtobufCMessageDescriptor *const subscribe = &remora__mesh__v1__subscribe__descriptor;

static enum rm_err unpack(const ProtobufCMessageDescriptor *type, const void *bytes, size_t length,
                          size_t max_bytes)
{
    ProtobufCMessage *message = (ProtobufCMessage *)1;
    struct rm_error error = {0};
    enum rm_err err = pb_unpack(type, bytes, length, max_bytes, &message, &error);
    assert_int_equal(err, error.code);
    assert_int_equal(message != NULL, err == RM_OK);
    pb_free(message);
    return err;
}

static void a_message_comes_back_as_it_was_packed(void **state)
{
    (void)state;
    char *services[] = {"web", "cache", ""};
    Remora__Mesh__V1__Subscribe message = REMORA__MESH__V1__SUBSCRIBE__INIT;
    message.services = services;
    message.n_services = 3;
    uint8_t *bytes = NULL;
    size_t length = 0;
    assert_int_equal(pb_pack(&message.base, 14, &bytes, &length), RM_OK);
    assert_int_equal(length, 14);
    ProtobufCMessage *back = NULL;
    assert_int_equal(pb_unpack(subscribe, bytes, length, 14, &back, NULL), RM_OK);
    const Remora__Mesh__V1__Subscribe *read = (const Remora__Mesh__V1__Subscribe *)back;
    assert_int_equal(read->n_services, 3);
    assert_string_equal(read->services[1], "cache");
    pb_free(back);
    rm_free(bytes);
    bytes = (uint8_t *)1;
    assert_int_equal(pb_pack(&message.base, 13, &bytes, &length), RM_ERR_TOO_LARGE);
    assert_null(bytes);
}

static void an_empty_message_is_one(void **state)
{
    (void)state;
    Remora__Mesh__V1__Goodbye message = REMORA__MESH__V1__GOODBYE__INIT;
    uint8_t *bytes = NULL;
    size_t length = 9;
    assert_int_equal(pb_pack(&message.base, 0, &bytes, &length), RM_OK);
    assert_non_null(bytes);
    assert_int_equal(length, 0);
    assert_int_equal(unpack(subscribe, bytes, 0, 0), RM_OK);
    rm_free(bytes);
    pb_free(NULL);
}

static void size_is_judged_before_the_bytes(void **state)
{
    (void)state;
    assert_int_equal(unpack(subscribe, NULL, 65, 64), RM_ERR_TOO_LARGE);
    assert_int_equal(unpack(subscribe, NULL, SIZE_MAX, SIZE_MAX), RM_ERR_TOO_LARGE);
}

static void nonsense_is_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } cases[] = {
        {"\x0a", 1}, // a length is missing
        {"\x0a\x05"
         "a",
         3},                                                  // shorter than its length
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11}, // longer than anything
        {"\x00", 1},                                          // field 0
        {"\x08\x01", 2},                                      // a number where a string belongs
        {"\x0f", 1},                                          // wire type 7
        {"\x0b\x0c", 2},                                      // a group
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(unpack(subscribe, cases[i].bytes, cases[i].length, 64), RM_ERR_MALFORMED);
    }
}

static void what_reads_as_something_else_is_malformed(void **state)
{
    (void)state;
    assert_int_equal(unpack(subscribe,
                            "\x0a\x03"
                            "web",
                            5, 64),
                     RM_OK);
    assert_int_equal(unpack(subscribe,
                            "\x0a\x05"
                            "web\0x",
                            7, 64),
                     RM_ERR_MALFORMED);
    assert_int_equal(unpack(subscribe,
                            "\x0a\x83\x00"
                            "web",
                            6, 64),
                     RM_ERR_MALFORMED);
    const ProtobufCMessageDescriptor *service = &remora__mesh__v1__service__descriptor;
    assert_int_equal(unpack(service, "\x08\x50", 2, 64), RM_OK);
    assert_int_equal(unpack(service, "\x08\x50\x08\x51", 4, 64), RM_ERR_MALFORMED);
    assert_int_equal(unpack(service, "\x08\x00", 2, 64), RM_ERR_MALFORMED);
    // 2^32 + 80 must not pass for port 80.
    assert_int_equal(unpack(service, "\x08\xd0\x80\x80\x80\x10", 6, 64), RM_ERR_MALFORMED);
}

static void unknown_fields_are_passed_over(void **state)
{
    (void)state;
    assert_int_equal(unpack(subscribe,
                            "\x0a\x03"
                            "web"
                            "\xc2\x3e\x01x",
                            9, 64),
                     RM_OK);
}

// Each pair of bytes becomes one more item.
static size_t fill_pairs(uint8_t *bytes, uint8_t tag)
{
    for (size_t i = 0; i < LARGE; i += 2) {
        bytes[i] = tag;
        bytes[i + 1] = 0;
    }
    return LARGE;
}

static void memory_grows_in_proportion_only(void **state)
{
    (void)state;
    static uint8_t bytes[LARGE];
    size_t length = fill_pairs(bytes, 0x1a); // empty resources
    assert_int_equal(unpack(response, bytes, length, LARGE), RM_ERR_TOO_LARGE);
    for (size_t i = 0; i < LARGE; i += 3) { // one-letter strings
        memcpy(bytes + i, "\x0a\x01x", 3);
    }
    assert_int_equal(unpack(subscribe, bytes, LARGE, LARGE), RM_OK);
}

static void failed_allocations_are_told_and_leak_nothing(void **state)
{
    (void)state;
    static const char bytes[] = "\x0a\x03"
                                "web"
                                "\x0a\x05"
                                "cache";
    uint64_t failures = 0;
    for (;; failures++) {
        rm_alloc_fail_at(failures + 1);
        enum rm_err err = unpack(subscribe, bytes, sizeof(bytes) - 1, 64);
        rm_alloc_fail_at(0);
        if (err == RM_OK) {
            break;
        }
        assert_int_equal(err, RM_ERR_NO_MEMORY);
    }
    assert_int_equal(failures, 4);
    Remora__Mesh__V1__Goodbye message = REMORA__MESH__V1__GOODBYE__INIT;
    uint8_t *packed = NULL;
    size_t length = 0;
    rm_alloc_fail_at(1);
    assert_int_equal(pb_pack(&message.base, 64, &packed, &length), RM_ERR_NO_MEMORY);
    rm_alloc_fail_at(0);
    void *block = pb_allocator()->alloc(NULL, 8);
    assert_non_null(block);
    pb_allocator()->free(NULL, block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_comes_back_as_it_was_packed),
        cmocka_unit_test(an_empty_message_is_one),
        cmocka_unit_test(size_is_judged_before_the_bytes),
        cmocka_unit_test(nonsense_is_malformed),
        cmocka_unit_test(what_reads_as_something_else_is_malformed),
        cmocka_unit_test(unknown_fields_are_passed_over),
        cmocka_unit_test(memory_grows_in_proportion_only),
        cmocka_unit_test(failed_allocations_are_told_and_leak_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
