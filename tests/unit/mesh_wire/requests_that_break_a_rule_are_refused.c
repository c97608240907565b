// SPDX-License-Identifier: GPL-3.0-or-later
//
// The encoder refuses them too, so their bytes are made with the generated code.
#include "pb/pb.h"
#include "remora/mesh/v1/mesh.pb-c.h"
#include "wire_cases.h"

static void refused(Remora__Mesh__V1__SyncRequest *message, enum rm_err code, const char *text)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    assert_int_equal(pb_pack(&message->base, MESH_WIRE_MAX_REQUEST_BYTES, &bytes, &length), RM_OK);
    struct mesh_request request = {MESH_REQUEST_ACK};
    struct rm_error error = {0};
    assert_int_equal(mesh_wire_decode_request(bytes, length, &request, &error), code);
    assert_string_equal(rm_error_message(&error), text);
    assert_int_equal(request.kind, MESH_REQUEST_NONE);
    rm_free(bytes);
}

static Remora__Mesh__V1__Hello good_hello(void)
{
    static char instance[] = INSTANCE;
    Remora__Mesh__V1__Hello hello = REMORA__MESH__V1__HELLO__INIT;
    hello.instance_id = instance;
    return hello;
}

static void hello_refused(Remora__Mesh__V1__Hello *hello, enum rm_err code, const char *text)
{
    Remora__Mesh__V1__SyncRequest message = REMORA__MESH__V1__SYNC_REQUEST__INIT;
    message.kind_case = REMORA__MESH__V1__SYNC_REQUEST__KIND_HELLO;
    message.hello = hello;
    refused(&message, code, text);
}

#define INSTANCE_FAULT "SyncRequest: the instance id is not 16 of 0-9a-f"

static void hellos(void **state)
{
    (void)state;
    static char *const instances[] = {"", "0123456789abcde", "0123456789abcdeF",
                                      "0123456789abcdef0", "0123456789abcde/"};
    for (size_t i = 0; i < sizeof(instances) / sizeof(instances[0]); i++) {
        Remora__Mesh__V1__Hello hello = good_hello();
        hello.instance_id = instances[i];
        hello_refused(&hello, RM_ERR_MALFORMED, INSTANCE_FAULT);
    }
    Remora__Mesh__V1__Hello hello = good_hello();
    hello.zone = "a b";
    hello_refused(&hello, RM_ERR_MALFORMED,
                  "SyncRequest: the zone is not up to 63 of A-Za-z0-9._-");
    hello = good_hello();
    hello.tunnel_address = "localhost:15008";
    hello_refused(&hello, RM_ERR_MALFORMED,
                  "SyncRequest: tunnel address: the host is no IPv4 address and no IPv6 address in "
                  "brackets");
    hello = good_hello();
    hello.software = "a\x1b[2J";
    hello_refused(&hello, RM_ERR_MALFORMED,
                  "SyncRequest: the software name holds byte 0x1b (offset 1)");
    char large[MESH_WIRE_MAX_TEXT_BYTES + 2];
    memset(large, 'a', sizeof(large));
    large[sizeof(large) - 1] = '\0';
    hello = good_hello();
    hello.software = large;
    hello_refused(&hello, RM_ERR_LIMIT, "SyncRequest: the software name is longer than 1024 bytes");
    Remora__Mesh__V1__Version version = REMORA__MESH__V1__VERSION__INIT;
    version.store_id = (ProtobufCBinaryData){15, (uint8_t *)large};
    hello = good_hello();
    hello.resume = &version;
    hello_refused(&hello, RM_ERR_MALFORMED, "SyncRequest: no version with a store id of 16 bytes");
}

static void service_lists(void **state)
{
    (void)state;
    char *names[] = {"web", "Web"};
    Remora__Mesh__V1__Hello hello = good_hello();
    hello.services = names;
    hello.n_services = 2;
    hello_refused(
        &hello, RM_ERR_MALFORMED,
        "SyncRequest: services 1: a name holds a-z, 0-9, '.' and inner '-' only (offset 0)");
    Remora__Mesh__V1__Exposed exposed = REMORA__MESH__V1__EXPOSED__INIT;
    Remora__Mesh__V1__Exposed *many[MESH_WIRE_MAX_EXPOSED + 1];
    for (size_t i = 0; i < MESH_WIRE_MAX_EXPOSED + 1; i++) {
        many[i] = &exposed;
    }
    exposed.service = "*";
    hello = good_hello();
    hello.exposes = many;
    hello.n_exposes = 1;
    hello_refused(&hello, RM_ERR_MALFORMED,
                  "SyncRequest: exposed services 1: a name holds a-z, 0-9, '.' and inner '-' only "
                  "(offset 0)");
    hello.n_exposes = MESH_WIRE_MAX_EXPOSED + 1;
    hello_refused(&hello, RM_ERR_LIMIT, "SyncRequest: limit reached");
    static char *services[MESH_WIRE_MAX_SUBSCRIPTIONS + 1];
    for (size_t i = 0; i < MESH_WIRE_MAX_SUBSCRIPTIONS + 1; i++) {
        services[i] = "web";
    }
    hello = good_hello();
    hello.services = services;
    hello.n_services = MESH_WIRE_MAX_SUBSCRIPTIONS + 1;
    hello_refused(&hello, RM_ERR_LIMIT, "SyncRequest: limit reached");
}

static void acks_and_statuses(void **state)
{
    (void)state;
    uint8_t bytes[64] = {0};
    Remora__Mesh__V1__Ack ack = REMORA__MESH__V1__ACK__INIT;
    Remora__Mesh__V1__SyncRequest message = REMORA__MESH__V1__SYNC_REQUEST__INIT;
    message.kind_case = REMORA__MESH__V1__SYNC_REQUEST__KIND_ACK;
    message.ack = &ack;
    refused(&message, RM_ERR_MALFORMED, "SyncRequest: no version with a store id of 16 bytes");
    Remora__Mesh__V1__Version version = REMORA__MESH__V1__VERSION__INIT;
    version.store_id = (ProtobufCBinaryData){16, bytes};
    ack.version = &version;
    ack.view_hash = (ProtobufCBinaryData){31, bytes};
    refused(&message, RM_ERR_MALFORMED, "SyncRequest: the view hash has not 32 bytes");

    Remora__Mesh__V1__Status status = REMORA__MESH__V1__STATUS__INIT;
    message.kind_case = REMORA__MESH__V1__SYNC_REQUEST__KIND_STATUS;
    message.status = &status;
    status.serial = (ProtobufCBinaryData){21, bytes};
    refused(&message, RM_ERR_MALFORMED, "SyncRequest: the serial is longer than 20 bytes");
    status.serial.len = 20;
    status.not_after_s = -1;
    refused(&message, RM_ERR_MALFORMED, "SyncRequest: a time is before 1970");
    status.not_after_s = 0;
    status.next_renewal_s = INT64_MIN;
    refused(&message, RM_ERR_MALFORMED, "SyncRequest: a time is before 1970");
}

static void empty_ones(void **state)
{
    (void)state;
    Remora__Mesh__V1__SyncRequest message = REMORA__MESH__V1__SYNC_REQUEST__INIT;
    refused(&message, RM_ERR_MALFORMED, "SyncRequest: a request of unknown kind");
    Remora__Mesh__V1__Subscribe subscribe = REMORA__MESH__V1__SUBSCRIBE__INIT;
    message.kind_case = REMORA__MESH__V1__SYNC_REQUEST__KIND_SUBSCRIBE;
    message.subscribe = &subscribe;
    refused(&message, RM_ERR_MALFORMED, "SyncRequest: a subscription to nothing");
}

static void too_many_bytes(void **state)
{
    (void)state;
    static const uint8_t bytes[MESH_WIRE_MAX_REQUEST_BYTES + 1];
    struct mesh_request request;
    assert_int_equal(mesh_wire_decode_request(bytes, sizeof(bytes), &request, NULL),
                     RM_ERR_TOO_LARGE);
}

// What the decoder refuses is not sent.
static void the_encoder_holds_to_the_same_rules(void **state)
{
    (void)state;
    char bad[] = "Web";
    char *names[] = {bad};
    const struct mesh_request requests[] = {
        {MESH_REQUEST_NONE},
        {MESH_REQUEST_HELLO, .of.hello = {"0123456789abcde"}},
        {MESH_REQUEST_HELLO, .of.hello = {INSTANCE, names, 1}},
        {MESH_REQUEST_HELLO, .of.hello = {.instance_id = INSTANCE, .zone = star}},
        {MESH_REQUEST_HELLO, .of.hello = {.instance_id = INSTANCE, .tunnel_address = web}},
        {MESH_REQUEST_SUBSCRIBE},
        {MESH_REQUEST_STATUS, .of.status = {.not_after_s = -1}},
        {MESH_REQUEST_STATUS, .of.status = {.serial_length = 21}},
    };
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        uint8_t *bytes = (uint8_t *)1;
        size_t length = 1;
        assert_int_equal(mesh_wire_encode_request(&requests[i], &bytes, &length, NULL),
                         RM_ERR_MALFORMED);
        assert_null(bytes);
        assert_int_equal(length, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hellos),
        cmocka_unit_test(service_lists),
        cmocka_unit_test(acks_and_statuses),
        cmocka_unit_test(empty_ones),
        cmocka_unit_test(too_many_bytes),
        cmocka_unit_test(the_encoder_holds_to_the_same_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
