// SPDX-License-Identifier: GPL-3.0-or-later
//
// The SPIFFE profile. wolfSSL has verified the chain against all roots of all trust domains; here
// the chain must also end at a root of the leaf's own trust domain, and the peer verdict must say
// IDENTITY. This callback only ever adds refusals: it never answers 1 to an error of wolfSSL's.
#include <string.h>

#include "base/clock.h"
#include "tls/tls_internal.h"

void tls_examination_init(struct tls_examination *examination, const WOLFSSL_X509_STORE_CTX *store)
{
    memset(examination, 0, sizeof(*examination));
    examination->result = RM_ERR_MALFORMED;
    examination->now_s = clock_wall_s();
    // wolfSSL refuses longer chains before it asks (wolfSSL_CTX_set_verify_depth).
    for (int i = 0; i < store->totalCerts && i < CHAIN_MAX_CERTIFICATES; i++) {
        examination->certificates[i].bytes = store->certs[i].buffer;
        examination->certificates[i].length = store->certs[i].length;
        examination->count++;
    }
}

void tls_examination_deinit(struct tls_examination *examination)
{
    certificate_deinit(&examination->leaf);
}

void tls_examination_judge(struct tls_examination *examination, const struct trust_snapshot *trust,
                           bool peer_is_client, const char *const *expected_ids,
                           size_t expected_count)
{
    examination->result =
        chain_examine_again(examination->links, examination->certificates, examination->count,
                            trust, &examination->leaf, &examination->facts, &examination->why);
    if (examination->result != RM_OK) {
        return;
    }
    struct verdict_question question = {
        .facts = &examination->facts,
        .trust = trust,
        .now_s = examination->now_s,
        .role = peer_is_client ? VERDICT_ROLE_CLIENT : VERDICT_ROLE_SERVER,
        .expected_ids = expected_ids,
        .expected_count = expected_count,
    };
    examination->answer = verdict_judge(&question);
}

bool tls_session_still_allows(const struct tls_session *session, const struct chain_facts *facts)
{
    const struct tls_handshake *handshake = session->handshake;
    struct verdict_question question = {
        .facts = facts,
        .trust = session->context->trust,
        .now_s = clock_wall_s(),
        .role = session->is_server ? VERDICT_ROLE_CLIENT : VERDICT_ROLE_SERVER,
        .expected_ids = (const char *const *)handshake->expected_ids,
        .expected_count = handshake->expected_count,
    };
    return verdict_judge(&question).verdict == VERDICT_IDENTITY;
}

bool tls_examination_accept(struct tls_session *session, const struct tls_examination *examination)
{
    peer_unref(session->peer);
    session->peer = peer_new(&examination->facts, false);
    if (session->peer == NULL) {
        tls_failure_set(session, FAULT_NO_MEMORY, "no memory for the peer's identity");
    }
    return session->peer != NULL;
}

// A client may come without a certificate only where the profile says so.
static int verify_nobody(struct tls_session *session, int is_verified)
{
    if (is_verified == 1 && session->is_server && !session->context->is_certificate_required) {
        session->handshake->is_anonymous = true;
        tls_ticket_consider(session);
        return 1;
    }
    tls_failure_set(session, FAULT_NO_CERTIFICATE, TLS_DETAIL_NO_CERTIFICATE);
    return 0;
}

int tls_verify_spiffe(int is_verified, WOLFSSL_X509_STORE_CTX *store)
{
    struct tls_session *session = store->userCtx;
    struct tls_examination examination;
    if (session->handshake == NULL) {
        return 0; // certificates are judged during the handshake and at no other time
    }
    tls_examination_init(&examination, store);
    if (examination.count == 0) {
        return verify_nobody(session, is_verified);
    }
    const struct tls_handshake *handshake = session->handshake;
    examination.links = session->context->links;
    tls_examination_judge(&examination, session->context->trust, session->is_server,
                          (const char *const *)handshake->expected_ids, handshake->expected_count);
    bool is_good = is_verified == 1 && store->error == 0 && examination.result == RM_OK &&
                   examination.answer.verdict == VERDICT_IDENTITY &&
                   tls_examination_accept(session, &examination);
    if (is_good) {
        tls_ticket_consider(session);
    } else {
        tls_examination_refuse(session, &examination, store->error);
    }
    tls_examination_deinit(&examination);
    return is_good ? 1 : 0;
}
