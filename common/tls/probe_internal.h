// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the files of the probe share: probe.c (its life), probe_verify.c (what it sees of the
// chain), probe_read.c (hello and date, out of the server's bytes).
#pragma once

#include "base/buffer.h"
#include "tls/probe.h"
#include "tls/tls_internal.h"

#define PROBE_INPUT_BYTES 17408   // a record of the largest kind
#define PROBE_HELLO_BYTES 4096    // two ServerHellos with a hybrid key share
#define PROBE_OUTPUT_BYTES 65536  // our chain and a request
#define PROBE_RESPONSE_BYTES 4096 // of an HTTP answer's head

enum probe_state {
    PROBE_HANDSHAKING, // wolfSSL asks for flights
    PROBE_LISTENING,   // what the server says to a finished handshake
    PROBE_DONE,        // told; the lower stream closes
};

struct tls_probe {
    struct tls_session session; // for the names of faults; without operations, so no stream
    struct sm sm;               // enum probe_state
    struct stream *lower;       // owned until its on_closed
    struct timer timer;         // of the handshake, later of the listening
    struct deferred turn;       // the first step
    struct buffer output;       // not yet taken by the lower stream
    struct buffer response;     // head of an HTTP answer
    struct chain chain;         // copies of what was sent
    struct tls_probe_report report;
    tls_probe_fn on_done;
    void *context;                    // for on_done
    uint64_t started_ns;              // of the handshake
    size_t received_bytes;            // so far
    size_t input_start;               // first byte that wolfSSL has not taken
    size_t input_end;                 // after the last
    size_t hello_length;              // of hello
    bool is_judged;                   // the chain was
    bool asks_date;                   // when HTTP/1.1 was negotiated
    bool is_asking;                   // the request was sent
    uint8_t input[PROBE_INPUT_BYTES]; // read from the lower stream
    uint8_t hello[PROBE_HELLO_BYTES]; // the very first bytes
};

// probe_verify.c: wolfSSL's callbacks.
int tls_probe_on_chain(int is_verified, WOLFSSL_X509_STORE_CTX *store);
int tls_probe_on_certificate_request(WOLFSSL *ssl, void *context);
// Takes what was recorded on the session; NONE when nothing was.
void tls_probe_take_failure(struct tls_probe *probe, struct tls_failure *out);

// probe_read.c
void tls_probe_read_hello(const uint8_t *bytes, size_t length, struct tls_probe_hello *out);
// The Date of an HTTP answer's head (RFC 9110 6.6.1); 0 when there is none. `text` is terminated.
int64_t tls_probe_read_date(const char *text);
// True when the head of an HTTP answer is whole.
bool tls_probe_head_is_whole(const char *text);
