/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The calls that can fail, but for allocations. Each is defined here by the name that the linker knows, counts, and goes on to
 * the C library's own.
 *
 * What the C library calls inside of itself is not seen: so its functions on streams and directories are here, too. What is read
 * from the kernel's channel and answered there does not fail: it would not on any disk.
 */
#include "tests/mount/failing.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    CHANGES = 1,       /* a file or a name */
    NEEDS_SPACE = 2,   /* may fail for want of it */
    INTERRUPTIBLE = 4, /* may fail with EINTR */
    MAY_BE_SHORT = 8,
};

enum { NOWHERE = -1, FUSE_MAJOR = 10, FUSE_MINOR = 229 };

/* Where the C library has a function. */
struct next {
    const char *name;
    void **where;
};

extern struct next __start_failing_next[], __stop_failing_next[];

/* Early: the helper process of shield.h must not search. */
__attribute__((constructor)) static void find_all(void)
{
    for (struct next *next = __start_failing_next; next < __stop_failing_next; next++)
        *next->where = dlsym(RTLD_NEXT, next->name);
}

/* --- which calls fail --- */

static bool look(int fd, struct stat *out)
{
    return syscall(SYS_newfstatat, fd, "", out, AT_EMPTY_PATH) == 0;
}

static bool is_counted(int fd)
{
    uint64_t device = atomic_load(&failing->device);
    struct stat stat;
    int before = errno;
    bool known;

    if (fd == NOWHERE)
        return true;
    known = look(fd, &stat);
    errno = before;
    if (known && S_ISCHR(stat.st_mode) && stat.st_rdev == makedev(FUSE_MAJOR, FUSE_MINOR))
        return false;
    return !device || (fd > 2 && known && stat.st_dev == device);
}

/* The errno of this mode for such a call, 0: it does not count. Negative: it does not fail by an errno. */
static int mode_code(unsigned traits, int code)
{
    switch (atomic_load(&failing->mode)) {
    case FAILING_CALLS:
        return code;
    case FAILING_SPACE:
        return traits & NEEDS_SPACE ? ENOSPC : 0;
    case FAILING_DISK:
        return traits & CHANGES ? EIO : 0;
    case FAILING_SIGNALS:
        return traits & INTERRUPTIBLE ? EINTR : 0;
    case FAILING_SHORT:
        return traits & MAY_BE_SHORT ? -1 : 0;
    case FAILING_KILL:
    case FAILING_KILL_ALL:
    case FAILING_KILL_TORN:
        return traits & CHANGES ? -1 : 0;
    }
    return 0;
}

/* 0 or errno; negative: it is this one's turn, in another way. */
static int turn_of(const char *name, int fd, unsigned traits, int code)
{
    int wanted = failing ? mode_code(traits, code) : 0;

    if (!wanted || !is_counted(fd) || !failing_now())
        return 0;
    snprintf(failing->name, sizeof failing->name, "%s", name);
    return wanted;
}

/* Returns in a helper process that lives on. */
static void die(void)
{
    pid_t program = (pid_t)atomic_load(&failing->pid), self = (pid_t)syscall(SYS_getpid);

    syscall(SYS_kill, program, SIGKILL);
    if (self != program && atomic_load(&failing->mode) != FAILING_KILL)
        syscall(SYS_kill, self, SIGKILL);
}

/* Whether the call is to fail: then errno is set. */
static bool fails(const char *name, int fd, unsigned traits, int code)
{
    int wanted = turn_of(name, fd, traits, code);

    if (wanted > 0)
        errno = wanted;
    else if (wanted < 0)
        die();
    return wanted > 0;
}

/* --- calls --- */

#define NEXT(type, symbol, parameters)                                                             \
    static type(*next_##symbol) parameters;                                                        \
    __attribute__((used, section("failing_next"))) static struct next entry_##symbol = {           \
        #symbol, (void **)&next_##symbol};                                                         \
    type call_##symbol parameters __asm__(#symbol);

/* Calls may come before the constructor. */
#define GO_ON(symbol)                                                                              \
    (next_##symbol ? next_##symbol                                                                 \
                   : (*entry_##symbol.where = dlsym(RTLD_NEXT, #symbol), next_##symbol))

/* `failed` is what it returns then. */
#define CALL(type, failed, symbol, parameters, arguments, fd, traits, code)                        \
    NEXT(type, symbol, parameters)                                                                 \
    type call_##symbol parameters                                                                  \
    {                                                                                              \
        return fails(#symbol, fd, traits, code) ? (failed) : GO_ON(symbol) arguments;              \
    }

/* Of so many bytes; there is a way to do less. */
#define COUNTED(symbol, parameters, arguments, half, fd, traits, is_short)                                   \
    NEXT(ssize_t, symbol, parameters)                                                              \
    ssize_t call_##symbol parameters                                                               \
    {                                                                                              \
        uint64_t mode = failing ? atomic_load(&failing->mode) : 0;                                 \
        int wanted = turn_of(#symbol, fd, (traits) | INTERRUPTIBLE | (is_short), EIO);           \
                                                                                                   \
        if (wanted > 0)                                                                            \
            return errno = wanted, -1;                                                             \
        if (wanted < 0 && mode == FAILING_SHORT)                                                   \
            return GO_ON(symbol) half;                                                             \
        if (wanted < 0 && mode == FAILING_KILL_TORN)                                               \
            GO_ON(symbol) half;                                                                    \
        if (wanted < 0)                                                                            \
            die();                                                                                 \
        return GO_ON(symbol) arguments;                                                            \
    }

#define WRITES (CHANGES | NEEDS_SPACE)
#define HALF ((size + 1) / 2)
COUNTED(read, (int fd, void *data, size_t size), (fd, data, size), (fd, data, HALF), fd, 0,
        MAY_BE_SHORT)
COUNTED(pread64, (int fd, void *data, size_t size, off_t at), (fd, data, size, at),
        (fd, data, HALF, at), fd, 0, MAY_BE_SHORT)
COUNTED(write, (int fd, const void *data, size_t size), (fd, data, size), (fd, data, HALF), fd,
        WRITES, MAY_BE_SHORT)
COUNTED(pwrite64, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at),
        (fd, data, HALF, at), fd, WRITES, MAY_BE_SHORT)
COUNTED(writev, (int fd, const struct iovec *parts, int count), (fd, parts, count),
        (fd, parts, (count + 1) / 2), fd, WRITES, MAY_BE_SHORT)
/* Those of libtdb, which takes a half for a failure, and a key of which it read a half for another key. */
COUNTED(pread, (int fd, void *data, size_t size, off_t at), (fd, data, size, at),
        (fd, data, HALF, at), fd, 0, 0)
COUNTED(pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at),
        (fd, data, HALF, at), fd, WRITES, 0)

#define FD_CALL(symbol, parameters, arguments, traits, code)                                       \
    CALL(int, -1, symbol, parameters, arguments, fd, traits, code)
#define PATH_CALL(symbol, parameters, arguments, traits, code)                                     \
    CALL(int, -1, symbol, parameters, arguments, NOWHERE, traits, code)

FD_CALL(ftruncate, (int fd, off_t size), (fd, size), WRITES | INTERRUPTIBLE, EIO)
FD_CALL(ftruncate64, (int fd, off_t size), (fd, size), WRITES | INTERRUPTIBLE, EIO)
FD_CALL(fsync, (int fd), (fd), WRITES, EIO)
FD_CALL(fdatasync, (int fd), (fd), WRITES, EIO)
FD_CALL(fchmod, (int fd, mode_t mode), (fd, mode), CHANGES, EPERM)
FD_CALL(fchown, (int fd, uid_t user, gid_t group), (fd, user, group), CHANGES, EPERM)
FD_CALL(fstat, (int fd, void *out), (fd, out), 0, EIO)
FD_CALL(fstat64, (int fd, void *out), (fd, out), 0, EIO)
FD_CALL(flock, (int fd, int how), (fd, how), how &LOCK_NB ? 0 : INTERRUPTIBLE, how &LOCK_UN ? 0 : ENOLCK)
FD_CALL(lockf, (int fd, int how, off_t size), (fd, how, size), 0, ENOLCK)
FD_CALL(ioctl, (int fd, unsigned long request, void *argument), (fd, request, argument), 0, ENOTTY)
CALL(off_t, -1, lseek, (int fd, off_t at, int from), (fd, at, from), fd, 0, EIO)
CALL(off_t, -1, lseek64, (int fd, off_t at, int from), (fd, at, from), fd, 0, EIO)

PATH_CALL(msync, (void *at, size_t size, int how), (at, size, how), CHANGES, EIO)
PATH_CALL(rename, (const char *from, const char *to), (from, to), WRITES, EIO)
PATH_CALL(renameat2, (int from_at, const char *from, int to_at, const char *to, unsigned flags),
          (from_at, from, to_at, to, flags), WRITES, EIO)
PATH_CALL(link, (const char *from, const char *to), (from, to), WRITES, EIO)
PATH_CALL(linkat, (int from_at, const char *from, int to_at, const char *to, int flags),
          (from_at, from, to_at, to, flags), WRITES, EIO)
PATH_CALL(unlink, (const char *path), (path), CHANGES, EIO)
PATH_CALL(unlinkat, (int at, const char *path, int flags), (at, path, flags), CHANGES, EIO)
PATH_CALL(mkdir, (const char *path, mode_t mode), (path, mode), WRITES, EIO)
PATH_CALL(rmdir, (const char *path), (path), CHANGES, EIO)
PATH_CALL(chmod, (const char *path, mode_t mode), (path, mode), CHANGES, EPERM)
PATH_CALL(utime, (const char *path, const void *times), (path, times), CHANGES, EPERM)
CALL(ssize_t, -1, getrandom, (void *out, size_t size, unsigned flags), (out, size, flags), NOWHERE, 0, ENOSYS)
PATH_CALL(chdir, (const char *path), (path), 0, EACCES)
PATH_CALL(stat, (const char *path, void *out), (path, out), 0, EIO)
PATH_CALL(stat64, (const char *path, void *out), (path, out), 0, EIO)
PATH_CALL(lstat, (const char *path, void *out), (path, out), 0, EIO)
PATH_CALL(lstat64, (const char *path, void *out), (path, out), 0, EIO)
PATH_CALL(statx, (int at, const char *path, int flags, unsigned mask, void *out),
          (at, path, flags, mask, out), 0, EIO)
PATH_CALL(access, (const char *path, int how), (path, how), 0, EACCES)
PATH_CALL(statfs64, (const char *path, void *out), (path, out), 0, EIO)
PATH_CALL(statvfs64, (const char *path, void *out), (path, out), 0, EIO)
CALL(ssize_t, -1, readlink, (const char *path, char *out, size_t size), (path, out, size), NOWHERE,
     0, EIO)
CALL(char *, NULL, realpath, (const char *path, char *out), (path, out), NOWHERE, 0, EIO)
CALL(char *, NULL, __realpath_chk, (const char *path, char *out, size_t size), (path, out, size),
     NOWHERE, 0, EIO)
CALL(char *, NULL, getcwd, (char *out, size_t size), (out, size), NOWHERE, 0, ENOENT)

/* New descriptors. */
#define OPEN_TRAITS                                                                                \
    (INTERRUPTIBLE | (flags & (O_CREAT | O_TRUNC) || (flags & O_TMPFILE) == O_TMPFILE ? WRITES : 0))
PATH_CALL(open, (const char *path, int flags, mode_t mode), (path, flags, mode), OPEN_TRAITS,
          EMFILE)
PATH_CALL(open64, (const char *path, int flags, mode_t mode), (path, flags, mode), OPEN_TRAITS,
          EMFILE)
PATH_CALL(openat, (int at, const char *path, int flags, mode_t mode), (at, path, flags, mode),
          OPEN_TRAITS, EMFILE)
PATH_CALL(__open_2, (const char *path, int flags), (path, flags), OPEN_TRAITS, EMFILE)
PATH_CALL(memfd_create, (const char *name, unsigned flags), (name, flags), NEEDS_SPACE, EMFILE)
PATH_CALL(mkstemp, (char *name), (name), WRITES, EMFILE)
PATH_CALL(pipe, (int *ends), (ends), 0, EMFILE)
PATH_CALL(pipe2, (int *ends, int flags), (ends, flags), 0, EMFILE)
PATH_CALL(dup2, (int from, int to), (from, to), 0, EBUSY)
PATH_CALL(socket, (int domain, int type, int protocol), (domain, type, protocol), 0, EMFILE)
PATH_CALL(socketpair, (int domain, int type, int protocol, int *ends),
          (domain, type, protocol, ends), 0, EMFILE)
CALL(FILE *, NULL, fopen, (const char *path, const char *mode), (path, mode), NOWHERE, 0, EMFILE)
CALL(FILE *, NULL, fopen64, (const char *path, const char *mode), (path, mode), NOWHERE, 0, EMFILE)
CALL(DIR *, NULL, opendir, (const char *path), (path), NOWHERE, 0, EMFILE)
CALL(void *, NULL, readdir, (DIR * directory), (directory), NOWHERE, 0, EIO)
CALL(void *, NULL, readdir64, (DIR * directory), (directory), NOWHERE, 0, EIO)
CALL(ssize_t, -1, __getdelim, (char **line, size_t *size, int end, FILE *file),
     (line, size, end, file), NOWHERE, 0, EIO)
CALL(size_t, 0, fread, (void *data, size_t size, size_t count, FILE *file),
     (data, size, count, file), NOWHERE, 0, EIO)

/* The rest. */
CALL(void *, MAP_FAILED, mmap, (void *at, size_t size, int how, int flags, int fd, off_t from),
     (at, size, how, flags, fd, from), NOWHERE, 0, ENOMEM)
CALL(void *, MAP_FAILED, mmap64, (void *at, size_t size, int how, int flags, int fd, off_t from),
     (at, size, how, flags, fd, from), NOWHERE, 0, ENOMEM)
CALL(void *, MAP_FAILED, mremap, (void *at, size_t size, size_t wanted, int flags, void *to),
     (at, size, wanted, flags, to), NOWHERE, 0, ENOMEM)
CALL(int, EAGAIN, pthread_create,
     (pthread_t * thread, const pthread_attr_t *how, void *(*run)(void *), void *argument),
     (thread, how, run, argument), NOWHERE, 0, EAGAIN)
PATH_CALL(fork, (void), (), 0, EAGAIN)
PATH_CALL(clone,
          (int (*run)(void *), void *stack, int flags, void *argument, void *a, void *b, void *c),
          (run, stack, flags, argument, a, b, c), 0, EAGAIN)
PATH_CALL(waitpid, (int pid, int *status, int options), (pid, status, options), INTERRUPTIBLE, 0)
PATH_CALL(mount,
          (const char *what, const char *where, const char *type, unsigned long flags,
           const void *data),
          (what, where, type, flags, data), 0, EPERM)
CALL(long, -1, sysconf, (int name), (name), NOWHERE, 0, EINVAL)

/* What it returns is errno itself. */
NEXT(int, posix_fallocate, (int fd, off_t from, off_t size))
int call_posix_fallocate(int fd, off_t from, off_t size)
{
    return fails("posix_fallocate", fd, WRITES | INTERRUPTIBLE, EIO)
               ? errno
               : GO_ON(posix_fallocate)(fd, from, size);
}

/* Fails when it is done, as with NFS. */
NEXT(int, close, (int fd))
int call_close(int fd)
{
    bool failed = fails("close", fd, 0, EIO);
    int result = GO_ON(close)(fd);

    return failed ? (errno = EIO, -1) : result;
}

/*
 * Locks and copies of descriptors; to unlock does not fail. Locks fail once only: SQLite takes any failure in its log's index for
 * somebody else's lock, and where it goes on waits ten seconds for each request.
 */
static bool fcntl_fails(int fd, int command, const void *argument)
{
    const struct flock *lock = argument;
    bool for_ever = failing && atomic_load(&failing->end) > UINT64_MAX / 8;

    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
        return fails("fcntl", fd, 0, EMFILE);
    if (!for_ever && (command == F_SETLK || command == F_SETLKW) && lock->l_type != F_UNLCK)
        return fails("fcntl", fd, command == F_SETLKW ? INTERRUPTIBLE : 0, ENOLCK);
    return false;
}
NEXT(int, fcntl, (int fd, int command, void *argument))
int call_fcntl(int fd, int command, void *argument)
{
    return fcntl_fails(fd, command, argument) ? -1 : GO_ON(fcntl)(fd, command, argument);
}
NEXT(int, fcntl64, (int fd, int command, void *argument))
int call_fcntl64(int fd, int command, void *argument)
{
    return fcntl_fails(fd, command, argument) ? -1 : GO_ON(fcntl64)(fd, command, argument);
}
