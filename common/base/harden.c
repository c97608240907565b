// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/harden.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

// A standard descriptor that is closed would be given to the next socket or key file, and what a
// library prints would go there.
static enum rm_err harden_open_standard(struct rm_error *error)
{
    for (;;) {
        int descriptor = open("/dev/null", O_RDWR);
        if (descriptor < 0) {
            return rm_error_set_errno(error, errno, "cannot open /dev/null");
        }
        if (descriptor > STDERR_FILENO) {
            close(descriptor);
            return RM_OK;
        }
    }
}

static enum rm_err harden_limits(struct rm_error *error)
{
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0) {
        return rm_error_set_errno(error, errno, "setrlimit(RLIMIT_CORE, 0) was refused");
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) {
        return rm_error_set_errno(error, errno, "getrlimit(RLIMIT_NOFILE) was refused");
    }
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
        return rm_error_set_errno(error, errno, "setrlimit(RLIMIT_NOFILE) was refused");
    }
    return RM_OK;
}

enum rm_err process_harden(struct rm_error *error)
{
    RM_TRY(harden_open_standard(error));
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return rm_error_set_errno(error, errno, "prctl(PR_SET_DUMPABLE, 0) was refused");
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return rm_error_set_errno(error, errno, "prctl(PR_SET_NO_NEW_PRIVS, 1) was refused");
    }
    RM_TRY(harden_limits(error));
    umask(077);
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (sigaction(SIGPIPE, &ignore, NULL) != 0) {
        return rm_error_set_errno(error, errno, "ignoring SIGPIPE was refused");
    }
    return RM_OK;
}
