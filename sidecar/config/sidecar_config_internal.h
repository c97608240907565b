// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "config/sidecar_config.h"

// Checks the whole and fills in what is derived (parsed addresses, modes). Errors: RM_ERR_CONFIG
// with the place.
RM_NODISCARD enum rm_err sidecar_config_check(struct sidecar_config *config,
                                              struct rm_error *error);
