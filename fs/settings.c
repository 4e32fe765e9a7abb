/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/settings.h"

#include <errno.h>
#include <stdlib.h>

enum { MAX_LOCK_TIMEOUT = 24 * 60 * 60 };

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
    {"store", "ENGINE", set_store, 
     "auto (by content, the default), dumb, gdbm, ndbm,\nsqlite or tdb"},
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
     "where times, modes and what is no key are kept; by\ndefault in .NAME.shelvefs; none: "
     "nowhere"},
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

static const struct option_group {
    const struct option_row *rows;
    size_t count;
} groups[] = {
    [SETTINGS_OURS] = {our_options, ARRAY_SIZE(our_options)},
    [SETTINGS_OF_FUSE] = {fuse_options, ARRAY_SIZE(fuse_options)},
    [SETTINGS_QUIET] = {quiet_options, ARRAY_SIZE(quiet_options)},
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

int settings_parse(struct options *options, const char *list, struct failure *failure)
{
    char *copy = strdup(list), *rest = copy;
    int status = copy ? 0 : -ENOMEM;

    while (status == 0 && rest)
        status = set_option(options, next_option(&rest), failure);
    free(copy);
    return status;
}

/* --- help --- */

enum { HELP_COLUMN = 27 };

void settings_help_line(struct buffer *out, const char *left, const char *lines)
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

void settings_help(enum settings_group group, struct buffer *out)
{
    const struct option_row *rows = groups[group].rows;

    for (size_t i = 0; i < groups[group].count; i++) {
        struct buffer left = BUFFER_INIT;

        buffer_printf(&left, "-o %s%s%s", rows[i].name, rows[i].value ? "=" : "",
                      rows[i].value ? rows[i].value : "");
        buffer_add_byte(&left, '\0');
        if (buffer_status(&left) == 0)
            settings_help_line(out, (const char *)left.data, rows[i].help);
        buffer_release(&left);
    }
}
