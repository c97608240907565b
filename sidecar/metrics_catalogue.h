// SPDX-License-Identifier: GPL-3.0-or-later
//
// Every metric of the sidecar: name, help, kind, labels. One table; README's catalogue is checked
// against it by a test.
#pragma once

#include "metrics/metrics.h"

enum sidecar_metric {
    SIDECAR_METRIC_CONNECTIONS_TOTAL,  // remora_connections_total{direction,service,result}
    SIDECAR_METRIC_CONNECTIONS_OPEN,   // remora_connections_open{direction}
    SIDECAR_METRIC_BYTES_TOTAL,        // remora_bytes_total{direction,flow} flow: sent, received
    SIDECAR_METRIC_HANDSHAKES_TOTAL,   // remora_tls_handshakes_total{role,result}
    SIDECAR_METRIC_TICKETS_TOTAL,      // remora_tls_tickets_total{role,result}
    SIDECAR_METRIC_HANDSHAKE_SECONDS,  // remora_tls_handshake_seconds{role} histogram
    SIDECAR_METRIC_CONNECTION_SECONDS, // remora_connection_seconds{direction} histogram
    SIDECAR_METRIC_SNI_FALLBACK_TOTAL, // remora_edge_sni_fallback_total{}
    SIDECAR_METRIC_CERTIFICATE_EXPIRY, // remora_certificate_expiry_timestamp_seconds{identity}
    SIDECAR_METRIC_CERTIFICATE_RENEWALS_TOTAL, // remora_certificate_renewals_total{result}
    SIDECAR_METRIC_VIEW_VERSION,               // remora_view_version{}
    SIDECAR_METRIC_VIEW_LAST_HEARD,            // remora_view_last_heard_timestamp_seconds{}
    SIDECAR_METRIC_VIEW_INFO,                  // remora_view_info{hash} 1
    SIDECAR_METRIC_CONTROL_CONNECTED,          // remora_control_connected{}
    SIDECAR_METRIC_CLOCK_OFFSET,               // remora_clock_offset_seconds{}
    SIDECAR_METRIC_BUILD_INFO,                 // remora_build_info{version}
    SIDECAR_METRIC_ACCEPT_PAUSES_TOTAL,        // remora_accept_pauses_total{}
    SIDECAR_METRIC_HANDSHAKE_FULL_TURNS_TOTAL, // remora_tls_handshake_full_turns_total{}
    SIDECAR_METRIC_HANDSHAKES_UNDER_WAY,       // remora_tls_handshakes_under_way{}
    SIDECAR_METRIC_HANDSHAKES_LIMITED_TOTAL,   // remora_tls_handshakes_limited_total{action}
    SIDECAR_METRIC_DIALS_QUEUED_TOTAL,         // remora_dials_queued_total{}
    SIDECAR_METRIC_ENDPOINT_FAILURES_TOTAL,    // remora_endpoint_failures_total{service}
    SIDECAR_METRIC_COUNT,
};

extern const struct metric_info sidecar_metric_catalogue[SIDECAR_METRIC_COUNT];
