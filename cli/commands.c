// SPDX-License-Identifier: GPL-3.0-or-later
//
// The table of commands: what the help, the completion and the parser know.
#include "commands.h"

static const struct option_spec create_service_options[] = {
    {"port", "PORT", true, false, "port that applications name"},
    {"identity", "ID", true, true, "SPIFFE ID that may serve it, or ns/NAMESPACE/sa/ACCOUNT"},
    {"allow", "PATTERN", false, true,
     "SPIFFE ID or glob that may call it; the first one guards it"},
    {"dns", "NAME", false, true, "DNS name for its identities' certificates"},
    {0},
};

static const struct option_spec update_service_options[] = {
    {"add-identity", "ID", false, true, "one more identity that may serve it"},
    {"remove-identity", "ID", false, true, "one less"},
    {"add-allow", "PATTERN", false, true, "one more pattern of identities that may call it"},
    {"remove-allow", "PATTERN", false, true, "one less; without any it stays guarded"},
    {"add-dns", "NAME", false, true, "one more DNS name"},
    {"remove-dns", "NAME", false, true, "one less"},
    {"clear-guard", NULL, false, false, "open it to the whole trust domain again"},
    {0},
};

static const struct option_spec create_token_options[] = {
    {"identity", "ID", true, false, "SPIFFE ID to give, or ns/NAMESPACE/sa/ACCOUNT"},
    {"service", "NAME", false, true, "service it may serve; the identity becomes an owner"},
    {"ttl", "TIME", false, false, "how long it may wait to be used (1h)"},
    {"address-range", "CIDR", false, true, "where its endpoints may be, besides their source"},
    {"out", "FILE", false, false, "write the token into a new file of mode 0600"},
    {0},
};

static const struct option_spec list_certificates_options[] = {
    {"all", NULL, false, false, "expired ones, too"},
    {"identity", "ID", false, false, "only of this identity"},
    {0},
};

static const struct option_spec revoke_options[] = {
    {"reason", "TEXT", false, false, "for the audit log"},
    {0},
};

static const struct option_spec bundle_options[] = {
    {"out", "FILE", false, false, "write it into this file instead"},
    {0},
};

static const struct option_spec connections_options[] = {
    {"service", "NAME", false, false, "only of this service"},
    {"peer", "ID", false, false, "only with this SPIFFE ID, or one that has this in it"},
    {"sort", "KEY", false, false, "age, bytes, rate, service, peer, state or left (age)"},
    {"reverse", NULL, false, false, "the last first"},
    {0},
};

static const struct option_spec top_options[] = {
    {"service", "NAME", false, false, "only of this service"},
    {"peer", "ID", false, false, "only with this SPIFFE ID, or one that has this in it"},
    {"sort", "KEY", false, false, "age, bytes, rate, service, peer, state or left (rate)"},
    {"reverse", NULL, false, false, "the last first"},
    {"interval", "TIME", false, false, "between refreshes (2s)"},
    {0},
};

static const struct option_spec log_level_options[] = {
    {"for", "TIME", false, false, "then the configured level is back (else at the next reload)"},
    {0},
};

static const struct option_spec renew_options[] = {
    {"name", "NAME", false, false, "of the configuration's identities (else its identity)"},
    {0},
};

static const struct option_spec diagnose_options[] = {
    {"service", "NAME", false, false, "a service, as a call from this workload would reach it"},
    {"expect", "ID", false, false, "SPIFFE ID that the address must prove"},
    {"sni", "NAME", false, false, "server name to send (that of the ID, or the host)"},
    {"alpn", "PROTOCOL", false, false, "the one protocol to offer (remora/1, h2, http/1.1)"},
    {0},
};

static const struct command commands[] = {
    {"status", NULL, NULL, "the control plane at a glance", "  remora status\n", status_show},
    {"service create", "NAME", create_service_options, "name a service and who may serve it",
     "  remora service create web --port 80 --identity ns/shop/sa/web\n"
     "  remora service create db --port 5432 --identity ns/shop/sa/db \\\n"
     "      --allow 'spiffe://example.org/ns/shop/**'\n",
     service_create},
    {"service list", NULL, NULL, "every service", "  remora service list --json\n", service_list},
    {"service show", "NAME", NULL, "one service with its endpoints", "  remora service show web\n",
     service_show},
    {"service update", "NAME", update_service_options, "change who may serve or call a service",
     "  remora service update web --add-allow ns/shop/sa/front\n"
     "  remora service update web --remove-allow ns/shop/sa/front --clear-guard\n",
     service_update},
    {"service delete", "NAME", NULL, "take a service out of the mesh",
     "  remora service delete web\n", service_delete},
    {"token create", NULL, create_token_options, "a join token for one workload",
     "  remora token create --identity ns/shop/sa/web --service web --out web.token\n"
     "  remora token create --identity ns/shop/sa/batch --ttl 15m\n",
     token_create},
    {"token list", NULL, NULL, "tokens, without their secrets", "  remora token list\n",
     token_list},
    {"token delete", "ID", NULL, "make a token useless", "  remora token delete 0f3a5c7e9b1d\n",
     token_delete},
    {"identities", NULL, NULL, "every identity: services, certificates, connections",
     "  remora identities\n", identity_list},
    {"certificates", NULL, list_certificates_options,
     "certificates: time left, next renewal, last error",
     "  remora certificates\n"
     "  remora certificates --all --identity ns/shop/sa/web --json\n",
     certificate_list},
    {"revoke certificate", "SERIAL", revoke_options,
     "revoke a certificate and all of its lineage, everywhere and for good",
     "  remora revoke certificate 4f0c2d7a11a2b3c48899aabbccddeeff --reason 'host was stolen'\n",
     certificate_revoke},
    {"bundle", NULL, bundle_options, "the trust domain's roots, as PEM",
     "  remora bundle --out bundle.pem\n", bundle_show},
    {"connections", NULL, connections_options, "a sidecar's connections: peer, bytes, age, TLS",
     "  remora connections --service web --sort bytes\n"
     "  remora connections --peer ns/shop/sa/web --json\n",
     connections_show},
    {"top", NULL, top_options, "a sidecar's connections live, with their rates",
     "  remora top\n"
     "  remora top --service web --sort bytes --interval 1s\n",
     top_show},
    {"sidecar status", NULL, NULL, "a sidecar at a glance", "  remora sidecar status\n",
     sidecar_status},
    {"sidecar view", NULL, NULL, "the view of the mesh that a sidecar works from",
     "  remora sidecar view --json\n", sidecar_view},
    {"sidecar certificates", NULL, NULL,
     "a sidecar's own certificates: time left, next renewal, last error",
     "  remora sidecar certificates\n", sidecar_certificates},
    {"sidecar log-level", "LEVEL", log_level_options, "log debug, info, warn or error, for a while",
     "  remora sidecar log-level debug --for 10m\n", sidecar_log_level},
    {"sidecar renew", NULL, renew_options, "get a new certificate now", "  remora sidecar renew\n",
     sidecar_renew},
    {"diagnose", "[HOST:PORT]", diagnose_options,
     "what is wrong with another end, seen from a sidecar, and what to do",
     "  remora diagnose 10.0.0.7:15008 --expect spiffe://example.org/ns/shop/sa/web\n"
     "  remora diagnose kubernetes.default:443 --json\n"
     "  remora diagnose --service web\n",
     diagnose_run},
    {"completion", "bash|zsh", NULL, "completion for a shell",
     "  source <(remora completion bash)\n"
     "  remora completion zsh >\"${fpath[1]}/_remora\"\n",
     completion_print},
};

const struct command_table cli_commands = {commands, sizeof commands / sizeof *commands};
