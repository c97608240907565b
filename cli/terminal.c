// SPDX-License-Identifier: GPL-3.0-or-later
//
//   closed <--> open --(SIGTSTP)--> stopped --(SIGCONT)--> open
#include "terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define ENTER_SCREEN "\x1b[?1049h\x1b[?25l" // alternate screen, no cursor
#define LEAVE_SCREEN "\x1b[?25h\x1b[?1049l"
#define ESCAPE_WAIT_MS 50 // the rest of a key's sequence comes at once, or it was Escape itself

static struct termios before;         // to go back to
static volatile sig_atomic_t is_open; // the screen is ours
static const int fatal_signals[] = {SIGINT,  SIGTERM, SIGHUP, SIGQUIT, SIGABRT,
                                    SIGSEGV, SIGBUS,  SIGILL, SIGFPE,  SIGXCPU};

// Safe in a signal handler, as are tcsetattr() and write().
static void say(const char *sequence, size_t length)
{
    ssize_t ignored = write(STDOUT_FILENO, sequence, length);
    (void)ignored;
}

static void leave(void)
{
    if (is_open) {
        is_open = 0;
        say(LEAVE_SCREEN, sizeof LEAVE_SCREEN - 1);
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
    }
}

static enum rm_err enter(void)
{
    struct termios raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0) {
        return RM_ERR_IO;
    }
    is_open = 1;
    say(ENTER_SCREEN, sizeof ENTER_SCREEN - 1);
    return RM_OK;
}

// The handler was reset, so raise() ends the process when this returns.
static void on_fatal(int number)
{
    leave();
    (void)raise(number);
}

static void on_stop(int number);

static void handle(int number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(number, &action, NULL);
}

static void on_continue(int number)
{
    int saved = errno;
    (void)number;
    handle(SIGTSTP, on_stop, (int)SA_RESETHAND);
    (void)enter();
    errno = saved;
}

static void on_stop(int number)
{
    int saved = errno;
    leave();
    (void)raise(number);
    errno = saved;
}

// Only to interrupt poll().
static void on_resize(int number)
{
    (void)number;
}

bool terminal_is_there(void)
{
    return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
}

enum rm_err terminal_open(void)
{
    if (tcgetattr(STDIN_FILENO, &before) != 0 || atexit(leave) != 0) {
        return RM_ERR_IO;
    }
    for (size_t i = 0; i < sizeof fatal_signals / sizeof *fatal_signals; i++) {
        handle(fatal_signals[i], on_fatal, (int)SA_RESETHAND);
    }
    handle(SIGTSTP, on_stop, (int)SA_RESETHAND);
    handle(SIGCONT, on_continue, 0);
    handle(SIGWINCH, on_resize, 0);
    return enter();
}

void terminal_close(void)
{
    handle(SIGCONT, SIG_DFL, 0);
    leave();
}

void terminal_size(size_t *columns, size_t *rows)
{
    struct winsize size = {0};
    *columns = 80;
    *rows = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        *columns = size.ws_col;
        *rows = size.ws_row;
    }
}

void terminal_draw(const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDOUT_FILENO, text, length);
        if (written < 0 && errno != EINTR) {
            return;
        }
        if (written > 0) {
            text += written;
            length -= (size_t)written;
        }
    }
}

// True when a byte came within `timeout_ms`; *is_gone when none ever will.
static bool read_byte(int timeout_ms, unsigned char *byte, bool *is_gone)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    *is_gone = false;
    int ready = poll(&input, 1, timeout_ms);
    if (ready <= 0) {
        return false;
    }
    ssize_t length = read(STDIN_FILENO, byte, 1);
    *is_gone = length == 0 || (length < 0 && errno != EINTR && errno != EAGAIN);
    return length == 1;
}

static int key_of(const char *sequence)
{
    static const struct {
        const char *sequence; // after Escape
        int key;              // what it stands for
    } keys[] = {
        {"[A", TERMINAL_UP},   {"[B", TERMINAL_DOWN},     {"OA", TERMINAL_UP},
        {"OB", TERMINAL_DOWN}, {"[5~", TERMINAL_PAGE_UP}, {"[6~", TERMINAL_PAGE_DOWN},
        {"[H", TERMINAL_HOME}, {"[F", TERMINAL_END},      {"[1~", TERMINAL_HOME},
        {"[4~", TERMINAL_END}, {"OH", TERMINAL_HOME},     {"OF", TERMINAL_END},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strcmp(keys[i].sequence, sequence) == 0) {
            return keys[i].key;
        }
    }
    return TERMINAL_NOTHING;
}

// A sequence ends with a letter or '~', except that its second byte may be 'O' or '['.
static int read_sequence(void)
{
    char sequence[8] = "";
    size_t length = 0;
    bool is_gone = false;
    unsigned char byte = 0;
    while (length < sizeof sequence - 1 && read_byte(ESCAPE_WAIT_MS, &byte, &is_gone)) {
        sequence[length++] = (char)byte;
        bool is_last = length > 1 && ((byte >= 'A' && byte <= 'Z') || byte == '~');
        if (is_last) {
            break;
        }
    }
    return length == 0 ? TERMINAL_ESCAPE : key_of(sequence);
}

int terminal_key(int timeout_ms)
{
    unsigned char byte = 0;
    bool is_gone = false;
    if (!read_byte(timeout_ms, &byte, &is_gone)) {
        return is_gone ? TERMINAL_GONE : TERMINAL_NOTHING;
    }
    if (byte == '\x1b') {
        return read_sequence();
    }
    if (byte == '\r') {
        return TERMINAL_ENTER;
    }
    return byte == '\b' ? TERMINAL_BACKSPACE : byte;
}
