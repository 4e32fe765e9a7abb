/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The command line. One table says what options there are; it parses them and prints the help.
 *
 * Accepts what mount(8) and /etc/fstab pass to a helper: "DATABASE MOUNTPOINT -o rw,noauto,user,...".
 */
#ifndef SHELVEFS_OPTIONS_H
#define SHELVEFS_OPTIONS_H

#include "codecs/codec.h"
#include "fs/attributes.h"
#include "src/keyname.h"
#include "src/store.h"

enum options_action {
    OPTIONS_MOUNT,
    OPTIONS_HELP,
    OPTIONS_VERSION,
    OPTIONS_DIS,
    OPTIONS_INFO,
    OPTIONS_CHECK
};

enum { OPTIONS_AS_FOUND = -1 }; /* the database's own */

struct options {
    enum options_action action;
    const char *database;   /* as given; borrowed from argv */
    const char *mountpoint; /* as given; borrowed from argv; only with OPTIONS_MOUNT */
    const char *key;        /* the file name of a key, with OPTIONS_DIS; borrowed from argv */
    bool foreground;
    bool debug;
    bool single_thread;
    bool scratch;
    enum keyname_style names;
    struct attributes shown; /* owner, group and mode, as far as they were given */
    bool no_sidecar;
    struct buffer sidecar; /* its path as given, NUL-terminated; empty: the usual one */
    struct store_options store;
    struct buffer engine; /* what store.engine points to */
    int codec;    /* enum codec_kind or OPTIONS_AS_FOUND */
    int protocol; /* 0-5 or OPTIONS_AS_FOUND */
    bool python2; /* str is an 8-bit string; with protocol 0 to 2 */
    struct codec_rules rules;
    unsigned max_read; /* 0: the kernel's own */
    bool any_user; /* allow_other or allow_root */
    bool named;    /* fsname= was given */
    bool typed;    /* subtype= was given */
    struct buffer fuse; /* for libfuse: a list of options, commas in values escaped */
};

/*
 * Fills `options`, which the caller releases, also after a failure. -EINVAL with a sentence: a mistake of the user;
 * -ENOMEM.
 */
int options_parse(struct options *options, int argc, char **argv, struct failure *failure);
void options_release(struct options *options);
/* Appends "NAME=VALUE" to the options for libfuse. */
void options_pass(struct options *options, const char *name, const char *value);
/* Appends the text of --help. */
void options_help(struct buffer *out);

#endif
