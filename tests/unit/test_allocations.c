/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The n-th allocation of the program fails, for n = 0, 1, 2, ... until the scenario runs through: once, and from then on. Each time
 * the answer is -ENOMEM or right, no value is lost or changed, and afterwards all works as before. What is not given back,
 * AddressSanitizer finds.
 *
 * ALLOCATIONS_ENGINES: "all", else two of them. SHELVEFS_STRIDE: how many allocations lie between two that fail.
 */
#include "fs/mount.h"
#include "tests/unit/amount.h"
#include "tests/unit/world.h"

#include <dirent.h>
#include <sys/wait.h>

/* --- memory --- */

static size_t allocations, fail_from = SIZE_MAX, fail_to = SIZE_MAX;

static bool fails(void)
{
    size_t n = allocations++;

    return n >= fail_from && n < fail_to;
}

static void arm(size_t n, bool for_ever)
{
    allocations = 0;
    fail_from = n;
    fail_to = for_ever ? SIZE_MAX : n + 1;
}

/* Whether it came to that. */
static bool disarm(void)
{
    bool reached = allocations > fail_from;

    fail_from = fail_to = SIZE_MAX;
    return reached;
}

/* meson.build has the linker put these in the place of the library's. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);

static void *no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? no_memory() : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? no_memory() : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? no_memory() : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? no_memory() : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
    return fails() ? no_memory() : __real_strndup(text, size);
}

/* A mount's guard (fs/guard.h) has nothing to guard here, and to fork takes 20 ms where AddressSanitizer has mapped its terabytes. */
pid_t __wrap_fork(void);

pid_t __wrap_fork(void)
{
    errno = ENOSYS;
    return -1;
}

/* --- a mount without a kernel --- */

#define F16 "ffffffffffffffff"
#define F224 F16 F16 F16 F16 F16 F16 F16 F16 F16 F16 F16 F16 F16 F16
#define FOLD F224 "ffffffffffffff%+"
#define OTHER_FOLD F224 "gggggggggggggg%+"
#define LONG_KEY F16 F16 F16 F16 F16 F16 F16 F16 F16 F16 F16 F16 F16 F16 F16 F16

struct setting {
    const char *engine;
    char folder[64], path[80];
    struct log log;
    struct startup startup;
    struct mount mount;
    struct failure failure;
    struct world world; /* a view of the mount for the helpers of world.h */
};

static int open_mount(struct setting *setting)
{
    char how[64], *argv[] = {"shelvefs", "-o", how, setting->path, "/", NULL};
    struct options options;
    int code;

    snprintf(how, sizeof how, "create,store=%s", setting->engine);
    setting->failure = (struct failure){0};
    startup_init(&setting->startup);
    code = options_parse(&options, 5, argv, &setting->failure);
    if (code) /* as main() does */
        failure_set(&setting->failure, code, 0, "out of memory");
    else
        code = mount_open(&setting->mount, &options, &setting->log, &setting->startup,
                          &setting->failure);
    options_release(&options);
    if (code)
        return code;
    setting->world = (struct world){
        .store = setting->mount.store,
        .tree = setting->mount.tree,
        .options = {.dialect = {.codec = CODEC_PICKLE, .protocol = 4},
                    .rules = {.max_value = MAX_VALUE}},
        .caller = {.uid = getuid(), .gid = getgid()},
        .read = BUFFER_INIT,
    };
    return 0;
}

static int close_mount(struct setting *setting)
{
    buffer_release(&setting->world.read);
    return mount_close(&setting->mount);
}

static void remove_all(const char *folder)
{
    DIR *directory = opendir(folder);
    struct dirent *entry;
    char path[400];

    assert_non_null(directory);
    while ((entry = readdir(directory))) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2)
            assert_int_equal(unlink(path), 0);
    }
    closedir(directory);
    assert_int_equal(rmdir(folder), 0);
}

/* --- what is done --- */

/* The id of a path below the root, with one reference. */
static int look_up(struct world *world, const char *path, uint64_t *id)
{
    uint64_t node = TREE_ROOT;
    char copy[600], *rest = copy, *part;
    struct stat stat;

    snprintf(copy, sizeof copy, "%s", path);
    while ((part = strsep(&rest, "/"))) {
        int code = tree_lookup(world->tree, node, part, &stat);

        if (node != TREE_ROOT)
            tree_forget(world->tree, node, 1);
        if (code)
            return code;
        node = stat.st_ino;
    }
    *id = node;
    return 0;
}

static void forget(struct world *world, uint64_t id)
{
    if (id != TREE_ROOT)
        tree_forget(world->tree, id, 1);
}

/* Its parent, and the name in that. */
static int look_up_parent(struct world *world, const char *path, uint64_t *id, const char **name)
{
    const char *slash = strrchr(path, '/');
    char folder[600];

    *id = TREE_ROOT;
    *name = slash ? slash + 1 : path;
    if (!slash)
        return 0;
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    return look_up(world, folder, id);
}

static int read_path(struct world *world, const char *path)
{
    struct tree_handle *handle;
    enum tree_cache cache;
    uint64_t id;
    int code = look_up(world, path, &id);

    if (code)
        return code;
    code = tree_open(world->tree, id, O_RDONLY, &handle, &cache);
    if (code == 0) {
        code = tree_read(handle, 0, SIZE_MAX / 2, take_part, &world->read);
        tree_release(handle);
    }
    forget(world, id);
    return code;
}

/* Writes, as a program that looks at each result does. */
static int write_path(struct world *world, const char *path, const char *text)
{
    struct tree_handle *handle;
    enum tree_cache cache;
    struct stat stat;
    const char *name;
    uint64_t directory, id = 0;
    int code = look_up_parent(world, path, &directory, &name), flushed;

    if (code)
        return code;
    code = tree_lookup(world->tree, directory, name, &stat);
    if (code == 0) {
        id = stat.st_ino;
        code = tree_open(world->tree, id, O_WRONLY | O_TRUNC, &handle, &cache);
    } else if (code == -ENOENT) {
        code = tree_create(world->tree, directory, name, 0644, O_WRONLY | O_TRUNC, &world->caller,
                           &stat, &handle, &cache);
        id = code ? 0 : stat.st_ino;
    }
    if (code == 0) {
        code = tree_write(handle, 0, bytes_of_string(text));
        flushed = tree_flush(handle);
        code = code ? code : flushed;
        flushed = tree_fsync(handle);
        code = code ? code : flushed;
        tree_release(handle);
    }
    if (id)
        forget(world, id);
    forget(world, directory);
    return code;
}

static int move(struct world *world, const char *from, const char *to, unsigned flags)
{
    return tree_rename(world->tree, TREE_ROOT, from, TREE_ROOT, to, flags);
}

static bool count_entry(void *context, const char *name, const struct stat *stat, off_t next)
{
    struct setting *setting = context;

    setting->world.invalidated++;
    if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
        tree_forget(setting->mount.tree, stat->st_ino, 1);
    return true;
}

static int list_path(struct setting *setting, const char *path, unsigned expected)
{
    struct tree_listing *listing;
    uint64_t id = TREE_ROOT;
    int code = *path ? look_up(&setting->world, path, &id) : 0;

    if (code)
        return code;
    setting->world.invalidated = 0;
    code = tree_opendir(setting->world.tree, id, take_listing, &listing);
    forget(&setting->world, id);
    if (code)
        return code;
    code = tree_readdir(listing, 0, &some_room, count_entry, setting);
    tree_closedir(listing);
    if (code == 0)
        assert_int_equal(setting->world.invalidated, expected);
    return code;
}

static int list_root(struct setting *setting)
{
    return list_path(setting, "", 5);
}

static int list_fold(struct setting *setting)
{
    return list_path(setting, FOLD, 3);
}

static int read_value(struct setting *setting)
{
    int code = read_path(&setting->world, "k");

    if (code == 0)
        assert_string_equal((char *)setting->world.read.data, "old\n");
    return code;
}

/* After a save, nothing of it is in the cache. */
static int read_anew(struct setting *setting)
{
    int code = read_path(&setting->world, "list");

    if (code == 0)
        assert_string_equal((char *)setting->world.read.data, "[1, 2]\n");
    return code;
}

static int read_views(struct setting *setting)
{
    int code = read_path(&setting->world, ".shelvefs/raw/list");

    if (code == 0)
        code = read_path(&setting->world, ".shelvefs/dis/list");
    if (code == 0)
        assert_non_null(strstr((char *)setting->world.read.data, "STOP"));
    return code;
}

static int read_status(struct setting *setting)
{
    int code = read_path(&setting->world, ".shelvefs/status");

    if (code == 0)
        assert_non_null(strstr((char *)setting->world.read.data, "\nkeys: 3\n"));
    return code ? code : read_path(&setting->world, ".shelvefs/errors");
}

static int save(struct setting *setting)
{
    return write_path(&setting->world, "k", "new\n");
}

static int save_list(struct setting *setting)
{
    return write_path(&setting->world, "k", "{'new': [1, 2.5, ('a', None)]}\n");
}

static int save_refused(struct setting *setting)
{
    int code = write_path(&setting->world, "list", "[1, 2");

    assert_true(code == -EINVAL || code == -ENOMEM);
    return code == -EINVAL ? 0 : code;
}

static int save_new(struct setting *setting)
{
    return write_path(&setting->world, "fresh", "new\n");
}

static int save_long(struct setting *setting)
{
    return write_path(&setting->world, FOLD "/fresh", "new\n");
}

static int save_companion(struct setting *setting)
{
    return write_path(&setting->world, ".k.swp", "anything\n");
}

static int rename_a_key(struct setting *setting)
{
    return move(&setting->world, "k", "l", 0);
}

static int save_by_rename(struct setting *setting)
{
    int code = write_path(&setting->world, ".k.aB3dE6", "new\n");

    return code ? code : move(&setting->world, ".k.aB3dE6", "k", 0);
}

static int save_with_backup(struct setting *setting)
{
    int code = move(&setting->world, "k", "k~", 0);

    return code ? code : write_path(&setting->world, "k", "new\n");
}

static int backup_alone(struct setting *setting)
{
    int code = move(&setting->world, "k", "k~", 0);

    tree_tick(setting->mount.tree);
    return code;
}

static int exchange(struct setting *setting)
{
    return move(&setting->world, "k", "list", RENAME_EXCHANGE);
}

static int remove_key(struct setting *setting)
{
    return tree_unlink(setting->world.tree, TREE_ROOT, "k");
}

static int set_attributes_all(struct setting *setting)
{
    static const unsigned sets[] = {TREE_SET_MODE, TREE_SET_MTIME | TREE_SET_ATIME_NOW,
                                    TREE_SET_SIZE};
    struct stat in = {.st_mode = 0640, .st_mtim = {.tv_sec = 1000000000}, .st_size = 4}, out;
    struct world *world = &setting->world;
    uint64_t id;
    int code = look_up(world, "k", &id);

    if (code)
        return code;
    for (size_t i = 0; code == 0 && i < ARRAY_SIZE(sets); i++)
        code = tree_setattr(world->tree, id, NULL, &in, sets[i], &world->caller, &out);
    forget(world, id);
    return code;
}

static int truncate_key(struct setting *setting)
{
    struct stat in = {.st_size = 1}, out;
    struct world *world = &setting->world;
    uint64_t id;
    int code = look_up(world, "k", &id);

    if (code)
        return code;
    code = tree_setattr(world->tree, id, NULL, &in, TREE_SET_SIZE, &world->caller, &out);
    forget(world, id);
    return code;
}

static int read_extended(struct setting *setting)
{
    static const char *const names[] = {"user.shelvefs.key", "user.shelvefs.codec",
                                        "user.shelvefs.type"};
    struct world *world = &setting->world;
    struct buffer value = BUFFER_INIT;
    uint64_t id;
    int code = look_up(world, "k", &id);

    if (code)
        return code;
    for (size_t i = 0; code == 0 && i < ARRAY_SIZE(names); i++) {
        buffer_clear(&value);
        code = tree_getxattr(world->tree, id, names[i], &value);
    }
    buffer_clear(&value);
    if (code == 0)
        code = tree_listxattr(world->tree, id, &value);
    buffer_release(&value);
    forget(world, id);
    return code;
}

static int make_link(struct setting *setting)
{
    struct world *world = &setting->world;
    struct stat stat;
    int code =
        tree_symlink(world->tree, TREE_ROOT, ".#k", "somebody@somewhere", &world->caller, &stat);

    if (code == 0)
        forget(world, stat.st_ino);
    return code;
}

static int make_directory(struct setting *setting)
{
    struct world *world = &setting->world;
    struct stat stat;
    int code = tree_mkdir(world->tree, TREE_ROOT, OTHER_FOLD, 0755, &world->caller, &stat);

    if (code == 0)
        forget(world, stat.st_ino);
    return code;
}

/* What time brings about, with something to write to the sidecar. */
static int tick(struct setting *setting)
{
    struct stat in = {.st_mode = 0600}, out;
    struct world *world = &setting->world;
    uint64_t id;
    int code = look_up(world, "k", &id);

    if (code)
        return code;
    code = tree_setattr(world->tree, id, NULL, &in, TREE_SET_MODE, &world->caller, &out);
    forget(world, id);
    tree_tick(world->tree);
    return code;
}

/* `texts`: what "k" or `other` may hold afterwards; the last one if it succeeded. */
static const struct scenario {
    const char *name;
    int (*run)(struct setting *setting);
    const char *other;
    const char *texts[3];
    bool removes;
} scenarios[] = {
    {"list", list_root, NULL, {"old\n"}, false},
    {"list a fold", list_fold, NULL, {"old\n"}, false},
    {"read", read_value, NULL, {"old\n"}, false},
    {"read anew", read_anew, NULL, {"old\n"}, false},
    {"read views", read_views, NULL, {"old\n"}, false},
    {"status", read_status, NULL, {"old\n"}, false},
    {"save", save, NULL, {"old\n", "new\n"}, false},
    {"save a list", save_list, NULL, {"old\n", "{'new': [1, 2.5, ('a', None)]}\n"}, false},
    {"save what is refused", save_refused, NULL, {"old\n"}, false},
    {"save a new key", save_new, NULL, {"old\n"}, false},
    {"save a long key", save_long, NULL, {"old\n"}, false},
    {"save a companion", save_companion, NULL, {"old\n"}, false},
    {"rename", rename_a_key, "l", {"old\n"}, false},
    {"save by rename", save_by_rename, NULL, {"old\n", "new\n"}, false},
    {"save with backup", save_with_backup, NULL, {"old\n", "new\n"}, false},
    {"backup alone", backup_alone, "k~", {"old\n"}, false},
    {"exchange", exchange, "list", {"old\n"}, false},
    {"unlink", remove_key, NULL, {"old\n"}, true},
    {"attributes", set_attributes_all, NULL, {"old\n"}, false},
    {"truncate", truncate_key, NULL, {"old\n", "o\n"}, false},
    {"extended attributes", read_extended, NULL, {"old\n"}, false},
    {"symlink", make_link, NULL, {"old\n"}, false},
    {"mkdir", make_directory, NULL, {"old\n"}, false},
    {"tick", tick, NULL, {"old\n"}, false},
};

/* --- the test --- */

static void prepare(struct setting *setting)
{
    static const char *const extra[] = {"l", "k~", "fresh", ".k.swp", ".k.aB3dE6", ".#k"};
    struct world *world = &setting->world;
    uint64_t fold;

    for (size_t i = 0; i < ARRAY_SIZE(extra); i++) {
        int code = tree_unlink(world->tree, TREE_ROOT, extra[i]);

        assert_true(code == 0 || code == -ENOENT);
    }
    tree_rmdir(world->tree, TREE_ROOT, OTHER_FOLD);
    if (look_up(world, FOLD, &fold) == 0) {
        tree_unlink(world->tree, fold, "fresh");
        forget(world, fold);
    }
    assert_int_equal(write_path(world, "list", "1\n"), 0);
    assert_int_equal(write_path(world, "list", "[1, 2]\n"), 0);
    assert_int_equal(write_path(world, "k", "0\n"), 0);
    assert_int_equal(write_path(world, "k", "old\n"), 0);
}

static bool shows(struct world *world, const char *path, const char *text)
{
    return read_path(world, path) == 0 && strcmp((char *)world->read.data, text) == 0;
}

static bool holds(struct setting *setting, const struct scenario *scenario, int code)
{
    struct world *world = &setting->world;
    size_t last = 0;

    while (last + 1 < ARRAY_SIZE(scenario->texts) && scenario->texts[last + 1])
        last++;
    for (size_t t = code == 0 ? last : 0; t <= last; t++) {
        if (shows(world, "k", scenario->texts[t]) ||
            (scenario->other && shows(world, scenario->other, scenario->texts[t])) ||
            (code && shows(world, "k~", scenario->texts[t])))
            return true;
    }
    return false;
}

/* Whether the scenario ran through. */
static bool fail_nth(struct setting *setting, const struct scenario *scenario, size_t n,
                     bool for_ever)
{
    bool reached;
    int code;

    prepare(setting);
    arm(n, for_ever);
    code = scenario->run(setting);
    reached = disarm();
    if ((code && (code != -ENOMEM || !reached)) ||
        (!holds(setting, scenario, code) && !(code == 0 && scenario->removes)))
        fail_msg("%s, %s, allocation %zu%s: %d", setting->engine, scenario->name, n,
                 for_ever ? " and all after it" : "", code);
    assert_true(shows(&setting->world, "list", "[1, 2]\n") || scenario->run == exchange);
    return !reached;
}

/* What is stored after all that: nothing else, and nothing less. */
static void check_store(struct setting *setting)
{
    prepare(setting);
    assert_stored(&setting->world, "k", "old\n");
    assert_stored(&setting->world, "list", "[1, 2]\n");
    assert_stored(&setting->world, LONG_KEY, "long\n");
    assert_int_equal(list_root(setting), 0);
    assert_int_equal(list_fold(setting), 0);
}

static const char *const engines[] = {"dumb", "tdb", "gdbm", "ndbm", "sqlite"};

static size_t engine_count(void)
{
    const char *wanted = getenv("ALLOCATIONS_ENGINES");

    return wanted && strcmp(wanted, "all") == 0 ? ARRAY_SIZE(engines) : 2;
}

static void set_up(struct setting *setting, const char *engine)
{
    const char *temporary = getenv("TMPDIR");

    *setting = (struct setting){.engine = engine};
    snprintf(setting->folder, sizeof setting->folder, "%s/allocations-XXXXXX",
             temporary ? temporary : "/tmp");
    assert_non_null(mkdtemp(setting->folder));
    snprintf(setting->path, sizeof setting->path, "%s/shelf", setting->folder);
    log_init(&setting->log, "shelvefs", open("/dev/null", O_WRONLY | O_CLOEXEC));
    assert_int_equal(open_mount(setting), 0);
    put(&setting->world, LONG_KEY, "long\n");
    prepare(setting);
}

static void tear_down(struct setting *setting)
{
    assert_int_equal(close_mount(setting), 0);
    close(setting->log.fd);
    log_release(&setting->log);
    remove_all(setting->folder);
}

static void test_requests(void **state)
{
    struct setting setting;

    for (size_t e = 0; e < engine_count(); e++) {
        set_up(&setting, engines[e]);
        for (size_t i = 0; i < 2 * ARRAY_SIZE(scenarios); i++) {
            size_t n = 0;

            while (!fail_nth(&setting, &scenarios[i / 2], n, i % 2))
                n += amount("SHELVEFS_STRIDE", 1);
            print_message("%s, %s: %zu\n", engines[e], scenarios[i / 2].name, n);
        }
        check_store(&setting);
        tear_down(&setting);
    }
}

/* Refused with a sentence, or mounted as ever. */
static bool mount_nth(struct setting *setting, size_t n, bool for_ever)
{
    bool reached;
    int code;

    arm(n, for_ever);
    code = open_mount(setting);
    reached = disarm();
    if (code) {
        assert_true(reached);
        assert_int_equal(code, -ENOMEM);
        assert_true(setting->failure.message[0]);
        assert_int_equal(open_mount(setting), 0);
    }
    assert_non_null(strstr((char *)setting->mount.summary.data, "3 keys, pickle protocol 4"));
    assert_true(shows(&setting->world, "k", "old\n"));
    assert_true(shows(&setting->world, "list", "[1, 2]\n"));
    assert_true(shows(&setting->world, ".k.swp", "anything\n"));
    return !reached;
}

static void test_mount(void **state)
{
    struct setting setting;

    for (size_t e = 0; e < engine_count(); e++) {
        set_up(&setting, engines[e]);
        assert_int_equal(save_companion(&setting), 0);
        for (int for_ever = 0; for_ever < 2; for_ever++) {
            size_t n = 0;

            do {
                assert_int_equal(close_mount(&setting), 0);
                n += amount("SHELVEFS_STRIDE", 1);
            } while (!mount_nth(&setting, n - amount("SHELVEFS_STRIDE", 1), for_ever));
            print_message("%s, mount: %zu\n", engines[e], n - amount("SHELVEFS_STRIDE", 1));
        }
        tear_down(&setting);
    }
}

/* A file that was written and not closed, a companion, a key that waits, times that are not in the sidecar yet. */
static bool unmount_nth(struct setting *setting, size_t n, bool for_ever)
{
    struct world *world = &setting->world;
    struct tree_handle *handle;
    bool reached;
    int code;

    assert_int_equal(save_companion(setting), 0);
    assert_int_equal(tick(setting), 0);
    assert_int_equal(move(world, "list", "list~", 0), 0);
    assert_int_equal(open_file(world, "k", O_WRONLY, &handle), 0);
    assert_int_equal(tree_write(handle, 0, BYTES("new")), 0);
    arm(n, for_ever);
    code = close_mount(setting);
    reached = disarm();
    assert_true(code == 0 || (reached && code == -ENOMEM));
    assert_int_equal(open_mount(setting), 0);
    assert_true(
        shows(world, "k", "new\n") ||
        (code && (shows(world, "k", "old\n") || shows(world, ".shelvefs/rejected/k", "new\n"))));
    assert_true(shows(world, "list~", "[1, 2]\n") || shows(world, "list", "[1, 2]\n"));
    assert_true(shows(world, ".k.swp", "anything\n"));
    tree_unlink(world->tree, TREE_ROOT, "list~");
    prepare(setting);
    return !reached;
}

static void test_unmount(void **state)
{
    struct setting setting;

    for (size_t e = 0; e < engine_count(); e++) {
        set_up(&setting, engines[e]);
        for (int for_ever = 0; for_ever < 2; for_ever++) {
            size_t n = 0;

            while (!unmount_nth(&setting, n, for_ever))
                n += amount("SHELVEFS_STRIDE", 1);
            print_message("%s, unmount: %zu\n", engines[e], n);
        }
        check_store(&setting);
        tear_down(&setting);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_mount),
        cmocka_unit_test(test_unmount),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
