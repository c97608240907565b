// SPDX-License-Identifier: GPL-3.0-or-later
//
// Every limit on what others may cost a sidecar, by name: for people, and for the tests of
// sidecar/LIMITS.md, so that no number is written down twice.
#include <inttypes.h>
#include <stdio.h>

#include "app.h"
#include "config/sidecar_config.h"
#include "http1/http1.h"
#include "loop/loop.h"
#include "outbound/outbound.h"
#include "stream/descriptors.h"
#include "stream/relay.h"
#include "stream/socket.h"
#include "tls/pace.h"
#include "tls/tls.h"
#include "tunnel/tunnel.h"
#include "worker/endpoints.h"

void app_print_limits(void)
{
    static const struct {
        const char *name;    // as in LIMITS.md
        uint64_t value;      // the constant
        const char *meaning; // one line
    } limits[] = {
        {"handshakes", SIDECAR_HANDSHAKES, "of strangers under way; limits.handshakes"},
        {"handshakes_per_source", SIDECAR_HANDSHAKES_PER_SOURCE,
         "of these from one address; limits.handshakes_per_source"},
        {"handshake_bytes", SIDECAR_HANDSHAKE_BYTES, "resident, of one handshake under way"},
        {"handshake_message_bytes", TLS_IDENTITY_MAX_BYTES, "of one handshake message"},
        {"handshake_ms", TLS_HANDSHAKE_TIMEOUT_MS, "for a whole handshake"},
        {"handshake_steps_per_turn", TLS_PACE_STEPS_PER_TURN, "of a worker's loop"},
        {"preface_bytes", TUNNEL_PREFIX_BYTES + TUNNEL_MAX_MESSAGE_BYTES, "of a Connect or Reply"},
        {"preface_ms", TUNNEL_PREFACE_TIMEOUT_MS, "from the handshake to a whole Connect"},
        {"reply_ms", OUTBOUND_REPLY_TIMEOUT_MS, "from the Connect to the Reply"},
        {"early_bytes", OUTBOUND_EARLY_BYTES, "of an application, kept until the Reply"},
        {"chunk_bytes", CHUNK_BYTES, "lent to a direction while its bytes are in flight"},
        {"chunks_per_worker", CHUNK_MAX_PER_LOOP, "lent at a time"},
        {"lean_bytes", RELAY_LEAN_BYTES, "of a direction that is stalled, or gets no chunk"},
        {"burst_bytes", RELAY_BURST_BYTES, "moved per direction and turn"},
        {"accepts_per_turn", SOCKET_ACCEPT_PER_TURN, "of one listener"},
        {"connection_descriptors", 2, "of one connection"},
        {"descriptors_reserve", DESCRIPTORS_RESERVE, "kept back when accepting pauses"},
        {"accept_retry_ms", SOCKET_ACCEPT_RETRY_MS, "between looks whether descriptors came back"},
        {"vanished_ms", SOCKET_VANISHED_MS, "until a silent machine is gone; timeouts.vanished"},
        {"linger_ms", STREAM_LINGER_MS, "for the last bytes of an orderly close"},
        {"dials_per_endpoint", LANE_WIDTH, "of one worker, under way"},
        {"endpoints_tried", ENDPOINT_MAX_TRIED, "by one connection"},
        {"endpoint_eject_ms", ENDPOINT_EJECT_MIN_MS, "after a first failure"},
        {"endpoint_eject_max_ms", ENDPOINT_EJECT_MAX_MS, "after many in a row"},
        {"http_connections", HTTP1_MAX_CONNECTIONS, "of the health port, and of the metrics port"},
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        printf("%-26s %8" PRIu64 "  %s\n", limits[i].name, limits[i].value, limits[i].meaning);
    }
}
