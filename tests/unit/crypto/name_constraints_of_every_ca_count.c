// SPDX-License-Identifier: GPL-3.0-or-later
//
// Judged beside openssl: what it refuses we refuse, and what we refuse beyond it is marked.
#include <stdio.h>
#include <string.h>

#include "crypto_fixture.h"

#define CA "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n"
#define LIMIT(text) "nameConstraints=critical," text "\n"
#define ID "URI:spiffe://example.org/a"

enum outcome {
    PASSES,
    FAILS,
    FAILS_HERE_ONLY, // openssl can judge it, or reads it more kindly
};

struct row {
    const char *constraint; // of the CA under test
    const char *names;      // subjectAltName of the leaf
    enum outcome outcome;
};

#define IN_TEST "[test]\nO=Test\n[other]\nO=Other\n"

static const struct row rows[] = {
    {LIMIT("permitted;URI:example.org"), ID, PASSES},
    {LIMIT("permitted;URI:EXAMPLE.org"), ID, PASSES},
    {LIMIT("permitted;URI:other.org"), ID, FAILS},
    {LIMIT("permitted;URI:other.org,permitted;URI:example.org"), ID, PASSES},
    {LIMIT("permitted;URI:.example.org"), ID, FAILS},
    {LIMIT("permitted;URI:.org"), ID, PASSES},
    {LIMIT("permitted;URI:xample.org"), ID, FAILS},
    {LIMIT("excluded;URI:example.org"), ID, FAILS},
    {LIMIT("excluded;URI:other.org"), ID, PASSES},
    {LIMIT("permitted;URI:example.org,excluded;URI:example.org"), ID, FAILS},
    {LIMIT("permitted;DNS:example.org"), ID, PASSES}, // no DNS names to limit
    {LIMIT("permitted;DNS:example.org"), ID ",DNS:example.org", PASSES},
    {LIMIT("permitted;DNS:example.org"), ID ",DNS:a.example.org", PASSES},
    {LIMIT("permitted;DNS:example.org"), ID ",DNS:*.example.org", PASSES},
    {LIMIT("permitted;DNS:example.org"), ID ",DNS:badexample.org", FAILS},
    {LIMIT("permitted;DNS:example.org"), ID ",DNS:a.example.org,DNS:b.other", FAILS},
    {LIMIT("permitted;DNS:example.org"), ID ",DNS:org", FAILS},
    {LIMIT("permitted;DNS:a.example.org"), ID ",DNS:*.example.org", FAILS},
    {LIMIT("excluded;DNS:example.org"), ID ",DNS:a.example.org", FAILS},
    {LIMIT("excluded;DNS:example.org"), ID ",DNS:a.other.org", PASSES},
    {LIMIT("excluded;DNS:a.example.org"), ID ",DNS:*.example.org", FAILS_HERE_ONLY},
    {LIMIT("permitted;IP:10.0.0.0/255.0.0.0"), ID ",IP:10.1.2.3", PASSES},
    {LIMIT("permitted;IP:10.0.0.0/255.0.0.0"), ID ",IP:11.1.2.3", FAILS},
    {LIMIT("permitted;IP:10.0.0.0/255.0.0.0"), ID ",IP:::1", FAILS},
    {LIMIT("excluded;IP:0.0.0.0/0.0.0.0,excluded;IP:::/::"), ID, PASSES},
    {LIMIT("excluded;IP:0.0.0.0/0.0.0.0"), ID ",IP:10.1.2.3", FAILS},
    {LIMIT("permitted;email:example.org"), ID, PASSES},
    {LIMIT("permitted;email:example.org"), ID ",email:a@other.org", FAILS},
    {LIMIT("permitted;email:example.org"), ID ",email:a@example.org", FAILS_HERE_ONLY},
    {LIMIT("permitted;dirName:test") IN_TEST, ID, PASSES},
    {LIMIT("permitted;dirName:other") IN_TEST, ID, FAILS},
    {LIMIT("excluded;dirName:test") IN_TEST, ID, FAILS},
    {LIMIT("excluded;dirName:other") IN_TEST, ID, FAILS_HERE_ONLY},
    {LIMIT("permitted;RID:1.2.3"), ID ",RID:1.2.3", FAILS},
};

static bool is_anchored_in(const char *domain, const struct der *sent, size_t count,
                           const struct fixture *root)
{
    struct trust_snapshot *trust = fixture_trust(domain, root);
    struct certificate leaf;
    struct chain_facts facts;
    const char *why = NULL;
    assert_int_equal(chain_examine(sent, count, trust, &leaf, &facts, &why), RM_OK);
    if (!facts.is_anchored) {
        assert_string_equal(why, "a name in the chain lies outside the name constraints of a CA "
                                 "above it");
    }
    certificate_deinit(&leaf);
    trust_unref(trust);
    return facts.is_anchored;
}

static bool is_anchored(const struct der *sent, size_t count, const struct fixture *root)
{
    return is_anchored_in("example.org", sent, count, root);
}

// The constraint stands in the root or in the first or second intermediate: the verdict is the
// same.
static void assert_row(const struct row *row, size_t place)
{
    static const char *const cas[] = {"root", "upper", "lower"};
    struct fixture made[3];
    char names[200];
    char extensions[400];
    fixture_folder_open();
    for (size_t i = 0; i < 3; i++) {
        snprintf(extensions, sizeof(extensions), CA "%s", i == place ? row->constraint : "");
        made[i] = fixture_openssl(cas[i], i == 0 ? NULL : cas[i - 1], extensions, "");
    }
    snprintf(names, sizeof(names), "subjectAltName=%s\n", row->names);
    struct fixture leaf = fixture_openssl("leaf", "lower", names, "");
    const struct der sent[] = {leaf.view, made[2].view, made[1].view};
    bool is_ours = is_anchored(sent, 3, &made[0]);
    bool is_theirs = fixture_run("cat upper.pem lower.pem >between.pem && "
                                 "openssl verify -CAfile root.pem -untrusted between.pem leaf.pem "
                                 ">said 2>&1 || { grep -q 'subtree\\|name constraint' said && "
                                 "touch refused; }") &&
                     fixture_run("test ! -e refused");
    if (is_ours != (row->outcome == PASSES) || is_theirs != (row->outcome != FAILS)) {
        fail_msg("%s in the %s, %s: %d here, %d at openssl", row->constraint, cas[place],
                 row->names, is_ours, is_theirs);
    }
    fixture_folder_close();
    fixture_free(&leaf);
    for (size_t i = 0; i < 3; i++) {
        fixture_free(&made[i]);
    }
}

static void in_the_direct_issuer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_row(&rows[i], 2);
    }
}

// wolfSSL itself looks no higher than the direct issuer.
static void in_a_ca_further_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i += 7) {
        assert_row(&rows[i], 1);
        assert_row(&rows[i], 0);
    }
    assert_row(&rows[2], 1);
    assert_row(&rows[2], 0);
}

static void hosts_are_compared_whole(void **state)
{
    (void)state;
    static const struct {
        const char *domain; // of the leaf; the CA is limited to example.org
        bool is_allowed;
    } domains[] = {
        {"example.org", true},    {"example.organic", false}, {"an-example.org", false},
        {"a.example.org", false}, {"example.or", false},      {"org", false},
    };
    fixture_folder_open();
    struct fixture root = fixture_openssl("root", NULL, CA LIMIT("permitted;URI:example.org"), "");
    for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++) {
        char extensions[100];
        snprintf(extensions, sizeof(extensions), "subjectAltName=URI:spiffe://%s/a\n",
                 domains[i].domain);
        struct fixture leaf = fixture_openssl("leaf", "root", extensions, "");
        assert_true(is_anchored_in(domains[i].domain, &leaf.view, 1, &root) ==
                    domains[i].is_allowed);
        fixture_free(&leaf);
    }
    fixture_folder_close();
    fixture_free(&root);
}

static void names_of_intermediates_are_limited_too(void **state)
{
    (void)state;
    fixture_folder_open();
    struct fixture root = fixture_openssl("root", NULL, CA LIMIT("permitted;URI:example.org"), "");
    struct fixture good =
        fixture_openssl("good", "root", CA "subjectAltName=URI:spiffe://example.org\n", "");
    struct fixture stray =
        fixture_openssl("stray", "root", CA "subjectAltName=URI:spiffe://other.org\n", "");
    struct fixture leaf = fixture_openssl("leaf", "good", "subjectAltName=" ID "\n", "");
    struct fixture under_stray = fixture_openssl("under", "stray", "subjectAltName=" ID "\n", "");
    const struct der sent[] = {leaf.view, good.view};
    const struct der sent_stray[] = {under_stray.view, stray.view};
    assert_true(is_anchored(sent, 2, &root));
    assert_false(is_anchored(sent_stray, 2, &root));
    fixture_folder_close();
    fixture_free(&root);
    fixture_free(&good);
    fixture_free(&stray);
    fixture_free(&leaf);
    fixture_free(&under_stray);
}

// A user, a port or an address before the host could hide it from a comparison; no SPIFFE ID has
// them.
static void hosts_in_disguise_are_not_judged(void **state)
{
    (void)state;
    static const char *const uris[] = {"http://x@example.net/", "http://example.net:80/",
                                       "http://[example.net]/", "http://example.com@example.net/",
                                       "urn:uuid:1"};
    fixture_folder_open();
    struct fixture root = fixture_openssl("root", NULL, CA LIMIT("excluded;URI:example.net"), "");
    for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
        char extensions[200];
        snprintf(extensions, sizeof(extensions), CA "subjectAltName=URI:%s\n", uris[i]);
        struct fixture ca = fixture_openssl("ca", "root", extensions, "");
        struct fixture leaf = fixture_openssl("leaf", "ca", "subjectAltName=" ID "\n", "");
        const struct der sent[] = {leaf.view, ca.view};
        assert_false(is_anchored(sent, 2, &root));
        fixture_free(&ca);
        fixture_free(&leaf);
    }
    fixture_folder_close();
    fixture_free(&root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_the_direct_issuer),
        cmocka_unit_test(in_a_ca_further_up),
        cmocka_unit_test(hosts_are_compared_whole),
        cmocka_unit_test(hosts_in_disguise_are_not_judged),
        cmocka_unit_test(names_of_intermediates_are_limited_too),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
