// SPDX-License-Identifier: GPL-3.0-or-later
#include <sqlite3.h>

#include "store/store.h"

const char *store_describe(void)
{
    return "SQLite " SQLITE_VERSION;
}
