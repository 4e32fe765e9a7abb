/* SPDX-License-Identifier: GPL-3.0-or-later */
#define FUSE_USE_VERSION 312

#include "fs/reply.h"

#include "fs/mount.h"

#include <errno.h>
#include <fuse3/fuse_lowlevel.h>
#include <stdlib.h>

/*
 * Seconds. What this mount changes, it knows; what other processes change must show after a second, unless the vigil sees
 * it (vigil.h). Names that do not exist are never cached (an entry without a timeout), for another process may store that key at any time.
 */
static const double CACHE_SECONDS = 1.0, VIGIL_SECONDS = 1e6;

/* Files of a directory that the kernel is told of before it asks. */
enum { MOST_TOLD = 1 << 17 };

struct mount *request_mount(fuse_req_t request)
{
    return fuse_req_userdata(request);
}

struct tree *request_tree(fuse_req_t request)
{
    return request_mount(request)->tree;
}

/*
 * ENOSYS would tell the kernel that there is no such operation: it would never ask for it again, and closing a file would be a
 * success without a flush. And EINTR from close() is no failure to most programs.
 */
void reply_status(fuse_req_t request, int status)
{
    fuse_reply_err(request, status == -ENOSYS || status == -EINTR ? EIO : -status);
}

static double cache_seconds(fuse_req_t request, const struct stat *stat)
{
    const struct mount *mount = request_mount(request);
    enum tree_lasting lasting = tree_lasts(mount->tree, stat->st_ino);

    if (lasting == TREE_LASTS_NOT)
        return 0;
    return lasting == TREE_LASTS && vigil_is_kept(&mount->vigil) ? VIGIL_SECONDS : CACHE_SECONDS;
}

void reply_stat(fuse_req_t request, int status, const struct stat *stat)
{
    if (status)
        reply_status(request, status);
    else
        fuse_reply_attr(request, stat, cache_seconds(request, stat));
}

struct fuse_entry_param reply_entry_of(fuse_req_t request, const struct stat *stat)
{
    double seconds = cache_seconds(request, stat);

    return (struct fuse_entry_param){
        .ino = stat->st_ino,
        .attr = *stat,
        .attr_timeout = seconds,
        .entry_timeout = seconds,
    };
}

/* The kernel gets the reference that the tree counted, or it is given back. */
void reply_entry(fuse_req_t request, int status, const struct stat *stat)
{
    struct tree *tree = request_tree(request);
    struct fuse_entry_param entry;

    if (status) {
        reply_status(request, status);
        return;
    }
    entry = reply_entry_of(request, stat);
    if (fuse_reply_entry(request, &entry))
        tree_forget(tree, stat->st_ino, 1);
}

void reply_attribute(fuse_req_t request, int status, struct bytes value, size_t room)
{
    if (status)
        reply_status(request, status);
    else if (room == 0)
        fuse_reply_xattr(request, value.size);
    else if (value.size > room)
        fuse_reply_err(request, ERANGE);
    else
        fuse_reply_buf(request, (const char *)value.data, value.size);
}

/* --- directories --- */

/* One reply being filled. */
struct page {
    fuse_req_t request;
    char *data;
    size_t used, size;
    off_t next; /* the position after the last entry */
    bool plus;           /* entries have room for a node */
    bool known;          /* and one is told */
    struct buffer nodes; /* fuse_ino_t of each reference in the page, to give back */
};

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Room for the name's node, before anything counts on it. */
static bool page_remember(struct page *page, const char *name, const struct stat *stat)
{
    fuse_ino_t node = stat->st_ino;

    if (is_dot(name))
        return true;
    buffer_add(&page->nodes, bytes_of(&node, sizeof node));
    return buffer_status(&page->nodes) == 0;
}

static bool page_add(void *context, const char *name, const struct stat *stat, off_t next)
{
    struct page *page = context;
    size_t room = page->size - page->used, size;
    char *at = page->data + page->used;

    if (page->plus) {
        struct fuse_entry_param entry = {.attr = *stat};

        if (page->known)
            entry = reply_entry_of(page->request, stat);
        size = fuse_add_direntry_plus(page->request, at, room, name, &entry, next);
    } else {
        size = fuse_add_direntry(page->request, at, room, name, stat, next);
    }
    if (size > room || (page->known && !page_remember(page, name, stat)))
        return false;
    if (!is_dot(name))
        ahead_add(request_mount(page->request)->ahead, stat->st_ino, name);
    page->used += size;
    page->next = next;
    return true;
}

static void page_forget(struct page *page, struct tree *tree)
{
    const struct bytes nodes = buffer_bytes(&page->nodes);
    fuse_ino_t node;

    for (size_t offset = 0; offset < nodes.size; offset += sizeof node) {
        memcpy(&node, nodes.data + offset, sizeof node);
        tree_forget(tree, node, 1);
    }
}

/* An error after some names would lose their references: those are sent, and the next call meets it again. */
static void page_send(struct page *page, int status)
{
    struct tree *tree = request_tree(page->request);

    if (status && page->used == 0)
        reply_status(page->request, status);
    else if (fuse_reply_buf(page->request, page->data, page->used))
        page_forget(page, tree);
}

void reply_page(fuse_req_t request, uint64_t directory, struct tree_listing *listing, size_t size,
                off_t position, bool plus)
{
    struct mount *mount = request_mount(request);
    struct page page = {.request = request, .size = size, .plus = plus, .nodes = BUFFER_INIT};
    /* Four bytes: what entries are filled up with, on average. */
    struct tree_room room = {size, fuse_add_direntry_plus(request, NULL, 0, "", NULL, 0) + 4};
    uint64_t begun = vigil_begin(&mount->vigil);
    int status = -ENOMEM;

    /* Who only wants the names of a very large directory should wait neither for its sizes nor for all its names. */
    page.known = plus && (!vigil_is_kept(&mount->vigil) || position < MOST_TOLD) &&
                 tree_listing_complete(listing);
    if (position == 0)
        ahead_begin(mount->ahead, directory);

    page.data = malloc(size);
    if (page.data)
        status =
            tree_readdir(listing, position, page.known ? &room : NULL, page_add, &page);
    if (status == 0)
        status = buffer_status(&page.nodes);
    if (page.known)
        tree_keep_listing(listing);
    page_send(&page, status);
    vigil_end(&mount->vigil, begun);
    if (page.known) {
        atomic_fetch_add(&mount->at_leisure, 1);
        tree_look_ahead(listing, status ? 0 : page.next, &room);
        atomic_fetch_sub(&mount->at_leisure, 1);
    }
    buffer_release(&page.nodes);
    free(page.data);
}
