// SPDX-License-Identifier: GPL-3.0-or-later
//
// Sentences about faults, for people: what was wanted and found, dates beside our clock, what the
// other end's alert can mean seen from our own certificate. Text from the peer is made printable
// first.
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tls/tls_internal.h"

#define NAME_TEXT_BYTES 100 // of a peer's name in a sentence

void tls_explain_add(char *out, size_t out_bytes, const char *format, ...)
{
    size_t length = strnlen(out, out_bytes);
    if (length + 1 >= out_bytes) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(out + length, out_bytes - length, format, args);
    va_end(args);
}

void tls_explain_text(const char *text, size_t length, char *out, size_t out_bytes)
{
    size_t count = length < out_bytes - 1 ? length : out_bytes - 1;
    for (size_t i = 0; i < count; i++) {
        unsigned char byte = (unsigned char)text[i];
        out[i] = byte >= 0x20 && byte < 0x7f ? (char)byte : '?';
    }
    out[count] = '\0';
}

// --- Dates and clocks ----------------------------------------------------------------------------

static bool identity_is_current(const struct tls_identity *identity, int64_t now_s)
{
    return now_s >= identity->not_before_s && now_s <= identity->not_after_s;
}

void tls_explain_dates(const struct tls_session *session, const struct tls_examination *examination,
                       char *out, size_t out_bytes)
{
    char from[CLOCK_RFC3339_BYTES];
    char until[CLOCK_RFC3339_BYTES];
    char now[CLOCK_RFC3339_BYTES];
    char difference[CLOCK_DURATION_BYTES];
    const struct chain_facts *facts = &examination->facts;
    const struct tls_identity *identity = session->context->identity;
    bool is_early = examination->now_s < facts->not_before_s;
    clock_format_rfc3339(facts->not_before_s * 1000, 0, from);
    clock_format_rfc3339(facts->not_after_s * 1000, 0, until);
    clock_format_rfc3339(examination->now_s * 1000, 0, now);
    clock_format_duration(is_early ? facts->not_before_s - examination->now_s
                                   : examination->now_s - facts->not_after_s,
                          difference);
    tls_explain_add(out, out_bytes, "valid from %s to %s, our clock says %s: %s %s", from, until,
                    now, difference, is_early ? "too early" : "too late");
    if (identity != NULL && !identity_is_current(identity, examination->now_s)) {
        tls_explain_add(
            out, out_bytes,
            "; our own certificate is outside its dates too, so our clock is probably wrong");
    } else if (is_early) {
        tls_explain_add(out, out_bytes, "; probably one of the two clocks is wrong");
    }
}

// --- Alerts we received --------------------------------------------------------------------------

static void alert_about_dates(const struct tls_identity *identity, char *out, size_t out_bytes)
{
    char difference[CLOCK_DURATION_BYTES];
    int64_t now_s = clock_wall_s();
    if (now_s > identity->not_after_s) {
        clock_format_duration(now_s - identity->not_after_s, difference);
        tls_explain_add(out, out_bytes, "our certificate expired %s ago", difference);
    } else if (now_s < identity->not_before_s) {
        clock_format_duration(identity->not_before_s - now_s, difference);
        tls_explain_add(out, out_bytes, "our certificate becomes valid only in %s", difference);
    } else {
        clock_format_duration(identity->not_after_s - now_s, difference);
        tls_explain_add(
            out, out_bytes,
            "by our clock our certificate is valid for another %s: the two clocks differ, or a "
            "CA above it has expired",
            difference);
    }
}

static void alert_about_certificate(const struct tls_session *session, uint8_t alert, char *out,
                                    size_t out_bytes)
{
    const struct tls_identity *identity = session->context->identity;
    if (identity == NULL) {
        tls_explain_add(out, out_bytes, "we have no certificate to show");
        return;
    }
    const char *id = identity->spiffe_id == NULL ? "without SPIFFE ID" : identity->spiffe_id;
    switch (alert) {
    case 44:
        tls_explain_add(out, out_bytes, "it holds our certificate (%.80s) for revoked", id);
        break;
    case 45:
        alert_about_dates(identity, out, out_bytes);
        break;
    case 48:
        tls_explain_add(
            out, out_bytes,
            "it trusts no root of our chain (%zu certificates, %.80s): it lacks our trust "
            "domain's bundle, or our chain lacks an intermediate",
            identity->chain.count, id);
        break;
    default:
        tls_explain_add(
            out, out_bytes,
            "it does not accept our certificate (%.80s): untrusted, wrong identity, use or trust "
            "domain, or revoked; its log has the name",
            id);
        break;
    }
}

void tls_explain_alert(const struct tls_session *session, uint8_t alert, char *out,
                       size_t out_bytes)
{
    static const struct {
        uint8_t alert;       // its number
        const char *meaning; // what it can mean
    } meanings[] = {
        {40, "it shares no cipher suite, group or signature algorithm with us"},
        {47, "it found a wrong value in our handshake; maybe no group in common"},
        {51, "it could not verify our proof of possession, or the bytes were changed on the way"},
        {70, "it speaks no TLS 1.3"},
        {TLS_ALERT_USER_CANCELED, "the mesh ended the connection there: policy, revocation, or a "
                                  "certificate that was not renewed"},
        {109, "it wants an extension that we did not send, perhaps the server name (SNI)"},
        {112, "it does not serve the name that we asked for (SNI)"},
        {120, "it speaks none of the application protocols (ALPN) that we offered"},
    };
    out[0] = '\0';
    tls_explain_add(out, out_bytes, "alert %s: ", tls_alert_name(alert));
    if ((alert >= 42 && alert <= 46) || alert == 48 || alert == 49 || alert == 116) {
        alert_about_certificate(session, alert, out, out_bytes);
        return;
    }
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        if (meanings[i].alert == alert) {
            tls_explain_add(out, out_bytes, "%s", meanings[i].meaning);
            return;
        }
    }
    tls_explain_add(out, out_bytes, "its log has the reason");
}

// --- Chains --------------------------------------------------------------------------------------

// The sent certificates, opened for their names.
struct sent_chain {
    struct certificate certificates[CHAIN_MAX_CERTIFICATES]; // opened ones
    size_t count;                                            // of certificates
};

static void sent_chain_open(struct sent_chain *sent, const struct tls_examination *examination)
{
    sent->count = 0;
    for (size_t i = 0; i < examination->count; i++) {
        const struct der *der = &examination->certificates[i];
        if (certificate_parse(der->bytes, der->length, &sent->certificates[i], NULL) != RM_OK) {
            return; // what can be said is said about those before it
        }
        sent->count++;
    }
}

static void sent_chain_close(struct sent_chain *sent)
{
    for (size_t i = 0; i < sent->count; i++) {
        certificate_deinit(&sent->certificates[i]);
    }
}

// Index of the certificate whose subject is the issuer of `child`; the count when it was not sent.
static size_t sent_chain_issuer(const struct sent_chain *sent, size_t child)
{
    for (size_t i = 0; i < sent->count; i++) {
        if (i != child &&
            strcmp(sent->certificates[i].subject, sent->certificates[child].issuer) == 0) {
            return i;
        }
    }
    return sent->count;
}

// Follows names from the leaf as far as they go. *top is the last certificate reached.
static bool sent_chain_is_ordered(const struct sent_chain *sent, size_t *top)
{
    bool is_ordered = true;
    *top = 0;
    for (size_t steps = 0; steps < sent->count; steps++) {
        size_t issuer = sent_chain_issuer(sent, *top);
        if (issuer == sent->count || sent->certificates[*top].is_self_signed) {
            return is_ordered;
        }
        is_ordered = is_ordered && issuer > *top;
        *top = issuer;
    }
    return is_ordered;
}

static enum fault explain_top(const struct sent_chain *sent, size_t top, char *out,
                              size_t out_bytes)
{
    char name[NAME_TEXT_BYTES];
    const struct certificate *last = &sent->certificates[top];
    if (last->is_self_signed) {
        tls_explain_text(last->subject, strlen(last->subject), name, sizeof(name));
        tls_explain_add(out, out_bytes, "it leads to '%s', which is no root that we trust", name);
        return FAULT_UNKNOWN_ISSUER;
    }
    tls_explain_text(last->issuer, strlen(last->issuer), name, sizeof(name));
    if (top == 0) {
        tls_explain_add(out, out_bytes,
                        "the leaf's issuer '%s' was not sent, and is no root that we trust", name);
        return FAULT_MISSING_INTERMEDIATE;
    }
    tls_explain_add(out, out_bytes, "its last issuer '%s' is no root that we trust", name);
    return FAULT_UNKNOWN_ISSUER;
}

static enum fault explain_sent(const struct sent_chain *sent, char *out, size_t out_bytes)
{
    size_t top = 0;
    if (sent->count == 0) {
        return FAULT_UNTRUSTED_CHAIN;
    }
    if (sent->certificates[0].is_self_signed) {
        char name[NAME_TEXT_BYTES];
        tls_explain_text(sent->certificates[0].subject, strlen(sent->certificates[0].subject), name,
                         sizeof(name));
        tls_explain_add(out, out_bytes, "'%s' was issued by itself", name);
        return FAULT_SELF_SIGNED;
    }
    if (!sent_chain_is_ordered(sent, &top)) {
        tls_explain_add(
            out, out_bytes,
            "each of the %zu certificates sent must come before its issuer, the leaf first",
            sent->count);
        return FAULT_WRONG_ORDER;
    }
    return explain_top(sent, top, out, out_bytes);
}

enum fault tls_explain_chain(const struct tls_examination *examination, char *out, size_t out_bytes)
{
    struct sent_chain sent;
    out[0] = '\0';
    sent_chain_open(&sent, examination);
    enum fault fault = explain_sent(&sent, out, out_bytes);
    sent_chain_close(&sent);
    if (examination->why != NULL) {
        tls_explain_add(out, out_bytes, "%s%s", out[0] == '\0' ? "" : "; ", examination->why);
    }
    return fault;
}
