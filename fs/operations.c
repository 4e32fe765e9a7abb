/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * fuse_lowlevel_ops: unpack, call the tree, reply exactly once. What the directory means is tree.c's.
 *
 * - A reply that the kernel did not take (the client was killed meanwhile: -ENOENT) undoes the handle that it carried:
 *   nobody would ever give it back. For references to nodes reply.c does so.
 * - What is missing here is missing on purpose, and the kernel remembers ENOSYS: fallocate becomes EOPNOTSUPP;
 *   lseek, copy_file_range, flock and fcntl locks are done by the kernel alone. So it does with OPEN and FLUSH of a read-only
 *   mount: a file that it opens without asking has no handle.
 */
#define FUSE_USE_VERSION 312

#include "fs/operations.h"

#include "fs/mount.h"
#include "fs/reply.h"

#include <errno.h>
#include <fuse3/fuse_lowlevel.h>
#include <stdlib.h>
#include <string.h>

static struct tree_caller request_caller(fuse_req_t request)
{
    const struct fuse_ctx *context = fuse_req_ctx(request);

    return (struct tree_caller){.uid = context->uid, .gid = context->gid};
}

/* The groups are in /proc only, so this is for those who need them, and not for root. The caller releases `room`. */
static struct tree_caller request_caller_in_groups(fuse_req_t request, struct buffer *room)
{
    struct tree_caller caller = request_caller(request);
    int count = caller.uid ? fuse_req_getgroups(request, 0, NULL) : 0;
    void *groups = count > 0 ? buffer_extend(room, (size_t)count * sizeof(gid_t)) : NULL;

    if (groups && fuse_req_getgroups(request, count, groups) == count)
        caller.groups = buffer_bytes(room);
    return caller;
}

static struct tree_handle *file_handle(const struct fuse_file_info *file)
{
    return file ? (struct tree_handle *)(uintptr_t)file->fh : NULL;
}

static void set_cache(struct fuse_file_info *file, struct tree_handle *handle,
                      enum tree_cache cache)
{
    file->fh = (uintptr_t)handle;
    file->keep_cache = cache == TREE_CACHE_KEEP;
    file->direct_io = cache == TREE_CACHE_BYPASS;
}

static struct tree_listing *file_listing(const struct fuse_file_info *file)
{
    return (struct tree_listing *)(uintptr_t)file->fh;
}

/* --- the session --- */

static void op_init(void *userdata, struct fuse_conn_info *connection)
{
    struct mount *mount = userdata;
    const unsigned wanted = FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS |
                            FUSE_CAP_ASYNC_READ | FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO;
    /*
     * AUTO_INVAL_DATA throws pages away by mtime and gave stale reads to processes that shared a file under
     * locks. A write-back cache would keep what must be saved when a file is closed. HANDLE_KILLPRIV would make
     * clearing set-user-id bits ours; without it the kernel does it.
     */
    const unsigned unwanted =
        FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_HANDLE_KILLPRIV;

    connection->want = (connection->want & ~unwanted) | (connection->capable & wanted);
    connection->max_read = mount->max_read;
    mount->unasked = mount->unasked && connection->capable & FUSE_CAP_NO_OPEN_SUPPORT;
    /* Who truncates has to ask, also if root makes the mount writable behind our back. */
    if (mount->unasked)
        connection->want &= ~(unsigned)FUSE_CAP_ATOMIC_O_TRUNC;
    /* What the kernel may keep, or need not ask for, is worth telling at once: reply_page() has the limit. */
    if (mount->unasked || vigil_is_kept(&mount->vigil))
        connection->want &= ~(unsigned)FUSE_CAP_READDIRPLUS_AUTO;
    if (startup_succeed(mount->startup, mount->log, buffer_bytes(&mount->summary)))
        fuse_session_exit(mount->session);
}

/* --- names --- */

/* Who was answered is busy with that. */
static void look_ahead(struct mount *mount, fuse_ino_t parent, fuse_ino_t node)
{
    struct buffer names = BUFFER_INIT;

    ahead_looked(mount->ahead, parent, node, &names);
    if (names.size && buffer_status(&names) == 0)
        tree_look_at(mount->tree, parent, buffer_bytes(&names));
    buffer_release(&names);
}

static void op_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    struct mount *mount = request_mount(request);
    uint64_t begun = vigil_begin(&mount->vigil);
    struct stat stat;
    int status = tree_lookup(mount->tree, parent, name, &stat);

    reply_entry(request, status, &stat);
    vigil_end(&mount->vigil, begun);
    if (status == 0)
        look_ahead(mount, parent, stat.st_ino);
}

static void op_forget(fuse_req_t request, fuse_ino_t node, uint64_t count)
{
    tree_forget(request_tree(request), node, count);
    fuse_reply_none(request);
}

static void op_forget_multi(fuse_req_t request, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        tree_forget(request_tree(request), forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(request);
}

static void op_mknod(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                     dev_t device)
{
    struct tree_caller caller = request_caller(request);
    struct tree_handle *handle;
    enum tree_cache cache;
    struct stat stat;
    int status = -EPERM;

    if (S_ISREG(mode))
        status = tree_create(request_tree(request), parent, name, mode, O_CREAT | O_EXCL | O_WRONLY,
                             &caller, &stat, &handle, &cache);
    if (status == 0)
        tree_release(handle);
    reply_entry(request, status, &stat);
}

static void op_create(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *file)
{
    struct tree *tree = request_tree(request);
    struct tree_caller caller = request_caller(request);
    struct fuse_entry_param entry;
    struct tree_handle *handle;
    enum tree_cache cache;
    struct stat stat;
    int status =
        tree_create(tree, parent, name, mode, file->flags, &caller, &stat, &handle, &cache);

    if (status) {
        reply_status(request, status);
        return;
    }
    entry = reply_entry_of(request, &stat);
    set_cache(file, handle, cache);
    if (fuse_reply_create(request, &entry, file)) {
        tree_release(handle);
        tree_forget(tree, stat.st_ino, 1);
    }
}

static void op_symlink(fuse_req_t request, const char *target, fuse_ino_t parent, const char *name)
{
    struct tree_caller caller = request_caller(request);
    struct stat stat;
    int status = tree_symlink(request_tree(request), parent, name, target, &caller, &stat);

    reply_entry(request, status, &stat);
}

static void op_mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct tree_caller caller = request_caller(request);
    struct stat stat;
    int status = tree_mkdir(request_tree(request), parent, name, mode, &caller, &stat);

    reply_entry(request, status, &stat);
}

static void op_unlink(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    reply_status(request, tree_unlink(request_tree(request), parent, name));
}

static void op_rmdir(fuse_req_t request, fuse_ino_t parent, const char *name)
{
    reply_status(request, tree_rmdir(request_tree(request), parent, name));
}

static void op_rename(fuse_req_t request, fuse_ino_t parent, const char *name,
                      fuse_ino_t new_parent, const char *new_name, unsigned flags)
{
    reply_status(request,
                 tree_rename(request_tree(request), parent, name, new_parent, new_name, flags));
}

/* A key has one name. */
static void op_link(fuse_req_t request, fuse_ino_t node, fuse_ino_t new_parent,
                    const char *new_name)
{
    reply_status(request, -EPERM);
}

static void op_readlink(fuse_req_t request, fuse_ino_t node)
{
    struct buffer target = BUFFER_INIT;
    int status = tree_readlink(request_tree(request), node, &target);

    if (status == 0) {
        buffer_add_byte(&target, '\0');
        status = buffer_status(&target);
    }
    if (status)
        reply_status(request, status);
    else
        fuse_reply_readlink(request, (const char *)target.data);
    buffer_release(&target);
}

/* --- attributes --- */

static void op_getattr(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file)
{
    struct stat stat;
    int status = tree_getattr(request_tree(request), node, &stat);

    reply_stat(request, status, &stat);
}

static unsigned tree_set_of(int to_set)
{
    static const struct {
        int fuse;
        unsigned tree;
    } flags[] = {
        {FUSE_SET_ATTR_MODE, TREE_SET_MODE},
        {FUSE_SET_ATTR_UID, TREE_SET_UID},
        {FUSE_SET_ATTR_GID, TREE_SET_GID},
        {FUSE_SET_ATTR_SIZE, TREE_SET_SIZE},
        {FUSE_SET_ATTR_ATIME, TREE_SET_ATIME},
        {FUSE_SET_ATTR_MTIME, TREE_SET_MTIME},
        {FUSE_SET_ATTR_ATIME_NOW, TREE_SET_ATIME_NOW},
        {FUSE_SET_ATTR_MTIME_NOW, TREE_SET_MTIME_NOW},
    };
    unsigned set = 0;

    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        if (to_set & flags[i].fuse)
            set |= flags[i].tree;
    return set;
}

static void op_setattr(fuse_req_t request, fuse_ino_t node, struct stat *in, int to_set,
                       struct fuse_file_info *file)
{
    struct buffer groups = BUFFER_INIT;
    struct tree_caller caller = to_set & FUSE_SET_ATTR_GID
                                    ? request_caller_in_groups(request, &groups)
                                    : request_caller(request);
    struct stat stat;
    int status = tree_setattr(request_tree(request), node, file_handle(file), in,
                              tree_set_of(to_set), &caller, &stat);

    buffer_release(&groups);
    reply_stat(request, status, &stat);
}

static void op_access(fuse_req_t request, fuse_ino_t node, int mask)
{
    struct buffer groups = BUFFER_INIT;
    struct tree_caller caller = request_caller_in_groups(request, &groups);

    reply_status(request, tree_access(request_tree(request), node, mask, &caller));
    buffer_release(&groups);
}

static void op_getxattr(fuse_req_t request, fuse_ino_t node, const char *name, size_t size)
{
    struct buffer value = BUFFER_INIT;
    int status = tree_getxattr(request_tree(request), node, name, &value);

    reply_attribute(request, status, buffer_bytes(&value), size);
    buffer_release(&value);
}

static void op_setxattr(fuse_req_t request, fuse_ino_t node, const char *name, const char *value,
                        size_t size, int flags)
{
    reply_status(request, tree_changexattr(request_tree(request), name));
}

static void op_removexattr(fuse_req_t request, fuse_ino_t node, const char *name)
{
    reply_status(request, tree_changexattr(request_tree(request), name));
}

static void op_listxattr(fuse_req_t request, fuse_ino_t node, size_t size)
{
    struct buffer names = BUFFER_INIT;
    int status = tree_listxattr(request_tree(request), node, &names);

    reply_attribute(request, status, buffer_bytes(&names), size);
    buffer_release(&names);
}

static void op_statfs(fuse_req_t request, fuse_ino_t node)
{
    struct statvfs statfs;
    int status = tree_statfs(request_tree(request), &statfs);

    if (status)
        reply_status(request, status);
    else
        fuse_reply_statfs(request, &statfs);
}

/* --- files --- */

/*
 * Who opens a text of another size than the kernel believes in asks for that next. Without pages (a negative offset) the
 * kernel waits for nothing here, so this may happen within a request.
 */
static void forget_size(fuse_req_t request, fuse_ino_t node)
{
    fuse_lowlevel_notify_inval_inode(request_mount(request)->session, node, -1, 0);
}

static void op_open(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file)
{
    struct mount *mount = request_mount(request);
    bool reads = (file->flags & O_ACCMODE) == O_RDONLY;
    struct tree_handle *handle;
    enum tree_cache cache;
    int status;

    if (mount->unasked) {
        fuse_reply_err(request, ENOSYS);
        return;
    }
    status = tree_open(mount->tree, node, file->flags, &handle, &cache);
    if (status) {
        /* It went since the kernel looked. Told so, the kernel looks again, and makes a file where one may be made. */
        reply_status(request, status == -ENOENT ? -ESTALE : status);
        return;
    }
    set_cache(file, handle, cache);
    if (file->direct_io)
        forget_size(request, node);
    /* A reader has nothing to save: its close needs no round trip. */
    file->noflush = reads;
    if (fuse_reply_open(request, file))
        tree_release(handle);
    else if (reads)
        ahead_opened(mount->ahead, node);
}

static void reply_part(void *context, struct bytes part)
{
    fuse_reply_buf(context, (const char *)part.data, part.size);
}

static void op_read(fuse_req_t request, fuse_ino_t node, size_t size, off_t offset,
                    struct fuse_file_info *file)
{
    struct mount *mount = request_mount(request);
    struct tree_handle *handle = file_handle(file);
    int status;

    if (handle)
        status = tree_read(handle, offset, size, reply_part, request);
    else
        status = tree_read_node(mount->tree, node, offset, size, reply_part, request);
    if (status)
        reply_status(request, status);
    else if (!handle && offset == 0)
        ahead_opened(mount->ahead, node);
}

static void op_write(fuse_req_t request, fuse_ino_t node, const char *data, size_t size,
                     off_t offset, struct fuse_file_info *file)
{
    struct tree_handle *handle = file_handle(file);
    int status = -EROFS;

    if (handle)
        status = (file->writepage ? tree_write_page : tree_write)(handle, offset, bytes_of(data, size));
    if (status)
        reply_status(request, status);
    else
        fuse_reply_write(request, size);
}

static void op_flush(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file)
{
    /* Who was not asked to open a file has nothing to flush, never. */
    if (file_handle(file))
        reply_status(request, tree_flush(file_handle(file)));
    else
        fuse_reply_err(request, ENOSYS);
}

static void op_fsync(fuse_req_t request, fuse_ino_t node, int data_only,
                     struct fuse_file_info *file)
{
    reply_status(request, file_handle(file) ? tree_fsync(file_handle(file)) : 0);
}

static void op_release(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file)
{
    if (file_handle(file))
        tree_release(file_handle(file));
    reply_status(request, 0);
}

/* --- directories --- */

struct opening {
    fuse_req_t request;
    struct fuse_file_info *file;
};

static void directory_opened(void *context, struct tree_listing *listing)
{
    struct opening *opening = context;

    opening->file->fh = (uintptr_t)listing;
    if (fuse_reply_open(opening->request, opening->file))
        tree_closedir(listing);
}

static void op_opendir(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file)
{
    struct opening opening = {request, file};
    int status = tree_opendir(request_tree(request), node, directory_opened, &opening);

    if (status)
        reply_status(request, status);
}

static void op_readdir(fuse_req_t request, fuse_ino_t node, size_t size, off_t position,
                       struct fuse_file_info *file)
{
    reply_page(request, node, file_listing(file), size, position, false);
}

static void op_readdirplus(fuse_req_t request, fuse_ino_t node, size_t size, off_t position,
                           struct fuse_file_info *file)
{
    reply_page(request, node, file_listing(file), size, position, true);
}

static void op_fsyncdir(fuse_req_t request, fuse_ino_t node, int data_only,
                        struct fuse_file_info *file)
{
    reply_status(request, tree_fsyncdir(file_listing(file)));
}

static void op_releasedir(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *file)
{
    tree_closedir(file_listing(file));
    reply_status(request, 0);
}

const struct fuse_lowlevel_ops operations = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .readlink = op_readlink,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .symlink = op_symlink,
    .rename = op_rename,
    .link = op_link,
    .open = op_open,
    .read = op_read,
    .write = op_write,
    .flush = op_flush,
    .release = op_release,
    .fsync = op_fsync,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .releasedir = op_releasedir,
    .fsyncdir = op_fsyncdir,
    .statfs = op_statfs,
    .getxattr = op_getxattr,
    .setxattr = op_setxattr,
    .removexattr = op_removexattr,
    .listxattr = op_listxattr,
    .access = op_access,
    .create = op_create,
};
