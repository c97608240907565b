// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "base/alloc.h"
#include "crypto_fixture.h"

#define ID "spiffe://example.org/ns/shop/sa/web"

struct scene {
    struct fixture root;
    struct fixture intermediate;
    struct private_key *key;     // of the leaf
    struct leaf_request request; // good as it is
};

static const char *const dns_names[] = {"web.shop.svc", "*.web.example", "a-b_c.example"};

static struct scene scene_open(void)
{
    struct scene scene = {.root = fixture_root("example.org"), .key = fixture_key()};
    scene.intermediate = fixture_intermediate(&scene.root, "example.org");
    scene.request = (struct leaf_request){
        .spiffe_id = ID,
        .serial = {0x12, 0x34, 0, 0, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9},
        .not_before_s = fixture_now() - 60,
        .not_after_s = fixture_now() + 3600,
    };
    key_spki(scene.key, &scene.request.spki, &scene.request.spki_length);
    return scene;
}

static void scene_close(struct scene *scene)
{
    fixture_free(&scene->root);
    fixture_free(&scene->intermediate);
    key_unref(scene->key);
}

static enum rm_err scene_issue(const struct scene *scene, uint8_t **der, size_t *length)
{
    *der = NULL;
    return issue_leaf(scene->intermediate.issuer, &scene->request, der, length);
}

static void assert_refused(const struct scene *scene, enum rm_err expected)
{
    uint8_t *der = NULL;
    size_t length = 0;
    assert_int_equal(scene_issue(scene, &der, &length), expected);
    assert_null(der);
}

static void leaf_says_what_the_design_says(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    struct certificate leaf;
    uint8_t *der = NULL;
    uint8_t id[KEY_ID_BYTES];
    size_t length = 0;
    scene.request.dns_names = dns_names;
    scene.request.dns_count = 3;
    assert_int_equal(scene_issue(&scene, &der, &length), RM_OK);
    assert_int_equal(certificate_parse(der, length, &leaf, NULL), RM_OK);
    assert_int_equal(leaf.uri_count, 1);
    assert_string_equal(leaf.uri, ID);
    assert_int_equal(leaf.dns_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(leaf.dns[i], dns_names[i]);
    }
    assert_string_equal(leaf.subject, "");
    assert_int_equal(leaf.serial_length, ISSUE_SERIAL_BYTES);
    assert_memory_equal(leaf.serial, scene.request.serial, ISSUE_SERIAL_BYTES);
    assert_true(leaf.not_before_s == scene.request.not_before_s);
    assert_true(leaf.not_after_s == scene.request.not_after_s);
    assert_false(leaf.is_ca);
    assert_true(leaf.has_key_usage && leaf.key_usage == 0x80);
    assert_true(leaf.has_extended_key_usage && leaf.is_server_auth && leaf.is_client_auth);
    assert_false(leaf.is_self_signed);
    key_id(scene.key, id);
    assert_memory_equal(leaf.spki_id, id, KEY_ID_BYTES);
    certificate_deinit(&leaf);
    rm_free(der);
    scene_close(&scene);
}

// The same seen by somebody else, with the flags that our reader does not show.
static void openssl_sees_the_same(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    uint8_t *der = NULL;
    size_t length = 0;
    scene.request.dns_names = dns_names;
    scene.request.dns_count = 1;
    assert_int_equal(scene_issue(&scene, &der, &length), RM_OK);
    fixture_folder_open();
    fixture_put("leaf.der", der, length);
    assert_true(fixture_run(
        "openssl x509 -inform DER -in leaf.der -noout -text | tr -s ' \\n' ' ' >text && "
        "grep -q 'Version: 3' text && grep -q 'Subject: X509v3\\|Subject: Subject Public' text && "
        "grep -q 'X509v3 Basic Constraints: critical CA:FALSE' text && "
        "grep -q 'X509v3 Key Usage: critical Digital Signature X509v3 Extended' text && "
        "grep -q 'Extended Key Usage: TLS Web Server Authentication, TLS Web Client "
        "Authentication X509v3' text && "
        "grep -q 'Alternative Name: critical URI:" ID ", DNS:web.shop.svc' text && "
        "grep -q 'Subject Key Identifier: ..:' text && "
        "grep -q 'Authority Key Identifier: ..:' text && "
        "grep -q 'Serial Number: 12:34:00:00:00:00:00:01:09' text && "
        "grep -q 'Signature Algorithm: ecdsa-with-SHA256' text"));
    fixture_folder_close();
    rm_free(der);
    scene_close(&scene);
}

static void end_never_exceeds_the_issuer(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    struct certificate leaf;
    uint8_t *der = NULL;
    size_t length = 0;
    scene.request.not_after_s = fixture_now() + 365 * (int64_t)FIXTURE_DAY_S;
    assert_int_equal(scene_issue(&scene, &der, &length), RM_OK);
    assert_int_equal(certificate_parse(der, length, &leaf, NULL), RM_OK);
    assert_true(leaf.not_after_s == issuer_not_after_s(scene.intermediate.issuer));
    certificate_deinit(&leaf);
    rm_free(der);
    scene.request.not_before_s = issuer_not_after_s(scene.intermediate.issuer);
    assert_refused(&scene, RM_ERR_EXPIRED);
    scene.request.not_before_s = scene.request.not_after_s = fixture_now();
    assert_refused(&scene, RM_ERR_EXPIRED);
    scene_close(&scene);
}

// RFC 5280 4.1.2.5: two-digit years through 2049, four digits after.
static void dates_are_written_for_their_century(void **state)
{
    (void)state;
    static const int64_t dates[] = {-631152000, -1,         1,          951782400,
                                    2524607999, 2524608000, 4107542400, 253402300799};
    struct scene scene = scene_open();
    for (size_t i = 0; i + 1 < sizeof(dates) / sizeof(dates[0]); i++) {
        struct certificate read;
        struct fixture made = fixture_odd(
            (struct profile){.uri = ID, .not_before_s = dates[i], .not_after_s = dates[i + 1]},
            &scene.root);
        assert_int_equal(certificate_parse(made.der, made.length, &read, NULL), RM_OK);
        assert_true(read.not_before_s == dates[i]);
        assert_true(read.not_after_s == dates[i + 1]);
        bool has_utc = dates[i] < 2524608000;
        assert_int_equal(
            memmem(made.der, made.length, has_utc ? "\x17\x0d" : "\x18\x0f", 2) != NULL, true);
        certificate_deinit(&read);
        fixture_free(&made);
    }
    scene.request.not_before_s = -631152001;
    assert_refused(&scene, RM_ERR_MALFORMED);
    scene_close(&scene);
}

static void serials_are_written_as_positive_numbers(void **state)
{
    (void)state;
    static const struct {
        uint8_t serial[ISSUE_SERIAL_BYTES];
        uint8_t length; // without leading zeros
    } rows[] = {
        {{0x7f, [15] = 1}, 16},    {{0x80, [15] = 1}, 16}, {{0xff, [15] = 1}, 16},
        {{0, 0x80, [15] = 1}, 15}, {{[15] = 1}, 1},
    };
    struct scene scene = scene_open();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct certificate leaf;
        uint8_t *der = NULL;
        size_t length = 0;
        memcpy(scene.request.serial, rows[i].serial, ISSUE_SERIAL_BYTES);
        assert_int_equal(scene_issue(&scene, &der, &length), RM_OK);
        assert_int_equal(certificate_parse(der, length, &leaf, NULL), RM_OK);
        assert_int_equal(leaf.serial_length, rows[i].length);
        assert_memory_equal(leaf.serial, rows[i].serial + ISSUE_SERIAL_BYTES - rows[i].length,
                            rows[i].length);
        certificate_deinit(&leaf);
        rm_free(der);
    }
    memset(scene.request.serial, 0, ISSUE_SERIAL_BYTES);
    assert_refused(&scene, RM_ERR_MALFORMED);
    scene_close(&scene);
}

static void identities_that_cannot_stand_are_refused(void **state)
{
    (void)state;
    static const char *const malformed[] = {"",
                                            "http://example.org/a",
                                            "spiffe://example.org",
                                            "spiffe://example.org/",
                                            "spiffe://Example.org/a",
                                            "spiffe://example.org/a?b"};
    struct scene scene = scene_open();
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        scene.request.spiffe_id = malformed[i];
        assert_refused(&scene, RM_ERR_MALFORMED);
    }
    scene.request.spiffe_id = "spiffe://other.org/a";
    assert_refused(&scene, RM_ERR_DENIED);
    scene_close(&scene);
}

static void dns_names_that_cannot_stand_are_refused(void **state)
{
    (void)state;
    static char long_name[255];
    static const char *const bad[] = {"",    ".",    "a.",         ".a",     "a..b",
                                      "*",   "*.",   "a.*.b",      "a b",    "a/b",
                                      "a:1", "*a.b", "\xc3\xa4.b", long_name};
    const char *many[CERTIFICATE_MAX_NAMES + 1];
    struct scene scene = scene_open();
    memset(long_name, 'a', sizeof(long_name) - 1);
    scene.request.dns_count = 1;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        scene.request.dns_names = &bad[i];
        assert_refused(&scene, RM_ERR_MALFORMED);
    }
    for (size_t i = 0; i < CERTIFICATE_MAX_NAMES + 1; i++) {
        many[i] = "a.example";
    }
    scene.request.dns_names = many;
    scene.request.dns_count = CERTIFICATE_MAX_NAMES + 1;
    assert_refused(&scene, RM_ERR_TOO_LARGE);
    scene_close(&scene);
}

static void the_largest_request_fits(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    struct certificate leaf;
    uint8_t *der = NULL;
    size_t length = 0;
    char id[2049] = "spiffe://example.org/";
    char name[254];
    const char *names[CERTIFICATE_MAX_NAMES];
    memset(id + strlen(id), 'a', 2048 - strlen(id));
    id[2048] = '\0';
    for (size_t i = 0; i < 253; i++) {
        name[i] = i % 60 == 59 ? '.' : 'n';
    }
    name[253] = '\0';
    for (size_t i = 0; i < CERTIFICATE_MAX_NAMES; i++) {
        names[i] = name;
    }
    scene.request.spiffe_id = id;
    scene.request.dns_names = names;
    scene.request.dns_count = CERTIFICATE_MAX_NAMES;
    assert_int_equal(scene_issue(&scene, &der, &length), RM_OK);
    assert_int_equal(certificate_parse(der, length, &leaf, NULL), RM_OK);
    assert_string_equal(leaf.uri, id);
    assert_string_equal(leaf.dns[CERTIFICATE_MAX_NAMES - 1], name);
    certificate_deinit(&leaf);
    rm_free(der);
    scene_close(&scene);
}

static void only_p256_keys_get_certificates(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    struct private_key *rsa = fixture_foreign_key("RSA:2048");
    struct private_key *p384 = fixture_foreign_key("P-384");
    key_spki(rsa, &scene.request.spki, &scene.request.spki_length);
    assert_refused(&scene, RM_ERR_UNSUPPORTED);
    key_spki(p384, &scene.request.spki, &scene.request.spki_length);
    assert_refused(&scene, RM_ERR_UNSUPPORTED);
    key_spki(scene.key, &scene.request.spki, &scene.request.spki_length);
    scene.request.spki_length--;
    assert_refused(&scene, RM_ERR_MALFORMED);
    key_unref(rsa);
    key_unref(p384);
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaf_says_what_the_design_says),
        cmocka_unit_test(openssl_sees_the_same),
        cmocka_unit_test(end_never_exceeds_the_issuer),
        cmocka_unit_test(dates_are_written_for_their_century),
        cmocka_unit_test(serials_are_written_as_positive_numbers),
        cmocka_unit_test(identities_that_cannot_stand_are_refused),
        cmocka_unit_test(dns_names_that_cannot_stand_are_refused),
        cmocka_unit_test(the_largest_request_fits),
        cmocka_unit_test(only_p256_keys_get_certificates),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
