// SPDX-License-Identifier: GPL-3.0-or-later
//
// Each allocation in turn fails; AddressSanitizer sees what is not given back.
#include "wire_cases.h"

static enum rm_err request_there_and_back(const struct mesh_request *request)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    RM_TRY(mesh_wire_encode_request(request, &bytes, &length, NULL));
    struct mesh_request decoded;
    enum rm_err err = mesh_wire_decode_request(bytes, length, &decoded, NULL);
    rm_free(bytes);
    mesh_request_deinit(&decoded);
    return err;
}

static void requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < REQUEST_COUNT; i++) {
        struct mesh_request request = example_request(i);
        for (uint64_t n = 1;; n++) {
            rm_alloc_fail_at(n);
            enum rm_err err = request_there_and_back(&request);
            rm_alloc_fail_at(0);
            if (err == RM_OK) {
                assert_true(n > 2);
                break;
            }
            assert_int_equal(err, RM_ERR_NO_MEMORY);
        }
    }
}

static void resources(void **state)
{
    (void)state;
    struct mesh_view *view = example_view();
    for (int kind = 0; kind < MESH_KIND_COUNT; kind++) {
        const struct mesh_resource *resource = mesh_view_at(view, (enum mesh_kind)kind, 0);
        for (uint64_t n = 1;; n++) {
            struct mesh_bytes encoded;
            rm_alloc_fail_at(n);
            enum rm_err err = mesh_wire_encode_resource(resource, &encoded, NULL);
            rm_alloc_fail_at(0);
            rm_free(encoded.bytes);
            if (err == RM_OK) {
                assert_true(n > 1);
                break;
            }
            assert_int_equal(err, RM_ERR_NO_MEMORY);
            assert_null(encoded.bytes);
        }
    }
    mesh_view_unref(view);
}

static void responses(void **state)
{
    (void)state;
    struct mesh_view *view = example_view();
    const struct mesh_removal removals[] = {{MESH_SERVICE, "old"}, {MESH_ENDPOINT, "old/a"}};
    uint8_t *bytes = NULL;
    size_t length = 0;
    encode_view(view, removals, 2, &bytes, &length);
    uint64_t failures = 0;
    for (;; failures++) {
        struct mesh_response response;
        rm_alloc_fail_at(failures + 1);
        enum rm_err err = mesh_wire_decode_response(bytes, length, &response, NULL);
        rm_alloc_fail_at(0);
        mesh_response_deinit(&response);
        if (err == RM_OK) {
            break;
        }
    }
    assert_true(failures > 40);
    rm_free(bytes);
    const struct mesh_response_parts parts = {
        .version = version_of(1, 1), .removals = removals, .removal_count = 2};
    for (uint64_t n = 1; n <= 2; n++) {
        rm_alloc_fail_at(n);
        assert_int_equal(mesh_wire_encode_response(&parts, &bytes, &length), RM_ERR_NO_MEMORY);
        rm_alloc_fail_at(0);
        assert_null(bytes);
    }
    mesh_view_unref(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(resources),
        cmocka_unit_test(responses),
    };
    return cmocka_run_group_tests(tests, crypto_up, crypto_down);
}
