// SPDX-License-Identifier: GPL-3.0-or-later
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "tls/tls_internal.h"

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static time_t library_time(time_t *out)
{
    time_t now = (time_t)clock_wall_s();
    if (out != NULL) {
        *out = now;
    }
    return now;
}

// wolfSSL judges dates by the same clock as the peer verdict, so that the two never disagree.
static void library_prepare_once(void)
{
    (void)wc_SetTimeCb(library_time);
}

void tls_library_prepare(void)
{
    pthread_once(&library_once, library_prepare_once);
}

static bool library_has_fast_aes(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#else
    return false; // built without the processor's AES instructions: deploy/install-deps.sh
#endif
}

const char *tls_library_suites(void)
{
    return library_has_fast_aes()
               ? "TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384:TLS13-CHACHA20-POLY1305-SHA256"
               : "TLS13-CHACHA20-POLY1305-SHA256:TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384";
}

const char *tls_library_group(WOLFSSL *ssl)
{
    static const struct {
        const char *library; // wolfSSL's name
        const char *iana;    // TLS Supported Groups registry
    } names[] = {
        {"X25519MLKEM768", "X25519MLKEM768"},
        {"X25519", "x25519"},
        {"SECP256R1", "secp256r1"},
    };
    const char *name = wolfSSL_get_curve_name(ssl);
    for (size_t i = 0; name != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i].library, name) == 0) {
            return names[i].iana;
        }
    }
    return "unknown";
}
