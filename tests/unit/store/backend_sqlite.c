// SPDX-License-Identifier: GPL-3.0-or-later
#include "store_fixture.h"

const struct store_backend store_backend_under_test = {.open = store_open_sqlite};
