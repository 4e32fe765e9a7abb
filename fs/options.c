/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/options.h"

#include "fs/settings.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

enum {
    DEFAULT_LOCK_TIMEOUT = 5, /* seconds; as Python's sqlite3 waits */
    DEFAULT_MAX_VALUE_MIB = 256,
};

void options_pass(struct options *options, const char *name, const char *value)
{
    struct buffer *fuse = &options->fuse;

    if (fuse->size)
        buffer_add_byte(fuse, ',');
    buffer_add_string(fuse, name);
    if (!value)
        return;
    buffer_add_byte(fuse, '=');
    for (; *value; value++) {
        if (*value == ',' || *value == '\\')
            buffer_add_byte(fuse, '\\');
        buffer_add_byte(fuse, (uint8_t)*value);
    }
}

/* --- the command line --- */

static const struct option long_options[] = {
    {"check", no_argument, NULL, 'C'},   {"dis", no_argument, NULL, 'D'},
    {"help", no_argument, NULL, 'h'},    {"info", no_argument, NULL, 'I'},
    {"version", no_argument, NULL, 'V'}, {0},
};

static int unknown_switch(char **argv, struct failure *failure)
{
    if (optopt == 'o')
        return failure_set(failure, -EINVAL, 0, "-o needs an option; shelvefs --help lists them");
    if (optopt)
        return failure_set(failure, -EINVAL, 0, "unknown option '-%c'; shelvefs --help lists them",
                           optopt);
    return failure_set(failure, -EINVAL, 0, "unknown option '%s'; shelvefs --help lists them",
                       argv[optind - 1]);
}

static int parse_switch(struct options *options, int letter, char **argv, struct failure *failure)
{
    switch (letter) {
    case 'h':
        options->action = OPTIONS_HELP;
        return 0;
    case 'V':
        options->action = OPTIONS_VERSION;
        return 0;
    case 'C':
        options->action = OPTIONS_CHECK;
        return 0;
    case 'D':
        options->action = OPTIONS_DIS;
        return 0;
    case 'I':
        options->action = OPTIONS_INFO;
        return 0;
    case 'd':
        options->debug = options->foreground = true;
        return 0;
    case 'f':
        options->foreground = true;
        return 0;
    case 's':
        options->single_thread = true;
        return 0;
    case 'o':
        return settings_parse(options, optarg, failure);
    default:
        return unknown_switch(argv, failure);
    }
}

static int parse_switches(struct options *options, int argc, char **argv, struct failure *failure)
{
    int letter, status = 0;

    opterr = 0;
    optind = 0; /* start anew: glibc */
    while (status == 0 && (letter = getopt_long(argc, argv, "hVdfso:", long_options, NULL)) != -1)
        status = parse_switch(options, letter, argv, failure);
    return status;
}

/* What follows the options: DATABASE, and perhaps something else. */
static const struct usage {
    const char *line;
    const char *second; /* what else; NULL: nothing */
} usages[] = {
    [OPTIONS_MOUNT] = {"usage: shelvefs [options] DATABASE MOUNTPOINT", "mount point"},
    [OPTIONS_DIS] = {"usage: shelvefs --dis [-o options] DATABASE KEY", "key"},
    [OPTIONS_INFO] = {"usage: shelvefs --info [-o options] DATABASE", NULL},
    [OPTIONS_CHECK] = {"usage: shelvefs --check [-o options] DATABASE", NULL},
};

static int parse_operands(struct options *options, int count, char **operands,
                          struct failure *failure)
{
    const struct usage *usage = &usages[options->action];
    int wanted = usage->second ? 2 : 1;

    if (count < 1)
        return failure_set(failure, -EINVAL, 0, "no database%s%s; %s",
                           usage->second ? " and no " : "", usage->second ? usage->second : "",
                           usage->line);
    if (count < wanted)
        return failure_set(failure, -EINVAL, 0, "no %s; %s", usage->second, usage->line);
    if (count > wanted)
        return failure_set(failure, -EINVAL, 0, "one argument too many: '%s'; %s", operands[wanted],
                           usage->line);
    if (*operands[0] == '\0' || *operands[wanted - 1] == '\0')
        return failure_set(failure, -EINVAL, 0, "an empty argument; %s", usage->line);
    options->database = operands[0];
    if (options->action == OPTIONS_DIS)
        options->key = operands[1];
    else if (options->action == OPTIONS_MOUNT)
        options->mountpoint = operands[1];
    return 0;
}

static int check_combination(const struct options *options, struct failure *failure)
{
    if (options->store.flags & STORE_READ_ONLY && options->store.flags & STORE_CREATE)
        return failure_set(failure, -EINVAL, 0, "'create' does not go with a read-only mount");
    if (options->protocol != OPTIONS_AS_FOUND && options->codec != OPTIONS_AS_FOUND &&
        options->codec != CODEC_PICKLE && options->codec != CODEC_MARSHAL)
        return failure_set(failure, -EINVAL, 0,
                           "'protocol' goes with codec=pickle and codec=marshal only");
    if (options->python2 && (options->protocol < 0 || options->protocol > 2))
        return failure_set(failure, -EINVAL, 0, "'python2' goes with protocol=0, 1 or 2 only");
    return 0;
}

int options_parse(struct options *options, int argc, char **argv, struct failure *failure)
{
    int status;

    *options = (struct options){
        .scratch = true,
        .store = {.lock_timeout = DEFAULT_LOCK_TIMEOUT},
        .engine = BUFFER_INIT,
        .sidecar = BUFFER_INIT,
        .codec = OPTIONS_AS_FOUND,
        .protocol = OPTIONS_AS_FOUND,
        .rules = {.max_value = (size_t)DEFAULT_MAX_VALUE_MIB << 20},
        .fuse = BUFFER_INIT,
    };
    status = parse_switches(options, argc, argv, failure);
    if (status || options->action == OPTIONS_HELP || options->action == OPTIONS_VERSION)
        return status;
    status = parse_operands(options, argc - optind, argv + optind, failure);
    if (status == 0)
        status = check_combination(options, failure);
    if (status == 0 && options->any_user)
        options_pass(options, "default_permissions", NULL);
    return status ? status : buffer_status(&options->fuse);
}

void options_release(struct options *options)
{
    buffer_release(&options->engine);
    buffer_release(&options->sidecar);
    buffer_release(&options->fuse);
}

/* --- help --- */

void options_help(struct buffer *out)
{
    buffer_add_string(
        out, "Usage: shelvefs [options] DATABASE MOUNTPOINT\n"
             "Mounts a dbm or shelve database as a directory in which every key is a file.\n\n");
    settings_help_line(out, "-h, --help", "print this help");
    settings_help_line(out, "-V, --version", "print the version and what this build can open");
    settings_help_line(out, "--dis",
                       "with DATABASE KEY, a key's file name: list the\n"
                       "instructions of its pickle instead of mounting");
    settings_help_line(out, "--info", "with DATABASE: say what it is and who has it locked");
    settings_help_line(out, "--check", "with DATABASE: read everything, name what is damaged");
    settings_help_line(out, "-f", "stay in the foreground");
    settings_help_line(out, "-d", "stay in the foreground and show libfuse's messages");
    settings_help_line(out, "-s", "serve one request at a time");
    settings_help_line(out, "-o OPTION[,OPTION...]",
                       "see below; mount -t fuse.shelvefs takes them as well");
    buffer_add_string(out, "\nOptions of shelvefs:\n");
    settings_help(SETTINGS_OURS, out);
    buffer_add_string(out, "\nOptions of FUSE, besides those of mount(8) and fstab(5):\n");
    settings_help(SETTINGS_OF_FUSE, out);
    buffer_add_string(
        out, "\nUnmount with: fusermount3 -u MOUNTPOINT\n"
             "Exit status: 0 mounted or listed, 1 no such key or damage, 2 wrong usage, 3 the\n"
             "database cannot be opened, 4 it is locked by another process, 5 it cannot be\n"
             "mounted.\n");
}
