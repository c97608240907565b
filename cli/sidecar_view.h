// SPDX-License-Identifier: GPL-3.0-or-later
//
// How a sidecar's view is shown, in its status and as a whole.
#pragma once

#include "sidecar_wire.h"
#include "json/json.h"

// NULL when memory is exhausted.
struct json *show_bundle_json(const struct wire_bundle *bundle);
struct json *show_view_version_json(const struct wire_view_version *version);
void show_view_version(const struct wire_view_version *version);
