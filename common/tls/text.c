// SPDX-License-Identifier: GPL-3.0-or-later
//
// A failure in one sentence for people: what happened, what was wanted and found, what to do.
#include "tls/tls_internal.h"

#define FIX_CHAIN                                                                                  \
    "give it a chain of leaf and intermediates that ends under a root of its trust domain"
#define FIX_BUNDLE "check that both ends use the same trust bundle"
#define FIX_CLOCK "check the clocks of both machines, and that certificates are renewed"
#define FIX_NAME "check that both ends agree on the service's name and protocol"
#define FIX_PORT "check the address and port: a tunnel speaks TLS 1.3 only"

static const char *const fault_fixes[TLS_FAULT_COUNT] = {
    [TLS_FAULT_UNTRUSTED_CHAIN] = FIX_BUNDLE,
    [TLS_FAULT_UNKNOWN_ISSUER] = FIX_BUNDLE,
    [TLS_FAULT_SELF_SIGNED] = FIX_CHAIN,
    [TLS_FAULT_MISSING_INTERMEDIATE] = FIX_CHAIN,
    [TLS_FAULT_WRONG_ORDER] = FIX_CHAIN,
    [TLS_FAULT_CHAIN_TOO_LONG] = FIX_CHAIN,
    [TLS_FAULT_NO_CERTIFICATE] = "give it a certificate of a trusted domain",
    [TLS_FAULT_EXPIRED] = FIX_CLOCK,
    [TLS_FAULT_NOT_YET_VALID] = FIX_CLOCK,
    [TLS_FAULT_BAD_CERTIFICATE] = "check that its key belongs to its certificate",
    [TLS_FAULT_VERDICT] = "check which identity it has and which one is expected",
    [TLS_FAULT_WRONG_NAME] = FIX_NAME,
    [TLS_FAULT_WRONG_VERSION] = FIX_PORT,
    [TLS_FAULT_NO_COMMON_SUITE] =
        "allow TLS_AES_128_GCM_SHA256 or TLS_CHACHA20_POLY1305_SHA256 on the other end",
    [TLS_FAULT_NO_COMMON_GROUP] = "allow X25519MLKEM768, X25519 or P-256 on the other end",
    [TLS_FAULT_ALPN_MISSING] = FIX_NAME,
    [TLS_FAULT_ALPN_MISMATCH] = FIX_NAME,
    [TLS_FAULT_SNI_MISSING] = FIX_NAME,
    [TLS_FAULT_SNI_UNKNOWN] = FIX_NAME,
    [TLS_FAULT_NOT_TLS] = FIX_PORT,
    [TLS_FAULT_REFUSED_BY_PEER] = "look at the other end's log, which names the reason exactly",
    [TLS_FAULT_TIMEOUT] =
        "check that the other end is alive and that nothing on the way drops bytes",
    [TLS_FAULT_CLOSED] = "look at the other end's log; something on the way may cut connections",
    [TLS_FAULT_PROTOCOL] = "check that nothing on the way changes bytes",
    [TLS_FAULT_NO_MEMORY] = "raise the memory limit",
    [TLS_FAULT_INTERNAL] = "report this",
};

static const char *fault_text(const struct tls_failure *failure)
{
    static const char *const texts[TLS_FAULT_COUNT] = {
#define FAULT_TEXT(name, text) text,
        TLS_FAULT_LIST(FAULT_TEXT)
#undef FAULT_TEXT
    };
    if (failure->fault == TLS_FAULT_VERDICT) {
        return verdict_reason_text(failure->verdict_reason);
    }
    return texts[failure->fault < TLS_FAULT_COUNT ? failure->fault : TLS_FAULT_INTERNAL];
}

void tls_failure_text(const struct tls_failure *failure, char *out, size_t out_bytes)
{
    if (out_bytes == 0) {
        return;
    }
    out[0] = '\0';
    tls_explain_add(out, out_bytes, "%s", fault_text(failure));
    if (failure->detail[0] != '\0') {
        tls_explain_add(out, out_bytes, " (%s)", failure->detail);
    }
    const char *fix = failure->fault < TLS_FAULT_COUNT ? fault_fixes[failure->fault] : NULL;
    if (fix != NULL) {
        tls_explain_add(out, out_bytes, "; %s", fix);
    }
}
