/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/check.h"
#include "fs/dis.h"
#include "fs/heap.h"
#include "fs/info.h"
#include "fs/mount.h"
#include "fs/mountpoint.h"
#include "fs/options.h"
#include "fs/session.h"
#include "fs/startup.h"
#include "src/log.h"
#include "src/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int print(struct buffer *text)
{
    bool printed = buffer_status(text) == 0;

    if (text->size)
        printed = printed && fwrite(text->data, 1, text->size, stdout) == text->size;
    printed = printed && fflush(stdout) == 0;
    buffer_release(text);
    return printed ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int print_help(void)
{
    struct buffer text = BUFFER_INIT;

    options_help(&text);
    return print(&text);
}

static int print_version(void)
{
    struct buffer text = BUFFER_INIT, missing = BUFFER_INIT;

    buffer_printf(&text, "shelvefs %s, libfuse %s, engines: ", SHELVEFS_VERSION,
                  session_library_version());
    store_engines(&text);
    store_missing_engines(&missing);
    if (missing.size)
        buffer_add_string(&text, "; built without: ");
    buffer_add(&text, buffer_bytes(&missing));
    buffer_release(&missing);
    buffer_add_byte(&text, '\n');
    return print(&text);
}

static int fail(struct startup *startup, enum exit_status exit_status,
                const struct failure *failure)
{
    startup_fail(startup, exit_status, bytes_of_string(failure->message));
    return exit_status;
}

/* Runs a command that makes a text instead of mounting. */
static int show(int (*command)(const struct options *options, struct buffer *text, struct failure *failure),
                const struct options *options, struct startup *startup)
{
    struct failure failure = {0};
    struct buffer text = BUFFER_INIT;
    int status = command(options, &text, &failure);
    int printed = print(&text);

    if (failure.code)
        return fail(startup, (enum exit_status)status, &failure);
    return status ? status : printed;
}

/* The session is over: what is not saved is saved before the directory disappears. */
static int finish(struct mount *mount, int serve_status)
{
    struct failure failure = {0};
    bool was_ready = mount->startup->reported;
    int status;

    if (serve_status)
        log_error(mount->log, "the connection to the kernel broke: %s", strerror(-serve_status));
    failure_set(&failure, -ECANCELED, 0, "ended before the mount was ready");
    fail(mount->startup, EXIT_MOUNT, &failure);
    status = mount_close(mount);
    session_close(mount);
    if (serve_status && !was_ready)
        return EXIT_MOUNT;
    return serve_status || status ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int serve(struct mount *mount, struct options *options, const char *mountpoint)
{
    struct failure failure = {0};
    int status = mountpoint_check_beside(mountpoint, store_path(mount->store), &failure);

    if (status == 0)
        status = session_open(mount, options, mountpoint, &failure);
    if (status == 0)
        return finish(mount, session_serve(mount, options));
    failure_set(&failure, status, 0, "cannot mount: %s", strerror(-status));
    mount_close(mount);
    return fail(mount->startup, EXIT_MOUNT, &failure);
}

static int run(struct options *options, struct log *log, struct startup *startup)
{
    struct failure failure = {0};
    struct mount mount;
    char *mountpoint = NULL;
    int status = mountpoint_resolve(options->mountpoint, &mountpoint, &failure);

    if (status)
        return fail(startup, EXIT_MOUNT, &failure);
    heap_begin();
    status = mount_open(&mount, options, log, startup, &failure);
    if (status)
        status = fail(startup, status == -EBUSY ? EXIT_LOCKED : EXIT_DATABASE, &failure);
    else
        status = serve(&mount, options, mountpoint);
    free(mountpoint);
    return status;
}

int main(int argc, char **argv)
{
    struct failure failure = {0};
    struct startup startup;
    struct options options;
    struct log log;
    int status;

    startup_init(&startup);
    log_init(&log, "shelvefs", STDERR_FILENO);
    if (options_parse(&options, argc, argv, &failure)) {
        failure_set(&failure, -ENOMEM, 0, "out of memory");
        status = fail(&startup, EXIT_USAGE, &failure);
    } else if (options.action == OPTIONS_HELP) {
        status = print_help();
    } else if (options.action == OPTIONS_VERSION) {
        status = print_version();
    } else if (options.action == OPTIONS_DIS) {
        status = show(dis_show, &options, &startup);
    } else if (options.action == OPTIONS_INFO) {
        status = show(info_database, &options, &startup);
    } else if (options.action == OPTIONS_CHECK) {
        status = show(check_database, &options, &startup);
    } else if (options.foreground || !startup_fork(&startup, &status)) {
        status = run(&options, &log, &startup);
    }
    options_release(&options);
    log_release(&log);
    return status;
}
