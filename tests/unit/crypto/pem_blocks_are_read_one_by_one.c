// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "crypto_fixture.h"

static void append(struct buffer *text, const char *label, const struct fixture *fixture)
{
    assert_int_equal(pem_append(text, label, fixture->der, fixture->length), RM_OK);
}

static enum rm_err parse(struct buffer *text, struct chain *chain, struct rm_error *error)
{
    return chain_parse_pem(buffer_data(text), buffer_length(text), chain, error);
}

static void chain_keeps_order_and_ignores_the_rest(void **state)
{
    (void)state;
    struct fixture root = fixture_root("example.org");
    struct fixture leaf = fixture_leaf(&root, "spiffe://example.org/a");
    struct buffer text;
    struct chain chain;
    buffer_init(&text, 65536);
    assert_int_equal(buffer_append_text(&text, "Bag Attributes\nsubject=...\n"), RM_OK);
    append(&text, "CERTIFICATE", &leaf);
    assert_int_equal(buffer_append_text(&text, "\n\n# the root:\r\n"), RM_OK);
    append(&text, "PRIVATE KEY", &leaf);
    append(&text, "CERTIFICATE", &root);
    assert_int_equal(parse(&text, &chain, NULL), RM_OK);
    assert_int_equal(chain.count, 2);
    assert_int_equal(chain.certificates[0].length, leaf.length);
    assert_memory_equal(chain.certificates[0].bytes, leaf.der, leaf.length);
    assert_memory_equal(chain.certificates[1].bytes, root.der, root.length);
    chain_deinit(&chain);
    chain_deinit(&chain);
    buffer_deinit(&text);
    fixture_free(&root);
    fixture_free(&leaf);
}

static void openssl_reads_what_we_write(void **state)
{
    (void)state;
    struct fixture root = fixture_root("example.org");
    fixture_folder_open();
    fixture_put_pem("ours.pem", "CERTIFICATE", root.der, root.length);
    fixture_put("ours.der", root.der, root.length);
    assert_true(
        fixture_run("openssl x509 -in ours.pem -outform DER -out theirs.der && "
                    "cmp ours.der theirs.der && "
                    "openssl x509 -in ours.pem -out theirs.pem && cmp ours.pem theirs.pem"));
    fixture_folder_close();
    fixture_free(&root);
}

static void faults_name_the_block(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum rm_err expected;
        const char *says;
    } rows[] = {
        {"", RM_ERR_MALFORMED, "there is no PEM CERTIFICATE block"},
        {"hello", RM_ERR_MALFORMED, "there is no PEM CERTIFICATE block"},
        {"-----BEGIN CERTIFICATE-----\nAAAA", RM_ERR_MALFORMED, "does not end"},
        {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END KEY-----\n", RM_ERR_MALFORMED,
         "does not end"},
        {"-----BEGIN CERTIFICATE-----\nAA!A\n-----END CERTIFICATE-----\n", RM_ERR_MALFORMED,
         "certificate 1: the text between BEGIN and END is not base64"},
        {"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", RM_ERR_MALFORMED,
         "certificate 1: the text between BEGIN and END is not base64"},
        {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", RM_ERR_MALFORMED,
         "certificate 1: the certificate is refused"},
        {"-----BEGIN ", RM_ERR_MALFORMED, "does not end"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct chain chain;
        struct rm_error error = {0};
        assert_int_equal(
            chain_parse_pem((const uint8_t *)rows[i].text, strlen(rows[i].text), &chain, &error),
            rows[i].expected);
        if (strstr(error.message, rows[i].says) == NULL) {
            fail_msg("'%s' does not say '%s'", error.message, rows[i].says);
        }
        assert_int_equal(chain.count, 0);
    }
}

static void later_faults_leave_nothing_behind(void **state)
{
    (void)state;
    struct fixture root = fixture_root("example.org");
    struct buffer text;
    struct chain chain;
    struct rm_error error = {0};
    buffer_init(&text, 65536);
    append(&text, "CERTIFICATE", &root);
    root.der[4] ^= 0xff; // the tag of the signed part
    append(&text, "CERTIFICATE", &root);
    assert_int_equal(parse(&text, &chain, &error), RM_ERR_MALFORMED);
    assert_non_null(strstr(error.message, "certificate 2: the certificate is refused"));
    assert_int_equal(chain.count, 0);
    buffer_deinit(&text);
    fixture_free(&root);
}

static void limits_are_kept(void **state)
{
    (void)state;
    struct fixture root = fixture_root("example.org");
    struct buffer text;
    struct chain chain;
    struct rm_error error = {0};
    buffer_init(&text, BUNDLE_MAX_PEM_BYTES * 2);
    for (size_t i = 0; i < CHAIN_MAX_CERTIFICATES; i++) {
        append(&text, "CERTIFICATE", &root);
    }
    assert_int_equal(parse(&text, &chain, &error), RM_OK);
    assert_int_equal(chain.count, CHAIN_MAX_CERTIFICATES);
    assert_int_equal(chain_append(&chain, root.der, root.length), RM_ERR_LIMIT);
    chain_deinit(&chain);
    append(&text, "CERTIFICATE", &root);
    assert_int_equal(parse(&text, &chain, &error), RM_ERR_LIMIT);
    assert_non_null(strstr(error.message, "certificate 7: a chain has at most 6"));
    while (buffer_length(&text) <= BUNDLE_MAX_PEM_BYTES) {
        append(&text, "CERTIFICATE", &root);
    }
    assert_int_equal(parse(&text, &chain, &error), RM_ERR_TOO_LARGE);
    assert_int_equal(chain_append(&chain, root.der, CERTIFICATE_MAX_DER_BYTES + 1),
                     RM_ERR_TOO_LARGE);
    assert_int_equal(chain_append(&chain, root.der, 0), RM_ERR_TOO_LARGE);
    buffer_deinit(&text);
    fixture_free(&root);
}

static enum rm_err stop_at_second(void *context, const uint8_t *der, size_t length)
{
    size_t *seen = context;
    assert_non_null(der);
    assert_true(length > 0);
    return ++*seen == 2 ? RM_ERR_CANCELLED : RM_OK;
}

static void visitor_may_stop(void **state)
{
    (void)state;
    struct fixture root = fixture_root("example.org");
    struct buffer text;
    struct rm_error error = {0};
    size_t seen = 0;
    buffer_init(&text, 65536);
    for (size_t i = 0; i < 4; i++) {
        append(&text, "CERTIFICATE", &root);
    }
    assert_int_equal(
        pem_each(buffer_data(&text), buffer_length(&text), stop_at_second, &seen, &error),
        RM_ERR_CANCELLED);
    assert_int_equal(seen, 2);
    assert_string_equal(error.message, "certificate 2: cancelled");
    buffer_deinit(&text);
    fixture_free(&root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chain_keeps_order_and_ignores_the_rest),
        cmocka_unit_test(openssl_reads_what_we_write),
        cmocka_unit_test(faults_name_the_block),
        cmocka_unit_test(later_faults_leave_nothing_behind),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(visitor_may_stop),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
