// SPDX-License-Identifier: GPL-3.0-or-later
//
// The pinned profile: a client that knows no roots yet, only hashes of root keys from its join
// token (design.md, first trust). The control plane sends its root behind its chain on that port.
//
// wolfSSL has no root to verify with, so it reports ASN_NO_SIGNER_E and nothing else, and this file
// answers 1 to exactly that error: the only place in Remora where an error of the TLS library is
// overridden. It does so only after our own complete examination said IDENTITY:
//   - a certificate behind the leaf has a pinned key, calls itself its own issuer, is a CA, and is
//     really signed by that key (otherwise its name, dates and limits could be anyone's);
//   - the leaf's chain leads to it: every signature, CA flag, path length, name constraint;
//   - the peer verdict, with the pinned root as the only root of the control plane's trust domain,
//     proves exactly the control plane's SPIFFE ID, inside all dates, as a server.
// wolfSSL then goes on by itself: key usage, the leaf's proof of possession (CertificateVerify),
// Finished. It asks a second time at the end of its own checks, and gets the same examination
// again. The other way, putting the sent root into wolfSSL's store from here, would not spare the
// override (the failed check is not repeated) and would leave a root in a context that other
// sessions use.
#include <string.h>

#include "tls/tls_internal.h"

static bool pinned_has_key(const struct tls_pins *pins, const uint8_t key_id[KEY_ID_BYTES])
{
    for (size_t i = 0; i < pins->count; i++) {
        if (memcmp(pins->key_ids[i], key_id, KEY_ID_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

// True when `der` is a self-signed CA certificate of a pinned key.
static bool pinned_is_root(const struct tls_pins *pins, const struct der *der)
{
    struct certificate certificate;
    if (certificate_parse(der->bytes, der->length, &certificate, NULL) != RM_OK) {
        return false;
    }
    bool is_root =
        pinned_has_key(pins, certificate.spki_id) && certificate.is_ca &&
        certificate.is_self_signed &&
        certificate_verify_signature(der->bytes, der->length, der->bytes, der->length) == RM_OK;
    certificate_deinit(&certificate);
    return is_root;
}

// The trust this one handshake stands on: the sent roots that are pinned. NULL when there is none.
static struct trust_snapshot *pinned_trust(const struct tls_pins *pins,
                                           const struct tls_examination *examination)
{
    struct trust_builder *builder = trust_builder_new();
    size_t root_count = 0;
    for (size_t i = 1; builder != NULL && i < examination->count; i++) {
        const struct der *der = &examination->certificates[i];
        uint8_t key_id[KEY_ID_BYTES];
        if (!pinned_is_root(pins, der) ||
            certificate_key_id(der->bytes, der->length, key_id) != RM_OK) {
            continue;
        }
        if (trust_builder_add_root(builder, pins->trust_domain, der->bytes, der->length, key_id) ==
            RM_OK) {
            root_count++;
        }
    }
    if (root_count == 0) {
        trust_builder_free(builder);
        return NULL;
    }
    return trust_builder_finish(builder);
}

static bool pinned_is_good(struct tls_session *session, struct tls_examination *examination,
                           struct trust_snapshot *trust)
{
    const struct tls_pins *pins = session->context->pins;
    const char *const expected[] = {pins->control_id};
    tls_examination_judge(examination, trust, false, expected, 1);
    return examination->result == RM_OK && examination->facts.is_anchored &&
           examination->answer.verdict == VERDICT_IDENTITY;
}

static int pinned_judge(struct tls_session *session, struct tls_examination *examination,
                        int library_error)
{
    struct trust_snapshot *trust = pinned_trust(session->context->pins, examination);
    if (trust == NULL) {
        tls_failure_set(session, FAULT_UNTRUSTED_CHAIN,
                        "none of the %zu certificates sent is a root whose key hash is pinned",
                        examination->count);
        return 0;
    }
    // 0 comes with wolfSSL's second question, when its own checks are done.
    bool may_pass = library_error == 0 || library_error == ASN_NO_SIGNER_E;
    bool is_good = pinned_is_good(session, examination, trust) && may_pass &&
                   tls_examination_accept(session, examination);
    if (!is_good) {
        tls_examination_refuse(session, examination, may_pass ? 0 : library_error);
    }
    trust_unref(trust);
    return is_good ? 1 : 0;
}

int tls_verify_pinned(int is_verified, WOLFSSL_X509_STORE_CTX *store)
{
    struct tls_session *session = store->userCtx;
    struct tls_examination examination;
    if (session->handshake == NULL) {
        return 0; // certificates are judged during the handshake and at no other time
    }
    tls_examination_init(&examination, store);
    peer_unref(session->peer);
    session->peer = NULL; // an earlier answer does not stand for this one
    if (examination.count == 0) {
        tls_failure_set(session, FAULT_NO_CERTIFICATE, TLS_DETAIL_NO_CERTIFICATE);
        return 0;
    }
    if ((is_verified == 1) != (store->error == 0)) {
        tls_failure_set(session, FAULT_INTERNAL, "wolfSSL contradicts itself");
        return 0;
    }
    int answer = pinned_judge(session, &examination, store->error);
    tls_examination_deinit(&examination);
    return answer;
}
