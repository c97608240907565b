// SPDX-License-Identifier: GPL-3.0-or-later
//
// Every allocation of every function fails once, wolfCrypt's own included; leaks are for the
// sanitizer to see. Each step starts from good input and must say RM_ERR_NO_MEMORY, or succeed
// where the library can do without.
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "crypto/crypto.h"
#include "crypto_fixture.h"

#define ID "spiffe://example.org/a"

struct scene {
    struct fixture root;
    struct fixture intermediate;
    struct fixture leaf;
    struct trust_snapshot *trust;
    struct private_key *rsa;
    uint8_t *csr;
    size_t csr_length;
    struct buffer pem; // leaf and intermediate
    struct secret seal_key;
    uint8_t *sealed;
    size_t sealed_length;
};

static struct scene scene;

typedef enum rm_err (*step_fn)(void);

static void assert_survives(step_fn step)
{
    for (uint64_t nth = 1;; nth++) {
        rm_alloc_fail_at(nth);
        enum rm_err result = step();
        bool has_failed = rm_alloc_count() >= nth;
        rm_alloc_fail_at(0);
        if (!has_failed) {
            assert_int_equal(result, RM_OK);
            assert_true(nth > 1);
            return;
        }
        if (result != RM_ERR_NO_MEMORY) {
            fail_msg("allocation %d: %s", (int)nth, rm_err_name(result));
        }
    }
}

static enum rm_err give_back(enum rm_err result, uint8_t *der)
{
    rm_free(der);
    return result;
}

static enum rm_err generate_key(void)
{
    struct private_key *key = NULL;
    enum rm_err result = key_generate(&key);
    key_unref(key);
    return result;
}

static enum rm_err parse_key(const struct secret *pkcs8)
{
    struct private_key *key = NULL;
    struct rm_error error = {0};
    enum rm_err result = key_parse(pkcs8->bytes, pkcs8->length, &key, &error);
    key_unref(key);
    return result;
}

static enum rm_err parse_ec_key(void)
{
    return parse_key(key_pkcs8(scene.leaf.key));
}

static enum rm_err parse_rsa_key(void)
{
    return parse_key(key_pkcs8(scene.rsa));
}

static enum rm_err parse_pem_key(void)
{
    struct buffer text;
    struct private_key *key = NULL;
    const struct secret *pkcs8 = key_pkcs8(scene.leaf.key);
    buffer_init(&text, 4096);
    enum rm_err result = pem_append(&text, "PRIVATE KEY", pkcs8->bytes, pkcs8->length);
    if (result == RM_OK) {
        result = key_parse(buffer_data(&text), buffer_length(&text), &key, NULL);
    }
    key_unref(key);
    buffer_deinit(&text);
    return result;
}

static enum rm_err make_request(void)
{
    uint8_t *der = NULL;
    size_t length = 0;
    enum rm_err result = csr_make(scene.leaf.key, &der, &length);
    return give_back(result, der);
}

static enum rm_err make_authority_request(void)
{
    uint8_t *der = NULL;
    size_t length = 0;
    enum rm_err result = csr_make_authority(scene.leaf.key, "example.org", "CA", &der, &length);
    return give_back(result, der);
}

static enum rm_err read_request(void)
{
    uint8_t *spki = NULL;
    size_t length = 0;
    struct rm_error error = {0};
    enum rm_err result = csr_read(scene.csr, scene.csr_length, &spki, &length, &error);
    return give_back(result, spki);
}

static enum rm_err make_issuer(void)
{
    struct issuer *issuer = NULL;
    enum rm_err result =
        issuer_new(scene.root.der, scene.root.length, scene.root.key, &issuer, NULL);
    issuer_unref(issuer);
    return result;
}

static struct authority_request authority(void)
{
    return (struct authority_request){.trust_domain = "example.org",
                                      .common_name = "CA",
                                      .not_before_s = 1700000000,
                                      .not_after_s = 4000000000,
                                      .serial = {1}};
}

static enum rm_err make_root(void)
{
    struct authority_request request = authority();
    uint8_t *der = NULL;
    size_t length = 0;
    enum rm_err result = issue_root(scene.root.key, &request, &der, &length);
    return give_back(result, der);
}

static enum rm_err make_rsa_root(void)
{
    struct authority_request request = authority();
    uint8_t *der = NULL;
    size_t length = 0;
    enum rm_err result = issue_root(scene.rsa, &request, &der, &length);
    return give_back(result, der);
}

static enum rm_err make_intermediate(void)
{
    struct authority_request request = authority();
    uint8_t *der = NULL;
    const uint8_t *spki = NULL;
    size_t spki_length = 0;
    size_t length = 0;
    key_spki(scene.leaf.key, &spki, &spki_length);
    enum rm_err result =
        issue_intermediate(scene.root.issuer, spki, spki_length, &request, &der, &length);
    return give_back(result, der);
}

static enum rm_err make_leaf(void)
{
    static const char *const names[] = {"a.example"};
    struct leaf_request request = {.spiffe_id = ID,
                                   .dns_names = names,
                                   .dns_count = 1,
                                   .not_before_s = 1700000000,
                                   .not_after_s = 4000000000,
                                   .serial = {1}};
    uint8_t *der = NULL;
    size_t length = 0;
    key_spki(scene.leaf.key, &request.spki, &request.spki_length);
    enum rm_err result = issue_leaf(scene.intermediate.issuer, &request, &der, &length);
    return give_back(result, der);
}

static enum rm_err parse_certificate(void)
{
    struct certificate certificate;
    enum rm_err result =
        certificate_parse(scene.intermediate.der, scene.intermediate.length, &certificate, NULL);
    certificate_deinit(&certificate);
    return result;
}

static enum rm_err parse_chain(void)
{
    struct chain chain;
    struct rm_error error = {0};
    enum rm_err result =
        chain_parse_pem(buffer_data(&scene.pem), buffer_length(&scene.pem), &chain, &error);
    chain_deinit(&chain);
    return result;
}

static enum rm_err examine_chain(void)
{
    const struct der sent[] = {scene.leaf.view, scene.intermediate.view, scene.root.view};
    struct certificate leaf;
    struct chain_facts facts;
    const char *why = NULL;
    enum rm_err result = chain_examine(sent, 3, scene.trust, &leaf, &facts, &why);
    assert_true(facts.is_anchored == (result == RM_OK)); // memory never decides who is trusted
    certificate_deinit(&leaf);
    return result;
}

static enum rm_err verify_certificate(void)
{
    return certificate_verify_signature(scene.leaf.der, scene.leaf.length, scene.intermediate.der,
                                        scene.intermediate.length);
}

static enum rm_err seal_secret(void)
{
    uint8_t *sealed = NULL;
    size_t length = 0;
    enum rm_err result = seal(&scene.seal_key, "c", "secret", 6, &sealed, &length);
    return give_back(result, sealed);
}

static enum rm_err unseal_secret(void)
{
    struct secret plain;
    enum rm_err result = unseal(&scene.seal_key, "c", scene.sealed, scene.sealed_length, &plain);
    secret_free(&plain);
    return result;
}

static enum rm_err hash_stream(void)
{
    uint8_t digest[SHA256_BYTES];
    struct sha256_stream *stream = sha256_stream_new();
    if (stream == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    sha256_stream_finish(stream, digest);
    return RM_OK;
}

static enum rm_err prove_possession(void)
{
    uint8_t signature[SIGNATURE_P256_MAX_BYTES];
    size_t length = 0;
    return key_sign_sha256(scene.leaf.key, "x", 1, signature, &length);
}

static void every_function_survives(void **state)
{
    (void)state;
    static const struct {
        const char *name; // for people
        step_fn step;
    } rows[] = {
        {"key_generate", generate_key},
        {"key_parse of P-256", parse_ec_key},
        {"key_parse of RSA", parse_rsa_key},
        {"key_parse of PEM", parse_pem_key},
        {"csr_make", make_request},
        {"csr_make_authority", make_authority_request},
        {"csr_read", read_request},
        {"issuer_new", make_issuer},
        {"issue_root", make_root},
        {"issue_root with RSA", make_rsa_root},
        {"issue_intermediate", make_intermediate},
        {"issue_leaf", make_leaf},
        {"certificate_parse", parse_certificate},
        {"chain_parse_pem", parse_chain},
        {"chain_examine", examine_chain},
        {"seal", seal_secret},
        {"unseal", unseal_secret},
        {"sha256_stream_new", hash_stream},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("%s\n", rows[i].name);
        assert_survives(rows[i].step);
    }
}

// Where nothing is allocated, memory cannot run out.
static void signatures_take_no_memory(void **state)
{
    (void)state;
    rm_alloc_fail_at(1);
    assert_int_equal(verify_certificate(), RM_OK);
    assert_int_equal(prove_possession(), RM_OK);
    assert_int_equal(rm_alloc_count(), 0);
    rm_alloc_fail_at(0);
}

static int scene_open(void **state)
{
    fixture_start(state);
    scene.root = fixture_root("example.org");
    scene.intermediate = fixture_intermediate(&scene.root, "example.org");
    scene.leaf = fixture_leaf(&scene.intermediate, ID);
    scene.trust = fixture_trust("example.org", &scene.root);
    scene.rsa = fixture_foreign_key("RSA:2048");
    buffer_init(&scene.pem, 65536);
    return csr_make(scene.leaf.key, &scene.csr, &scene.csr_length) != RM_OK ||
           pem_append(&scene.pem, "CERTIFICATE", scene.leaf.der, scene.leaf.length) != RM_OK ||
           pem_append(&scene.pem, "CERTIFICATE", scene.intermediate.der,
                      scene.intermediate.length) != RM_OK ||
           secret_new(SEAL_KEY_BYTES, &scene.seal_key) != RM_OK ||
           seal(&scene.seal_key, "c", "secret", 6, &scene.sealed, &scene.sealed_length) != RM_OK;
}

static int scene_close(void **state)
{
    fixture_free(&scene.root);
    fixture_free(&scene.intermediate);
    fixture_free(&scene.leaf);
    trust_unref(scene.trust);
    key_unref(scene.rsa);
    rm_free(scene.csr);
    buffer_deinit(&scene.pem);
    secret_free(&scene.seal_key);
    rm_free(scene.sealed);
    return fixture_stop(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_function_survives),
        cmocka_unit_test(signatures_take_no_memory),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
