// SPDX-License-Identifier: GPL-3.0-or-later
//
// An identity is made only from a chain whose leaf has the given key; the error names both key ids.
// The chain is taken in any case.
#include "tls_fixture.h"

#include <string.h>

#include "base/alloc.h"
#include "base/encode.h"

static struct chain fresh_chain(const struct world *world, struct private_key **key)
{
    return pki_chain(&world->authority, &(struct pki_recipe){.spiffe_id = WORLD_CLIENT_ID}, key);
}

static void fitting_identity_is_described(void **state)
{
    struct private_key *key = NULL;
    struct chain chain = fresh_chain(*state, &key);
    struct tls_identity *identity = NULL;
    assert_int_equal(tls_identity_new(&chain, key, &identity, NULL), RM_OK);
    assert_int_equal(chain.count, 0);
    assert_int_equal(identity->chain.count, 2);
    assert_string_equal(identity->spiffe_id, WORLD_CLIENT_ID);
    assert_true(identity->not_before_s < identity->not_after_s);
    assert_int_equal(identity->serial_length, ISSUE_SERIAL_BYTES);
    struct tls_identity *again = tls_identity_ref(identity);
    tls_identity_unref(identity);
    assert_string_equal(again->spiffe_id, WORLD_CLIENT_ID);
    tls_identity_unref(again);
    tls_identity_unref(NULL);
    key_unref(key);
}

static void foreign_key_is_refused_with_both_ids(void **state)
{
    struct private_key *key = NULL;
    struct private_key *other = NULL;
    struct chain chain = fresh_chain(*state, &key);
    struct tls_identity *identity = NULL;
    struct rm_error error = {0};
    uint8_t id[KEY_ID_BYTES];
    char text[HEX_BYTES(KEY_ID_BYTES)];
    assert_int_equal(key_generate(&other), RM_OK);
    assert_int_equal(tls_identity_new(&chain, other, &identity, &error), RM_ERR_CONFIG);
    assert_null(identity);
    assert_int_equal(chain.count, 0);
    key_id(key, id);
    hex_encode(id, sizeof(id), text);
    assert_non_null(strstr(error.message, text));
    key_id(other, id);
    hex_encode(id, sizeof(id), text);
    assert_non_null(strstr(error.message, text));
    key_unref(key);
    key_unref(other);
}

static void empty_and_unreadable_chains_are_refused(void **state)
{
    struct private_key *key = NULL;
    struct tls_identity *identity = NULL;
    struct chain empty = {0};
    struct chain noise = {0};
    struct chain chain = fresh_chain(*state, &key);
    assert_int_equal(tls_identity_new(&empty, key, &identity, NULL), RM_ERR_MALFORMED);
    assert_int_equal(chain_append(&noise, (const uint8_t *)"noise", 5), RM_OK);
    assert_int_equal(tls_identity_new(&noise, key, &identity, NULL), RM_ERR_MALFORMED);
    assert_null(identity);
    chain_deinit(&chain);
    key_unref(key);
}

static void chain_larger_than_peers_take_is_refused(void **state)
{
    struct private_key *key = NULL;
    struct tls_identity *identity = NULL;
    struct chain chain = fresh_chain(*state, &key);
    uint8_t *large = rm_calloc(1, CERTIFICATE_MAX_DER_BYTES);
    assert_int_equal(chain_append(&chain, large, CERTIFICATE_MAX_DER_BYTES), RM_OK);
    rm_free(large);
    assert_int_equal(tls_identity_new(&chain, key, &identity, NULL), RM_ERR_TOO_LARGE);
    assert_null(identity);
    key_unref(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fitting_identity_is_described),
        cmocka_unit_test(foreign_key_is_refused_with_both_ids),
        cmocka_unit_test(empty_and_unreadable_chains_are_refused),
        cmocka_unit_test(chain_larger_than_peers_take_is_refused),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
