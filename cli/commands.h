// SPDX-License-Identifier: GPL-3.0-or-later
//
// Every command of the operator's tool. Each run function gives the exit status.
#pragma once

#include "args.h"

extern const struct command_table cli_commands;

enum cli_exit service_create(const struct args *args);
enum cli_exit service_list(const struct args *args);
enum cli_exit service_show(const struct args *args);
enum cli_exit service_update(const struct args *args);
enum cli_exit service_delete(const struct args *args);
enum cli_exit token_create(const struct args *args);
enum cli_exit token_list(const struct args *args);
enum cli_exit token_delete(const struct args *args);
enum cli_exit certificate_revoke(const struct args *args);
enum cli_exit identity_list(const struct args *args);
enum cli_exit certificate_list(const struct args *args);
enum cli_exit status_show(const struct args *args);
enum cli_exit bundle_show(const struct args *args);
enum cli_exit connections_show(const struct args *args);
enum cli_exit top_show(const struct args *args);
enum cli_exit sidecar_status(const struct args *args);
enum cli_exit sidecar_view(const struct args *args);
enum cli_exit sidecar_certificates(const struct args *args);
enum cli_exit sidecar_log_level(const struct args *args);
enum cli_exit sidecar_renew(const struct args *args);
enum cli_exit diagnose_run(const struct args *args);
enum cli_exit completion_print(const struct args *args);

// The help of what `args` name: everything, a group, or one command.
void help_print(const struct command_table *table, const struct args *args);
