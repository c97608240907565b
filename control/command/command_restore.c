// SPDX-License-Identifier: GPL-3.0-or-later
#include <stdio.h>

#include "command/command.h"
#include "command/desk.h"

int command_restore(const struct control_config *config, const char *path)
{
    struct rm_error error = {0};
    if (store_restore(config->data_dir, path, &error) != RM_OK) {
        return desk_complain(&error);
    }
    fprintf(stderr,
            "%s was restored from %s under a new store id: sidecars will resync and say so.\n"
            "Its keys are sealed under the key-encryption key of then: %s must be that one.\n",
            config->data_dir, path, config->kek_path);
    return 0;
}
