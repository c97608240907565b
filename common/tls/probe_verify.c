// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a probe sees of a chain. It is judged exactly as a connection's would be, and the judgement
// is kept for the report; then the handshake goes on whatever it was, since what the server does
// next is to be seen, too. Nothing rests on that handshake: see probe.h. An intermediate that
// wolfSSL takes from the chain is forgotten with the context, which is the probe's own.
#include "base/alloc.h"
#include "tls/probe_internal.h"

void tls_probe_take_failure(struct tls_probe *probe, struct tls_failure *out)
{
    *out = probe->session.failure != NULL ? *probe->session.failure : tls_no_failure;
    rm_free(probe->session.failure);
    probe->session.failure = NULL;
}

static bool probe_accepts(struct tls_probe *probe, struct tls_examination *examination,
                          int library_error)
{
    const struct tls_handshake *handshake = probe->session.handshake;
    tls_examination_judge(examination, probe->session.context->trust, false,
                          (const char *const *)handshake->expected_ids, handshake->expected_count);
    return library_error == 0 && examination->result == RM_OK &&
           examination->answer.verdict == VERDICT_IDENTITY;
}

static void probe_judge(struct tls_probe *probe, const WOLFSSL_X509_STORE_CTX *store,
                        int library_error)
{
    struct tls_examination examination;
    tls_examination_init(&examination, store);
    if (!probe_accepts(probe, &examination, library_error)) {
        tls_examination_refuse(&probe->session, &examination, library_error);
        tls_probe_take_failure(probe, &probe->report.judgement);
        if (probe->report.judgement.fault == FAULT_OK) {
            probe->report.judgement.fault = FAULT_NO_MEMORY; // to say what it was
        }
    }
    for (size_t i = 0; i < examination.count; i++) {
        const struct der *der = &examination.certificates[i];
        if (chain_append(&probe->chain, der->bytes, der->length) != RM_OK) {
            break; // the report has fewer
        }
    }
    tls_examination_deinit(&examination);
}

// wolfSSL asks once for each error and once at the end; the first question is the one a connection
// would have been refused at.
int tls_probe_on_chain(int is_verified, WOLFSSL_X509_STORE_CTX *store)
{
    struct tls_probe *probe = store->userCtx;
    if (!probe->is_judged) {
        probe->is_judged = true;
        probe_judge(probe, store, is_verified == 1 ? 0 : store->error);
    }
    return 1;
}

int tls_probe_on_certificate_request(WOLFSSL *ssl, void *context)
{
    struct tls_probe *probe = wolfSSL_GetIOReadCtx(ssl);
    (void)context;
    probe->report.is_certificate_wanted = true;
    return 1;
}
