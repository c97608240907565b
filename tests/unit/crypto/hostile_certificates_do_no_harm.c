// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "crypto_fixture.h"

#define ID "spiffe://example.org/ns/a/sa/b"
#define MUTATIONS 100000

static struct fixture root;
static struct trust_snapshot *trust;

static int scene_open(void **state)
{
    fixture_start(state);
    root = fixture_root("example.org");
    trust = fixture_trust("example.org", &root);
    return 0;
}

static int scene_close(void **state)
{
    trust_unref(trust);
    fixture_free(&root);
    return fixture_stop(state);
}

// A leaf whose SAN holds exactly `names` (GeneralNames without the outer SEQUENCE), made by
// replacing the SAN of a good one and signing anew. The URI in the profile carries the bytes
// through the writer: it becomes one GeneralName with tag and length of its own, which are
// overwritten here.
static struct fixture leaf_with_names(const uint8_t *names, size_t length)
{
    char *filler = rm_malloc(length + 1);
    memset(filler, 'x', length);
    filler[length] = '\0';
    struct fixture made = fixture_odd((struct profile){.uri = filler}, &root);
    uint8_t *place = memmem(made.der, made.length, filler, length);
    assert_non_null(place);
    memcpy(place, names, length);
    rm_free(filler);
    return made; // its signature does not match; reading does not look at it
}

// [tag] length text
static size_t put_name(uint8_t *at, uint8_t tag, const char *text, size_t length)
{
    at[0] = tag;
    at[1] = (uint8_t)length;
    memcpy(at + 2, text, length);
    return length + 2;
}

// GeneralNames in place of the one [6] item: its header is cut off by making room before it.
static struct fixture leaf_with_san(const uint8_t *names, size_t length)
{
    // The writer gives SEQUENCE { [6] filler }. With a filler two bytes shorter than the names, the
    // header of [6] itself is the first two bytes of what is replaced.
    struct fixture made = leaf_with_names(names + 2, length - 2);
    uint8_t *place = memmem(made.der, made.length, names + 2, length - 2);
    memcpy(place - 2, names, 2);
    return made;
}

static struct certificate parse(const struct fixture *fixture)
{
    struct certificate certificate;
    struct rm_error error = {0};
    if (certificate_parse(fixture->der, fixture->length, &certificate, &error) != RM_OK) {
        fail_msg("%s", error.message);
    }
    return certificate;
}

static void dns_name_that_reads_like_an_id_is_none(void **state)
{
    (void)state;
    uint8_t names[100];
    size_t length = put_name(names, 0x82, ID, strlen(ID));
    struct fixture leaf = leaf_with_san(names, length);
    struct certificate read = parse(&leaf);
    struct certificate unused;
    struct chain_facts facts;
    const char *why = NULL;
    assert_int_equal(read.uri_count, 0);
    assert_null(read.uri);
    assert_string_equal(read.dns[0], ID);
    assert_int_equal(chain_examine(&leaf.view, 1, trust, &unused, &facts, &why), RM_OK);
    assert_false(facts.is_anchored);
    assert_null(facts.spiffe_id);
    assert_string_equal(why, "the leaf has no URI SAN, so it belongs to no trust domain");
    certificate_deinit(&unused);
    certificate_deinit(&read);
    fixture_free(&leaf);
}

static void two_ids_are_counted_and_not_chosen_from(void **state)
{
    (void)state;
    uint8_t names[200];
    size_t length = put_name(names, 0x86, ID, strlen(ID));
    length += put_name(names + length, 0x82, "a.example", 9);
    length += put_name(names + length, 0x86, "spiffe://example.org/admin", 26);
    length += put_name(names + length, 0x82, "b.example", 9);
    struct fixture leaf = leaf_with_san(names, length);
    struct certificate read = parse(&leaf);
    struct certificate unused;
    struct chain_facts facts;
    const char *why = NULL;
    assert_int_equal(read.uri_count, 2);
    assert_string_equal(read.uri, ID); // the first in the certificate's own order
    assert_string_equal(read.dns[0], "a.example");
    assert_string_equal(read.dns[1], "b.example");
    assert_int_equal(chain_examine(&leaf.view, 1, trust, &unused, &facts, &why), RM_OK);
    assert_false(facts.is_anchored);
    assert_int_equal(facts.uri_count, 2);
    assert_string_equal(why, "the leaf has several URI SANs, so it belongs to no trust domain");
    certificate_deinit(&unused);
    certificate_deinit(&read);
    fixture_free(&leaf);
}

static void ids_with_nul_are_refused(void **state)
{
    (void)state;
    uint8_t names[100];
    struct certificate read;
    size_t length = put_name(names, 0x86, "spiffe://example.org/a\0.evil", 28);
    struct fixture leaf = leaf_with_san(names, length);
    assert_int_equal(certificate_parse(leaf.der, leaf.length, &read, NULL), RM_ERR_MALFORMED);
    fixture_free(&leaf);
    length = put_name(names, 0x82, "a.example\0.evil", 15);
    leaf = leaf_with_san(names, length);
    assert_int_equal(certificate_parse(leaf.der, leaf.length, &read, NULL), RM_ERR_MALFORMED);
    fixture_free(&leaf);
}

static void ids_that_are_none_have_no_domain(void **state)
{
    (void)state;
    static const char *const ids[] = {"http://example.org/a", "spiffe://EXAMPLE.org/a",
                                      "spiffe://example.org//a", "spiffe://example.org/a/../b"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        struct fixture leaf = fixture_odd((struct profile){.uri = ids[i]}, &root);
        struct certificate unused;
        struct chain_facts facts;
        const char *why = NULL;
        assert_int_equal(chain_examine(&leaf.view, 1, trust, &unused, &facts, &why), RM_OK);
        assert_false(facts.is_anchored);
        assert_string_equal(
            why, "the leaf's URI SAN is not a SPIFFE ID, so it belongs to no trust domain");
        certificate_deinit(&unused);
        fixture_free(&leaf);
    }
}

static void names_beyond_the_limit_are_dropped(void **state)
{
    (void)state;
    const char *names[100];
    char text[100][8];
    for (size_t i = 0; i < 100; i++) {
        text[i][0] = 'n';
        text[i][1] = (char)('0' + i / 10);
        text[i][2] = (char)('0' + i % 10);
        text[i][3] = '\0';
        names[i] = text[i];
    }
    struct fixture leaf =
        fixture_odd((struct profile){.uri = ID, .dns_names = names, .dns_count = 100}, &root);
    struct certificate read = parse(&leaf);
    assert_int_equal(read.uri_count, 1);
    assert_string_equal(read.uri, ID);
    assert_int_equal(read.dns_count, CERTIFICATE_MAX_NAMES);
    assert_string_equal(read.dns[0], "n00");
    assert_string_equal(read.dns[CERTIFICATE_MAX_NAMES - 1], "n15");
    certificate_deinit(&read);
    fixture_free(&leaf);
}

static void huge_certificates_are_refused_before_they_are_read(void **state)
{
    (void)state;
    struct certificate read;
    struct chain_facts facts;
    const char *why = NULL;
    uint8_t id[KEY_ID_BYTES];
    uint8_t *bytes = rm_calloc(1, CERTIFICATE_MAX_DER_BYTES + 1);
    const struct der huge = {.bytes = bytes, .length = CERTIFICATE_MAX_DER_BYTES + 1};
    assert_int_equal(certificate_parse(bytes, huge.length, &read, NULL), RM_ERR_TOO_LARGE);
    assert_int_equal(certificate_key_id(bytes, huge.length, id), RM_ERR_MALFORMED);
    assert_int_equal(chain_examine(&huge, 1, trust, &read, &facts, &why), RM_ERR_MALFORMED);
    assert_string_equal(why, "the leaf certificate cannot be read");
    assert_int_equal(chain_examine(NULL, 0, trust, &read, &facts, &why), RM_ERR_MALFORMED);
    rm_free(bytes);
}

// SHA-384 outside, where the signed part says SHA-256.
static void algorithms_must_agree(void **state)
{
    (void)state;
    static const uint8_t sha256_oid[] = {0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2};
    struct fixture leaf = fixture_leaf(&root, ID);
    struct certificate read;
    struct rm_error error = {0};
    uint8_t *inner = memmem(leaf.der, leaf.length, sha256_oid, sizeof(sha256_oid));
    assert_non_null(inner);
    size_t left = leaf.length - (size_t)(inner + 1 - leaf.der);
    uint8_t *outer = memmem(inner + 1, left, sha256_oid, sizeof(sha256_oid));
    assert_non_null(outer);
    outer[sizeof(sha256_oid) - 1] = 3;
    assert_int_equal(certificate_verify_signature(leaf.der, leaf.length, root.der, root.length),
                     RM_ERR_MALFORMED);
    assert_int_equal(certificate_parse(leaf.der, leaf.length, &read, &error), RM_ERR_MALFORMED);
    assert_non_null(strstr(error.message, "two different signature algorithms"));
    fixture_free(&leaf);
}

static void dates_must_be_in_order(void **state)
{
    (void)state;
    struct fixture leaf =
        fixture_odd((struct profile){.uri = ID, .not_before_s = 2000, .not_after_s = 1999}, &root);
    struct certificate read;
    struct rm_error error = {0};
    assert_int_equal(certificate_parse(leaf.der, leaf.length, &read, &error), RM_ERR_MALFORMED);
    assert_non_null(strstr(error.message, "ends before it begins"));
    fixture_free(&leaf);
}

// openssl writes serial numbers of any size and sign.
static void serials_must_be_positive_and_short(void **state)
{
    (void)state;
    static const struct {
        const char *serial;   // of openssl's -set_serial
        const char *expected; // NULL: taken
    } rows[] = {
        {"0x7fffffffffffffffffffffffffffffffffffffff", NULL},
        {"0xffffffffffffffffffffffffffffffffffffffff", NULL},
        {"0x01ffffffffffffffffffffffffffffffffffffffff", "over 20 bytes"},
        {"-1", "negative"},
        {"0", "refused"}, // only an old root may have it
    };
    fixture_folder_open();
    struct fixture ca =
        fixture_openssl("ca", NULL, "basicConstraints=critical,CA:TRUE\n", "-set_serial 0");
    struct certificate read = parse(&ca);
    assert_int_equal(read.serial_length, 1);
    certificate_deinit(&read);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char option[100];
        struct rm_error error = {0};
        snprintf(option, sizeof(option), "-set_serial %s", rows[i].serial);
        struct fixture leaf = fixture_openssl("leaf", "ca", "subjectAltName=URI:" ID "\n", option);
        enum rm_err result = certificate_parse(leaf.der, leaf.length, &read, &error);
        assert_int_equal(result, rows[i].expected == NULL ? RM_OK : RM_ERR_MALFORMED);
        if (rows[i].expected != NULL && strstr(error.message, rows[i].expected) == NULL) {
            fail_msg("'%s' does not say '%s'", error.message, rows[i].expected);
        }
        assert_true(result != RM_OK || read.serial_length == 20);
        certificate_deinit(&read);
        fixture_free(&leaf);
    }
    fixture_folder_close();
    fixture_free(&ca);
}

static void unknown_critical_extensions_are_refused(void **state)
{
    (void)state;
    fixture_folder_open();
    struct fixture leaf =
        fixture_openssl("leaf", NULL, "subjectAltName=URI:" ID "\n1.2.3.4=critical,DER:0500\n", "");
    struct fixture signer =
        fixture_openssl("signer", NULL, "subjectAltName=URI:" ID "\nkeyUsage=keyCertSign\n", "");
    struct certificate read;
    struct rm_error error = {0};
    assert_int_equal(certificate_parse(leaf.der, leaf.length, &read, &error), RM_ERR_MALFORMED);
    assert_non_null(strstr(error.message, "critical extension that is not known"));
    assert_int_equal(certificate_parse(signer.der, signer.length, &read, &error), RM_ERR_MALFORMED);
    assert_non_null(strstr(error.message, "keyCertSign, but it is no CA"));
    fixture_folder_close();
    fixture_free(&leaf);
    fixture_free(&signer);
}

// In a block of their own, so that the sanitizer sees a read beyond the end.
static void examine_copy(const uint8_t *der, size_t length)
{
    struct certificate certificate;
    struct chain_facts facts;
    const char *why = NULL;
    uint8_t *copy = rm_memdup(der, length);
    const struct der sent[] = {{copy, length}, root.view, {copy, length}};
    if (certificate_parse(copy, length, &certificate, NULL) == RM_OK) {
        certificate_deinit(&certificate);
    }
    if (chain_examine(sent, 3, trust, &certificate, &facts, &why) == RM_OK) {
        // A changed certificate may still be well-formed; it is never anchored.
        assert_false(facts.is_anchored);
        assert_non_null(why);
        certificate_deinit(&certificate);
    }
    rm_free(copy);
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    struct fixture leaf = fixture_leaf(&root, ID);
    struct certificate read;
    for (size_t length = 0; length < leaf.length; length++) {
        uint8_t *copy = rm_memdup(leaf.der, length);
        assert_int_equal(certificate_parse(copy, length, &read, NULL), RM_ERR_MALFORMED);
        rm_free(copy);
        examine_copy(leaf.der, length);
    }
    fixture_free(&leaf);
}

static void no_changed_bit_is_anchored(void **state)
{
    (void)state;
    struct fixture leaf = fixture_leaf(&root, ID);
    for (size_t i = 0; i < leaf.length * 8; i++) {
        leaf.der[i / 8] ^= (uint8_t)(1U << i % 8);
        examine_copy(leaf.der, leaf.length);
        leaf.der[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    fixture_free(&leaf);
}

// Random changes of one to eight bytes, and of lengths; the seed is fixed, so a failure repeats.
static void random_changes_do_no_harm(void **state)
{
    (void)state;
    static const char *const dns[] = {"a.example", "*.b.example"};
    struct fixture intermediate = fixture_intermediate(&root, "example.org");
    struct fixture leaf = fixture_odd(
        (struct profile){.uri = ID, .dns_names = dns, .dns_count = 2, .common_name = "x"},
        &intermediate);
    const struct fixture *sources[] = {&leaf, &intermediate, &root};
    unsigned int seed = 20260101;
    for (size_t round = 0; round < MUTATIONS; round++) {
        const struct fixture *source = sources[round % 3];
        uint8_t bytes[2048];
        memcpy(bytes, source->der, source->length);
        for (int changes = rand_r(&seed) % 8; changes >= 0; changes--) {
            bytes[(size_t)rand_r(&seed) % source->length] = (uint8_t)rand_r(&seed);
        }
        if (memcmp(bytes, source->der, source->length) != 0) {
            examine_copy(bytes, source->length);
        }
    }
    fixture_free(&leaf);
    fixture_free(&intermediate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dns_name_that_reads_like_an_id_is_none),
        cmocka_unit_test(two_ids_are_counted_and_not_chosen_from),
        cmocka_unit_test(ids_with_nul_are_refused),
        cmocka_unit_test(ids_that_are_none_have_no_domain),
        cmocka_unit_test(names_beyond_the_limit_are_dropped),
        cmocka_unit_test(huge_certificates_are_refused_before_they_are_read),
        cmocka_unit_test(algorithms_must_agree),
        cmocka_unit_test(dates_must_be_in_order),
        cmocka_unit_test(serials_must_be_positive_and_short),
        cmocka_unit_test(unknown_critical_extensions_are_refused),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(no_changed_bit_is_anchored),
        cmocka_unit_test(random_changes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
