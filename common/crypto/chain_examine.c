// SPDX-License-Identifier: GPL-3.0-or-later
//
// The anchor check: RFC 5280 6.1 without dates, which the peer verdict judges, and with the roots
// of one trust domain as the only anchors. From the leaf upward, the issuer of each certificate is
// a root or one of the certificates sent after it:
//
//     leaf ── issuer? ──> root of the leaf's own domain ──> rules for the whole path ──> anchored
//                 └─────> next sent CA ── issuer? ──> ...
#include <string.h>

#include "base/alloc.h"
#include "crypto/certificate.h"
#include "crypto/certificate_internal.h"
#include "crypto/constraints_internal.h"
#include "crypto/crypto.h"
#include "crypto/link_cache.h"
#include "identity/spiffe.h"

// A hostile chain with issuers of equal names can make us try every pair; an honest one needs one
// signature per certificate, or a few more while roots of the same name are exchanged.
#define CHAIN_MAX_SIGNATURES 12

#define WHY_NO_ANCHOR "the chain does not lead to a root of the leaf's own trust domain"
#define WHY_ORDER "the chain is not in order: each certificate must come before its issuer"
#define WHY_ROOT_KEY "the chain names a trusted root as issuer, but that root's key did not sign it"
#define WHY_SIGNATURE "a signature in the chain is wrong"
#define WHY_ALGORITHM "a signature in the chain is of a kind that is not accepted"
#define WHY_TOO_MANY_TRIES "the chain offers too many possible issuers"
#define WHY_NOT_CA "an issuer in the chain is not a CA certificate"
#define WHY_NO_CERT_SIGN "an issuer in the chain lacks the key usage keyCertSign"
#define WHY_PATH_LENGTH "the chain is longer than the path length of one of its CAs allows"
#define WHY_NAMES "a name in the chain lies outside the name constraints of a CA above it"

enum sent_state { SENT_UNREAD, SENT_OPEN, SENT_UNREADABLE };

struct chain_walk {
    const struct der *sent;                     // as the peer sent them, leaf first; borrowed
    size_t sent_count;                          // 1..CHAIN_MAX_CERTIFICATES
    struct x509 opened[CHAIN_MAX_CERTIFICATES]; // valid where state is SENT_OPEN
    enum sent_state state[CHAIN_MAX_CERTIFICATES];
    size_t path[CHAIN_MAX_CERTIFICATES]; // indexes into opened: leaf, issuers
    size_t path_length;                  // 1 with the leaf alone
    const struct trust_domain *domain;   // of the leaf; borrowed
    struct x509 root;                    // while is_root_open
    bool is_root_open;                   // root is to be closed
    const struct trust_root *anchor;     // where the path ends; borrowed; NULL until found
    struct link_cache *cache;            // of links known to be good; borrowed; may be NULL
    uint8_t links[CHAIN_MAX_CERTIFICATES][SHA256_BYTES]; // of the path, leaf first; with a cache
    unsigned int signatures_left;                        // of CHAIN_MAX_SIGNATURES
    const char *why;                                     // what failed last; static
    enum rm_err result;                                  // RM_ERR_NO_MEMORY sticks
};

static bool walk_fails(struct chain_walk *walk, const char *why)
{
    walk->why = why;
    return false;
}

static void walk_note(struct chain_walk *walk, enum rm_err result)
{
    if (result == RM_ERR_NO_MEMORY) {
        walk->result = result;
    }
}

// The sent certificate at `index`, opened when first asked for; NULL when it cannot be read.
static const struct x509 *walk_open(struct chain_walk *walk, size_t index)
{
    if (walk->state[index] == SENT_UNREAD) {
        enum rm_err result = x509_open(walk->sent[index].bytes, walk->sent[index].length,
                                       &walk->opened[index], NULL);
        walk->state[index] = result == RM_OK ? SENT_OPEN : SENT_UNREADABLE;
        walk_note(walk, result);
    }
    return walk->state[index] == SENT_OPEN ? &walk->opened[index] : NULL;
}

static const struct x509 *walk_top(const struct chain_walk *walk)
{
    return &walk->opened[walk->path[walk->path_length - 1]];
}

// Names must match; key identifiers, where both have them, too.
static bool names_as_issuer(const struct x509 *child, const struct x509 *issuer)
{
    if (!der_equal(&child->pieces.issuer, &issuer->pieces.subject)) {
        return false;
    }
    if (!child->decoded.extAuthKeyIdSet || !issuer->decoded.extSubjKeyIdSet) {
        return true;
    }
    return memcmp(child->decoded.extAuthKeyId, issuer->decoded.extSubjKeyId, KEYID_SIZE) == 0;
}

// RFC 5280 6.1.4 (k), (n). A root may come without key usage; X509-SVID.md 4.3 asks for it in
// others.
static bool may_sign(struct chain_walk *walk, const struct x509 *issuer, bool is_root)
{
    const DecodedCert *decoded = &issuer->decoded;
    if (!decoded->isCA) {
        return walk_fails(walk, WHY_NOT_CA);
    }
    if (!decoded->extKeyUsageSet ? !is_root : (decoded->extKeyUsage & KEYUSE_KEY_CERT_SIGN) == 0) {
        return walk_fails(walk, WHY_NO_CERT_SIGN);
    }
    return true;
}

static bool walk_knows_link(struct chain_walk *walk, const struct x509 *child,
                            const struct x509 *issuer)
{
    if (walk->cache == NULL) {
        return false;
    }
    uint8_t *link = walk->links[walk->path_length - 1];
    link_cache_name(&child->pieces.whole, &issuer->pieces.spki, link);
    bool is_known = link_cache_has(walk->cache, link);
    walk->cache->found_count += is_known ? 1 : 0;
    walk->cache->verified_count += is_known ? 0 : 1;
    return is_known;
}

// Whether `issuer` signed the certificate at the top of the path.
static bool has_signed(struct chain_walk *walk, const struct x509 *child, const struct x509 *issuer,
                       const char *why_wrong)
{
    if (walk->signatures_left == 0) {
        return walk_fails(walk, WHY_TOO_MANY_TRIES);
    }
    walk->signatures_left--;
    if (walk_knows_link(walk, child, issuer)) {
        return true;
    }
    enum rm_err result = x509_verify_signature(&child->pieces, &issuer->pieces);
    walk_note(walk, result);
    if (result != RM_OK) {
        return walk_fails(walk, result == RM_ERR_UNSUPPORTED ? WHY_ALGORITHM : why_wrong);
    }
    return true;
}

// The CA `depth` places above the leaf has depth - 1 others below it (RFC 5280 4.2.1.9).
static bool path_length_allows(const struct x509 *authority, size_t depth)
{
    return !authority->decoded.pathLengthSet || authority->decoded.pathLength >= depth - 1;
}

// The rules that look at a whole path, once it has reached a root.
static bool walk_path_stands(struct chain_walk *walk)
{
    for (size_t depth = 1; depth <= walk->path_length; depth++) {
        const struct x509 *authority =
            depth == walk->path_length ? &walk->root : &walk->opened[walk->path[depth]];
        if (!path_length_allows(authority, depth)) {
            return walk_fails(walk, WHY_PATH_LENGTH);
        }
        for (size_t below = 0; below < depth; below++) {
            if (!constraints_permit(authority, &walk->opened[walk->path[below]])) {
                return walk_fails(walk, WHY_NAMES);
            }
        }
    }
    return true;
}

static bool walk_try_root(struct chain_walk *walk, const struct trust_root *root)
{
    const struct x509 *child = walk_top(walk);
    struct x509_pieces pieces;
    if (x509_cut(root->der, root->der_length, &pieces) != NULL ||
        !der_equal(&child->pieces.issuer, &pieces.subject)) {
        return false; // without the cost of opening it
    }
    enum rm_err result = x509_open(root->der, root->der_length, &walk->root, NULL);
    walk_note(walk, result);
    if (result != RM_OK) {
        return false;
    }
    walk->is_root_open = true;
    if (names_as_issuer(child, &walk->root) && may_sign(walk, &walk->root, true) &&
        has_signed(walk, child, &walk->root, WHY_ROOT_KEY) && walk_path_stands(walk)) {
        walk->anchor = root;
        return true;
    }
    x509_close(&walk->root);
    walk->is_root_open = false;
    return false;
}

static bool walk_is_issuer(struct chain_walk *walk, size_t index)
{
    const struct x509 *child = walk_top(walk);
    const struct x509 *issuer = walk_open(walk, index);
    if (issuer == NULL || !names_as_issuer(child, issuer) ||
        der_equal(&issuer->pieces.issuer, &issuer->pieces.subject)) {
        return false; // takes no part; a self-signed root that was sent along is not believed
    }
    return may_sign(walk, issuer, false) && has_signed(walk, child, issuer, WHY_SIGNATURE);
}

static bool walk_stands_before(struct chain_walk *walk)
{
    for (size_t index = 1; index < walk->path[walk->path_length - 1]; index++) {
        const struct x509 *earlier = walk_open(walk, index);
        if (earlier != NULL && names_as_issuer(walk_top(walk), earlier)) {
            return true;
        }
    }
    return false;
}

// Looks for the issuer of the path's last certificate. Each step takes a later certificate, so the
// depth is at most CHAIN_MAX_CERTIFICATES.
static bool walk_extend(struct chain_walk *walk)
{
    for (size_t i = 0; i < walk->domain->root_count && walk->result == RM_OK; i++) {
        if (walk_try_root(walk, &walk->domain->roots[i])) {
            return true;
        }
    }
    size_t first = walk->path[walk->path_length - 1] + 1;
    for (size_t index = first; index < walk->sent_count && walk->result == RM_OK; index++) {
        if (walk_is_issuer(walk, index)) {
            walk->path[walk->path_length++] = index;
            if (walk_extend(walk)) {
                return true;
            }
            walk->path_length--;
        }
    }
    if (walk_stands_before(walk)) {
        walk->why = WHY_ORDER;
    }
    return false;
}

static void facts_of_leaf(const struct certificate *leaf, struct chain_facts *facts)
{
    *facts = (struct chain_facts){
        .spiffe_id = leaf->uri,
        .spiffe_id_length = leaf->uri_length,
        .uri_count = leaf->uri_count,
        .serial_length = leaf->serial_length,
        .leaf_is_ca = leaf->is_ca,
        .has_digital_signature = (leaf->key_usage & KEYUSE_DIGITAL_SIG) != 0,
        .has_cert_sign = (leaf->key_usage & (KEYUSE_KEY_CERT_SIGN | KEYUSE_CRL_SIGN)) != 0,
        .has_server_auth = !leaf->has_extended_key_usage || leaf->is_server_auth,
        .has_client_auth = !leaf->has_extended_key_usage || leaf->is_client_auth,
        .not_before_s = leaf->not_before_s,
        .not_after_s = leaf->not_after_s,
        .leaf_not_before_s = leaf->not_before_s,
        .leaf_not_after_s = leaf->not_after_s,
    };
    memcpy(facts->serial, leaf->serial, sizeof(facts->serial));
}

static void facts_narrow(const struct x509 *authority, struct chain_facts *facts)
{
    if (authority->pieces.not_before_s > facts->not_before_s) {
        facts->not_before_s = authority->pieces.not_before_s;
    }
    if (authority->pieces.not_after_s < facts->not_after_s) {
        facts->not_after_s = authority->pieces.not_after_s;
    }
}

// An intermediate's extended key usage limits what it issues, as every common verifier reads it.
static void facts_narrow_usage(const struct x509 *authority, struct chain_facts *facts)
{
    unsigned int usage = authority->decoded.extExtKeyUsage;
    if (authority->decoded.extExtKeyUsageSet && (usage & EXTKEYUSE_ANY) == 0) {
        facts->has_server_auth = facts->has_server_auth && (usage & EXTKEYUSE_SERVER_AUTH) != 0;
        facts->has_client_auth = facts->has_client_auth && (usage & EXTKEYUSE_CLIENT_AUTH) != 0;
    }
}

static void facts_of_path(const struct chain_walk *walk, struct chain_facts *facts)
{
    const struct x509 *issuer = walk->path_length > 1 ? &walk->opened[walk->path[1]] : &walk->root;
    for (size_t i = 1; i < walk->path_length; i++) {
        facts_narrow(&walk->opened[walk->path[i]], facts);
        facts_narrow_usage(&walk->opened[walk->path[i]], facts);
    }
    facts_narrow(&walk->root, facts);
    sha256(issuer->pieces.spki.bytes, issuer->pieces.spki.length, facts->issuer_key_id);
    sha256(walk->root.pieces.spki.bytes, walk->root.pieces.spki.length, facts->anchor_key_id);
    facts->is_anchored = true;
}

static void remember_links(const struct chain_walk *walk)
{
    for (size_t i = 0; walk->cache != NULL && i < walk->path_length; i++) {
        link_cache_add(walk->cache, walk->links[i]);
    }
}

// The trust domain whose roots count, or NULL with the reason.
static const struct trust_domain *leaf_domain(const struct certificate *leaf,
                                              const struct trust_snapshot *trust, const char **why)
{
    struct spiffe_id id;
    if (leaf->uri_count != 1) {
        *why = leaf->uri_count == 0
                   ? "the leaf has no URI SAN, so it belongs to no trust domain"
                   : "the leaf has several URI SANs, so it belongs to no trust domain";
        return NULL;
    }
    if (spiffe_id_parse(leaf->uri, leaf->uri_length, &id, NULL) != RM_OK) {
        *why = "the leaf's URI SAN is not a SPIFFE ID, so it belongs to no trust domain";
        return NULL;
    }
    const struct trust_domain *domain =
        trust == NULL ? NULL : trust_domain_find(trust, id.trust_domain, id.trust_domain_length);
    if (domain == NULL) {
        *why = "no roots are known for the leaf's trust domain";
    }
    return domain;
}

static void walk_close(struct chain_walk *walk)
{
    for (size_t i = 0; i < CHAIN_MAX_CERTIFICATES; i++) {
        if (walk->state[i] == SENT_OPEN) {
            x509_close(&walk->opened[i]);
        }
    }
    if (walk->is_root_open) {
        x509_close(&walk->root);
    }
    rm_free(walk);
}

static enum rm_err walk_leaf(struct chain_walk *walk, struct certificate *leaf, const char **why)
{
    const struct x509 *opened = walk_open(walk, 0);
    if (opened == NULL) {
        *why = "the leaf certificate cannot be read";
        return walk->result == RM_OK ? RM_ERR_MALFORMED : walk->result;
    }
    return certificate_of_x509(opened, leaf);
}

static enum rm_err walk_run(struct chain_walk *walk, const struct trust_snapshot *trust,
                            struct certificate *leaf, struct chain_facts *facts, const char **why)
{
    RM_TRY(walk_leaf(walk, leaf, why));
    facts_of_leaf(leaf, facts);
    if (walk->sent_count > CHAIN_MAX_CERTIFICATES) {
        *why = "the chain has more certificates than are accepted";
        return RM_OK;
    }
    walk->domain = leaf_domain(leaf, trust, why);
    if (walk->domain == NULL) {
        return RM_OK;
    }
    if (walk_extend(walk)) {
        facts_of_path(walk, facts);
        remember_links(walk);
    }
    *why = facts->is_anchored ? NULL : walk->why;
    return walk->result;
}

enum rm_err chain_examine(const struct der *certificates, size_t count,
                          const struct trust_snapshot *trust, struct certificate *leaf,
                          struct chain_facts *facts, const char **why)
{
    return chain_examine_again(NULL, certificates, count, trust, leaf, facts, why);
}

enum rm_err chain_examine_again(struct link_cache *cache, const struct der *certificates,
                                size_t count, const struct trust_snapshot *trust,
                                struct certificate *leaf, struct chain_facts *facts,
                                const char **why)
{
    *leaf = (struct certificate){0};
    *facts = (struct chain_facts){0};
    *why = "there is no certificate";
    if (count == 0) {
        return RM_ERR_MALFORMED;
    }
    struct chain_walk *walk = rm_calloc(1, sizeof(*walk));
    if (walk == NULL) {
        return RM_ERR_NO_MEMORY;
    }
    walk->sent = certificates;
    walk->sent_count = count;
    walk->cache = cache;
    walk->path_length = 1;
    walk->signatures_left = CHAIN_MAX_SIGNATURES;
    walk->why = WHY_NO_ANCHOR;
    enum rm_err result = walk_run(walk, trust, leaf, facts, why);
    walk_close(walk);
    if (result != RM_OK) {
        certificate_deinit(leaf);
        *facts = (struct chain_facts){0};
    }
    return result;
}
