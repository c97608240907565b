// SPDX-License-Identifier: GPL-3.0-or-later
//
// Remora's own version.
#pragma once

#define REMORA_VERSION "0.1.0"
