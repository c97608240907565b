// SPDX-License-Identifier: GPL-3.0-or-later
//
// The sidecar's wiring: main loop, workers, certificates, discovery, health. Does nothing else.
#pragma once

// Runs the sidecar with this configuration file until it is told to stop. Returns the process's
// exit status: 0 after an orderly end, 1 when it could not start.
int app_run(const char *config_path);
// Only reads and checks the configuration; says on standard error what is wrong. 0 or 1.
int app_check(const char *config_path);
// Names, values and meanings, one limit a line, on standard output.
void app_print_limits(void);
