// SPDX-License-Identifier: GPL-3.0-or-later
#include "attest_fixture.h"

#include "base/encode.h"
#include "crypto/crypto.h"
#include "records/record_keys.h"
#include "records/records_wire.h"

static void assert_refused(struct attest_fixture *fixture,
                           const struct attest_token_request *request, const char *wanted)
{
    char token[TOKEN_BYTES] = "";
    struct rm_error error = {0};
    assert_int_equal(make_token(fixture, request, token, &error), RM_ERR_MALFORMED);
    if (strstr(error.message, wanted) == NULL) {
        fail_msg("'%s' does not say '%s'", error.message, wanted);
    }
    assert_string_equal(token, "");
    assert_int_equal(count_records(fixture, RECORD_TOKEN_PREFIX), 0);
}

static void identities_that_are_not_for_workloads(void **state)
{
    struct attest_token_request request = {.lifetime_s = 60, .actor = "test"};
    static const struct {
        const char *identity;
        const char *wanted;
    } cases[] = {
        {"spiffe://" TEST_DOMAIN "/remora/control", "reserved"},
        {"spiffe://" TEST_DOMAIN "/remora", "reserved"},
        {"spiffe://other.org/ns/a/sa/b", "trust domain"},
        {"spiffe://" TEST_DOMAIN, "workload"},
        {"ns/a/sa/b", ""},
        {"spiffe://" TEST_DOMAIN "/ns//sa", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        request.identity = cases[i].identity;
        assert_refused(*state, &request, cases[i].wanted);
    }
}

static void lifetimes_services_and_ranges(void **state)
{
    struct attest_token_request request = {
        .identity = TEST_IDENTITY, .lifetime_s = 0, .actor = "test"};
    assert_refused(*state, &request, "30 days");
    request.lifetime_s = ATTEST_TOKEN_MAX_LIFETIME_S + 1;
    assert_refused(*state, &request, "30 days");
    request.lifetime_s = 60;
    const char *services[] = {"web", "not a name"};
    request.services = services;
    request.service_count = 2;
    assert_refused(*state, &request, "");
    request.service_count = 1;
    const char *ranges[] = {"10.0.0.1/8"};
    request.address_ranges = ranges;
    request.address_range_count = 1;
    assert_refused(*state, &request, "10.0.0.1/8");
}

static void token_pins_the_root_and_the_store_keeps_a_hash(void **state)
{
    struct attest_fixture *fixture = *state;
    char token[TOKEN_BYTES];
    make_test_token(fixture, token);
    assert_memory_equal(token, "rmt1.", 5);
    const char *secret = strchr(token + 5, '.') + 1;
    const char *pin = strchr(secret, '.') + 1;
    uint8_t pinned[64];
    size_t length = 0;
    assert_int_equal(base64_decode(pin, strlen(pin), true, pinned, &length), RM_OK);
    assert_int_equal(length, KEY_ID_BYTES);
    uint8_t root_id[KEY_ID_BYTES];
    const struct der *root = authority_root(fixture->ca->authority);
    assert_int_equal(certificate_key_id(root->bytes, root->length, root_id), RM_OK);
    assert_memory_equal(pinned, root_id, KEY_ID_BYTES);

    uint8_t plain[64];
    uint8_t hash[SHA256_BYTES];
    assert_int_equal(base64_decode(secret, (size_t)(pin - 1 - secret), true, plain, &length),
                     RM_OK);
    assert_int_equal(length, 32);
    sha256(plain, length, hash);
    struct answer answer = {0};
    struct token_record record;
    fixture_read_prefix(fixture->ca->base, RECORD_TOKEN_PREFIX, NULL, 0, &answer);
    assert_int_equal(answer.count, 1);
    assert_int_equal(
        token_record_decode(answer.entries[0].value, answer.entries[0].value_length, &record),
        RM_OK);
    assert_memory_equal(record.secret_hash, hash, SHA256_BYTES);
    assert_null(memmem(answer.entries[0].value, answer.entries[0].value_length, plain, 32));
    token_record_deinit(&record);
    answer_free(&answer);
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, attest_fixture_setup, attest_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(identities_that_are_not_for_workloads),
        TEST(lifetimes_services_and_ranges),
        TEST(token_pins_the_root_and_the_store_keeps_a_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
