// SPDX-License-Identifier: GPL-3.0-or-later
//
// Good messages, spoilt at random: flipped, overwritten, cut, repeated, with hostile lengths. What
// still decodes is applied to a view. AddressSanitizer and UBSan watch.
#include "wire_cases.h"

#define ROUNDS 100000
#define MOST_BYTES 8192

static size_t cut_or_repeat(uint8_t *bytes, size_t length, uint32_t *seed)
{
    size_t at = next_random(seed) % length;
    size_t span = 1 + next_random(seed) % 32;
    if (next_random(seed) % 2 == 0 || length + span > MOST_BYTES) {
        size_t gone = span < length - at ? span : length - at - (length - at == length);
        memmove(bytes + at, bytes + at + gone, length - at - gone);
        return length - gone;
    }
    span = span < length - at ? span : length - at;
    memmove(bytes + at + span, bytes + at, length - at);
    return length + span;
}

// One to four faults. The length never becomes 0.
static size_t spoil(uint8_t *bytes, size_t length, uint32_t *seed)
{
    static const uint8_t hostile[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0x0a, 0x12, 0x1a, 0x22};
    for (uint32_t faults = 1 + next_random(seed) % 4; faults > 0; faults--) {
        size_t at = next_random(seed) % length;
        switch (next_random(seed) % 4) {
        case 0:
            bytes[at] ^= (uint8_t)(1U << next_random(seed) % 8);
            break;
        case 1:
            bytes[at] = hostile[next_random(seed) % sizeof(hostile)];
            break;
        case 2:
            bytes[at] = (uint8_t)next_random(seed);
            break;
        default:
            length = cut_or_repeat(bytes, length, seed);
            break;
        }
    }
    return length;
}

// An exact heap copy, so that a read past the end is seen.
static uint8_t *exact_copy(const uint8_t *bytes, size_t length)
{
    uint8_t *copy = malloc(length);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    return copy;
}

static void requests(void **state)
{
    (void)state;
    uint32_t seed = 1;
    unsigned accepted = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct mesh_request request = example_request((size_t)round % REQUEST_COUNT);
        uint8_t *good = NULL;
        size_t length = 0;
        assert_int_equal(mesh_wire_encode_request(&request, &good, &length, NULL), RM_OK);
        uint8_t bytes[MOST_BYTES];
        memcpy(bytes, good, length);
        rm_free(good);
        length = spoil(bytes, length, &seed);
        uint8_t *copy = exact_copy(bytes, length);
        struct mesh_request decoded;
        struct rm_error error = {0};
        if (mesh_wire_decode_request(copy, length, &decoded, &error) == RM_OK) {
            accepted++;
            assert_int_not_equal(decoded.kind, MESH_REQUEST_NONE);
            // Whatever is accepted, we could have said.
            assert_int_equal(mesh_wire_encode_request(&decoded, &good, &length, NULL), RM_OK);
            rm_free(good);
        }
        mesh_request_deinit(&decoded);
        free(copy);
    }
    assert_in_range(accepted, 1, ROUNDS - 1);
}

static void responses(void **state)
{
    (void)state;
    struct mesh_view *view = example_view();
    const struct mesh_removal removals[] = {{MESH_SERVICE, "old"}, {MESH_ENDPOINT, "old/a"}};
    uint8_t *good = NULL;
    size_t good_length = 0;
    encode_view(view, removals, 2, &good, &good_length);
    assert_true(good_length < MOST_BYTES / 2);
    uint32_t seed = 2;
    unsigned applied = 0;
    unsigned decoded = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t bytes[MOST_BYTES];
        memcpy(bytes, good, good_length);
        size_t length = spoil(bytes, good_length, &seed);
        uint8_t *copy = exact_copy(bytes, length);
        struct mesh_response response;
        struct rm_error error = {0};
        if (mesh_wire_decode_response(copy, length, &response, &error) == RM_OK) {
            decoded++;
            struct mesh_view *next = NULL;
            applied += mesh_view_apply(view, &response.delta, &next, &error) == RM_OK;
            mesh_view_unref(next);
        }
        mesh_response_deinit(&response);
        free(copy);
    }
    rm_free(good);
    mesh_view_unref(view);
    assert_in_range(applied, 1, ROUNDS - 1);
    assert_in_range(decoded, applied + 1, ROUNDS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(responses),
    };
    return cmocka_run_group_tests(tests, crypto_up, crypto_down);
}
