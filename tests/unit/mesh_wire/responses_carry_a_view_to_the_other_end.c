// SPDX-License-Identifier: GPL-3.0-or-later
#include "wire_cases.h"

static void both_ends_have_the_same_view(void **state)
{
    (void)state;
    struct mesh_view *sent = example_view();
    uint8_t *bytes = NULL;
    size_t length = 0;
    encode_view(sent, NULL, 0, &bytes, &length);
    struct mesh_response response;
    assert_int_equal(mesh_wire_decode_response(bytes, length, &response, NULL), RM_OK);
    rm_free(bytes);
    assert_int_equal(response.server_time_ms, 1234567890123);
    assert_true(response.delta.is_full);
    assert_int_equal(response.delta.put_count, 9);
    struct mesh_view *empty = mesh_view_empty();
    struct mesh_view *view = NULL;
    struct rm_error error = {0};
    if (mesh_view_apply(empty, &response.delta, &view, &error) != RM_OK) {
        fail_msg("%s", rm_error_message(&error));
    }
    mesh_response_deinit(&response);
    mesh_response_deinit(&response);
    assert_true(same_canonical(view, sent));
    assert_true(trust_same_roots(mesh_view_trust(view), mesh_view_trust(sent)));
    const struct trust_domain *domain = trust_domain_find(mesh_view_trust(view), "td", 2);
    assert_true(trust_root_is_in_domain(
        domain, mesh_view_find(sent, MESH_BUNDLE, "td")->of.bundle.key_ids[0]));
    assert_memory_equal(mesh_view_version(view).store_id, mesh_view_version(sent).store_id,
                        MESH_STORE_ID_BYTES);
    mesh_view_unref(empty);
    mesh_view_unref(view);
    mesh_view_unref(sent);
}

static void removals_come_along(void **state)
{
    (void)state;
    const struct mesh_removal removals[] = {{MESH_BUNDLE, "td"},
                                            {MESH_SERVICE, "web"},
                                            {MESH_ENDPOINT, "web/a"},
                                            {MESH_WITHDRAWAL, "1:00"}};
    struct mesh_response_parts parts = {
        .version = version_of(9, UINT64_MAX), .removals = removals, .removal_count = 4};
    uint8_t *bytes = NULL;
    size_t length = 0;
    assert_int_equal(mesh_wire_encode_response(&parts, &bytes, &length), RM_OK);
    struct mesh_response response;
    assert_int_equal(mesh_wire_decode_response(bytes, length, &response, NULL), RM_OK);
    rm_free(bytes);
    assert_false(response.delta.is_full);
    assert_int_equal(response.delta.version.number, UINT64_MAX);
    assert_int_equal(response.delta.put_count, 0);
    assert_int_equal(response.delta.removal_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(response.delta.removals[i].kind, removals[i].kind);
        assert_string_equal(response.delta.removals[i].key, removals[i].key);
    }
    mesh_response_deinit(&response);
}

// Sizes around those where the length takes one more byte, and where the response is full.
static void lengths_of_every_size_are_spliced(void **state)
{
    (void)state;
    static char allow[256][1600];
    for (size_t count = 0; count <= 256; count += 16) {
        struct mesh_resource *resource = make_service("web", 80, LIST(WEB_ID), LIST());
        struct mesh_service *service = &resource->of.service;
        rm_free(service->allow);
        service->allow = rm_calloc(count + 1, sizeof(char *));
        for (size_t i = 0; i < count; i++) {
            memset(allow[i], 'a', sizeof(allow[i]) - 1);
            memcpy(allow[i], "spiffe://td/", 12);
            allow[i][12] = (char)('a' + i / 16);
            allow[i][13] = (char)('a' + i % 16);
            service->allow[service->allow_count++] = rm_strdup(allow[i]);
        }
        struct mesh_bytes encoded[11];
        assert_int_equal(mesh_wire_encode_resource(resource, &encoded[0], NULL), RM_OK);
        for (size_t i = 1; i < 11; i++) {
            encoded[i] = encoded[0];
        }
        struct mesh_response_parts parts = {
            .version = version_of(1, 1), .resources = encoded, .resource_count = 11};
        bool fits = 11 * (encoded[0].length + MESH_WIRE_PUT_OVERHEAD_BYTES) + 64 <
                    MESH_WIRE_MAX_RESPONSE_BYTES;
        uint8_t *bytes = NULL;
        size_t length = 0;
        enum rm_err err = mesh_wire_encode_response(&parts, &bytes, &length);
        assert_int_equal(err, fits ? RM_OK : RM_ERR_TOO_LARGE);
        if (fits) {
            struct mesh_response response;
            assert_int_equal(mesh_wire_decode_response(bytes, length, &response, NULL), RM_OK);
            assert_int_equal(response.delta.put_count, 11);
            assert_true(mesh_resource_equal(response.delta.puts[10], resource));
            mesh_response_deinit(&response);
        }
        rm_free(bytes);
        rm_free(encoded[0].bytes);
        mesh_resource_unref(resource);
    }
}

static void a_bad_resource_is_not_sent(void **state)
{
    (void)state;
    struct mesh_resource *resource = make_service("web", 0, LIST(WEB_ID), LIST());
    struct mesh_bytes encoded = {(uint8_t *)1, 1};
    struct rm_error error = {0};
    assert_int_equal(mesh_wire_encode_resource(resource, &encoded, &error), RM_ERR_MALFORMED);
    assert_string_equal(rm_error_message(&error), "service \"web\": the port is 0");
    assert_null(encoded.bytes);
    mesh_resource_unref(resource);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_have_the_same_view),
        cmocka_unit_test(removals_come_along),
        cmocka_unit_test(lengths_of_every_size_are_spliced),
        cmocka_unit_test(a_bad_resource_is_not_sent),
    };
    return cmocka_run_group_tests(tests, crypto_up, crypto_down);
}
