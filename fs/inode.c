/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Attributes of files: stat, chmod, utimens, access, file system. */
#include "fs/commit.h"
#include "fs/files.h"
#include "fs/tree_state.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 4096 };

/* Who may read may enter. */
static mode_t directory_mode(mode_t file)
{
    return S_IFDIR | (file & 0666) | ((file & 0444) >> 2);
}

static struct timespec later(struct timespec a, struct timespec b)
{
    return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec) ? a : b;
}

static void apply(struct stat *out, const struct attributes *attributes)
{
    if (attributes->set & ATTRIBUTE_MODE)
        out->st_mode = (out->st_mode & S_IFMT) | attributes->mode;
    if (attributes->set & ATTRIBUTE_UID)
        out->st_uid = attributes->uid;
    if (attributes->set & ATTRIBUTE_GID)
        out->st_gid = attributes->gid;
    if (attributes->set & ATTRIBUTE_MTIME)
        out->st_atim = out->st_mtim = out->st_ctim = attributes->mtime;
    if (attributes->set & ATTRIBUTE_ATIME)
        out->st_atim = attributes->atime;
    if (attributes->set & ATTRIBUTE_CTIME)
        out->st_ctim = later(attributes->ctime, out->st_mtim);
}

static void stat_directory(struct tree *tree, const struct node *node, struct stat *out)
{
    const struct fold *fold = node->opens.fold;
    struct attributes set;

    out->st_ino = node->id;
    out->st_mode = directory_mode(out->st_mode);
    out->st_nlink = 2;
    out->st_size = BLOCK;
    pthread_mutex_lock(&tree->lock);
    set = node->own;
    if (fold && !attributes_find_digest(&tree->attributes, fold->id, &set))
        set.set = 0;
    out->st_mtim = fold ? tree->foreign_change : later(tree->foreign_change, tree->names_change);
    out->st_atim = out->st_ctim = out->st_mtim;
    apply(out, &set);
    pthread_mutex_unlock(&tree->lock);
}

static mode_t default_mode(const struct node *node, mode_t database)
{
    switch (node->kind) {
    case NODE_SYMLINK:
        return S_IFLNK | 0777;
    case NODE_REPORT:
    case NODE_REJECTED:
        return S_IFREG | (database & 0444);
    default:
        return S_IFREG | (database & 0666);
    }
}

/* Tree lock held. */
static void stat_attributes(struct tree *tree, const struct node *node, struct stat *out)
{
    struct attributes set = node->own;

    out->st_mode = default_mode(node, out->st_mode);
    if (node_is_key(node)) {
        out->st_atim = out->st_mtim = out->st_ctim = node->own.mtime;
        if (!attributes_find(&tree->attributes, node->name->key, &set))
            set.set = 0;
    } else if (node->kind == NODE_REPORT) {
        out->st_atim = out->st_mtim = out->st_ctim = tree_now();
    }
    apply(out, &set);
    if (node->draft) {
        bool accessed = set.set & ATTRIBUTE_ATIME;

        out->st_mtim = node->draft->mtime;
        out->st_ctim = later(out->st_ctim, out->st_mtim);
        if (!accessed)
            out->st_atim = out->st_mtim;
    }
    if (tree->options.read_only || (node->kind == NODE_KEY && !directory_accepts(node->home)))
        out->st_mode &= ~(mode_t)0222;
}

/* Which permissions a file of this kind can have at all. */
static mode_t possible_mode(const struct tree *tree, const struct node *node)
{
    mode_t mode = node->kind == NODE_DIRECTORY ? 0777 : 0666;

    if (node->kind == NODE_REPORT || node->kind == NODE_REJECTED || tree->options.read_only ||
        (node->kind == NODE_KEY && !directory_accepts(node->home)))
        mode &= 0555;
    return mode;
}

/* Options of the mount win over what is kept. */
static void force(const struct tree *tree, const struct node *node, struct stat *out)
{
    const struct attributes *shown = &tree->options.shown;

    if (shown->set & ATTRIBUTE_UID)
        out->st_uid = shown->uid;
    if (shown->set & ATTRIBUTE_GID)
        out->st_gid = shown->gid;
    if (shown->set & ATTRIBUTE_MODE && node->kind != NODE_SYMLINK)
        out->st_mode = (out->st_mode & S_IFMT) | (shown->mode & possible_mode(tree, node));
}

/* The size that this file has to be complete: a key's needs a look at the store, a report has to be written. */
static int measure(struct tree *tree, struct node *node, bool seen, size_t *size)
{
    struct buffer report = BUFFER_INIT;
    int code = 0;

    if (node->kind == NODE_REPORT && !tree->options.read_only) {
        code = control_report(tree, node, &report);
        *size = report.size;
        buffer_release(&report);
        return code;
    }
    if (node->kind == NODE_KEY && node->linked && !node->draft && !seen) {
        code = content_look(tree, node, NULL);
        /* Who has it open still wants to know. */
        if (code == -ENOENT && (node->handles || tree->options.read_only))
            code = 0;
    }
    if (code)
        return code;
    if (!node->trouble || node->draft)
        *size = content_size(tree, node);
    else
        *size = tree->options.read_only ? FROZEN_TROUBLED_SIZE : 0;
    return 0;
}

static void look_at_database(struct tree *tree, bool seen, struct stat *out)
{
    if (!seen) {
        tree_database(tree, out);
        return;
    }
    pthread_mutex_lock(&tree->lock);
    *out = tree->glances.database;
    pthread_mutex_unlock(&tree->lock);
}

/* All that tree_stat() says, but for the kernel's ears. */
static int look(struct tree *tree, struct node *node, struct stat *out)
{
    bool seen = glance_holds(tree, node);
    struct stat made;
    size_t size = 0;
    int code;

    if (node->kind != NODE_DIRECTORY) {
        code = measure(tree, node, seen, &size);
        if (code)
            return code;
    }
    look_at_database(tree, seen, &made);
    made.st_rdev = 0;
    made.st_dev = 0;
    made.st_blksize = BLOCK;
    if (node->kind == NODE_DIRECTORY) {
        stat_directory(tree, node, &made);
        force(tree, node, &made);
        if (tree->options.read_only)
            made.st_mode &= ~(mode_t)0222;
        *out = made;
        return 0;
    }
    made.st_ino = node->id;
    made.st_size = (off_t)size;
    pthread_mutex_lock(&tree->lock);
    made.st_nlink = node->linked ? 1 : 0;
    stat_attributes(tree, node, &made);
    force(tree, node, &made);
    pthread_mutex_unlock(&tree->lock);
    *out = made;
    return 0;
}

int tree_stat(struct tree *tree, struct node *node, struct stat *out)
{
    struct stat made;
    int code = look(tree, node, &made);

    if (code)
        return code;
    if (node->kind != NODE_DIRECTORY)
        made.st_size = (off_t)told_answer(node, (size_t)made.st_size);
    made.st_blocks = (made.st_size + 511) / 512;
    *out = made;
    return 0;
}

int tree_getattr(struct tree *tree, uint64_t id, struct stat *out)
{
    struct node *node = node_pin_id(tree, id);
    int code;

    if (!node)
        return -ESTALE;
    pthread_mutex_lock(&node->lock);
    code = tree_stat(tree, node, out);
    pthread_mutex_unlock(&node->lock);
    node_unpin(tree, node);
    tree_notify(tree);
    return code;
}

/* What is kept of this file's attributes. Tree and node lock held. */
static struct attributes kept_attributes(struct tree *tree, const struct node *node)
{
    struct attributes kept = {0};

    if (node->opens.fold) {
        attributes_find_digest(&tree->attributes, node->opens.fold->id, &kept);
        return kept;
    }
    if (!node_is_key(node))
        return node->own;
    attributes_find(&tree->attributes, node->name->key, &kept);
    if (!(kept.set & ATTRIBUTE_VALUE) && node->known) {
        kept.value = node->digest;
        kept.set |= ATTRIBUTE_VALUE;
    }
    return kept;
}

/* Likewise. */
static int keep_attributes(struct tree *tree, struct node *node, const struct attributes *kept)
{
    if (node->opens.fold)
        return attributes_set_digest(&tree->attributes, node->opens.fold->id, kept);
    if (node_is_key(node))
        return attributes_set(&tree->attributes, node->name->key, kept);
    node->own = *kept;
    return 0;
}

static void set_times(struct node *node, struct attributes *attributes, const struct stat *in,
                      unsigned set)
{
    struct timespec now = tree_now();

    if (set & (TREE_SET_ATIME | TREE_SET_ATIME_NOW)) {
        attributes->atime = set & TREE_SET_ATIME_NOW ? now : in->st_atim;
        attributes->set |= ATTRIBUTE_ATIME;
    }
    if (set & (TREE_SET_MTIME | TREE_SET_MTIME_NOW)) {
        attributes->mtime = set & TREE_SET_MTIME_NOW ? now : in->st_mtim;
        attributes->set |= ATTRIBUTE_MTIME;
        /* `cp -p` sets the time before the last descriptor is closed: the save must keep it. */
        if (node->draft)
            node->draft->mtime = attributes->mtime;
    }
}

static bool is_in_group(const struct tree_caller *caller, gid_t wanted)
{
    const struct bytes groups = caller->groups;
    gid_t gid = caller->gid;

    for (size_t at = 0; gid != wanted && at + sizeof gid <= groups.size; at += sizeof gid)
        memcpy(&gid, groups.data + at, sizeof gid);
    return gid == wanted;
}

/* Root may give a file to anybody, its owner to a group that he is in. What the mount says that files show stays. */
static int check_owner(struct tree *tree, struct node *node, const struct stat *in, unsigned set,
                       const struct tree_caller *caller)
{
    const unsigned shown = tree->options.shown.set;
    bool new_owner, new_group;
    struct stat now;
    int code;

    if (!(set & (TREE_SET_UID | TREE_SET_GID)))
        return 0;
    code = look(tree, node, &now);
    if (code)
        return code;
    new_owner = set & TREE_SET_UID && in->st_uid != now.st_uid;
    new_group = set & TREE_SET_GID && in->st_gid != now.st_gid;
    if ((new_owner && shown & ATTRIBUTE_UID) || (new_group && shown & ATTRIBUTE_GID))
        return -EPERM;
    if ((!new_owner && !new_group) || caller->uid == 0)
        return 0;
    return new_owner || caller->uid != now.st_uid || !is_in_group(caller, in->st_gid) ? -EPERM : 0;
}

static int set_size(struct tree *tree, struct node *node, struct tree_handle *handle, off_t size)
{
    struct text *base = NULL;
    bool fresh = !node->draft;
    int code = 0;

    if (size < 0)
        return -EINVAL;
    if ((size_t)size > tree->options.rules.max_value)
        return -EFBIG;
    if (handle && handle->text)
        base = text_reference(handle->text);
    else if (node->kind == NODE_KEY && node->linked && !node->draft)
        code = content_look(tree, node, &base);
    else
        base = content_text(tree, node);
    if (code == 0 && !base && node->trouble && size > 0)
        code = node->trouble;
    if (code == 0)
        code = content_start_draft(tree, node, base);
    if (code == 0)
        code = content_resize(tree, node, (size_t)size);
    text_release(base);
    if (code && fresh)
        content_drop_draft(tree, node);
    if (code || handle)
        return code;
    code = commit_node(tree, node, COMMIT_CLOSE);
    if (code && !node->handles && node->kind == NODE_KEY)
        content_drop_draft(tree, node);
    return code;
}

static int set_attributes(struct tree *tree, struct node *node, struct tree_handle *handle,
                          const struct stat *in, unsigned set, const struct tree_caller *caller)
{
    struct attributes attributes;
    struct stat database;
    int code = check_owner(tree, node, in, set, caller);

    if (code == 0 && set & TREE_SET_SIZE)
        code = set_size(tree, node, handle, in->st_size);
    if (code || !(set & ~(unsigned)TREE_SET_SIZE))
        return code;
    tree_database(tree, &database);
    pthread_mutex_lock(&tree->lock);
    attributes = kept_attributes(tree, node);
    if (set & TREE_SET_MODE) {
        attributes.mode = in->st_mode & 0777;
        attributes.set |= ATTRIBUTE_MODE;
    }
    if (set & TREE_SET_UID)
        attributes_own(&attributes, ATTRIBUTE_UID, in, &database);
    if (set & TREE_SET_GID)
        attributes_own(&attributes, ATTRIBUTE_GID, in, &database);
    set_times(node, &attributes, in, set);
    attributes.ctime = tree_now();
    attributes.set |= ATTRIBUTE_CTIME;
    code = keep_attributes(tree, node, &attributes);
    if (code == 0)
        node->unkept = true;
    pthread_mutex_unlock(&tree->lock);
    return code ? -ENOMEM : 0;
}

static bool settable(const struct node *node)
{
    if (node->kind == NODE_KEY)
        return directory_accepts(node->home);
    return node->kind != NODE_REPORT && node->kind != NODE_REJECTED;
}

int tree_setattr(struct tree *tree, uint64_t id, struct tree_handle *handle, const struct stat *in,
                 unsigned set, const struct tree_caller *caller, struct stat *out)
{
    struct node *node;
    bool names;
    int code = tree_writable(tree);

    if (code)
        return code;
    if (handle && set & TREE_SET_SIZE && !handle->writable)
        return -EINVAL;
    node = node_pin_id(tree, id);
    if (!node)
        return -ESTALE;
    names = commit_lock(tree, node);
    if (node->kind == NODE_DIRECTORY && set & TREE_SET_SIZE)
        code = -EISDIR;
    else if (!settable(node))
        code = -EPERM;
    else if (node->kind == NODE_KEY && node->linked && !node->known && !node->draft)
        code = content_look(tree, node, NULL);
    if (code == 0)
        code = set_attributes(tree, node, handle, in, set, caller);
    if (code == 0)
        code = tree_stat(tree, node, out);
    commit_unlock(tree, node, names);
    node_unpin(tree, node);
    tree_notify(tree);
    return code;
}

int tree_access(struct tree *tree, uint64_t id, int mask, const struct tree_caller *caller)
{
    struct stat file;
    unsigned granted;
    int code = tree_getattr(tree, id, &file);

    if (code)
        return code;
    if (mask & W_OK && tree->options.read_only)
        return -EROFS;
    if (caller->uid == 0)
        granted = R_OK | W_OK | (file.st_mode & 0111 ? X_OK : 0);
    else if (caller->uid == file.st_uid)
        granted = file.st_mode >> 6 & 7;
    else if (is_in_group(caller, file.st_gid))
        granted = file.st_mode >> 3 & 7;
    else
        granted = file.st_mode & 7;
    return (unsigned)mask & 7 & ~granted ? -EACCES : 0;
}

int tree_readlink(struct tree *tree, uint64_t id, struct buffer *target)
{
    struct node *node = node_pin_id(tree, id);
    int code = -EINVAL;

    if (!node)
        return -ESTALE;
    pthread_mutex_lock(&node->lock);
    if (node->kind == NODE_SYMLINK) {
        buffer_add(target, content_bytes(tree, node));
        code = buffer_status(target);
    }
    pthread_mutex_unlock(&node->lock);
    node_unpin(tree, node);
    return code;
}

int tree_statfs(struct tree *tree, struct statvfs *out)
{
    const char *path = store_path(tree->store);
    struct statvfs found;

    if (statvfs(path, &found))
        found = (struct statvfs){.f_frsize = BLOCK};
    found.f_bsize = BLOCK;
    found.f_namemax = NAME_LONGEST;
    *out = found;
    return 0;
}
