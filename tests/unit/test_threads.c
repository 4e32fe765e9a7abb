/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Four threads do to a few files whatever they can for a second. Meant for ThreadSanitizer as much as for itself. */
#include "tests/unit/world.h"

#include <pthread.h>

enum { THREADS = 4, SECONDS = 1 };

static const char *const names[] = {
    "a", "b", "a~", "b~", ".a.abcdef", ".shelvefs/raw/a", ".shelvefs/status", "new"};

struct worker {
    pthread_t thread;
    struct tree *tree;
    unsigned seed, done;
    struct timespec end;
    const char *failed; /* the first call that failed: cmocka's assertions belong to the main thread */
    int code;           /* what it returned */
};

static void expect(struct worker *worker, const char *call, bool right, int code)
{
    if (!right && !worker->failed) {
        worker->failed = call;
        worker->code = code;
    }
}

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

/* The parent directory's reference is kept for good: directories are never freed. */
static uint64_t parent(struct worker *worker, const char **name)
{
    struct stat stat;
    int code;

    if (strncmp(*name, ".shelvefs/", 10) != 0)
        return TREE_ROOT;
    code = tree_lookup(worker->tree, TREE_ROOT, ".shelvefs", &stat);
    *name += 10;
    if (code == 0 && strncmp(*name, "raw/", 4) == 0) {
        code = tree_lookup(worker->tree, stat.st_ino, "raw", &stat);
        *name += 4;
    }
    expect(worker, "tree_lookup", code == 0, code);
    return code ? TREE_ROOT : stat.st_ino;
}

static void no_reply(void *context, struct bytes part)
{
    unsigned *sum = context;

    for (size_t i = 0; i < part.size; i++)
        *sum += part.data[i];
}

/* ESTALE: another thread changed the size since the kernel was told (told.h). */
static void read_all(struct worker *worker, struct tree_handle *handle)
{
    unsigned sum = 0;
    int code = tree_read(handle, 0, 4096, no_reply, &sum);

    expect(worker, "tree_read", code == 0 || code == -ESTALE, code);
}

static void use_handle(struct worker *worker, struct tree_handle *handle)
{
    const char *text = pick(worker, 4) ? "text\n" : "[1, 2";

    read_all(worker, handle);
    tree_write(handle, pick(worker, 8), bytes_of_string(text));
    read_all(worker, handle);
    if (pick(worker, 2))
        tree_flush(handle);
    if (pick(worker, 8) == 0)
        tree_fsync(handle);
    tree_flush(handle);
    tree_release(handle);
}

static void open_and_use(struct worker *worker, const char *path)
{
    static const int flags[] = {O_RDONLY, O_RDWR, O_WRONLY | O_TRUNC, O_WRONLY | O_APPEND};
    struct tree_caller caller = {.uid = getuid(), .gid = getgid()};
    uint64_t directory = parent(worker, &path);
    int chosen = flags[pick(worker, ARRAY_SIZE(flags))];
    struct tree_handle *handle;
    enum tree_cache cache;
    struct stat stat;

    if (tree_lookup(worker->tree, directory, path, &stat) == 0) {
        if (tree_open(worker->tree, stat.st_ino, chosen, &handle, &cache) == 0)
            use_handle(worker, handle);
        tree_forget(worker->tree, stat.st_ino, 1);
    } else if (tree_create(worker->tree, directory, path, 0644, O_RDWR, &caller, &stat, &handle,
                           &cache) == 0) {
        use_handle(worker, handle);
        tree_forget(worker->tree, stat.st_ino, 1);
    }
}

static void look_at(struct worker *worker, const char *path)
{
    const struct tree_caller caller = {.uid = getuid(), .gid = getgid()};
    struct stat stat, in = {.st_mode = 0640, .st_size = 3};
    struct buffer value = BUFFER_INIT;
    uint64_t directory = parent(worker, &path);

    if (tree_lookup(worker->tree, directory, path, &stat))
        return;
    tree_getattr(worker->tree, stat.st_ino, &stat);
    tree_getxattr(worker->tree, stat.st_ino, "user.shelvefs.type", &value);
    tree_setattr(worker->tree, stat.st_ino, NULL, &in,
                 pick(worker, 2) ? TREE_SET_MODE : TREE_SET_SIZE, &caller, &stat);
    tree_forget(worker->tree, stat.st_ino, 1);
    buffer_release(&value);
}

static bool forget_entry(void *context, const char *name, const struct stat *stat, off_t next)
{
    struct worker *worker = context;

    if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
        tree_forget(worker->tree, stat->st_ino, 1);
    return true;
}

static void list_all(struct worker *worker)
{
    struct tree_listing *listing;
    int code = tree_opendir(worker->tree, TREE_ROOT, &listing);

    expect(worker, "tree_opendir", code == 0, code);
    if (code)
        return;
    code = tree_readdir(listing, 0, true, forget_entry, worker);
    expect(worker, "tree_readdir", code == 0, code);
    tree_closedir(listing);
}

static void *work(void *context)
{
    struct worker *worker = context;

    while (time_left(worker)) {
        const char *name = names[pick(worker, ARRAY_SIZE(names))];
        const char *other = names[pick(worker, 5)], *source = names[pick(worker, 5)];

        switch (pick(worker, 7)) {
        case 0:
        case 1:
            open_and_use(worker, name);
            break;
        case 2:
            tree_rename(worker->tree, TREE_ROOT, source, TREE_ROOT, other, 0);
            break;
        case 3:
            tree_unlink(worker->tree, TREE_ROOT, source);
            break;
        case 4:
            list_all(worker);
            break;
        case 5:
            look_at(worker, name);
            break;
        case 6:
            tree_tick(worker->tree);
            break;
        }
        worker->done++;
    }
    return NULL;
}

static void count_invalidation(void *context, uint64_t node, uint64_t directory, const char *name)
{
}

static void test_four_threads(void **state)
{
    struct worker workers[THREADS];
    struct buffer report = BUFFER_INIT;
    struct world world;

    world_open(&world);
    world.options.transient_seconds = 0;
    world.options.invalidate = count_invalidation;
    world_remount(&world);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.tree = world.tree, .seed = (unsigned)i + 1};
        clock_gettime(CLOCK_MONOTONIC, &workers[i].end);
        workers[i].end.tv_sec += SECONDS;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        if (workers[i].failed)
            fail_msg("%s: %d", workers[i].failed, workers[i].code);
        assert_true(workers[i].done > 10);
    }
    /* The tree still works. */
    unlink_file(&world, "b");
    assert_int_equal(echo(&world, "b", TO, "end\n"), 0);
    assert_stored(&world, "b", "end\n");
    tree_finish(world.tree, &report);
    buffer_release(&report);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_four_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
