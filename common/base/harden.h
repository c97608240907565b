// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a process does to itself before it touches a key: no core dumps, not debuggable by others
// (PR_SET_DUMPABLE 0, RLIMIT_CORE 0), no new privileges, umask 077, SIGPIPE ignored, the
// descriptor limit raised to its hard maximum, standard descriptors open.
#pragma once

#include "base/error.h"

// Call first in main(), before threads. Errors: RM_ERR_PERMISSION with the call that was refused.
RM_NODISCARD enum rm_err process_harden(struct rm_error *error);
