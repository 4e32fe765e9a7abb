/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

enum {
    DEFAULT_LOCK_TIMEOUT = 5, /* seconds; as Python's sqlite3 waits */
    DEFAULT_MAX_VALUE_MIB = 256,
    MAX_LOCK_TIMEOUT = 24 * 60 * 60,
};

/* One option while it is parsed: `value` is NULL if it has none. */
struct setting {
    const char *name, *value;
    struct failure *failure;
};

typedef int option_setter(struct options *options, const struct setting *setting);

struct option_row {
    const char *name;
    const char *value; /* what the help calls it; NULL: takes none */
    option_setter *set;
    const char *help; /* lines; NULL: not worth one (see ignored_help) */
};

static int refuse(const struct setting *setting, const char *expected)
{
    return failure_set(setting->failure, -EINVAL, 0, "'%s=%s': %s is %s", setting->name,
                       setting->value, setting->name, expected);
}

/* --- values --- */

/* A decimal number without sign or blanks, up to `most`. */
static bool parse_number(struct bytes text, uint64_t most, uint64_t *number)
{
    uint64_t sum = 0;

    if (text.size == 0)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)text.data[i] - '0';

        if (digit > 9 || digit > most || sum > (most - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *number = sum;
    return true;
}

static unsigned suffix_shift(uint8_t last)
{
    switch (last) {
    case 'k':
    case 'K':
        return 10;
    case 'm':
    case 'M':
        return 20;
    case 'g':
    case 'G':
        return 30;
    default:
        return 0;
    }
}

static bool parse_size(struct bytes text, uint64_t *size)
{
    unsigned shift = text.size ? suffix_shift(text.data[text.size - 1]) : 0;
    uint64_t number;

    if (shift)
        text.size--;
    if (!parse_number(text, (SIZE_MAX / 2) >> shift, &number) || number == 0)
        return false;
    *size = number << shift;
    return true;
}

/* --- setters of our own options --- */

static int set_codec(struct options *options, const struct setting *setting)
{
    if (strcmp(setting->value, "auto") == 0) {
        options->codec = OPTIONS_AS_FOUND;
        return 0;
    }
    options->codec = codec_from_name(setting->value);
    return options->codec >= 0 ? 0 : refuse(setting, "one of auto, marshal, pickle, raw, text");
}

static int set_create(struct options *options, const struct setting *setting)
{
    options->store.flags |= STORE_CREATE;
    return 0;
}

static int set_globals(struct options *options, const struct setting *setting)
{
    options->rules.any_globals = strcmp(setting->value, "any") == 0;
    if (!options->rules.any_globals && strcmp(setting->value, "known") != 0)
        return refuse(setting, "known or any");
    return 0;
}

static int set_lock_timeout(struct options *options, const struct setting *setting)
{
    uint64_t seconds;

    if (!parse_number(bytes_of_string(setting->value), MAX_LOCK_TIMEOUT, &seconds))
        return refuse(setting, "a number of seconds, at most a day");
    options->store.lock_timeout = (unsigned)seconds;
    return 0;
}

static int set_max_value(struct options *options, const struct setting *setting)
{
    uint64_t size;

    if (!parse_size(bytes_of_string(setting->value), &size))
        return refuse(setting, "a number of bytes above 0, or of K, M or G such as 64M");
    options->rules.max_value = size;
    return 0;
}

static int set_nolock(struct options *options, const struct setting *setting)
{
    options->store.flags |= STORE_NO_LOCK | STORE_READ_ONLY;
    options_pass(options, "ro", NULL);
    return 0;
}

static int set_nulkeys(struct options *options, const struct setting *setting)
{
    options->names = KEYNAME_NUL_HIDDEN;
    return 0;
}

static int set_uid(struct options *options, const struct setting *setting)
{
    uint64_t id;

    if (!parse_number(bytes_of_string(setting->value), UINT32_MAX - 1, &id))
        return refuse(setting, "a user's number");
    options->shown.uid = (uid_t)id;
    options->shown.set |= ATTRIBUTE_UID;
    return 0;
}

static int set_gid(struct options *options, const struct setting *setting)
{
    uint64_t id;

    if (!parse_number(bytes_of_string(setting->value), UINT32_MAX - 1, &id))
        return refuse(setting, "a group's number");
    options->shown.gid = (gid_t)id;
    options->shown.set |= ATTRIBUTE_GID;
    return 0;
}

static int set_umask(struct options *options, const struct setting *setting)
{
    size_t size = strlen(setting->value);

    if (size == 0 || size > 4 || strspn(setting->value, "01234567") != size ||
        strtoul(setting->value, NULL, 8) > 0777)
        return refuse(setting, "an octal number up to 777");
    options->shown.mode = (mode_t)(0777 & ~strtoul(setting->value, NULL, 8));
    options->shown.set |= ATTRIBUTE_MODE;
    return 0;
}

static int set_noscratch(struct options *options, const struct setting *setting)
{
    options->scratch = false;
    return 0;
}

static int set_sidecar(struct options *options, const struct setting *setting)
{
    if (*setting->value == '\0')
        return refuse(setting, "none or a path");
    options->no_sidecar = strcmp(setting->value, "none") == 0;
    buffer_clear(&options->sidecar);
    if (options->no_sidecar)
        return 0;
    buffer_add_string(&options->sidecar, setting->value);
    buffer_add_byte(&options->sidecar, '\0');
    return buffer_status(&options->sidecar);
}

static int set_python2(struct options *options, const struct setting *setting)
{
    options->python2 = true;
    return 0;
}

static int set_protocol(struct options *options, const struct setting *setting)
{
    uint64_t protocol;

    if (!parse_number(bytes_of_string(setting->value), 5, &protocol))
        return refuse(setting, "a number from 0 to 5");
    options->protocol = (int)protocol;
    return 0;
}

static int refuse_engine(const struct setting *setting)
{
    struct buffer expected = BUFFER_INIT;
    int status;

    buffer_add_string(&expected, "one of auto, ");
    store_engines(&expected);
    buffer_add_byte(&expected, '\0');
    status = buffer_status(&expected);
    if (status == 0)
        status = refuse(setting, (const char *)expected.data);
    buffer_release(&expected);
    return status;
}

static int set_store(struct options *options, const struct setting *setting)
{
    if (strcmp(setting->value, "auto") != 0 && !store_knows_engine(setting->value))
        return refuse_engine(setting);
    buffer_clear(&options->engine);
    buffer_add_string(&options->engine, setting->value);
    buffer_add_byte(&options->engine, '\0');
    if (buffer_status(&options->engine))
        return -ENOMEM;
    options->store.engine = (const char *)options->engine.data;
    return 0;
}

/* --- setters of FUSE's and mount(8)'s options --- */

static int pass(struct options *options, const struct setting *setting)
{
    options_pass(options, setting->name, setting->value);
    return 0;
}

static int set_any_user(struct options *options, const struct setting *setting)
{
    options->any_user = true;
    return pass(options, setting);
}

static int set_fsname(struct options *options, const struct setting *setting)
{
    options->named = true;
    return pass(options, setting);
}

static int set_subtype(struct options *options, const struct setting *setting)
{
    options->typed = true;
    return pass(options, setting);
}

static int set_read_only(struct options *options, const struct setting *setting)
{
    options->store.flags |= STORE_READ_ONLY;
    return pass(options, setting);
}

static int set_read_write(struct options *options, const struct setting *setting)
{
    if (options->store.flags & STORE_NO_LOCK)
        return 0;
    options->store.flags &= ~(unsigned)STORE_READ_ONLY;
    return pass(options, setting);
}

/* libfuse wants to hear of it twice: as an option, and when the session starts. */
static int set_max_read(struct options *options, const struct setting *setting)
{
    uint64_t size;

    if (!parse_number(bytes_of_string(setting->value), UINT32_MAX, &size))
        return refuse(setting, "a number of bytes");
    options->max_read = (unsigned)size;
    return pass(options, setting);
}

static int ignore(struct options *options, const struct setting *setting)
{
    return 0;
}

static const struct option_row our_options[] = {
    {"store", "ENGINE", set_store, "auto (by content, the default), dumb, sqlite or tdb"},
    {"codec", "CODEC", set_codec,
     "how values without a header are read and what new\n"
     "ones are: auto (the default), marshal, pickle, raw\n"
     "or text"},
    {"protocol", "N", set_protocol,
     "pickle protocol or marshal version of new values,\n0 to 5; by default the database's own"},
    {"python2", NULL, set_python2,
     "with protocol=0, 1 or 2: str is that of Python 2, to\nrestore what Python 2 stored"},
    {"create", NULL, set_create, "make the database when it does not exist"},
    {"globals", "WHICH", set_globals,
     "known (the default): a save may not name a class or\n"
     "function that the value did not name before, except\n"
     "harmless ones; any: it may"},
    {"max_value", "BYTES", set_max_value, "largest text and value; K, M, G; default 256M"},
    {"lock_timeout", "SECONDS", set_lock_timeout,
     "how long to wait for another process; default 5"},
    {"nolock", NULL, set_nolock, "read a locked database without its lock; implies ro"},
    {"noscratch", NULL, set_noscratch, "editors' temporary files become keys, too"},
    {"uid", "N", set_uid, "the owner of all files, whoever owns the database"},
    {"gid", "N", set_gid, "their group"},
    {"umask", "MASK", set_umask, "permissions that no file has, in octal; all have\nthe others"},
    {"nulkeys", NULL, set_nulkeys,
     "keys end in NUL, as C programs store them; names do\nnot show it"},
    {"sidecar", "PATH", set_sidecar,
     "where times, modes and what is no key are kept; by\ndefault in .NAME.shelvefs; none: nowhere"},
};

static const struct option_row fuse_options[] = {
    {"ro", NULL, set_read_only, "read only"},
    {"allow_other", NULL, set_any_user, "other users may use the mount, as permissions allow"},
    {"allow_root", NULL, set_any_user, "root may use the mount"},
    {"auto_unmount", NULL, pass, "unmount when the process ends, however it ends"},
    {"default_permissions", NULL, pass, "check permissions; implied by allow_other"},
    {"fsname", "NAME", set_fsname, "source in /proc/mounts; default DATABASE"},
    {"subtype", "NAME", set_subtype, "type in /proc/mounts; default shelvefs"},
    {"max_read", "BYTES", set_max_read, "largest read request"},
    {"context", "CONTEXT", pass, "SELinux context; likewise fscontext, defcontext,\nrootcontext"},
};

/* Options without a line of their own in the help. */
static const struct option_row quiet_options[] = {
    {"rw", NULL, set_read_write, NULL},
    {"suid", NULL, pass, NULL},
    {"nosuid", NULL, pass, NULL},
    {"dev", NULL, pass, NULL},
    {"nodev", NULL, pass, NULL},
    {"exec", NULL, pass, NULL},
    {"noexec", NULL, pass, NULL},
    {"sync", NULL, pass, NULL},
    {"async", NULL, pass, NULL},
    {"dirsync", NULL, pass, NULL},
    {"atime", NULL, pass, NULL},
    {"noatime", NULL, pass, NULL},
    {"fscontext", "CONTEXT", pass, NULL},
    {"defcontext", "CONTEXT", pass, NULL},
    {"rootcontext", "CONTEXT", pass, NULL},
    /* What /etc/fstab holds for mount(8) itself. */
    {"auto", NULL, ignore, NULL},
    {"noauto", NULL, ignore, NULL},
    {"user", NULL, ignore, NULL},
    {"user", "NAME", ignore, NULL},
    {"nouser", NULL, ignore, NULL},
    {"users", NULL, ignore, NULL},
    {"owner", NULL, ignore, NULL},
    {"group", NULL, ignore, NULL},
    {"defaults", NULL, ignore, NULL},
    {"nofail", NULL, ignore, NULL},
    {"_netdev", NULL, ignore, NULL},
    {"relatime", NULL, ignore, NULL},
    {"norelatime", NULL, ignore, NULL},
    {"strictatime", NULL, ignore, NULL},
    {"nostrictatime", NULL, ignore, NULL},
    {"lazytime", NULL, ignore, NULL},
    {"nolazytime", NULL, ignore, NULL},
    {"diratime", NULL, ignore, NULL},
    {"nodiratime", NULL, ignore, NULL},
    {"comment", "TEXT", ignore, NULL},
};

struct option_group {
    const struct option_row *rows;
    size_t count;
};

static const struct option_group groups[] = {
    {our_options, ARRAY_SIZE(our_options)},
    {fuse_options, ARRAY_SIZE(fuse_options)},
    {quiet_options, ARRAY_SIZE(quiet_options)},
};

/* --- the list after -o --- */

/* The row of that name, preferably one that agrees about a value; NULL: none. */
static const struct option_row *find_row(const char *name, bool with_value)
{
    const struct option_row *found = NULL;

    for (size_t g = 0; g < ARRAY_SIZE(groups); g++)
        for (size_t i = 0; i < groups[g].count; i++)
            if (strcmp(groups[g].rows[i].name, name) == 0 &&
                (!found || !groups[g].rows[i].value == !with_value))
                found = &groups[g].rows[i];
    return found;
}

/* systemd's and libmount's words; they mean nothing to a filesystem. */
static bool is_for_others(const char *name)
{
    return strncmp(name, "x-", 2) == 0 || strncmp(name, "X-", 2) == 0;
}

/* `text` is NAME or NAME=VALUE. */
static int set_option(struct options *options, char *text, struct failure *failure)
{
    char *equals = strchr(text, '=');
    struct setting setting = {text, equals ? equals + 1 : NULL, failure};
    const struct option_row *row;

    if (equals)
        *equals = '\0';
    if (*text == '\0' && !equals)
        return 0;
    if (is_for_others(text))
        return 0;
    row = find_row(text, equals != NULL);
    if (!row)
        return failure_set(failure, -EINVAL, 0, "unknown option '%s'; shelvefs --help lists them",
                           text);
    if (row->value && !equals)
        return failure_set(failure, -EINVAL, 0, "'%s' needs a value: -o %s=%s", text, text,
                           row->value);
    if (!row->value && equals)
        return failure_set(failure, -EINVAL, 0, "'%s' takes no value", text);
    return row->set(options, &setting);
}

/* Cuts the next option off the list, in place: a backslash takes the meaning from a comma or a backslash. */
static char *next_option(char **list)
{
    char *start = *list, *to = start, *from = start;

    while (*from && *from != ',') {
        if (*from == '\\' && from[1])
            from++;
        *to++ = *from++;
    }
    *list = *from ? from + 1 : NULL;
    *to = '\0';
    return start;
}

static int set_options(struct options *options, const char *list, struct failure *failure)
{
    char *copy = strdup(list), *rest = copy;
    int status = copy ? 0 : -ENOMEM;

    while (status == 0 && rest)
        status = set_option(options, next_option(&rest), failure);
    free(copy);
    return status;
}

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
    {"check", no_argument, NULL, 'C'},
    {"dis", no_argument, NULL, 'D'},
    {"help", no_argument, NULL, 'h'},
    {"info", no_argument, NULL, 'I'},
    {"version", no_argument, NULL, 'V'},
    {0},
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
        return set_options(options, optarg, failure);
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
        return failure_set(failure, -EINVAL, 0, "no database%s%s; %s", usage->second ? " and no " : "",
                           usage->second ? usage->second : "", usage->line);
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
        return failure_set(failure, -EINVAL, 0, "'protocol' goes with codec=pickle and codec=marshal only");
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

enum { HELP_COLUMN = 27 };

static void add_help(struct buffer *out, const char *left, const char *lines)
{
    size_t start = out->size;

    buffer_printf(out, "  %s", left);
    for (;;) {
        size_t size = strcspn(lines, "\n");

        if (out->size - start >= HELP_COLUMN) {
            buffer_add_byte(out, '\n');
            start = out->size;
        }
        buffer_printf(out, "%*s%.*s\n", (int)(HELP_COLUMN - (out->size - start)), "", (int)size,
                      lines);
        if (!lines[size])
            return;
        lines += size + 1;
        start = out->size;
    }
}

static void add_rows(struct buffer *out, const struct option_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buffer left = BUFFER_INIT;

        buffer_printf(&left, "-o %s%s%s", rows[i].name, rows[i].value ? "=" : "",
                      rows[i].value ? rows[i].value : "");
        buffer_add_byte(&left, '\0');
        if (buffer_status(&left) == 0)
            add_help(out, (const char *)left.data, rows[i].help);
        buffer_release(&left);
    }
}

void options_help(struct buffer *out)
{
    buffer_add_string(
        out, "Usage: shelvefs [options] DATABASE MOUNTPOINT\n"
             "Mounts a dbm or shelve database as a directory in which every key is a file.\n\n");
    add_help(out, "-h, --help", "print this help");
    add_help(out, "-V, --version", "print the version and what this build can open");
    add_help(out, "--dis", "with DATABASE KEY, a key's file name: list the\n"
                           "instructions of its pickle instead of mounting");
    add_help(out, "--info", "with DATABASE: say what it is and who has it locked");
    add_help(out, "--check", "with DATABASE: read everything, name what is damaged");
    add_help(out, "-f", "stay in the foreground");
    add_help(out, "-d", "stay in the foreground and show libfuse's messages");
    add_help(out, "-s", "serve one request at a time");
    add_help(out, "-o OPTION[,OPTION...]", "see below; mount -t fuse.shelvefs takes them as well");
    buffer_add_string(out, "\nOptions of shelvefs:\n");
    add_rows(out, our_options, ARRAY_SIZE(our_options));
    buffer_add_string(out, "\nOptions of FUSE, besides those of mount(8) and fstab(5):\n");
    add_rows(out, fuse_options, ARRAY_SIZE(fuse_options));
    buffer_add_string(out,
                      "\nUnmount with: fusermount3 -u MOUNTPOINT\n"
                      "Exit status: 0 mounted or listed, 1 no such key or damage, 2 wrong usage, 3 the\n"
                      "database cannot be opened, 4 it is locked by another process, 5 it cannot be\n"
                      "mounted.\n");
}
