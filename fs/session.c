/* SPDX-License-Identifier: GPL-3.0-or-later */
#define FUSE_USE_VERSION 312

#include "fs/session.h"

#include "fs/crew.h"
#include "fs/mountpoint.h"
#include "fs/operations.h"
#include "src/clock.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Requests that are answered after a signal, so that a busy client can't keep the mount up. */
enum { MAX_PENDING = 1000, MOST_THREADS = 10 };

/* How often it is tried to go on where memory is short, with a pause before each time. */
enum { MOST_ATTEMPTS = 100, PAUSE_MS = 100, WELL_MS = 10000 };

/* --- what libfuse says --- */

/*
 * libfuse hands its messages to a function without a context, so this is the one thing here that can't be in
 * struct mount. NULL: messages go to standard error, where session_open() collects them.
 */
static struct log *library_log;

PRINTF_LIKE(2, 0)
static void take_message(enum fuse_log_level level, const char *format, va_list arguments)
{
    char text[240];

    if (level == FUSE_LOG_DEBUG || !library_log) {
        vfprintf(stderr, format, arguments);
        return;
    }
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = '\0';
    if (*text)
        log_error(library_log, "%s", text);
}

/*
 * fusermount3 is another process that speaks for itself, so the descriptors are where all of it can be caught. With
 * auto_unmount it stays, and must not hold what our starter waits on.
 */
struct capture {
    int file;
    int saved_output, saved_error;
};

static int replace_descriptor(int from, int to)
{
    int saved = fcntl(to, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

    if (from >= 0 && saved >= 0)
        dup2(from, to);
    return saved;
}

static void restore_descriptor(int saved, int to)
{
    if (saved < 0)
        return;
    dup2(saved, to);
    close(saved);
}

static void capture_begin(struct capture *capture)
{
    fflush(NULL);
    capture->file = memfd_create("messages", MFD_CLOEXEC);
    capture->saved_output = replace_descriptor(capture->file, STDOUT_FILENO);
    capture->saved_error = replace_descriptor(capture->file, STDERR_FILENO);
}

static void capture_end(struct capture *capture, char *text, size_t size)
{
    ssize_t got = -1;

    fflush(NULL);
    restore_descriptor(capture->saved_output, STDOUT_FILENO);
    restore_descriptor(capture->saved_error, STDERR_FILENO);
    if (capture->file >= 0) {
        got = pread(capture->file, text, size - 1, 0);
        close(capture->file);
    }
    text[got > 0 ? got : 0] = '\0';
}

/* The first line without its author, "fusermount3: " or "fuse: ". */
static const char *first_reason(char *text)
{
    static const char *const authors[] = {"fusermount3: ", "fuse: "};

    text[strcspn(text, "\n")] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(authors); i++)
        if (strncmp(text, authors[i], strlen(authors[i])) == 0)
            return text + strlen(authors[i]);
    return text;
}

static int explain(char *messages, const char *mountpoint, struct failure *failure)
{
    const char *reason;

    if (access("/dev/fuse", F_OK))
        return failure_set(
            failure, -ENODEV, 0,
            "no /dev/fuse: load the kernel's module (modprobe fuse), or let the container have "
            "the device");
    if (strstr(messages, "fusermount3: No such file"))
        return failure_set(failure, -ENOENT, 0, "no fusermount3: install the package fuse3");
    reason = first_reason(messages);
    return failure_set(failure, -EIO, 0, "cannot mount on %s: %s", mountpoint,
                       *reason ? reason : "libfuse gives no reason");
}

/* --- mounting --- */

static int add_defaults(struct mount *mount, struct options *options)
{
    if (!options->named)
        options_pass(options, "fsname", (const char *)mount->source.data);
    if (!options->typed)
        options_pass(options, "subtype", "shelvefs");
    if (options->debug)
        options_pass(options, "debug", NULL);
    buffer_add_byte(&options->fuse, '\0');
    return buffer_status(&options->fuse);
}

static struct fuse_session *new_session(struct mount *mount, const struct options *options)
{
    char *argv[] = {"shelvefs", "-o", (char *)options->fuse.data, NULL};
    struct fuse_args arguments = FUSE_ARGS_INIT(3, argv);
    struct fuse_session *session =
        fuse_session_new(&arguments, &operations, sizeof operations, mount);

    fuse_opt_free_args(&arguments);
    return session;
}

/*
 * A signal that would end us without saving unmounts as SIGTERM does: a limit of the processor's time, or a command that was
 * meant for a program that makes something else of it. SIGQUIT and those of faults are for who wants to see our memory.
 */
static void take_other_signals(void)
{
    static const int others[] = {SIGALRM,   SIGUSR1, SIGUSR2, SIGXCPU,
                                 SIGVTALRM, SIGPROF, SIGPOLL, SIGPWR};
    struct sigaction ours, before;

    if (sigaction(SIGTERM, NULL, &ours) || ours.sa_handler == SIG_DFL || ours.sa_handler == SIG_IGN)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (sigaction(others[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(others[i], &ours, NULL);
}

/* The signal handlers come first: a signal from here on unmounts what is mounted. */
static struct fuse_session *mounted_session(struct mount *mount, const struct options *options,
                                            const char *mountpoint)
{
    struct fuse_session *session = new_session(mount, options);

    if (!session)
        return NULL;
    if (fuse_set_signal_handlers(session) == 0) {
        take_other_signals();
        if (fuse_session_mount(session, mountpoint) == 0)
            return session;
        fuse_remove_signal_handlers(session);
    }
    fuse_session_destroy(session);
    return NULL;
}

/*
 * libfuse ends its threads by pthread_cancel(), for which the C library loads another one and aborts the program where it can't:
 * at the very end, if there is no memory or descriptor left then. It does so for this, too, and gives an answer.
 */
static bool can_cancel_threads(void)
{
    void *frame;

    return backtrace(&frame, 1) > 0;
}

int session_open(struct mount *mount, struct options *options, const char *mountpoint,
                 struct failure *failure)
{
    struct capture capture;
    char messages[1024];
    int status = add_defaults(mount, options);

    if (status)
        return status;
    if (!can_cancel_threads())
        return -ENOMEM;
    fuse_set_log_func(take_message);
    capture_begin(&capture);
    mount->session = mounted_session(mount, options, mountpoint);
    capture_end(&capture, messages, sizeof messages);
    if (!mount->session)
        return explain(messages, mountpoint, failure);
    mount->mountpoint = mountpoint;
    mount->device = mountpoint_device(mountpoint);
    guard_arm(&mount->guard, mount->device);
    library_log = mount->log;
    return 0;
}

/* Who detached it (umount -l) may have mounted something else there, which is not ours to unmount. */
static bool is_mounted(const struct mount *mount)
{
    return !mount->device || mountpoint_device(mount->mountpoint) == mount->device;
}

/* A pipe that nobody reads is to libfuse like a connection that has ended: it leaves the directory alone. */
static void end_connection(struct fuse_session *session)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC))
        return;
    close(ends[0]);
    dup3(ends[1], fuse_session_fd(session), O_CLOEXEC);
    close(ends[1]);
}

void session_close(struct mount *mount)
{
    if (!mount->session)
        return;
    if (!is_mounted(mount))
        end_connection(mount->session);
    fuse_session_unmount(mount->session);
    fuse_remove_signal_handlers(mount->session);
    fuse_session_destroy(mount->session);
    mount->session = NULL;
    library_log = NULL;
}

/* --- serving --- */

static int receive(void *context, void **room)
{
    struct fuse_session *session = ((struct mount *)context)->session;
    struct fuse_buf *request = *room;
    int size;

    if (!request)
        request = *room = calloc(1, sizeof *request);
    if (!request)
        return -ENOMEM;
    if (fuse_session_exited(session))
        return -ECANCELED;
    size = fuse_session_receive_buf(session, request);
    if (size == 0)
        return -ECANCELED;
    return size > 0 ? 1 : size == -EINTR ? 0 : size;
}

/* Neither changes anything nor tells the kernel attributes of files: but for pages of listings, which are what the others are kept apart from. */
static bool leaves_all_as_it_is(const struct fuse_buf *request)
{
    const struct fuse_in_header *header = request->mem;

    if (request->flags & FUSE_BUF_IS_FD || request->size < sizeof *header)
        return false;
    switch (header->opcode) {
    case FUSE_OPENDIR:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
    case FUSE_RELEASEDIR:
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_GETXATTR:
    case FUSE_LISTXATTR:
    case FUSE_STATFS:
        return true;
    default:
        return false;
    }
}

static void process(struct mount *mount, const struct fuse_buf *request)
{
    bool touches = !leaves_all_as_it_is(request);

    if (touches)
        tree_touch_begin(mount->tree);
    fuse_session_process_buf(mount->session, request);
    if (touches)
        tree_touch_end(mount->tree);
}

static void answer(void *context, void *room)
{
    process(context, room);
}

static void free_request(void *room)
{
    struct fuse_buf *request = room;

    if (request)
        free(request->mem);
    free(request);
}

static int ended(void *context)
{
    return fuse_session_exited(((struct mount *)context)->session);
}

static bool at_leisure(void *context)
{
    return atomic_load(&((struct mount *)context)->at_leisure);
}

static int serve_in_threads(struct mount *mount)
{
    static const struct crew_ops ops = {.receive = receive,
                                        .answer = answer,
                                        .free_room = free_request,
                                        .ended = ended,
                                        .at_leisure = at_leisure};

    return crew_serve(&ops, mount, MOST_THREADS);
}

static int serve_in_this_thread(struct mount *mount)
{
    void *room = NULL;
    int got;

    while ((got = receive(mount, &room)) >= 0) {
        if (got > 0)
            answer(mount, room);
    }
    free_request(room);
    return got;
}

/* Answers one request if one comes in time. 1: answered, 0: none came, -1: the connection is gone. */
static int serve_one(struct mount *mount, int milliseconds)
{
    struct fuse_session *session = mount->session;
    struct pollfd device = {.fd = fuse_session_fd(session), .events = POLLIN};
    struct fuse_buf request = {.mem = NULL};
    int size;

    if (poll(&device, 1, milliseconds) <= 0)
        return 0;
    size = fuse_session_receive_buf(session, &request);
    if (size > 0)
        process(mount, &request);
    free(request.mem);
    return size > 0 ? 1 : size == -EINTR ? 0 : -1;
}

/*
 * The notifier may wait in the kernel for a lock that is held until some request is answered, so requests are
 * answered until it is done, or until there is no connection to wait for. After this no thread but this one
 * uses the tree.
 */
static void stop_notifier(struct mount *mount)
{
    while (!notifier_stop(mount->notifier))
        if (serve_one(mount, 50) < 0)
            break;
    notifier_join(mount->notifier);
}

/* What was asked before the signal is still done: files that were closed a moment ago are released here. */
static void serve_pending(struct mount *mount)
{
    for (int i = 0; i < MAX_PENDING && serve_one(mount, 0) > 0; i++)
        ;
}

static int serve_once(struct mount *mount, const struct options *options)
{
    int status = notifier_start(mount->notifier);

    if (status)
        return status;
    status = options->single_thread ? serve_in_this_thread(mount) : serve_in_threads(mount);
    fuse_session_reset(mount->session);
    return status == -ECANCELED ? 0 : status;
}

/*
 * That there is no memory for the next request, or that no thread can be started (-EAGAIN), is no reason to unmount: requests wait in
 * the kernel.
 */
static int serve(struct mount *mount, const struct options *options)
{
    int attempts = 0;

    for (;;) {
        int64_t began_ms = clock_ms();
        int status = serve_once(mount, options);

        /* After a while that went well, it is another shortage. */
        attempts = clock_ms() - began_ms > WELL_MS ? 1 : attempts + 1;
        if ((status != -ENOMEM && status != -EAGAIN) || attempts == MOST_ATTEMPTS)
            return status;
        if (attempts == 1)
            log_error(mount->log, "requests have to wait: %s", strerror(-status));
        poll(NULL, 0, PAUSE_MS);
    }
}

int session_serve(struct mount *mount, const struct options *options)
{
    int status = serve(mount, options);

    serve_pending(mount);
    stop_notifier(mount);
    /* A positive result is the signal that ended it. */
    return status < 0 ? status : 0;
}

const char *session_library_version(void)
{
    return fuse_pkgversion();
}
