// SPDX-License-Identifier: GPL-3.0-or-later
//
// `remora-control serve`: wires the rooms together and does nothing else: listener -> tls -> rpc.
#pragma once

#include "config/control_config.h"

// Runs until told to stop. Takes `config`. Gives the process's exit status.
int app_serve(struct control_config *config);
