// SPDX-License-Identifier: GPL-3.0-or-later
#include "authority_fixture.h"

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "crypto/crypto.h"

// The operator's own root, elsewhere.
struct operator_root {
    struct private_key *key;
    uint8_t *der;
    size_t length;
    struct issuer *issuer;
};

static struct authority_request request_of(const char *domain, const char *name)
{
    struct authority_request request = {
        .trust_domain = domain,
        .common_name = name,
        .not_before_s = clock_wall_s() - 60,
        .not_after_s = clock_wall_s() + 86400,
    };
    assert_int_equal(random_bytes(request.serial, sizeof request.serial), RM_OK);
    request.serial[0] = 0x11;
    return request;
}

static struct operator_root operator_root_make(const char *domain)
{
    struct operator_root root = {0};
    struct authority_request request = request_of(domain, "Operator's root");
    assert_int_equal(key_generate(&root.key), RM_OK);
    assert_int_equal(issue_root(root.key, &request, &root.der, &root.length), RM_OK);
    assert_int_equal(issuer_new(root.der, root.length, root.key, &root.issuer, NULL), RM_OK);
    return root;
}

static void operator_root_free(struct operator_root *root)
{
    issuer_unref(root->issuer);
    key_unref(root->key);
    rm_free(root->der);
}

static enum rm_err take_block(void *context, const uint8_t *der, size_t length)
{
    return buffer_append(context, der, length);
}

// The public key of the request that init gave.
static void read_request(const struct authority_fixture *fixture, uint8_t **spki, size_t *length)
{
    const char *begin = strstr(fixture->csr_pem, "-----BEGIN CERTIFICATE REQUEST-----");
    assert_ptr_equal(begin, fixture->csr_pem);
    // pem_each() reads certificates only: the label is changed for it.
    struct buffer text;
    struct buffer der;
    buffer_init(&text, 65536);
    buffer_init(&der, 65536);
    const char *body = strchr(begin, '\n') + 1;
    const char *end = strstr(body, "-----END");
    assert_int_equal(buffer_printf(&text,
                                   "-----BEGIN CERTIFICATE-----\n%.*s-----END CERTIFICATE-----\n",
                                   (int)(end - body), body),
                     RM_OK);
    assert_int_equal(pem_each(buffer_data(&text), buffer_length(&text), take_block, &der, NULL),
                     RM_OK);
    assert_int_equal(csr_read(buffer_data(&der), buffer_length(&der), spki, length, NULL), RM_OK);
    buffer_deinit(&text);
    buffer_deinit(&der);
}

static void append(struct buffer *pem, const uint8_t *der, size_t length)
{
    assert_int_equal(pem_append(pem, "CERTIFICATE", der, length), RM_OK);
}

static void append_intermediate(struct buffer *pem, const struct operator_root *root,
                                const uint8_t *spki, size_t spki_length, const char *domain)
{
    struct authority_request request = request_of(domain, "Intermediate");
    uint8_t *der = NULL;
    size_t length = 0;
    assert_int_equal(issue_intermediate(root->issuer, spki, spki_length, &request, &der, &length),
                     RM_OK);
    append(pem, der, length);
    rm_free(der);
}

static enum rm_err import(struct authority_fixture *fixture, struct buffer *pem)
{
    enum rm_err result = authority_fixture_import(fixture, buffer_data(pem), buffer_length(pem));
    buffer_deinit(pem);
    buffer_init(pem, 65536);
    return result;
}

static int setup(void **state)
{
    struct authority_fixture *fixture = authority_fixture_new();
    assert_int_equal(authority_fixture_init(fixture, AUTHORITY_OFFLINE_ROOT), RM_OK);
    *state = fixture;
    return 0;
}

static void signed_chain_makes_it_serve(void **state)
{
    struct authority_fixture *fixture = *state;
    struct operator_root root = operator_root_make(TEST_DOMAIN);
    struct buffer pem;
    uint8_t *spki = NULL;
    size_t spki_length = 0;
    buffer_init(&pem, 65536);
    read_request(fixture, &spki, &spki_length);
    assert_int_equal(authority_fixture_load(fixture), RM_ERR_NOT_FOUND);
    assert_non_null(strstr(fixture->error.message, "import-chain"));

    append_intermediate(&pem, &root, spki, spki_length, TEST_DOMAIN);
    append(&pem, root.der, root.length);
    assert_int_equal(import(fixture, &pem), RM_OK);
    assert_int_equal(authority_fixture_load(fixture), RM_OK);
    assert_int_equal(authority_mode_of(fixture->authority), AUTHORITY_OFFLINE_ROOT);
    struct authority_leaf leaf = {0};
    assert_int_equal(authority_fixture_sign(fixture, 3600, &leaf), RM_OK);
    chain_deinit(&leaf.chain);
    authority_fixture_close(fixture);

    // The same request signed again: the intermediate is renewed.
    append_intermediate(&pem, &root, spki, spki_length, TEST_DOMAIN);
    append(&pem, root.der, root.length);
    assert_int_equal(import(fixture, &pem), RM_OK);
    assert_int_equal(authority_fixture_load(fixture), RM_OK);
    authority_fixture_close(fixture);

    // By another root it is not.
    struct operator_root other = operator_root_make(TEST_DOMAIN);
    append_intermediate(&pem, &other, spki, spki_length, TEST_DOMAIN);
    append(&pem, other.der, other.length);
    assert_int_equal(import(fixture, &pem), RM_ERR_CONFIG);
    assert_non_null(strstr(fixture->error.message, "not the root"));
    assert_int_equal(authority_fixture_load(fixture), RM_OK);
    rm_free(spki);
    buffer_deinit(&pem);
    operator_root_free(&root);
    operator_root_free(&other);
}

static void chains_that_do_not_fit_are_refused_by_name(void **state)
{
    struct authority_fixture *fixture = *state;
    struct operator_root root = operator_root_make(TEST_DOMAIN);
    struct operator_root other = operator_root_make(TEST_DOMAIN);
    struct operator_root foreign = operator_root_make("other.org");
    struct buffer pem;
    uint8_t *spki = NULL;
    size_t spki_length = 0;
    const uint8_t *stranger = NULL;
    size_t stranger_length = 0;
    buffer_init(&pem, 65536);
    read_request(fixture, &spki, &spki_length);
    key_spki(other.key, &stranger, &stranger_length);

    append_intermediate(&pem, &root, stranger, stranger_length, TEST_DOMAIN);
    append(&pem, root.der, root.length);
    assert_int_equal(import(fixture, &pem), RM_ERR_CONFIG);
    assert_non_null(strstr(fixture->error.message, "not for the key"));

    append(&pem, root.der, root.length);
    append_intermediate(&pem, &root, spki, spki_length, TEST_DOMAIN);
    assert_int_equal(import(fixture, &pem), RM_ERR_CONFIG);

    append_intermediate(&pem, &root, spki, spki_length, TEST_DOMAIN);
    assert_int_equal(import(fixture, &pem), RM_ERR_CONFIG);
    assert_non_null(strstr(fixture->error.message, "wanted are two"));

    append_intermediate(&pem, &root, spki, spki_length, TEST_DOMAIN);
    append(&pem, other.der, other.length);
    assert_int_equal(import(fixture, &pem), RM_ERR_UNTRUSTED);

    append_intermediate(&pem, &foreign, spki, spki_length, "other.org");
    append(&pem, foreign.der, foreign.length);
    assert_int_not_equal(import(fixture, &pem), RM_OK);

    assert_int_equal(buffer_append_text(&pem, "no certificate at all"), RM_OK);
    assert_int_not_equal(import(fixture, &pem), RM_OK);

    assert_int_equal(authority_fixture_load(fixture), RM_ERR_NOT_FOUND);
    rm_free(spki);
    buffer_deinit(&pem);
    operator_root_free(&root);
    operator_root_free(&other);
    operator_root_free(&foreign);
}

static void own_root_takes_no_chain(void **state)
{
    (void)state;
    struct authority_fixture *fixture = authority_fixture_new();
    struct operator_root root = operator_root_make(TEST_DOMAIN);
    struct buffer pem;
    const uint8_t *spki = NULL;
    size_t spki_length = 0;
    buffer_init(&pem, 65536);
    key_spki(root.key, &spki, &spki_length);
    assert_int_equal(authority_fixture_init(fixture, AUTHORITY_SELF), RM_OK);
    append_intermediate(&pem, &root, spki, spki_length, TEST_DOMAIN);
    append(&pem, root.der, root.length);
    assert_int_equal(import(fixture, &pem), RM_ERR_CONFIG);
    assert_int_equal(authority_fixture_load(fixture), RM_OK);
    buffer_deinit(&pem);
    operator_root_free(&root);
    authority_fixture_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(signed_chain_makes_it_serve, setup,
                                        authority_fixture_teardown),
        cmocka_unit_test_setup_teardown(chains_that_do_not_fit_are_refused_by_name, setup,
                                        authority_fixture_teardown),
        cmocka_unit_test(own_root_takes_no_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
