/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The floor: what FUSE itself costs. A directory of the same names, sizes, options and timeouts as a mount of ours, with constant
 * contents: no store, no codec, no locks, no memory per file but its size.
 *
 *     nullfs SIZES MOUNTPOINT [-o OPTIONS]      SIZES: a file with the size of each file's text, one a line
 *
 * Files are named as data.py names its keys, so a name is a number: no table is needed to find it. New files can be made and written; what
 * they hold is discarded, only their sizes count.
 */
#define FUSE_USE_VERSION 312

#include <errno.h>
#include <fuse3/fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CAPACITY = 4 << 20, FIRST_FILE = 2, ABSENT = -1, LONGEST_READ = 1 << 20 };

static const double CACHE_SECONDS = 1.0;

struct floor {
    _Atomic long sizes[CAPACITY]; /* by number; ABSENT: there is no such file */
    long count;                   /* numbers below this may be there */
    time_t mounted;
    char text[LONGEST_READ]; /* what all files hold */
};

static struct floor *floor_of(fuse_req_t request)
{
    return fuse_req_userdata(request);
}

/* "user0000123" is 123. */
static long number_of(const char *name)
{
    char *end;
    long number;

    if (strncmp(name, "user", 4) != 0)
        return ABSENT;
    number = strtol(name + 4, &end, 10);
    return *end || number < 0 || number >= CAPACITY ? ABSENT : number;
}

static struct stat stat_of(const struct floor *floor, fuse_ino_t node)
{
    bool directory = node == FUSE_ROOT_ID;
    off_t size = directory ? 4096 : floor->sizes[node - FIRST_FILE];

    return (struct stat){
        .st_ino = node,
        .st_mode = directory ? S_IFDIR | 0755 : S_IFREG | 0644,
        .st_nlink = directory ? 2 : 1,
        .st_uid = getuid(),
        .st_gid = getgid(),
        .st_size = size,
        .st_blocks = (size + 511) / 512,
        .st_blksize = 4096,
        .st_mtim.tv_sec = floor->mounted,
        .st_atim.tv_sec = floor->mounted,
        .st_ctim.tv_sec = floor->mounted,
    };
}

static struct fuse_entry_param entry_of(const struct floor *floor, fuse_ino_t node)
{
    return (struct fuse_entry_param){.ino = node,
                                     .attr = stat_of(floor, node),
                                     .attr_timeout = CACHE_SECONDS,
                                     .entry_timeout = CACHE_SECONDS};
}

static void op_init(void *userdata, struct fuse_conn_info *connection)
{
    const unsigned wanted = FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS |
                            FUSE_CAP_ASYNC_READ | FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO;
    const unsigned unwanted =
        FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_HANDLE_KILLPRIV;

    connection->want = (connection->want & ~unwanted) | (connection->capable & wanted);
}

static void op_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    struct floor *floor = floor_of(request);
    long number = number_of(name);

    if (number == ABSENT || floor->sizes[number] == ABSENT) {
        fuse_reply_err(request, ENOENT);
    } else {
        struct fuse_entry_param entry = entry_of(floor, (fuse_ino_t)number + FIRST_FILE);

        fuse_reply_entry(request, &entry);
    }
}

static void op_forget(fuse_req_t request, fuse_ino_t node, uint64_t count)
{
    fuse_reply_none(request);
}

static void op_forget_multi(fuse_req_t request, size_t count, struct fuse_forget_data *forgets)
{
    fuse_reply_none(request);
}

static void op_getattr(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file)
{
    struct stat stat = stat_of(floor_of(request), node);

    fuse_reply_attr(request, &stat, CACHE_SECONDS);
}

static void op_setattr(fuse_req_t request, fuse_ino_t node, struct stat *in, int set,
                       struct fuse_file_info *file)
{
    if (set & FUSE_SET_ATTR_SIZE)
        floor_of(request)->sizes[node - FIRST_FILE] = in->st_size;
    op_getattr(request, node, file);
}

/* Everybody else gets ENOSYS, which the kernel remembers; ours must answer. */
static void op_getxattr(fuse_req_t request, fuse_ino_t node, const char *name, size_t size)
{
    fuse_reply_err(request, strncmp(name, "user.", 5) ? ENOTSUP : ENODATA);
}

static void op_create(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *file)
{
    struct floor *floor = floor_of(request);
    long number = number_of(name);
    struct fuse_entry_param entry;

    if (number == ABSENT) {
        fuse_reply_err(request, EINVAL);
        return;
    }
    floor->sizes[number] = 0;
    entry = entry_of(floor, (fuse_ino_t)number + FIRST_FILE);
    fuse_reply_create(request, &entry, file);
}

static void op_unlink(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    long number = number_of(name);

    if (number != ABSENT)
        floor_of(request)->sizes[number] = ABSENT;
    fuse_reply_err(request, number == ABSENT ? ENOENT : 0);
}

static void op_open(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file)
{
    file->keep_cache = 1;
    file->noflush = (file->flags & O_ACCMODE) == O_RDONLY;
    fuse_reply_open(request, file);
}

static void op_read(fuse_req_t request, fuse_ino_t node, size_t size, off_t offset,
                    struct fuse_file_info *file)
{
    struct floor *floor = floor_of(request);
    off_t left = floor->sizes[node - FIRST_FILE] - offset;

    if (left < 0)
        left = 0;
    if ((off_t)size > left)
        size = (size_t)left;
    fuse_reply_buf(request, floor->text, size < LONGEST_READ ? size : LONGEST_READ);
}

static void op_write(fuse_req_t request, fuse_ino_t node, const char *data, size_t size,
                     off_t offset, struct fuse_file_info *file)
{
    _Atomic long *known = &floor_of(request)->sizes[node - FIRST_FILE];

    if (*known < offset + (off_t)size)
        *known = offset + (off_t)size;
    fuse_reply_write(request, size);
}

static void op_done(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file)
{
    fuse_reply_err(request, 0);
}

static void op_fsync(fuse_req_t request, fuse_ino_t node, int data_only,
                     struct fuse_file_info *file)
{
    fuse_reply_err(request, 0);
}

static void op_opendir(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file)
{
    fuse_reply_open(request, file);
}

/* A page of the directory; positions are numbers plus one. */
static void reply_page(fuse_req_t request, size_t size, off_t position, bool plus)
{
    struct floor *floor = floor_of(request);
    char *page = malloc(size), name[32];
    size_t used = 0;

    for (long number = position; page && number < floor->count; number++) {
        size_t room = size - used, taken;
        struct fuse_entry_param entry;

        if (floor->sizes[number] == ABSENT)
            continue;
        entry = entry_of(floor, (fuse_ino_t)number + FIRST_FILE);
        snprintf(name, sizeof name, "user%07ld", number);
        taken = plus ? fuse_add_direntry_plus(request, page + used, room, name, &entry, number + 1)
                     : fuse_add_direntry(request, page + used, room, name, &entry.attr, number + 1);
        if (taken > room)
            break;
        used += taken;
    }
    fuse_reply_buf(request, page, used);
    free(page);
}

static void op_readdir(fuse_req_t request, fuse_ino_t node, size_t size, off_t position,
                       struct fuse_file_info *file)
{
    reply_page(request, size, position, false);
}

static void op_readdirplus(fuse_req_t request, fuse_ino_t node, size_t size, off_t position,
                           struct fuse_file_info *file)
{
    reply_page(request, size, position, true);
}

static const struct fuse_lowlevel_ops operations = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .getxattr = op_getxattr,
    .create = op_create,
    .unlink = op_unlink,
    .open = op_open,
    .read = op_read,
    .write = op_write,
    .flush = op_done,
    .release = op_done,
    .fsync = op_fsync,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .releasedir = op_done,
};

static int read_sizes(struct floor *floor, const char *path)
{
    FILE *file = fopen(path, "r");
    long size;

    if (!file)
        return -errno;
    for (long i = 0; i < CAPACITY; i++)
        floor->sizes[i] = ABSENT;
    while (floor->count < CAPACITY && fscanf(file, "%ld", &size) == 1)
        floor->sizes[floor->count++] = size;
    return fclose(file) ? -errno : 0;
}

static void fill_text(struct floor *floor)
{
    for (size_t i = 0; i < sizeof floor->text; i++)
        floor->text[i] = i % 60 == 59 ? '\n' : (char)('a' + i % 26);
}

static int serve(struct floor *floor, const char *mountpoint, struct fuse_args *arguments)
{
    struct fuse_session *session =
        fuse_session_new(arguments, &operations, sizeof operations, floor);
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    int status = -1;

    if (session && fuse_set_signal_handlers(session) == 0 &&
        fuse_session_mount(session, mountpoint) == 0) {
        status = fuse_session_loop_mt(session, config);
        fuse_session_unmount(session);
        fuse_remove_signal_handlers(session);
    }
    if (session)
        fuse_session_destroy(session);
    fuse_loop_cfg_destroy(config);
    return status;
}

int main(int argc, char **argv)
{
    struct fuse_args arguments = FUSE_ARGS_INIT(0, NULL);
    struct floor *floor = calloc(1, sizeof *floor);
    int status;

    if (argc < 3 || !floor)
        return 2;
    status = read_sizes(floor, argv[1]);
    if (status) {
        fprintf(stderr, "nullfs: %s: %s\n", argv[1], strerror(-status));
        free(floor);
        return 1;
    }
    floor->mounted = time(NULL);
    fill_text(floor);
    fuse_opt_add_arg(&arguments, argv[0]);
    for (int i = 3; i < argc; i++)
        fuse_opt_add_arg(&arguments, argv[i]);
    status = serve(floor, argv[2], &arguments);
    fuse_opt_free_args(&arguments);
    free(floor);
    return status != 0;
}
