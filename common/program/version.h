// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the three programs say of themselves.
#pragma once

// Prints "<program> <version>" and one line per library on standard output. `libraries` is a
// NULL-terminated list of lines such as "SQLite 3.40.1".
void version_print(const char *program, const char *const *libraries);
