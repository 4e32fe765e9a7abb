/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { MAX_WORDS = 12 };

/* "shelvefs" and the words of a line that blanks separate. */
struct command {
    char line[240];
    char *argv[MAX_WORDS + 2];
    int argc;
};

static struct command *command_split(struct command *command, const char *line)
{
    char *rest = NULL;

    assert_true(strlen(line) < sizeof command->line);
    strcpy(command->line, line);
    command->argc = 0;
    command->argv[command->argc++] = "shelvefs";
    for (char *word = strtok_r(command->line, " ", &rest); word;
         word = strtok_r(NULL, " ", &rest)) {
        assert_true(command->argc <= MAX_WORDS);
        command->argv[command->argc++] = word;
    }
    command->argv[command->argc] = NULL;
    return command;
}

static void parse(struct options *options, struct command *command, const char *line)
{
    struct failure failure = {0};

    command_split(command, line);
    assert_int_equal(options_parse(options, command->argc, command->argv, &failure), 0);
    assert_int_equal(failure.code, 0);
}

/* What libfuse is given. */
static void assert_passed(const struct options *options, const char *expected)
{
    assert_true(bytes_equal(buffer_bytes(&options->fuse), bytes_of_string(expected)));
}

static void test_defaults(void **state)
{
    struct command command;
    struct options options;

    parse(&options, &command, "db mnt");
    assert_int_equal(options.action, OPTIONS_MOUNT);
    assert_string_equal(options.database, "db");
    assert_string_equal(options.mountpoint, "mnt");
    assert_false(options.foreground || options.debug || options.single_thread);
    assert_true(options.scratch);
    assert_int_equal(options.names, KEYNAME_EXACT);
    assert_int_equal(options.store.flags, 0);
    assert_null(options.store.engine);
    assert_int_equal(options.store.lock_timeout, 5);
    assert_int_equal(options.codec, OPTIONS_AS_FOUND);
    assert_int_equal(options.protocol, OPTIONS_AS_FOUND);
    assert_false(options.python2);
    assert_false(options.rules.any_globals);
    assert_int_equal(options.rules.max_value, 256 << 20);
    assert_passed(&options, "");
    options_release(&options);
}

static void test_our_options(void **state)
{
    struct command command;
    struct options options;

    parse(&options, &command,
          "-fs -o store=tdb,codec=pickle,protocol=2,python2,create -o globals=any,max_value=64M,noscratch,nulkeys,uid=1,gid=2,umask=027 "
          "-olock_timeout=0 db mnt");
    assert_true(options.foreground && options.single_thread && !options.debug);
    assert_string_equal(options.store.engine, "tdb");
    assert_int_equal(options.codec, CODEC_PICKLE);
    assert_int_equal(options.protocol, 2);
    assert_true(options.python2);
    assert_int_equal(options.store.flags, STORE_CREATE);
    assert_true(options.rules.any_globals);
    assert_int_equal(options.rules.max_value, 64 << 20);
    assert_int_equal(options.store.lock_timeout, 0);
    assert_false(options.scratch);
    assert_int_equal(options.names, KEYNAME_NUL_HIDDEN);
    assert_int_equal(options.shown.set, ATTRIBUTE_UID | ATTRIBUTE_GID | ATTRIBUTE_MODE);
    assert_int_equal(options.shown.uid, 1);
    assert_int_equal(options.shown.gid, 2);
    assert_int_equal(options.shown.mode, 0750);
    assert_passed(&options, "");
    options_release(&options);
}

static const struct {
    const char *line;
    unsigned flags;
    const char *passed;
} mounts[] = {
    /* as mount(8) and /etc/fstab write them */
    {"db mnt -o rw", 0, "rw"},
    {"db mnt -o rw,suid,dev,exec,auto,nouser,async", 0, "rw,suid,dev,exec,async"},
    {"db mnt -o rw,noauto,user,_netdev,nofail,x-systemd.automount,X-mount.mkdir=0755", 0, "rw"},
    {"db mnt -o rw,user=me,users,defaults,comment=mine,relatime", 0, "rw"},
    {"db mnt -o ,,rw,", 0, "rw"},
    {"-o ro db mnt", STORE_READ_ONLY, "ro"},
    {"-o ro,rw db mnt", 0, "ro,rw"},
    {"-o nolock db mnt", STORE_READ_ONLY | STORE_NO_LOCK, "ro"},
    {"-o nolock,rw db mnt", STORE_READ_ONLY | STORE_NO_LOCK, "ro"},
    {"-o allow_other,max_read=4096 db mnt", 0, "allow_other,max_read=4096,default_permissions"},
    {"-o allow_root db mnt", 0, "allow_root,default_permissions"},
    /* a comma in a value is escaped on the way in and on the way out */
    {"-o fsname=a\\,b\\\\c db mnt", 0, "fsname=a\\,b\\\\c"},
    {"-o subtype=x db mnt", 0, "subtype=x"},
};

static void test_mount_options(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
        struct command command;
        struct options options;

        parse(&options, &command, mounts[i].line);
        assert_int_equal(options.store.flags, mounts[i].flags);
        assert_passed(&options, mounts[i].passed);
        assert_string_equal(options.database, "db");
        assert_string_equal(options.mountpoint, "mnt");
        options_release(&options);
    }
}

static void test_actions(void **state)
{
    static const struct {
        const char *line;
        enum options_action action;
    } lines[] = {
        {"-h", OPTIONS_HELP},
        {"--help", OPTIONS_HELP},
        {"-V", OPTIONS_VERSION},
        {"--version", OPTIONS_VERSION},
        {"--dis db key", OPTIONS_DIS},
        {"db --dis key -o nolock", OPTIONS_DIS},
        {"--info db", OPTIONS_INFO},
        {"--check -o store=dumb db", OPTIONS_CHECK},
    };

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        struct command command;
        struct options options;

        parse(&options, &command, lines[i].line);
        assert_int_equal(options.action, lines[i].action);
        options_release(&options);
    }
}

static void test_debug_stays_in_the_foreground(void **state)
{
    struct command command;
    struct options options;

    parse(&options, &command, "-d -- -db mnt");
    assert_true(options.debug && options.foreground);
    assert_string_equal(options.database, "-db");
    options_release(&options);
}

static const struct {
    const char *line, *message;
} mistakes[] = {
    {"", "no database and no mount point; usage: shelvefs [options] DATABASE MOUNTPOINT"},
    {"--info", "no database; usage: shelvefs --info [-o options] DATABASE"},
    {"--check db mnt", "one argument too many: 'mnt'; usage: shelvefs --check [-o options] DATABASE"},
    {"db", "no mount point; usage: shelvefs [options] DATABASE MOUNTPOINT"},
    {"db mnt more", "one argument too many: 'more'; usage: shelvefs [options] DATABASE MOUNTPOINT"},
    {"-x db mnt", "unknown option '-x'; shelvefs --help lists them"},
    {"--nonsense db mnt", "unknown option '--nonsense'; shelvefs --help lists them"},
    {"db mnt -o", "-o needs an option; shelvefs --help lists them"},
    {"-o nonsense db mnt", "unknown option 'nonsense'; shelvefs --help lists them"},
    {"-o rw,=x db mnt", "unknown option ''; shelvefs --help lists them"},
    {"-o sidecars=x db mnt", "unknown option 'sidecars'; shelvefs --help lists them"},
    {"-o sidecar db mnt", "'sidecar' needs a value: -o sidecar=PATH"},
    {"-o sidecar= db mnt", "'sidecar=': sidecar is none or a path"},
    {"-o create=1 db mnt", "'create' takes no value"},
    {"-o codec db mnt", "'codec' needs a value: -o codec=CODEC"},
    {"-o codec=json db mnt", "'codec=json': codec is one of auto, marshal, pickle, raw, text"},
    {"-o codec= db mnt", "'codec=': codec is one of auto, marshal, pickle, raw, text"},
    {"-o protocol=6 db mnt", "'protocol=6': protocol is a number from 0 to 5"},
    {"-o protocol=-1 db mnt", "'protocol=-1': protocol is a number from 0 to 5"},
    {"-o globals=all db mnt", "'globals=all': globals is known or any"},
    {"-o uid=root db mnt", "'uid=root': uid is a user's number"},
    {"-o gid=4294967295 db mnt", "'gid=4294967295': gid is a group's number"},
    {"-o umask=1777 db mnt", "'umask=1777': umask is an octal number up to 777"},
    {"-o umask=8 db mnt", "'umask=8': umask is an octal number up to 777"},
    {"-o lock_timeout=1s db mnt",
     "'lock_timeout=1s': lock_timeout is a number of seconds, at most a day"},
    {"-o lock_timeout=86401 db mnt",
     "'lock_timeout=86401': lock_timeout is a number of seconds, at most a day"},
    {"-o create,ro db mnt", "'create' does not go with a read-only mount"},
    {"-o create,nolock db mnt", "'create' does not go with a read-only mount"},
    {"-o python2 db mnt", "'python2' goes with protocol=0, 1 or 2 only"},
    {"-o protocol=3,python2 db mnt", "'python2' goes with protocol=0, 1 or 2 only"},
    {"-o codec=raw,protocol=2 db mnt", "'protocol' goes with codec=pickle and codec=marshal only"},
};

static void test_mistakes(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
        struct command command;
        struct failure failure = {0};
        struct options options;

        command_split(&command, mistakes[i].line);
        assert_int_equal(options_parse(&options, command.argc, command.argv, &failure), -EINVAL);
        assert_string_equal(failure.message, mistakes[i].message);
        options_release(&options);
    }
}

static void test_unknown_engine_names_those_there_are(void **state)
{
    struct command command;
    struct failure failure = {0};
    struct options options;

    command_split(&command, "-o store=oracle db mnt");
    assert_int_equal(options_parse(&options, command.argc, command.argv, &failure), -EINVAL);
    assert_non_null(strstr(failure.message, "'store=oracle': store is one of auto, "));
    assert_non_null(strstr(failure.message, "tdb"));
    options_release(&options);
}

static const struct {
    const char *text;
    uint64_t size; /* 0: refused */
} sizes[] = {
    {"1", 1},
    {"4096", 4096},
    {"2k", 2048},
    {"2K", 2048},
    {"3m", 3 << 20},
    {"1G", 1 << 30},
    {"0", 0},
    {"", 0},
    {"K", 0},
    {"-1", 0},
    {"1T", 0},
    {"1.5M", 0},
    {"1 K", 0},
    {"0x10", 0},
    {"99999999999999999999", 0},
    {"9007199254740992G", 0},
};

static void test_sizes(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        char option[80] = "max_value=";
        char *argv[] = {"shelvefs", "-o", option, "db", "mnt", NULL};
        struct options options;
        int status;

        strcat(option, sizes[i].text);
        status = options_parse(&options, 5, argv, NULL);
        assert_int_equal(status, sizes[i].size ? 0 : -EINVAL);
        if (sizes[i].size)
            assert_int_equal(options.rules.max_value, sizes[i].size);
        options_release(&options);
    }
}

static void test_help_fits_a_terminal(void **state)
{
    struct buffer help = BUFFER_INIT;
    struct bytes rest;

    options_help(&help);
    assert_int_equal(buffer_status(&help), 0);
    rest = buffer_bytes(&help);
    while (rest.size) {
        size_t size = bytes_find_byte(rest, '\n');

        assert_true(size < rest.size);
        assert_true(size <= 79);
        assert_true(size == 0 || rest.data[size - 1] != ' ');
        rest = bytes_part(rest, size + 1, SIZE_MAX);
    }
    buffer_release(&help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_our_options),
        cmocka_unit_test(test_mount_options),
        cmocka_unit_test(test_actions),
        cmocka_unit_test(test_debug_stays_in_the_foreground),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_unknown_engine_names_those_there_are),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_help_fits_a_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
