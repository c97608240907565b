// SPDX-License-Identifier: GPL-3.0-or-later
#include "authority_fixture.h"

#include "base/alloc.h"
#include "base/encode.h"
#include "records/record_keys.h"
#include "records/records_wire.h"

static void wrong_kek_is_named(void **state)
{
    struct authority_fixture *fixture = *state;
    authority_fixture_close(fixture);
    fixture->kek.bytes[0] ^= 1;
    assert_int_equal(authority_fixture_load(fixture), RM_ERR_CONFIG);
    assert_null(fixture->authority);
    assert_non_null(strstr(fixture->error.message, "key-encryption key"));
    assert_non_null(strstr(fixture->error.message, "kek_file"));
    fixture->kek.bytes[0] ^= 1;
    assert_int_equal(authority_fixture_load(fixture), RM_OK);
}

static struct authority_record read_record(struct authority_fixture *fixture, const char *key)
{
    struct answer answer = {0};
    struct authority_record record;
    fixture_read(fixture->base, key, &answer);
    assert_int_equal(answer.count, 1);
    assert_int_equal(
        authority_record_decode(answer.entries[0].value, answer.entries[0].value_length, &record),
        RM_OK);
    answer_free(&answer);
    return record;
}

static void write_record(struct authority_fixture *fixture, const char *key,
                         const struct authority_record *record)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    assert_int_equal(authority_record_encode(record, &bytes, &length), RM_OK);
    struct store_operation put = {STORE_PUT, key, bytes, length};
    assert_int_equal(fixture_commit(fixture->base, NULL, 0, &put, 1, NULL), RM_OK);
    rm_free(bytes);
}

static void one_sealed_key_cannot_stand_in_for_another(void **state)
{
    struct authority_fixture *fixture = *state;
    authority_fixture_close(fixture);
    struct authority_record root = read_record(fixture, RECORD_ROOT_KEY);
    struct authority_record mid = read_record(fixture, RECORD_INTERMEDIATE_KEY);
    struct record_bytes sealed = mid.sealed_key;
    mid.sealed_key = root.sealed_key;
    write_record(fixture, RECORD_INTERMEDIATE_KEY, &mid);
    assert_int_equal(authority_fixture_load(fixture), RM_ERR_CONFIG);
    mid.sealed_key = sealed;
    authority_record_deinit(&root);
    authority_record_deinit(&mid);
}

static void no_plain_key_lies_in_the_store(void **state)
{
    struct authority_fixture *fixture = *state;
    struct authority_record root = read_record(fixture, RECORD_ROOT_KEY);
    struct private_key *key = NULL;
    // What is sealed is no key as it stands, and opens to one with the KEK.
    assert_int_not_equal(key_parse(root.sealed_key.bytes, root.sealed_key.length, &key, NULL),
                         RM_OK);
    struct secret plain = {0};
    assert_int_equal(unseal(&fixture->kek, RECORD_ROOT_KEY, root.sealed_key.bytes,
                            root.sealed_key.length, &plain),
                     RM_OK);
    assert_int_equal(key_parse(plain.bytes, plain.length, &key, NULL), RM_OK);
    key_unref(key);
    secret_free(&plain);
    authority_record_deinit(&root);
}

static void second_init_changes_nothing(void **state)
{
    struct authority_fixture *fixture = *state;
    struct authority_record before = read_record(fixture, RECORD_ROOT_KEY);
    assert_int_equal(authority_fixture_init(fixture, AUTHORITY_SELF), RM_ERR_EXISTS);
    assert_int_equal(authority_fixture_init(fixture, AUTHORITY_OFFLINE_ROOT), RM_ERR_EXISTS);
    struct authority_record after = read_record(fixture, RECORD_ROOT_KEY);
    assert_int_equal(before.certificate.length, after.certificate.length);
    assert_memory_equal(before.certificate.bytes, after.certificate.bytes,
                        after.certificate.length);
    authority_record_deinit(&before);
    authority_record_deinit(&after);
}

static void empty_folder_says_what_to_do(void **state)
{
    (void)state;
    struct authority_fixture *fixture = authority_fixture_new();
    assert_int_equal(authority_fixture_load(fixture), RM_ERR_NOT_FOUND);
    assert_non_null(strstr(fixture->error.message, "remora-control init"));
    authority_fixture_free(fixture);
}

#define TEST(function)                                                                             \
    cmocka_unit_test_setup_teardown(function, authority_fixture_setup, authority_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wrong_kek_is_named),
        TEST(one_sealed_key_cannot_stand_in_for_another),
        TEST(no_plain_key_lies_in_the_store),
        TEST(second_init_changes_nothing),
        cmocka_unit_test(empty_folder_says_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
