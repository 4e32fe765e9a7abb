/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A file of libtdb as it is used here: by the engine (store/tdb.c) and by the sidecar.
 *
 * - One handle for the process. Opening and closing the file by any other means would drop its
 *   POSIX locks, in the middle of a transaction too; so whoever wants to know something about it
 *   uses stat().
 * - TDB_NOMMAP: a file that another process truncates is an error, not SIGBUS.
 * - libtdb says nothing; its errors are negative errno: -ENOENT, -EEXIST, -EROFS, -EBUSY (somebody
 *   else holds a lock), -ENOMEM, what the kernel said when it refused to write for want of room,
 *   else -EIO.
 * - Changes happen between tdbfile_begin() and tdbfile_end(). libtdb writes its recovery record
 *   before it touches anything in place, so a process killed anywhere leaves the old or the new state to
 *   the next one that opens the file.
 *
 * Not for several threads: its users have locks of their own.
 */
#ifndef SHELVEFS_TDBFILE_H
#define SHELVEFS_TDBFILE_H

#include "src/bytes.h"

#include <sys/stat.h>

struct tdbfile;

enum tdbfile_flags {
    TDBFILE_READ_ONLY = 1 << 0,
    TDBFILE_NO_LOCK = 1 << 1,
    TDBFILE_NO_FOLLOW = 1 << 2, /* a symbolic link is -ELOOP */
};

enum { TDBFILE_LARGEST = INT32_MAX }; /* key and value; the file itself ends at 4 GiB */

/*
 * -EUCLEAN: the header makes no sense, or the file is shorter than it says; -EBUSY: it is open in this
 * process already.
 */
int tdbfile_open(const char *path, unsigned flags, struct tdbfile **out);

/*
 * Whether the programs of a file lock it by mutexes in the file (libtdb's TDB_MUTEX_LOCKING): libtdb opens it for others
 * only to read, else it fails with -EUCLEAN.
 */
bool tdbfile_has_mutexes(const char *path);
/* The file is closed all the same. NULL is allowed. */
int tdbfile_close(struct tdbfile *file);
/* Makes an empty file of this name, which is a new one's temporary name and may exist, empty. */
int tdbfile_make(const char *path, int hash_size);

/* Appends the value. */
int tdbfile_fetch(struct tdbfile *file, struct bytes key, struct buffer *value);
/* 1, 0 or negative errno. */
int tdbfile_exists(struct tdbfile *file, struct bytes key);
/* Until it is let go, other processes may read, and what is fetched is looked for in memory, without a lock for each record. */
int tdbfile_hold(struct tdbfile *file, bool begins);
/* It will not be held again for a while: gives back what was kept for that. */
void tdbfile_rest(struct tdbfile *file);
/* Return false to stop. Slices are borrowed for the call, in which the file must not be used. */
typedef bool tdbfile_visitor(void *context, struct bytes key, struct bytes value);
/* Each record once that is there during all of it. -EIO: besides, there are some that can't be read. */
int tdbfile_visit(struct tdbfile *file, tdbfile_visitor *visitor, void *context);
/* The same for the keys alone, without those that no search finds, which takes much less: the values are not read. */
typedef bool tdbfile_key_visitor(void *context, struct bytes key);
int tdbfile_visit_keys(struct tdbfile *file, tdbfile_key_visitor *visitor, void *context);

/* Waits `seconds` for another process's transaction, then -EBUSY. */
int tdbfile_begin(struct tdbfile *file, unsigned seconds);
/*
 * These belong between tdbfile_begin() and tdbfile_end(), unless nobody else knows the file yet. `insert`: -EEXIST if
 * the key exists.
 */
int tdbfile_put(struct tdbfile *file, struct bytes key, struct bytes value, bool insert);
int tdbfile_remove(struct tdbfile *file, struct bytes key);
/* Commits if `status` is 0, else takes back what was done and returns `status`. */
int tdbfile_end(struct tdbfile *file, int status);
/*
 * Whether commits wait for the disk, as they do at first. Without, a commit survives the end of the process, but a
 * power cut may damage the file: the kernel writes its pages in any order.
 */
void tdbfile_wait_for_disk(struct tdbfile *file, bool wait);

/* Walks all structures of the file: -EUCLEAN if any makes no sense, or was written on a machine of the other byte order. */
int tdbfile_check(struct tdbfile *file);
/*
 * Mends what a crash leaves where no value is (tdbgaps.h): 1 if there was something. Files of more than 64 MiB are not looked at, nor
 * those that somebody locks for more than `seconds`: 0. -EUCLEAN: the file is damaged, and was left as it is.
 */
int tdbfile_mend(struct tdbfile *file, unsigned seconds);
/*
 * For a file that only one process may use at a time: a lock that lasts until the file is closed. -EBUSY: another process
 * has it. Who doesn't ask is not kept out.
 */
int tdbfile_claim(struct tdbfile *file);
int tdbfile_stat(struct tdbfile *file, struct stat *out);
/*
 * Whether somebody has written another file over it, or cut it, so that libtdb's idea of where things are is wrong: then it
 * has to be opened again. `now`: what stat() says of it.
 */
bool tdbfile_was_overwritten(struct tdbfile *file, const struct stat *now);
/* Gives it this owner, as far as that is permitted, and permission bits. */
int tdbfile_own_as(struct tdbfile *file, const struct stat *like);

#endif
