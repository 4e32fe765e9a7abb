/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/startup.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AMPLE_MEMORY = 2000 << 20, SMALL_STACK = 1 << 20 }; /* bytes */

/*
 * A limit of memory (ulimit -v) counts what is only reserved: for each thread 8 MiB of stack and 64 MiB for malloc(), whose threads
 * then share one place. No function here needs more than some KiB of stack.
 */
static void reserve_little(void)
{
    struct rlimit limit;
    pthread_attr_t attributes;

    if (getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur > AMPLE_MEMORY)
        return;
    mallopt(M_ARENA_MAX, 1);
    if (pthread_attr_init(&attributes))
        return;
    if (pthread_attr_setstacksize(&attributes, SMALL_STACK) == 0)
        pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
}

void startup_init(struct startup *startup)
{
    /* Where a file may not grow (ulimit -f), a write is to fail, not to end the program. */
    signal(SIGXFSZ, SIG_IGN);
    reserve_little();
    *startup = (struct startup){.pipe = -1};
}

static const struct bytes no_memory = BYTES("shelvefs: out of memory\n");

/* `line` as the terminal may see it, in one write. */
static int give_line(int fd, struct bytes line)
{
    struct buffer text = BUFFER_INIT;
    struct bytes told;
    int status = 0;

    errno = 0;
    buffer_add_string(&text, "shelvefs: ");
    log_escape(line, &text);
    buffer_add_byte(&text, '\n');
    told = buffer_status(&text) ? no_memory : buffer_bytes(&text);
    if (write(fd, told.data, told.size) != (ssize_t)told.size)
        status = errno ? -errno : -EIO;
    buffer_release(&text);
    return status;
}

/* --- the parent --- */

static void receive(int fd, struct buffer *report)
{
    uint8_t part[512];
    ssize_t size;

    while ((size = read(fd, part, sizeof part)) != 0) {
        if (size > 0)
            buffer_add(report, bytes_of(part, (size_t)size));
        else if (errno != EINTR)
            return;
    }
}

/* A child that ended without a word was killed, or could not even report. */
static int explain_silence(pid_t child)
{
    int status = 0;
    char line[120];

    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status))
        snprintf(line, sizeof line, "ended by signal %d (%s) before the mount was ready",
                 WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(line, sizeof line, "ended before the mount was ready");
    give_line(STDERR_FILENO, bytes_of_string(line));
    return EXIT_MOUNT;
}

/* A report is a byte, the exit status, and the line. */
static int pass_on(pid_t child, struct bytes report)
{
    int exit_status;

    if (report.size == 0)
        return explain_silence(child);
    exit_status = report.data[0];
    give_line(exit_status ? STDERR_FILENO : STDOUT_FILENO, bytes_part(report, 1, SIZE_MAX));
    return exit_status;
}

bool startup_fork(struct startup *startup, int *exit_status)
{
    struct buffer report = BUFFER_INIT;
    int ends[2];
    pid_t child;

    startup_init(startup);
    if (pipe2(ends, O_CLOEXEC))
        return false;
    child = fork();
    if (child < 0) {
        close(ends[0]);
        close(ends[1]);
        return false;
    }
    if (child == 0) {
        close(ends[0]);
        startup->pipe = ends[1];
        return false;
    }
    close(ends[1]);
    receive(ends[0], &report);
    close(ends[0]);
    *exit_status = pass_on(child, buffer_bytes(&report));
    buffer_release(&report);
    return true;
}

/* --- the child --- */

static int report(struct startup *startup, enum exit_status exit_status, struct bytes line)
{
    struct buffer message = BUFFER_INIT;
    int status;

    buffer_add_byte(&message, (uint8_t)exit_status);
    buffer_add(&message, line);
    status = buffer_status(&message);
    /* Shorter than PIPE_BUF or not: one write to a blocking pipe takes all. */
    while (status == 0 && write(startup->pipe, message.data, message.size) < 0)
        status = errno == EINTR ? 0 : -errno;
    buffer_release(&message);
    close(startup->pipe);
    startup->pipe = -1;
    return status;
}

/* Nothing of where it was started is held on to: terminal, session, directory, pipes. */
static void become_daemon(struct log *log)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    log_to_syslog(log);
    setsid();
    if (chdir("/"))
        log_note(log, "cannot leave the directory it was started in: %s", strerror(errno));
    for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    if (null > STDERR_FILENO)
        close(null);
}

int startup_succeed(struct startup *startup, struct log *log, struct bytes line)
{
    startup->reported = true;
    if (startup->pipe < 0) {
        /* That nobody reads this line is no reason to stop what a person keeps in the foreground. */
        give_line(STDOUT_FILENO, line);
        return 0;
    }
    become_daemon(log);
    return report(startup, 0, line);
}

void startup_fail(struct startup *startup, enum exit_status exit_status, struct bytes line)
{
    if (startup->reported)
        return;
    startup->reported = true;
    if (startup->pipe < 0)
        give_line(STDERR_FILENO, line);
    else
        report(startup, exit_status, line);
}
