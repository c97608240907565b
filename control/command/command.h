// SPDX-License-Identifier: GPL-3.0-or-later
//
// What `remora-control` does besides serving. Each function runs its own loop, blocks, speaks to
// the operator on standard output and error, and gives the process's exit status.
#pragma once

#include "config/control_config.h"

// Makes the data folder, the key-encryption key, the store and the certificate authority. What it
// made is taken away again when it fails; what was there is never touched.
int command_init(const struct control_config *config);
// offline-root: takes the signed chain from the PEM file `chain_path`.
int command_import_chain(const struct control_config *config, const char *chain_path);
// Writes a consistent copy of the store to `path`, which must not exist: from the running control
// plane through its admin socket, or from the folder when none runs.
int command_backup(const struct control_config *config, const char *path);
// Makes the data folder's store from a backup; no control plane may run.
int command_restore(const struct control_config *config, const char *path);
