// SPDX-License-Identifier: GPL-3.0-or-later
#include <string.h>

#include "crypto/crypto.h"
#include "crypto_fixture.h"

#define ID "spiffe://example.org/a"
#define WHY_NO_ANCHOR "the chain does not lead to a root of the leaf's own trust domain"

struct scene {
    struct fixture root;
    struct fixture intermediate;
    struct fixture leaf;
    struct fixture other_root; // of other.org
};

static struct scene scene_open(void)
{
    struct scene scene = {.root = fixture_root("example.org"),
                          .other_root = fixture_root("other.org")};
    scene.intermediate = fixture_intermediate(&scene.root, "example.org");
    scene.leaf = fixture_leaf(&scene.intermediate, ID);
    return scene;
}

static void scene_close(struct scene *scene)
{
    fixture_free(&scene->root);
    fixture_free(&scene->intermediate);
    fixture_free(&scene->leaf);
    fixture_free(&scene->other_root);
}

// Examines and checks the verdict; gives the facts. `why` NULL: anchored.
static struct chain_facts examine(const struct der *sent, size_t count,
                                  const struct trust_snapshot *trust, const char *why)
{
    struct certificate leaf;
    struct chain_facts facts;
    const char *said = NULL;
    assert_int_equal(chain_examine(sent, count, trust, &leaf, &facts, &said), RM_OK);
    if (why == NULL) {
        if (!facts.is_anchored) {
            fail_msg("not anchored: %s", said);
        }
        assert_null(said);
    } else {
        static const uint8_t zero[KEY_ID_BYTES];
        assert_false(facts.is_anchored);
        assert_string_equal(said, why);
        assert_memory_equal(facts.anchor_key_id, zero, KEY_ID_BYTES);
        assert_memory_equal(facts.issuer_key_id, zero, KEY_ID_BYTES);
    }
    assert_string_equal(facts.spiffe_id, ID);
    facts.spiffe_id = NULL; // borrowed from the leaf
    certificate_deinit(&leaf);
    return facts;
}

static void good_chain_is_anchored_with_its_facts(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    struct trust_snapshot *trust = fixture_trust("example.org", &scene.root);
    const struct der sent[] = {scene.leaf.view, scene.intermediate.view};
    uint8_t id[KEY_ID_BYTES];
    struct chain_facts facts = examine(sent, 2, trust, NULL);
    key_id(scene.intermediate.key, id);
    assert_memory_equal(facts.issuer_key_id, id, KEY_ID_BYTES);
    key_id(scene.root.key, id);
    assert_memory_equal(facts.anchor_key_id, id, KEY_ID_BYTES);
    assert_int_equal(facts.uri_count, 1);
    assert_int_equal(facts.spiffe_id_length, strlen(ID));
    assert_int_equal(facts.serial_length, ISSUE_SERIAL_BYTES);
    assert_false(facts.leaf_is_ca);
    assert_true(facts.has_digital_signature);
    assert_false(facts.has_cert_sign);
    assert_true(facts.has_server_auth);
    assert_true(facts.has_client_auth);
    assert_true(facts.leaf_not_after_s <= fixture_now() + 3600);
    trust_unref(trust);
    scene_close(&scene);
}

static void root_may_issue_leaves_itself(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    struct fixture direct = fixture_leaf(&scene.root, ID);
    struct trust_snapshot *trust = fixture_trust("example.org", &scene.root);
    struct chain_facts facts = examine(&direct.view, 1, trust, NULL);
    assert_memory_equal(facts.issuer_key_id, facts.anchor_key_id, KEY_ID_BYTES);
    trust_unref(trust);
    fixture_free(&direct);
    scene_close(&scene);
}

// The heart of it: a CA that is trusted for one domain cannot speak for another.
static void roots_of_other_domains_do_not_count(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    struct fixture impostor =
        fixture_odd((struct profile){.uri = ID, .issuer = NULL}, &scene.other_root);
    struct trust_builder *builder = trust_builder_new();
    fixture_add_root(builder, "example.org", &scene.root);
    fixture_add_root(builder, "other.org", &scene.other_root);
    struct trust_snapshot *trust = trust_builder_finish(builder);
    const struct der good[] = {scene.leaf.view, scene.intermediate.view};
    const struct der bad[] = {impostor.view, scene.other_root.view};
    examine(good, 2, trust, NULL);
    examine(bad, 1, trust, WHY_NO_ANCHOR);
    examine(bad, 2, trust, WHY_NO_ANCHOR);
    trust_unref(trust);
    fixture_free(&impostor);
    scene_close(&scene);
}

static void unknown_domains_have_no_anchor(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    struct trust_snapshot *other = fixture_trust("other.org", &scene.root);
    const struct der sent[] = {scene.leaf.view, scene.intermediate.view, scene.root.view};
    examine(sent, 3, other, "no roots are known for the leaf's trust domain");
    examine(sent, 3, NULL, "no roots are known for the leaf's trust domain");
    trust_unref(other);
    scene_close(&scene);
}

// A root that the peer brings along is just bytes.
static void sent_roots_are_not_believed(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    struct fixture newer = fixture_root("example.org"); // same name, another key
    struct trust_snapshot *trust = fixture_trust("example.org", &newer);
    const struct der sent[] = {scene.leaf.view, scene.intermediate.view, scene.root.view};
    examine(sent, 3, trust, WHY_NO_ANCHOR);
    trust_unref(trust);
    trust = fixture_trust("example.org", &scene.root);
    examine(sent, 3, trust, NULL); // and does no harm
    trust_unref(trust);
    fixture_free(&newer);
    scene_close(&scene);
}

static void one_root_of_several_is_enough(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    struct fixture old = fixture_root("example.org");
    struct trust_builder *builder = trust_builder_new();
    const struct der sent[] = {scene.leaf.view, scene.intermediate.view};
    fixture_add_root(builder, "example.org", &old);
    fixture_add_root(builder, "example.org", &scene.root);
    struct trust_snapshot *trust = trust_builder_finish(builder);
    uint8_t id[KEY_ID_BYTES];
    struct chain_facts facts = examine(sent, 2, trust, NULL);
    key_id(scene.root.key, id);
    assert_memory_equal(facts.anchor_key_id, id, KEY_ID_BYTES);
    trust_unref(trust);
    fixture_free(&old);
    scene_close(&scene);
}

// A trusted CA need not be self-signed: the chain ends where trust begins.
static void trusted_intermediate_is_an_anchor(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    struct trust_snapshot *trust = fixture_trust("example.org", &scene.intermediate);
    examine(&scene.leaf.view, 1, trust, NULL);
    trust_unref(trust);
    scene_close(&scene);
}

static void missing_intermediate_and_wrong_order_are_told_apart(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    struct fixture upper = fixture_odd(
        (struct profile){.is_ca = true, .common_name = "Upper", .uri = "spiffe://example.org"},
        &scene.root);
    struct fixture lower = fixture_odd(
        (struct profile){.is_ca = true, .common_name = "Lower", .uri = "spiffe://example.org"},
        &upper);
    struct fixture leaf = fixture_odd((struct profile){.uri = ID}, &lower);
    struct trust_snapshot *trust = fixture_trust("example.org", &scene.root);
    const struct der good[] = {leaf.view, lower.view, upper.view};
    const struct der swapped[] = {leaf.view, upper.view, lower.view};
    const struct der gap[] = {leaf.view, upper.view};
    examine(good, 3, trust, NULL);
    examine(swapped, 3, trust,
            "the chain is not in order: each certificate must come before its issuer");
    examine(gap, 2, trust, WHY_NO_ANCHOR);
    examine(&leaf.view, 1, trust, WHY_NO_ANCHOR);
    trust_unref(trust);
    fixture_free(&upper);
    fixture_free(&lower);
    fixture_free(&leaf);
    scene_close(&scene);
}

static void certificates_that_take_no_part_are_ignored(void **state)
{
    (void)state;
    static const uint8_t garbage[] = {0x30, 0x03, 0x01, 0x02, 0x03};
    struct scene scene = scene_open();
    struct trust_snapshot *trust = fixture_trust("example.org", &scene.root);
    const struct der junk = {.bytes = garbage, .length = sizeof(garbage)};
    const struct der nothing = {.bytes = garbage, .length = 0};
    const struct der sent[] = {scene.leaf.view,         junk,    scene.other_root.view,
                               scene.intermediate.view, nothing, scene.leaf.view};
    examine(sent, 6, trust, NULL);
    trust_unref(trust);
    scene_close(&scene);
}

static void chains_beyond_the_limit_are_refused(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    struct trust_snapshot *trust = fixture_trust("example.org", &scene.root);
    struct der sent[CHAIN_MAX_CERTIFICATES + 1] = {scene.leaf.view, scene.intermediate.view};
    for (size_t i = 2; i < CHAIN_MAX_CERTIFICATES + 1; i++) {
        sent[i] = scene.other_root.view;
    }
    examine(sent, CHAIN_MAX_CERTIFICATES, trust, NULL);
    examine(sent, CHAIN_MAX_CERTIFICATES + 1, trust,
            "the chain has more certificates than are accepted");
    trust_unref(trust);
    scene_close(&scene);
}

// Dates are gathered for the verdict: the narrowest of the chain, the root included.
static void dates_narrow_along_the_chain(void **state)
{
    (void)state;
    struct scene scene = scene_open();
    int64_t now = fixture_now();
    struct fixture late = fixture_odd((struct profile){.is_ca = true,
                                                       .common_name = "Late",
                                                       .uri = "spiffe://example.org",
                                                       .not_before_s = now + 500,
                                                       .not_after_s = now + 600},
                                      &scene.root);
    struct fixture leaf = fixture_odd((struct profile){.uri = ID}, &late);
    struct fixture expired =
        fixture_odd((struct profile){.uri = ID, .not_before_s = 1000, .not_after_s = 2000}, &late);
    struct trust_snapshot *trust = fixture_trust("example.org", &scene.root);
    const struct der sent[] = {leaf.view, late.view};
    const struct der old[] = {expired.view, late.view};
    struct chain_facts facts = examine(sent, 2, trust, NULL);
    assert_true(facts.not_before_s == now + 500);
    assert_true(facts.not_after_s == now + 600);
    assert_true(facts.leaf_not_after_s >= now + 3600);
    facts = examine(old, 2, trust, NULL); // expired is for the verdict to say
    assert_true(facts.not_after_s == 2000 && facts.leaf_not_before_s == 1000);
    trust_unref(trust);
    fixture_free(&late);
    fixture_free(&leaf);
    fixture_free(&expired);
    scene_close(&scene);
}

static void root_counts_for_the_dates(void **state)
{
    (void)state;
    int64_t now = fixture_now();
    struct fixture root = fixture_odd((struct profile){.is_ca = true,
                                                       .common_name = "Short",
                                                       .uri = "spiffe://example.org",
                                                       .not_before_s = now - 10,
                                                       .not_after_s = now + 10},
                                      NULL);
    struct fixture leaf = fixture_odd((struct profile){.uri = ID}, &root);
    struct trust_snapshot *trust = fixture_trust("example.org", &root);
    struct chain_facts facts = examine(&leaf.view, 1, trust, NULL);
    assert_true(facts.not_before_s == now - 10 && facts.not_after_s == now + 10);
    trust_unref(trust);
    fixture_free(&root);
    fixture_free(&leaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_chain_is_anchored_with_its_facts),
        cmocka_unit_test(root_may_issue_leaves_itself),
        cmocka_unit_test(roots_of_other_domains_do_not_count),
        cmocka_unit_test(unknown_domains_have_no_anchor),
        cmocka_unit_test(sent_roots_are_not_believed),
        cmocka_unit_test(one_root_of_several_is_enough),
        cmocka_unit_test(trusted_intermediate_is_an_anchor),
        cmocka_unit_test(missing_intermediate_and_wrong_order_are_told_apart),
        cmocka_unit_test(certificates_that_take_no_part_are_ignored),
        cmocka_unit_test(chains_beyond_the_limit_are_refused),
        cmocka_unit_test(dates_narrow_along_the_chain),
        cmocka_unit_test(root_counts_for_the_dates),
    };
    return cmocka_run_group_tests(tests, fixture_start, fixture_stop);
}
