// SPDX-License-Identifier: GPL-3.0-or-later
//
// A chain for people: each certificate, where it leads, and whom it names.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "diagnose/diagnose_internal.h"

#define NEAR_END_PART 5 // of its life left: a healthy one was renewed by then

// --- One certificate
// -----------------------------------------------------------------------------

static void add_names(struct diagnose_step *step, const struct certificate *certificate)
{
    char names[DIAGNOSE_VALUE_BYTES] = "";
    if (certificate->uri != NULL) {
        step_add(step, "spiffe_id", "%s", certificate->uri);
    }
    for (uint32_t i = 0; i < certificate->dns_count; i++) {
        size_t length = strlen(names);
        snprintf(names + length, sizeof(names) - length, "%s%s", i > 0 ? "," : "",
                 certificate->dns[i]);
    }
    if (names[0] != '\0') {
        step_add(step, "dns", "%s", names);
    }
}

static void add_dates(struct diagnose_step *step, const struct certificate *certificate,
                      int64_t now_s, char left[CLOCK_DURATION_BYTES])
{
    char from[CLOCK_RFC3339_BYTES];
    char until[CLOCK_RFC3339_BYTES];
    clock_format_rfc3339(certificate->not_before_s * 1000, 0, from);
    clock_format_rfc3339(certificate->not_after_s * 1000, 0, until);
    clock_format_duration(certificate->not_after_s - now_s, left);
    step_add(step, "not_before", "%s", from);
    step_add(step, "not_after", "%s", until);
    step_add(step, "left", "%s", left);
}

// What a certificate is called in one line.
static const char *title_of(const struct certificate *certificate)
{
    if (certificate->uri != NULL) {
        return certificate->uri;
    }
    bool has_subject = certificate->subject[0] != '\0';
    const char *other = certificate->dns_count > 0 ? certificate->dns[0] : "without a name";
    return has_subject ? certificate->subject : other;
}

static void note_dates(struct diagnosis *diagnosis, const struct certificate *certificate,
                       size_t position, int64_t now_s, const char *left)
{
    int64_t life_s = certificate->not_after_s - certificate->not_before_s;
    int64_t left_s = certificate->not_after_s - now_s;
    if (left_s > 0 && left_s < life_s / NEAR_END_PART) {
        finding_add(diagnosis, FAULT_CERTIFICATE_ENDS_SOON, "certificate %zu (%.200s) ends in %s",
                    position + 1, title_of(certificate), left);
    }
}

static void read_certificate(struct diagnosis *diagnosis, const struct der *der, size_t position)
{
    struct certificate certificate;
    char key[CERTIFICATE_KIND_BYTES] = "unknown";
    char signature[CERTIFICATE_KIND_BYTES] = "unknown";
    char left[CLOCK_DURATION_BYTES];
    int64_t now_s = clock_wall_s();
    struct diagnose_step step = step_new("certificate", DIAGNOSE_PASSED);
    step_add(&step, "position", "%zu", position + 1);
    if (certificate_parse(der->bytes, der->length, &certificate, NULL) != RM_OK) {
        step.outcome = DIAGNOSE_FAILED;
        step_say(&step, "%zu: cannot be read", position + 1);
        step_tell(diagnosis, &step);
        return;
    }
    if (certificate_kinds(der->bytes, der->length, key, signature) != RM_OK) {
        step.outcome = DIAGNOSE_FAILED; // they stay unknown
    }
    add_dates(&step, &certificate, now_s, left);
    if (now_s < certificate.not_before_s || now_s > certificate.not_after_s) {
        step.outcome = DIAGNOSE_FAILED;
    }
    step_add(&step, "subject", "%s", certificate.subject);
    step_add(&step, "issuer", "%s", certificate.issuer);
    step_add(&step, "key", "%s", key);
    step_add(&step, "signature", "%s", signature);
    step_add(&step, "ca", "%s", certificate.is_ca ? "true" : "false");
    add_names(&step, &certificate);
    step_say(&step, "%zu: %.200s, %s, %s, %s%s", position + 1, title_of(&certificate), key,
             signature, step.outcome == DIAGNOSE_FAILED ? "outside its dates; left: " : "ends in ",
             left);
    step_tell(diagnosis, &step);
    note_dates(diagnosis, &certificate, position, now_s, left);
    certificate_deinit(&certificate);
}

// --- Where it leads
// ------------------------------------------------------------------------------

// The trust domain one of whose roots signed a certificate of the chain; NULL: none that we know.
static const char *find_anchor(const struct trust_snapshot *trust,
                               const struct tls_probe_report *report)
{
    for (size_t i = 0; trust != NULL && i < trust_domain_count(trust); i++) {
        const struct trust_domain *domain = trust_domain_at(trust, i);
        for (size_t root = 0; root < domain->root_count; root++) {
            for (size_t at = 0; at < report->chain_count; at++) {
                if (certificate_verify_signature(report->chain[at].bytes, report->chain[at].length,
                                                 domain->roots[root].der,
                                                 domain->roots[root].der_length) == RM_OK) {
                    return domain->name;
                }
            }
        }
    }
    return NULL;
}

static void tell_chain(struct diagnosis *diagnosis, const struct tls_probe_report *report,
                       const struct chain_facts *facts, const char *why)
{
    const char *anchor = find_anchor(diagnosis->own.trust, report);
    bool is_anchored = facts != NULL && facts->is_anchored;
    struct diagnose_step step = step_new("chain", is_anchored ? DIAGNOSE_PASSED : DIAGNOSE_FAILED);
    step_add(&step, "length", "%zu", report->chain_count);
    step_add(&step, "trust_domain", "%s", anchor != NULL ? anchor : "");
    if (is_anchored) {
        step_say(&step, "%zu certificate%s, in order, up to a root of %s", report->chain_count,
                 report->chain_count == 1 ? "" : "s", anchor != NULL ? anchor : "its trust domain");
    } else if (anchor != NULL) {
        step_say(&step, "a root of %s signed it, but %s", anchor,
                 why != NULL ? why : "it does not stand");
    } else {
        step_say(&step, "%s",
                 report->judgement.detail[0] != '\0' ? report->judgement.detail
                                                     : (why != NULL ? why : "it does not stand"));
    }
    step_tell(diagnosis, &step);
}

// --- Whom it names
// -------------------------------------------------------------------------------

// RFC 9525 6.3: a wildcard stands for one whole label, the leftmost.
static bool name_fits(const char *pattern, const char *host)
{
    if (pattern[0] == '*' && pattern[1] == '.') {
        const char *dot = strchr(host, '.');
        return dot != NULL && dot != host && strcasecmp(pattern + 1, dot) == 0;
    }
    return strcasecmp(pattern, host) == 0;
}

static bool certificate_names(const struct certificate *leaf, const char *host)
{
    for (uint32_t i = 0; i < leaf->dns_count; i++) {
        if (name_fits(leaf->dns[i], host)) {
            return true;
        }
    }
    return false;
}

static void tell_identity(struct diagnosis *diagnosis, const struct certificate *leaf)
{
    const char *wanted = diagnosis->expected;
    const char *found = leaf->uri != NULL ? leaf->uri : "none";
    bool fits = wanted == NULL || strcmp(wanted, found) == 0;
    struct diagnose_step step = step_new("names", fits ? DIAGNOSE_PASSED : DIAGNOSE_FAILED);
    step_add(&step, "wanted", "%s", wanted != NULL ? wanted : "");
    step_add(&step, "found", "%s", found);
    if (wanted == NULL) {
        step_say(&step, "it proves %s; nobody in particular was expected", found);
    } else {
        step_say(&step, "wanted %s, found %s", wanted, found);
    }
    step_tell(diagnosis, &step);
}

// An ordinary server: only its DNS names can be compared, and only with a name.
static void tell_host(struct diagnosis *diagnosis, const struct certificate *leaf)
{
    const char *host = diagnosis->sni != NULL ? diagnosis->sni : diagnosis->dial.host;
    struct diagnose_step step = step_new("names", DIAGNOSE_PASSED);
    step_add(&step, "wanted", "%s", host);
    step_add(&step, "found", "%s", leaf->dns_count > 0 ? leaf->dns[0] : "none");
    if (diagnosis->dial.is_numeric && diagnosis->sni == NULL) {
        step.outcome = DIAGNOSE_SKIPPED;
        step_say(&step, "an address was asked for, no name; it has %s",
                 leaf->dns_count > 0 ? leaf->dns[0] : "no DNS name");
    } else if (certificate_names(leaf, host)) {
        step_say(&step, "it is for %s", host);
    } else {
        step.outcome = DIAGNOSE_FAILED;
        step_say(&step, "wanted %s, found %s", host,
                 leaf->dns_count > 0 ? leaf->dns[0] : "no DNS name");
        finding_add(diagnosis, FAULT_WRONG_NAME, "wanted %s, found %s", host,
                    leaf->dns_count > 0 ? leaf->dns[0] : "none");
    }
    step_tell(diagnosis, &step);
}

void read_chain(struct diagnosis *diagnosis, const struct tls_probe_report *report)
{
    struct certificate leaf;
    struct chain_facts facts;
    const char *why = NULL;
    for (size_t i = 0; i < report->chain_count; i++) {
        read_certificate(diagnosis, &report->chain[i], i);
    }
    if (diagnosis->own.trust == NULL ||
        chain_examine(report->chain, report->chain_count, diagnosis->own.trust, &leaf, &facts,
                      &why) != RM_OK) {
        tell_chain(diagnosis, report, NULL, NULL);
        return;
    }
    tell_chain(diagnosis, report, &facts, why);
    if (leaf.uri != NULL || diagnosis->expected != NULL) {
        tell_identity(diagnosis, &leaf);
    } else {
        tell_host(diagnosis, &leaf);
    }
    certificate_deinit(&leaf);
}
