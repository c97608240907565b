// SPDX-License-Identifier: GPL-3.0-or-later
//
// The answer to Identity.Issue, as a hostile or broken control plane might send it.
#include "tls_fixture.h"

#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "certs/certs_wire.h"

#define MUTATION_COUNT 100000
#define HOST_ID "spiffe://td.test/ns/a/sa/host"

// --- A protobuf writer of its own, so that what is wrong can be written, too. ---

static void put_varint(struct buffer *out, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        assert_int_equal(buffer_append(out, &byte, 1), RM_OK);
        value >>= 7;
    } while (value > 0);
}

static void put_number(struct buffer *out, uint32_t field, uint64_t value)
{
    if (value == 0) {
        return; // as every writer of proto3 leaves out what is the default
    }
    put_varint(out, field << 3);
    put_varint(out, value);
}

static void put_bytes(struct buffer *out, uint32_t field, const void *bytes, size_t length)
{
    put_varint(out, field << 3 | 2);
    put_varint(out, length);
    assert_int_equal(buffer_append(out, bytes, length), RM_OK);
}

struct answer {
    size_t certificate_count;
    const char *identity;
    int64_t issued_at_s;
    int64_t not_after_s;
    const char *domain; // of the bundle; NULL: no bundle
    size_t root_count;
    const char *root; // these bytes instead of the root's; NULL: the root's
};

static struct answer good_answer(void)
{
    return (struct answer){.certificate_count = 2,
                           .identity = HOST_ID,
                           .issued_at_s = 1700000000,
                           .not_after_s = 1700003600,
                           .domain = "td.test",
                           .root_count = 1};
}

static void encode(const struct world *world, const struct answer *answer, struct buffer *out)
{
    struct buffer bundle;
    const struct pki_authority *authority = &world->authority;
    buffer_init(out, 4U << 20);
    buffer_init(&bundle, 4U << 20);
    for (size_t i = 0; i < answer->certificate_count; i++) {
        put_bytes(out, 1, authority->middle, authority->middle_length);
    }
    put_bytes(out, 2, answer->identity, strlen(answer->identity));
    put_number(out, 3, (uint64_t)answer->issued_at_s);
    put_number(out, 4, (uint64_t)answer->not_after_s);
    if (answer->domain != NULL) {
        if (answer->domain[0] != '\0') {
            put_bytes(&bundle, 1, answer->domain, strlen(answer->domain));
        }
        for (size_t i = 0; i < answer->root_count; i++) {
            put_bytes(&bundle, 2,
                      answer->root != NULL ? (const void *)answer->root : authority->root,
                      answer->root != NULL ? strlen(answer->root) : authority->root_length);
        }
        put_bytes(out, 5, buffer_data(&bundle), buffer_length(&bundle));
    }
    put_number(out, 6, 1);
    buffer_deinit(&bundle);
}

static enum rm_err decode(const struct world *world, const struct answer *answer,
                          struct issue_response *response, struct rm_error *error)
{
    struct buffer bytes;
    encode(world, answer, &bytes);
    rm_error_clear(error);
    enum rm_err result = issue_response_decode(buffer_data(&bytes), buffer_length(&bytes),
                                               "td.test", response, error);
    buffer_deinit(&bytes);
    return result;
}

static void assert_refused(const struct world *world, const struct answer *answer, const char *what)
{
    struct issue_response response;
    const struct issue_response nothing = {0};
    struct rm_error error = {0};
    assert_int_not_equal(decode(world, answer, &response, &error), RM_OK);
    if (strstr(error.message, what) == NULL) {
        fail_msg("'%s' does not say '%s'", error.message, what);
    }
    assert_memory_equal(&response, &nothing, sizeof(response));
}

static void good_answer_is_taken_whole(void **state)
{
    struct world *world = *state;
    struct answer answer = good_answer();
    struct issue_response response;
    struct rm_error error = {0};
    assert_int_equal(decode(world, &answer, &response, &error), RM_OK);
    assert_int_equal(response.chain.count, 2);
    assert_string_equal(response.identity, HOST_ID);
    assert_int_equal(response.issued_at_s, 1700000000);
    assert_int_equal(response.not_after_s, 1700003600);
    assert_true(response.is_rejoin_registered);
    assert_true(trust_same_roots(response.trust, world->trust));
    issue_response_deinit(&response);
    assert_null(response.trust);
}

static void wrong_counts_are_refused(void **state)
{
    struct answer answer = good_answer();
    answer.certificate_count = 0;
    assert_refused(*state, &answer, "0 certificates");
    answer.certificate_count = CHAIN_MAX_CERTIFICATES + 1;
    assert_refused(*state, &answer, "certificates");
    answer = good_answer();
    answer.root_count = 0;
    assert_refused(*state, &answer, "trust bundle");
}

static void bundle_of_another_domain_is_refused(void **state)
{
    struct answer answer = good_answer();
    answer.domain = "else.test";
    assert_refused(*state, &answer, "for 'else.test', not for 'td.test'");
    answer.domain = "";
    assert_refused(*state, &answer, "not for 'td.test'");
    answer.domain = NULL;
    assert_refused(*state, &answer, "not for 'td.test'");
}

static void root_that_is_none_is_refused(void **state)
{
    struct answer answer = good_answer();
    answer.root = "no certificate";
    assert_refused(*state, &answer, "root 1 of the answer's bundle");
    answer.root = "";
    assert_refused(*state, &answer, "root 1 of the answer's bundle");
}

// Times are added, subtracted and multiplied later on.
static void times_that_make_no_sense_are_refused(void **state)
{
    static const int64_t times[][2] = {
        {0, 1700003600},          {-1, 1700003600},           {INT64_MIN, INT64_MAX},
        {1700000000, 1699999999}, {1700000000, INT64_MAX},    {INT64_MAX, INT64_MAX},
        {1700000000, 0},          {1700000000, 253402300800},
    };
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        struct answer answer = good_answer();
        answer.issued_at_s = times[i][0];
        answer.not_after_s = times[i][1];
        assert_refused(*state, &answer, "times make no sense");
    }
}

static void too_large_an_answer_is_not_looked_at(void **state)
{
    struct issue_response response;
    struct rm_error error = {0};
    uint8_t *bytes = rm_calloc(1, ISSUE_RESPONSE_MAX_BYTES + 1);
    (void)state;
    assert_non_null(bytes);
    assert_int_equal(
        issue_response_decode(bytes, ISSUE_RESPONSE_MAX_BYTES + 1, "td.test", &response, &error),
        RM_ERR_TOO_LARGE);
    rm_free(bytes);
}

// A generator that gives the same on every machine.
static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static size_t mutate(uint8_t *bytes, size_t length, uint32_t *seed)
{
    for (uint32_t i = next_random(seed) % 4 + 1; i > 0; i--) {
        // Mostly near the front and the end, where lengths and numbers stand.
        size_t span = next_random(seed) % 3 == 0 ? length : (length < 24 ? length : 24);
        size_t at = next_random(seed) % span;
        at = next_random(seed) % 2 == 0 ? at : length - 1 - at;
        bytes[at] = (uint8_t)next_random(seed);
    }
    return next_random(seed) % 8 == 0 ? next_random(seed) % (length + 1) : length;
}

static void mutated_answers_are_refused_or_whole(void **state)
{
    struct answer answer = good_answer();
    struct buffer bytes;
    uint32_t seed = 0x2545f491;
    unsigned taken = 0;
    encode(*state, &answer, &bytes);
    size_t length = buffer_length(&bytes);
    for (unsigned i = 0; i < MUTATION_COUNT; i++) {
        struct issue_response response;
        struct rm_error error = {0};
        uint8_t *copy = rm_memdup(buffer_data(&bytes), length); // its end is guarded
        assert_non_null(copy);
        size_t cut = mutate(copy, length, &seed);
        uint8_t *exact = rm_memdup(copy, cut);
        assert_non_null(exact);
        if (issue_response_decode(exact, cut, "td.test", &response, &error) == RM_OK) {
            taken++;
            assert_non_null(response.identity);
            assert_non_null(response.trust);
            assert_in_range(response.chain.count, 1, CHAIN_MAX_CERTIFICATES);
            assert_true(response.not_after_s >= response.issued_at_s);
            issue_response_deinit(&response);
        } else {
            assert_int_not_equal(error.code, RM_OK);
        }
        rm_free(exact);
        rm_free(copy);
    }
    // Some only change the identity's text or a certificate's bytes, which others look at.
    assert_in_range(taken, 100, MUTATION_COUNT - 1000);
    buffer_deinit(&bytes);
}

static void failed_allocation_leaves_nothing(void **state)
{
    struct answer answer = good_answer();
    struct buffer bytes;
    struct issue_response response;
    const struct issue_response nothing = {0};
    enum rm_err result = RM_ERR_NO_MEMORY;
    encode(*state, &answer, &bytes);
    for (uint64_t n = 1; result != RM_OK; n++) {
        struct rm_error error = {0};
        assert_true(n < 200);
        rm_alloc_fail_at(n);
        result = issue_response_decode(buffer_data(&bytes), buffer_length(&bytes), "td.test",
                                       &response, &error);
        rm_alloc_fail_at(0);
        if (result != RM_OK) {
            assert_memory_equal(&response, &nothing, sizeof(response));
        }
    }
    issue_response_deinit(&response);
    buffer_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_answer_is_taken_whole),
        cmocka_unit_test(wrong_counts_are_refused),
        cmocka_unit_test(bundle_of_another_domain_is_refused),
        cmocka_unit_test(root_that_is_none_is_refused),
        cmocka_unit_test(times_that_make_no_sense_are_refused),
        cmocka_unit_test(too_large_an_answer_is_not_looked_at),
        cmocka_unit_test(mutated_answers_are_refused_or_whole),
        cmocka_unit_test(failed_allocation_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
