// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire_cases.h"

static struct mesh_request there_and_back(const struct mesh_request *request)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    struct rm_error error = {0};
    struct mesh_request back;
    if (mesh_wire_encode_request(request, &bytes, &length, &error) != RM_OK ||
        mesh_wire_decode_request(bytes, length, &back, &error) != RM_OK) {
        fail_msg("%s", rm_error_message(&error));
    }
    rm_free(bytes);
    assert_int_equal(back.kind, request->kind);
    return back;
}

static void hello(void **state)
{
    (void)state;
    struct mesh_request request = example_request(0);
    struct mesh_request back = there_and_back(&request);
    const struct mesh_hello *read = &back.of.hello;
    assert_string_equal(read->instance_id, INSTANCE);
    assert_int_equal(read->service_count, 2);
    assert_string_equal(read->services[0], "cache");
    assert_string_equal(read->services[1], "web");
    assert_int_equal(read->expose_count, 2);
    assert_string_equal(read->exposes[1], "web");
    assert_true(read->has_resume);
    assert_int_equal(read->resume.number, 42);
    assert_int_equal(read->resume.store_id[0], 7);
    assert_string_equal(read->software, "remora-sidecar/0.1.0");
    assert_string_equal(read->zone, "eu-1");
    assert_string_equal(read->tunnel_address, ":15008");
    mesh_request_deinit(&back);
    mesh_request_deinit(&back);
}

static void the_least_hello(void **state)
{
    (void)state;
    struct mesh_request request = {MESH_REQUEST_HELLO, .of.hello = {INSTANCE}};
    struct mesh_request back = there_and_back(&request);
    assert_int_equal(back.of.hello.service_count, 0);
    assert_int_equal(back.of.hello.expose_count, 0);
    assert_false(back.of.hello.has_resume);
    assert_string_equal(back.of.hello.software, "");
    assert_string_equal(back.of.hello.zone, "");
    assert_string_equal(back.of.hello.tunnel_address, "");
    mesh_request_deinit(&back);
}

static void names_come_sorted_and_once(void **state)
{
    (void)state;
    char *names[] = {web, star, cache, web};
    struct mesh_request request = {MESH_REQUEST_SUBSCRIBE, .of.subscribe = {names, 4}};
    struct mesh_request back = there_and_back(&request);
    assert_int_equal(back.of.subscribe.service_count, 3);
    assert_string_equal(back.of.subscribe.services[0], "*");
    assert_string_equal(back.of.subscribe.services[1], "cache");
    assert_string_equal(back.of.subscribe.services[2], "web");
    mesh_request_deinit(&back);
}

static void ack_status_and_goodbye(void **state)
{
    (void)state;
    struct mesh_request request = example_request(1);
    struct mesh_request back = there_and_back(&request);
    assert_int_equal(back.of.ack.version.number, 43);
    assert_memory_equal(back.of.ack.view_hash, request.of.ack.view_hash, MESH_WIRE_HASH_BYTES);
    assert_string_equal(back.of.ack.error, "root 1: malformed input");
    mesh_request_deinit(&back);

    request = example_request(3);
    back = there_and_back(&request);
    assert_int_equal(back.of.status.not_after_s, 2000);
    assert_int_equal(back.of.status.next_renewal_s, 1500);
    assert_int_equal(back.of.status.serial_length, 16);
    assert_memory_equal(back.of.status.serial, request.of.status.serial, 16);
    assert_string_equal(back.of.status.last_error, "root 1: malformed input");
    mesh_request_deinit(&back);

    request = example_request(4);
    back = there_and_back(&request);
    mesh_request_deinit(&back);
}

// What a library or an operating system said must not keep an acknowledgement from being sent.
static void texts_are_made_fit(void **state)
{
    (void)state;
    char text[2000];
    memset(text, 'a', sizeof(text));
    memcpy(text, "x\n\x1b[31m\xc3\xa9", 9);
    text[sizeof(text) - 1] = '\0';
    struct mesh_request request = {MESH_REQUEST_ACK, .of.ack = {.error = text}};
    struct mesh_request back = there_and_back(&request);
    assert_int_equal(strlen(back.of.ack.error), MESH_WIRE_MAX_TEXT_BYTES);
    assert_memory_equal(back.of.ack.error, "x??[31m??a", 10);
    mesh_request_deinit(&back);
}

static void the_longest_hello_fits(void **state)
{
    (void)state;
    static char names[MESH_WIRE_MAX_SUBSCRIPTIONS][MESH_MAX_NAME_BYTES + 1];
    static char *pointers[MESH_WIRE_MAX_SUBSCRIPTIONS];
    for (size_t i = 0; i < MESH_WIRE_MAX_SUBSCRIPTIONS; i++) {
        memset(names[i], 'a', MESH_MAX_NAME_BYTES);
        names[i][63] = names[i][127] = names[i][191] = '.';
        names[i][0] = (char)('a' + i % 26);
        names[i][1] = (char)('a' + i / 26 % 26);
        names[i][2] = (char)('a' + i / 676);
        pointers[i] = names[i];
    }
    struct mesh_request request = {MESH_REQUEST_HELLO,
                                   .of.hello = {.instance_id = INSTANCE,
                                                .services = pointers,
                                                .service_count = MESH_WIRE_MAX_SUBSCRIPTIONS,
                                                .exposes = pointers,
                                                .expose_count = MESH_WIRE_MAX_EXPOSED}};
    struct mesh_request back = there_and_back(&request);
    assert_int_equal(back.of.hello.service_count, MESH_WIRE_MAX_SUBSCRIPTIONS);
    assert_int_equal(back.of.hello.expose_count, MESH_WIRE_MAX_EXPOSED);
    mesh_request_deinit(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello),
        cmocka_unit_test(the_least_hello),
        cmocka_unit_test(names_come_sorted_and_once),
        cmocka_unit_test(ack_status_and_goodbye),
        cmocka_unit_test(texts_are_made_fit),
        cmocka_unit_test(the_longest_hello_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
