/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Four threads do to a few files whatever they can. Meant for the sanitizers as much as for itself.
 *
 * THREADS_SECONDS: how long, in rounds of a second (1); THREADS_SEED: of the first round (1), which gets one more each time.
 * Where a call does not come back, or the program crashes, it tells what each thread was at.
 */
#include "tests/unit/world.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

enum {
    THREADS = 4,
    PATIENCE = 100, /* seconds without any call that ends */
    OPEN_MOST = 3,  /* directories on the way to a file */
};

#define F16 "ffffffffffffffff"
#define FOLD F16 F16 F16 F16 F16 F16 F16 F16 F16 F16 F16 F16 F16 F16 "ffffffffffffff%+"
#define RAW ".shelvefs/raw/"

/* "c~" and "d~" are keys from the start. The first NAMES_RENAMED are renamed to each other. */
static const char *const names[] = {
    "a",
    "b",
    "a~",
    "b~",
    "c~",
    "d~",
    ".a.abcdef",
    "new",
    RAW "a",
    RAW "b",
    RAW "a~",
    RAW "b~",
    RAW "c~",
    RAW "new",
    FOLD "/end",
    FOLD "/end~",
    ".#link",
    ".x.swp",
    RAW FOLD "/end",
    ".shelvefs/status",
    ".shelvefs/errors",
    ".shelvefs/rejected/a",
    ".shelvefs/rejected/b",
    ".shelvefs/dis/a",
};
enum { NAMES_RENAMED = 18 };

static const char *const listed[] = {"",         "", ".shelvefs/raw", FOLD, ".shelvefs/rejected",
                                     ".shelvefs"};

struct worker {
    pthread_t thread;
    struct tree *tree;
    unsigned seed, done;
    struct timespec end;
    const char
        *failed; /* the first call that failed: cmocka's assertions belong to the main thread */
    int code;    /* what it returned */
    const char *_Atomic doing, *_Atomic on, *_Atomic to; /* for whoever asks why it hangs */
    atomic_uint finished;
};

static struct worker workers[THREADS];
static unsigned round_seed;

/* --- when something goes wrong --- */

static void tell(void)
{
    fprintf(stderr, "seed %u\n", round_seed);
    for (int i = 0; i < THREADS; i++)
        fprintf(stderr, "thread %d, call %u: %s %s %s\n", i, atomic_load(&workers[i].finished),
                atomic_load(&workers[i].doing), atomic_load(&workers[i].on),
                atomic_load(&workers[i].to));
}

/* cmocka's handlers leave the test by a jump, which only the main thread may do. */
static struct sigaction handlers[NSIG];
static const int fatal[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV};

static void crash(int number)
{
    tell();
    sigaction(number, &handlers[number], NULL);
    raise(number);
}

static void take_signals(void)
{
    struct sigaction ours = {.sa_handler = crash};

    for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
        sigaction(fatal[i], &ours, NULL);
}

/* What is ordinary among threads that take files from each other: ESTALE also says that the size has changed (told.h). */
static bool is_ordinary(int code)
{
    static const int ordinary[] = {0,      -EACCES,  -EEXIST, -EINVAL,  -EISDIR,
                                   -ELOOP, -ENODATA, -ENOENT, -ENOTDIR, -ENOTEMPTY,
                                   -EPERM, -ESTALE,  -EXDEV};

    for (size_t i = 0; i < ARRAY_SIZE(ordinary); i++) {
        if (code == ordinary[i])
            return true;
    }
    return false;
}

static int expect(struct worker *worker, const char *call, bool right, int code)
{
    if (!right && !worker->failed) {
        worker->failed = call;
        worker->code = code;
    }
    return code;
}

static int check(struct worker *worker, const char *call, int code)
{
    return expect(worker, call, is_ordinary(code), code);
}

/* --- the way to a file --- */

static unsigned pick(struct worker *worker, unsigned count)
{
    return (unsigned)rand_r(&worker->seed) % count;
}

static bool time_left(const struct worker *worker)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec < worker->end.tv_sec ||
           (now.tv_sec == worker->end.tv_sec && now.tv_nsec < worker->end.tv_nsec);
}

/* A directory and a name in it, with what the kernel would hold meanwhile. */
struct where {
    struct tree *tree;
    uint64_t held[OPEN_MOST];
    unsigned count;
    uint64_t directory;
    const char *name;
    char path[512];
};

static void leave(struct where *where)
{
    while (where->count)
        tree_forget(where->tree, where->held[--where->count], 1);
}

/* False: a fold on the way is not there. */
static bool enter(struct worker *worker, const char *path, struct where *where)
{
    char *slash, *part = where->path;
    struct stat stat;

    *where = (struct where){.tree = worker->tree, .directory = TREE_ROOT};
    snprintf(where->path, sizeof where->path, "%s", path);
    while ((slash = strchr(part, '/'))) {
        *slash = '\0';
        if (check(worker, "tree_lookup of a directory",
                  tree_lookup(where->tree, where->directory, part, &stat))) {
            leave(where);
            return false;
        }
        where->directory = where->held[where->count++] = stat.st_ino;
        part = slash + 1;
    }
    where->name = part;
    return true;
}

/* The same for the file itself, with a reference. False: it is not there. */
static bool find_file(struct worker *worker, const char *path, struct where *where, uint64_t *id)
{
    struct stat stat;
    int code;

    if (!enter(worker, path, where))
        return false;
    code = check(worker, "tree_lookup",
                 tree_lookup(where->tree, where->directory, where->name, &stat));
    leave(where);
    *id = stat.st_ino;
    return code == 0;
}

/* --- what is done to it --- */

static void no_reply(void *context, struct bytes part)
{
    unsigned *sum = context;

    for (size_t i = 0; i < part.size; i++)
        *sum += part.data[i];
}

static void read_all(struct worker *worker, struct tree_handle *handle)
{
    unsigned sum = 0;

    check(worker, "tree_read", tree_read(handle, 0, 4096, no_reply, &sum));
}

/* A refused text, and a file that may only be read, are no failures. */
static void use_handle(struct worker *worker, struct tree_handle *handle)
{
    const char *text = pick(worker, 4) ? "text\n" : "[1, 2";
    int code;

    read_all(worker, handle);
    code = tree_write(handle, pick(worker, 8), bytes_of_string(text));
    expect(worker, "tree_write", code == 0 || code == -EBADF, code);
    read_all(worker, handle);
    if (pick(worker, 2))
        check(worker, "tree_flush", tree_flush(handle));
    if (pick(worker, 8) == 0)
        check(worker, "tree_fsync", tree_fsync(handle));
    check(worker, "tree_flush", tree_flush(handle));
    tree_release(handle);
}

static void open_and_use(struct worker *worker, const char *path)
{
    static const int flags[] = {O_RDONLY, O_RDWR, O_WRONLY | O_TRUNC, O_WRONLY | O_APPEND};
    struct tree_caller caller = {.uid = getuid(), .gid = getgid()};
    int chosen = flags[pick(worker, ARRAY_SIZE(flags))];
    struct tree_handle *handle;
    enum tree_cache cache;
    struct where where;
    struct stat stat;

    if (!enter(worker, path, &where))
        return;
    if (tree_lookup(where.tree, where.directory, where.name, &stat) == 0) {
        if (check(worker, "tree_open",
                  tree_open(where.tree, stat.st_ino, chosen, &handle, &cache)) == 0)
            use_handle(worker, handle);
        tree_forget(where.tree, stat.st_ino, 1);
    } else if (check(worker, "tree_create",
                     tree_create(where.tree, where.directory, where.name, 0644,
                                 O_RDWR | (pick(worker, 2) ? O_EXCL : 0), &caller, &stat, &handle,
                                 &cache)) == 0) {
        use_handle(worker, handle);
        tree_forget(where.tree, stat.st_ino, 1);
    }
    leave(&where);
}

/* mknod(2): made, and closed without a write. */
static void make_node(struct worker *worker, const char *path)
{
    struct tree_caller caller = {.uid = getuid(), .gid = getgid()};
    struct tree_handle *handle;
    enum tree_cache cache;
    struct where where;
    struct stat stat;

    if (!enter(worker, path, &where))
        return;
    if (check(worker, "tree_create",
              tree_create(where.tree, where.directory, where.name, 0600,
                          O_CREAT | O_EXCL | O_WRONLY, &caller, &stat, &handle, &cache)) == 0) {
        tree_release(handle);
        tree_forget(where.tree, stat.st_ino, 1);
    }
    leave(&where);
}

static void make_link(struct worker *worker, const char *path)
{
    struct tree_caller caller = {.uid = getuid(), .gid = getgid()};
    struct where where;
    struct stat stat;

    if (!enter(worker, path, &where))
        return;
    if (check(worker, "tree_symlink",
              tree_symlink(where.tree, where.directory, where.name, "to/nowhere", &caller,
                           &stat)) == 0)
        tree_forget(where.tree, stat.st_ino, 1);
    leave(&where);
}

static bool take_text(void *context, uint64_t node, struct bytes text)
{
    no_reply(context, text);
    return true;
}

static void look_at(struct worker *worker, const char *path)
{
    static const char *const extended[] = {"user.shelvefs.type", "user.shelvefs.key",
                                           "user.shelvefs.error", "user.shelvefs.codec"};
    struct buffer value = BUFFER_INIT;
    struct where where;
    struct stat stat;
    unsigned sum = 0;
    uint64_t id;

    if (!find_file(worker, path, &where, &id))
        return;
    check(worker, "tree_getattr", tree_getattr(worker->tree, id, &stat));
    check(worker, "tree_getxattr",
          tree_getxattr(worker->tree, id, extended[pick(worker, ARRAY_SIZE(extended))], &value));
    buffer_clear(&value);
    check(worker, "tree_readlink", tree_readlink(worker->tree, id, &value));
    if (tree_lasts(worker->tree, id) != TREE_LASTS_NOT)
        tree_push(worker->tree, id, take_text, &sum);
    tree_forget(worker->tree, id, 1);
    buffer_release(&value);
}

static void set_attributes_of(struct worker *worker, const char *path)
{
    static const unsigned sets[] = {TREE_SET_MODE, TREE_SET_SIZE, TREE_SET_MTIME,
                                    TREE_SET_ATIME_NOW | TREE_SET_MTIME_NOW,
                                    TREE_SET_SIZE | TREE_SET_MTIME_NOW};
    const struct tree_caller caller = {.uid = getuid(), .gid = getgid()};
    struct stat stat, in = {.st_mode = 0640, .st_size = 3, .st_mtim = {.tv_sec = 1000000000}};
    struct where where;
    uint64_t id;

    if (!find_file(worker, path, &where, &id))
        return;
    check(worker, "tree_setattr",
          tree_setattr(worker->tree, id, NULL, &in, sets[pick(worker, ARRAY_SIZE(sets))], &caller,
                       &stat));
    tree_forget(worker->tree, id, 1);
}

static void rename_to(struct worker *worker, const char *from, const char *to)
{
    static const unsigned flags[] = {0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
    struct where source, target;

    if (!enter(worker, from, &source))
        return;
    if (enter(worker, to, &target)) {
        check(worker, "tree_rename",
              tree_rename(worker->tree, source.directory, source.name, target.directory,
                          target.name, flags[pick(worker, ARRAY_SIZE(flags))]));
        leave(&target);
    }
    leave(&source);
}

static void remove_file(struct worker *worker, const char *path)
{
    struct where where;

    if (!enter(worker, path, &where))
        return;
    check(worker, "tree_unlink", tree_unlink(worker->tree, where.directory, where.name));
    leave(&where);
}

static void make_or_remove_fold(struct worker *worker)
{
    struct tree_caller caller = {.uid = getuid(), .gid = getgid()};
    struct stat stat;

    if (pick(worker, 2)) {
        if (check(worker, "tree_mkdir",
                  tree_mkdir(worker->tree, TREE_ROOT, FOLD, 0755, &caller, &stat)) == 0)
            tree_forget(worker->tree, stat.st_ino, 1);
    } else {
        check(worker, "tree_rmdir",
              tree_rmdir(worker->tree, TREE_ROOT, pick(worker, 4) ? FOLD : "a"));
    }
}

/* How many entries are still wanted, whose references are ours if it is a readdirplus. */
struct reading {
    struct tree *tree;
    unsigned room;
    bool plus;
    off_t next;
};

static bool take_one(void *context, const char *name, const struct stat *stat, off_t next)
{
    struct reading *reading = context;

    if (reading->room == 0)
        return false;
    reading->room--;
    reading->next = next;
    if (reading->plus && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
        tree_forget(reading->tree, stat->st_ino, 1);
    return true;
}

/* In pieces, from a position that is not the start each second time. */
static void list_all(struct worker *worker, const char *path)
{
    struct reading reading = {.tree = worker->tree, .plus = pick(worker, 2)};
    struct tree_listing *listing;
    uint64_t id = TREE_ROOT;
    struct where where;
    off_t before;
    int code;

    if (*path && !find_file(worker, path, &where, &id))
        return;
    code = check(worker, "tree_opendir", tree_opendir(worker->tree, id, take_listing, &listing));
    if (*path)
        tree_forget(worker->tree, id, 1);
    if (code)
        return;
    reading.next = pick(worker, 2) ? 0 : (off_t)pick(worker, 8);
    do {
        before = reading.next;
        reading.room = 1 + pick(worker, 5);
        code = tree_readdir(listing, reading.next, reading.plus ? &some_room : NULL, take_one,
                            &reading);
        expect(worker, "tree_readdir", code == 0, code);
    } while (code == 0 && reading.next != before);
    if (pick(worker, 8) == 0)
        check(worker, "tree_fsyncdir", tree_fsyncdir(listing));
    tree_closedir(listing);
}

static void count_known(struct worker *worker)
{
    struct buffer known = BUFFER_INIT;
    struct statvfs statistics;

    check(worker, "tree_known", tree_known(worker->tree, &known));
    check(worker, "tree_statfs", tree_statfs(worker->tree, &statistics));
    buffer_release(&known);
}

/* --- */

static void step(struct worker *worker, const char *name, const char *to)
{
    static const char *const calls[] = {"open",    "open",  "open", "rename",  "rename",
                                        "unlink",  "list",  "look", "setattr", "mknod",
                                        "symlink", "mkdir", "tick", "known",   "open"};
    unsigned call = pick(worker, ARRAY_SIZE(calls));

    atomic_store(&worker->doing, calls[call]);
    atomic_store(&worker->on, name);
    atomic_store(&worker->to, to);
    switch (call) {
    case 3:
    case 4:
        rename_to(worker, name, to);
        break;
    case 5:
        remove_file(worker, name);
        break;
    case 6:
        list_all(worker, listed[pick(worker, ARRAY_SIZE(listed))]);
        break;
    case 7:
        look_at(worker, name);
        break;
    case 8:
        set_attributes_of(worker, name);
        break;
    case 9:
        make_node(worker, name);
        break;
    case 10:
        make_link(worker, pick(worker, 2) ? ".#link" : name);
        break;
    case 11:
        make_or_remove_fold(worker);
        break;
    case 12:
        tree_tick(worker->tree);
        break;
    case 13:
        count_known(worker);
        break;
    default:
        open_and_use(worker, name);
    }
    atomic_fetch_add(&worker->finished, 1);
}

/* Half of the calls meet at two names, where most is to be got wrong. */
static const char *some_name(struct worker *worker, unsigned count)
{
    static const char *const crowded[] = {"a", "a~", RAW "a", RAW "a~"};

    return pick(worker, 2) ? names[pick(worker, count)]
                           : crowded[pick(worker, ARRAY_SIZE(crowded))];
}

static void *work(void *context)
{
    struct worker *worker = context;

    while (time_left(worker)) {
        step(worker, some_name(worker, ARRAY_SIZE(names)), some_name(worker, NAMES_RENAMED));
        worker->done++;
    }
    return NULL;
}

static void start(struct worker *worker, struct tree *tree, unsigned seed)
{
    *worker = (struct worker){.tree = tree, .seed = seed, .doing = "nothing", .on = "", .to = ""};
    clock_gettime(CLOCK_MONOTONIC, &worker->end);
    worker->end.tv_sec++;
    assert_int_equal(pthread_create(&worker->thread, NULL, work, worker), 0);
}

/* A thread that does not end, and does nothing any more, waits for a lock that nobody gives back. */
static void join(struct worker *worker)
{
    unsigned before;
    int code;

    do {
        struct timespec limit;

        before = atomic_load(&worker->finished);
        clock_gettime(CLOCK_REALTIME, &limit);
        limit.tv_sec += PATIENCE;
        code = pthread_timedjoin_np(worker->thread, NULL, &limit);
    } while (code == ETIMEDOUT && atomic_load(&worker->finished) != before);
    if (code) {
        fprintf(stderr, "a thread hangs\n");
        abort();
    }
}

static void count_invalidation(void *context, uint64_t node, uint64_t directory, const char *name)
{
}

static void one_round(unsigned seed)
{
    struct buffer report = BUFFER_INIT;
    struct world world;

    round_seed = seed;
    world_open(&world);
    world.options.transient_seconds = 0;
    world.options.invalidate = count_invalidation;
    world_remount(&world);
    put(&world, "c~", "a key\n");
    put(&world, "d~", "[1]\n");
    for (unsigned i = 0; i < THREADS; i++)
        start(&workers[i], world.tree, seed * THREADS + i);
    for (int i = 0; i < THREADS; i++)
        join(&workers[i]);
    for (int i = 0; i < THREADS; i++) {
        if (workers[i].failed)
            fail_msg("seed %u: %s: %d", seed, workers[i].failed, workers[i].code);
        assert_true(workers[i].done > 10);
    }
    /* The tree still works, and nothing is left waiting. */
    unlink_file(&world, "b");
    assert_int_equal(echo(&world, "b", TO, "end\n"), 0);
    assert_stored(&world, "b", "end\n");
    tree_finish(world.tree, &report);
    assert_non_null(strstr(cat(&world, ".shelvefs/status"), "keys renamed to companions: 0\n"));
    buffer_release(&report);
    world_close(&world);
}

static unsigned number(const char *variable, unsigned otherwise)
{
    const char *text = getenv(variable);

    return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void test_four_threads(void **state)
{
    unsigned seed = number("THREADS_SEED", 1);

    take_signals();
    for (unsigned rounds = number("THREADS_SECONDS", 1); rounds; rounds--)
        one_round(seed++);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_four_threads),
    };

    for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
        sigaction(fatal[i], NULL, &handlers[fatal[i]]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
