/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/guard.h"

#include "src/base.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the kernel sends it when our first thread ends. */
enum { ORPHANED = SIGUSR1 };

/* --- a descriptor on its way --- */

union passing {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
};

static void pass(int link, int descriptor)
{
    union passing passing = {.room = ""};
    struct iovec byte = {"", 1};
    struct msghdr message = {.msg_iov = &byte,
                             .msg_iovlen = 1,
                             .msg_control = passing.room,
                             .msg_controllen = sizeof passing.room};

    passing.header = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof descriptor)};
    memcpy(CMSG_DATA(&passing.header), &descriptor, sizeof descriptor);
    sendmsg(link, &message, MSG_NOSIGNAL);
}

/* -1: the other side ended. */
static int take(int link)
{
    union passing passing = {.room = ""};
    char byte;
    struct iovec place = {&byte, 1};
    struct msghdr message = {.msg_iov = &place,
                             .msg_iovlen = 1,
                             .msg_control = passing.room,
                             .msg_controllen = sizeof passing.room};
    int descriptor = -1;

    if (recvmsg(link, &message, MSG_CMSG_CLOEXEC) > 0 && CMSG_FIRSTHDR(&message))
        memcpy(&descriptor, CMSG_DATA(&passing.header), sizeof descriptor);
    return descriptor;
}

/* --- the guard --- */

/* It is not to be taken for a second daemon: "shelvefs-guard" in top, "(guard) DATABASE MOUNTPOINT" in ps. */
static void be_named(void)
{
    static const char title[] = "(guard)";
    size_t size = strlen(program_invocation_name);

    prctl(PR_SET_NAME, "shelvefs-guard");
    if (size < sizeof title - 1)
        return;
    memset(program_invocation_name, 0, size);
    memcpy(program_invocation_name, title, sizeof title - 1);
}

/* A terminal's signals, and one to all of us, are for the daemon: who ends when that does must not end before. */
static void leave_all(int link)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    setsid();
    dup2(link, STDIN_FILENO);
    close_range(STDIN_FILENO + 1, ~0U, 0);
    if (chdir("/"))
        return;
}

/* Whether the kernel sent it: anybody else may, too. */
static bool is_orphaned(int signals, pid_t daemon)
{
    struct signalfd_siginfo info;

    return read(signals, &info, sizeof info) == sizeof info &&
           ((pid_t)info.ssi_pid == daemon || getppid() != daemon);
}

/*
 * The signal comes also where one of its threads is left, but not if it ended before we had asked for it. The link is then
 * closed, like all that it had.
 */
static void wait_for_end_of(pid_t daemon, int signals)
{
    struct pollfd ends[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                            {.fd = signals, .events = POLLIN}};

    for (;;) {
        if (poll(ends, ARRAY_SIZE(ends), -1) < 0)
            continue;
        if (ends[0].revents || (ends[1].revents && is_orphaned(signals, daemon)))
            return;
    }
}

/* In a process of its own, that shares no descriptor with the daemon: a lock would last as long as it. */
static void watch(int link, pid_t daemon)
{
    sigset_t orphaned;
    int signals, connection;

    prctl(PR_SET_PDEATHSIG, ORPHANED);
    leave_all(link);
    be_named();
    sigemptyset(&orphaned);
    sigaddset(&orphaned, ORPHANED);
    signals = signalfd(-1, &orphaned, SFD_CLOEXEC);
    connection = take(STDIN_FILENO);
    if (signals < 0 || connection < 0)
        return;
    wait_for_end_of(daemon, signals);
    if (write(connection, "1", 1) < 0)
        return;
}

/* --- the daemon --- */

void guard_start(struct guard *guard)
{
    pid_t daemon = getpid();
    int ends[2];

    *guard = (struct guard){.link = -1};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return;
    guard->process = fork();
    if (guard->process == 0) {
        watch(ends[1], daemon);
        _exit(0);
    }
    close(ends[1]);
    guard->link = ends[0];
    if (guard->process < 0) {
        close(guard->link);
        *guard = (struct guard){.link = -1};
    }
}

/* All connections, as /sys/fs/fuse/connections has them where that is mounted. Root needs no place for it. */
static int open_connections(void)
{
#ifdef HAVE_FSOPEN
    int filesystem = fsopen("fusectl", FSOPEN_CLOEXEC), directory = -1;

    if (filesystem < 0)
        return -1;
    if (fsconfig(filesystem, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        directory = fsmount(filesystem, FSMOUNT_CLOEXEC, 0);
    close(filesystem);
    return directory;
#else
    return -1;
#endif
}

static int open_connection(unsigned number)
{
    char path[64];
    int connections, connection;

    snprintf(path, sizeof path, "/sys/fs/fuse/connections/%u/abort", number);
    connection = open(path, O_WRONLY | O_CLOEXEC);
    if (connection >= 0)
        return connection;
    connections = open_connections();
    if (connections < 0)
        return -1;
    snprintf(path, sizeof path, "%u/abort", number);
    connection = openat(connections, path, O_WRONLY | O_CLOEXEC);
    close(connections);
    return connection;
}

void guard_arm(struct guard *guard, dev_t device)
{
    /* A connection has the number of its device. */
    int connection = guard->process && device ? open_connection(minor(device)) : -1;

    if (connection < 0) {
        guard_end(guard);
        return;
    }
    pass(guard->link, connection);
    close(connection);
}

void guard_end(struct guard *guard)
{
    if (guard->process <= 0)
        return;
    /* It must not see the link closed: that would be our end. */
    kill(guard->process, SIGKILL);
    while (waitpid(guard->process, NULL, 0) < 0 && errno == EINTR)
        ;
    close(guard->link);
    *guard = (struct guard){.link = -1};
}
