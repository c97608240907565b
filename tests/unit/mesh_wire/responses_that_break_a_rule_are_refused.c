// SPDX-License-Identifier: GPL-3.0-or-later
#include "pb/pb.h"
#include "remora/mesh/v1/mesh.pb-c.h"
#include "wire_cases.h"

static uint8_t store_id[MESH_STORE_ID_BYTES] = {1};

static void refused(const Remora__Mesh__V1__SyncResponse *message, enum rm_err code,
                    const char *text)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    assert_int_equal(pb_pack(&message->base, MESH_WIRE_MAX_RESPONSE_BYTES, &bytes, &length), RM_OK);
    struct mesh_response response = {.server_time_ms = 1};
    struct rm_error error = {0};
    assert_int_equal(mesh_wire_decode_response(bytes, length, &response, &error), code);
    assert_string_equal(rm_error_message(&error), text);
    assert_null(response.delta.puts);
    assert_int_equal(response.server_time_ms, 0);
    rm_free(bytes);
}

// A good resource first, so that what was decoded before the fault is given back.
static void resource_refused(Remora__Mesh__V1__Resource *resource, enum rm_err code,
                             const char *text)
{
    Remora__Mesh__V1__Version version = REMORA__MESH__V1__VERSION__INIT;
    version.store_id = (ProtobufCBinaryData){sizeof(store_id), store_id};
    Remora__Mesh__V1__Service service = REMORA__MESH__V1__SERVICE__INIT;
    Remora__Mesh__V1__Resource good = REMORA__MESH__V1__RESOURCE__INIT;
    good.of_case = REMORA__MESH__V1__RESOURCE__OF_SERVICE;
    good.service = &service;
    Remora__Mesh__V1__Resource *puts[] = {&good, resource};
    Remora__Mesh__V1__SyncResponse message = REMORA__MESH__V1__SYNC_RESPONSE__INIT;
    message.version = &version;
    message.puts = puts;
    message.n_puts = 2;
    refused(&message, code, text);
}

static void frames(void **state)
{
    (void)state;
    Remora__Mesh__V1__SyncResponse message = REMORA__MESH__V1__SYNC_RESPONSE__INIT;
    refused(&message, RM_ERR_MALFORMED, "SyncResponse: no version with a store id of 16 bytes");
    Remora__Mesh__V1__Version version = REMORA__MESH__V1__VERSION__INIT;
    version.store_id = (ProtobufCBinaryData){15, store_id};
    message.version = &version;
    refused(&message, RM_ERR_MALFORMED, "SyncResponse: no version with a store id of 16 bytes");
    version.store_id.len = 16;
    message.server_time_ms = -1;
    refused(&message, RM_ERR_MALFORMED, "SyncResponse: the server's time is before 1970");
    message.server_time_ms = 0;
    Remora__Mesh__V1__Removal removal = REMORA__MESH__V1__REMOVAL__INIT;
    Remora__Mesh__V1__Removal *removals[] = {&removal};
    message.removals = removals;
    message.n_removals = 1;
    refused(&message, RM_ERR_MALFORMED, "SyncResponse: removal 1 is of unknown kind");
    removal.kind = (Remora__Mesh__V1__Kind)5;
    refused(&message, RM_ERR_MALFORMED, "SyncResponse: removal 1 is of unknown kind");
    removal.kind = (Remora__Mesh__V1__Kind)INT32_MIN;
    refused(&message, RM_ERR_MALFORMED, "SyncResponse: removal 1 is of unknown kind");
}

static void bundles(void **state)
{
    (void)state;
    static uint8_t der[TRUST_MAX_ROOT_DER_BYTES + 1];
    ProtobufCBinaryData roots[TRUST_MAX_ROOTS_PER_DOMAIN + 1] = {{0}};
    Remora__Mesh__V1__Bundle bundle = REMORA__MESH__V1__BUNDLE__INIT;
    Remora__Mesh__V1__Resource resource = REMORA__MESH__V1__RESOURCE__INIT;
    resource.of_case = REMORA__MESH__V1__RESOURCE__OF_BUNDLE;
    resource.bundle = &bundle;
    bundle.roots = roots;
    bundle.n_roots = TRUST_MAX_ROOTS_PER_DOMAIN + 1;
    resource_refused(&resource, RM_ERR_LIMIT, "SyncResponse: resource 2: limit reached");
    bundle.n_roots = 1;
    resource_refused(&resource, RM_ERR_MALFORMED, "SyncResponse: resource 2: malformed input");
    roots[0] = (ProtobufCBinaryData){sizeof(der), der};
    resource_refused(&resource, RM_ERR_MALFORMED, "SyncResponse: resource 2: malformed input");
    roots[0].len = 100;
    resource_refused(&resource, RM_ERR_MALFORMED, "SyncResponse: resource 2: malformed input");
}

static void services(void **state)
{
    (void)state;
    static char *many[POLICY_MAX_RULES + 1];
    for (size_t i = 0; i < POLICY_MAX_RULES + 1; i++) {
        many[i] = "x";
    }
    Remora__Mesh__V1__Service service = REMORA__MESH__V1__SERVICE__INIT;
    Remora__Mesh__V1__Resource resource = REMORA__MESH__V1__RESOURCE__INIT;
    resource.of_case = REMORA__MESH__V1__RESOURCE__OF_SERVICE;
    resource.service = &service;
    service.port = 65536 + 80;
    resource_refused(&resource, RM_ERR_MALFORMED, "SyncResponse: resource 2: malformed input");
    service.port = 80;
    service.allow = many;
    service.n_allow = POLICY_MAX_RULES + 1;
    resource_refused(&resource, RM_ERR_LIMIT, "SyncResponse: resource 2: limit reached");
    service.n_allow = 0;
    service.identities = many;
    service.n_identities = MESH_MAX_IDENTITIES + 1;
    resource_refused(&resource, RM_ERR_LIMIT, "SyncResponse: resource 2: limit reached");
}

static void kinds(void **state)
{
    (void)state;
    Remora__Mesh__V1__Resource resource = REMORA__MESH__V1__RESOURCE__INIT;
    resource_refused(&resource, RM_ERR_MALFORMED, "SyncResponse: resource 2: malformed input");
    static const int withdrawal_kinds[] = {0, 5, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < 4; i++) {
        Remora__Mesh__V1__Withdrawal withdrawal = REMORA__MESH__V1__WITHDRAWAL__INIT;
        withdrawal.kind = (Remora__Mesh__V1__WithdrawalKind)withdrawal_kinds[i];
        resource.of_case = REMORA__MESH__V1__RESOURCE__OF_WITHDRAWAL;
        resource.withdrawal = &withdrawal;
        resource_refused(&resource, RM_ERR_MALFORMED, "SyncResponse: resource 2: malformed input");
    }
}

static void too_many_bytes(void **state)
{
    (void)state;
    static const uint8_t bytes[MESH_WIRE_MAX_RESPONSE_BYTES + 1];
    struct mesh_response response;
    assert_int_equal(mesh_wire_decode_response(bytes, sizeof(bytes), &response, NULL),
                     RM_ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames), cmocka_unit_test(bundles),        cmocka_unit_test(services),
        cmocka_unit_test(kinds),  cmocka_unit_test(too_many_bytes),
    };
    return cmocka_run_group_tests(tests, crypto_up, crypto_down);
}
