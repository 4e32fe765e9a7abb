/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/control.h"

#include "fs/content.h"
#include "fs/keeper.h"
#include "fs/tree_state.h"
#include "src/keyname.h"
#include "src/log.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

enum {
    DEEP_SHOWN = 100, /* keys */
    KEY_SHOWN = 200,  /* bytes of each */
    PATH_SHOWN = 300, /* bytes of a file's path in messages, less some from its middle */
};

void control_release(struct control *control)
{
    for (size_t i = 0; i < ERRORS_KEPT; i++)
        free(control->errors[i].text);
}

/* --- status and errors --- */

struct census {
    size_t keys;
    size_t folded;          /* keys in directories */
    size_t deep;            /* keys whose paths no program can say in one piece */
    struct buffer examples; /* of the first of them, escaped, a line each */
    struct buffer path;
    enum keyname_style style;
};

static void add_key_escaped(struct buffer *out, struct bytes key)
{
    for (size_t i = 0; i < key.size && i < KEY_SHOWN; i++) {
        uint8_t byte = key.data[i];

        if (byte <= 0x20 || byte >= 0x7f || byte == '%')
            buffer_printf(out, "%%%02X", byte);
        else
            buffer_add_byte(out, byte);
    }
}

static void show_deep(struct census *census, struct bytes key)
{
    buffer_printf(&census->examples, "  (%zu bytes) ", key.size);
    add_key_escaped(&census->examples, key);
    buffer_add_string(&census->examples, key.size > KEY_SHOWN ? "...\n" : "\n");
}

static bool count_key(void *context, struct bytes key)
{
    struct census *census = context;

    census->keys++;
    if (!keyname_may_fold(key.size))
        return true;
    buffer_clear(&census->path);
    keyname_encode(census->style, key, &census->path);
    if (census->path.size > KEYNAME_MAX)
        census->folded++;
    if (census->path.size >= PATH_MAX && census->deep++ < DEEP_SHOWN)
        show_deep(census, key);
    return buffer_status(&census->path) == 0;
}

/* Tree lock held. */
static void report_memory(struct tree *tree, struct buffer *out)
{
    size_t companions = 0, transients = 0, displaced = 0, rejected = 0;
    struct list *at;

    for (at = tree->nodes.held.next; at != &tree->nodes.held; at = at->next) {
        struct node *node = CONTAINER_OF(at, struct node, held);

        if (node->kind == NODE_REJECTED)
            rejected++;
        else if (node->shape == SHAPE_COMPANION)
            companions++;
        else
            transients++;
    }
    for (at = tree->displaced.next; at != &tree->displaced; at = at->next)
        displaced++;
    buffer_printf(out, "companion files: %zu\n", companions);
    buffer_printf(out, "files that are not keys yet: %zu\n", transients);
    buffer_printf(out, "keys renamed to companions: %zu\n", displaced);
    buffer_printf(out, "rejected texts: %zu\n", rejected);
    buffer_printf(out, "refusals: %zu\n", tree->control.refused);
    buffer_printf(out, "files in memory: %zu\n", tree->nodes.by_id.count - DIRECTORY_COUNT);
    buffer_printf(out, "cached texts: %zu of %zu bytes\n", tree->texts.bytes, tree->texts.limit);
    for (at = tree->nodes.held.next; at != &tree->nodes.held; at = at->next) {
        struct node *node = CONTAINER_OF(at, struct node, held);

        if (node->kind == NODE_REJECTED)
            continue;
        buffer_add_string(out, node->shape == SHAPE_COMPANION ? "companion: " : "not a key yet: ");
        log_escape(bytes_of_string(node->name->text), out);
        buffer_add_byte(out, '\n');
    }
}

static int report_status(struct tree *tree, struct buffer *out)
{
    struct census census = {
        .examples = BUFFER_INIT, .path = BUFFER_INIT, .style = tree->folds.style};
    int code = store_visit(tree->store, count_key, &census);

    if (buffer_status(&census.path) || buffer_status(&census.examples))
        code = -ENOMEM;
    buffer_add_string(out, "database: ");
    log_escape(bytes_of_string(store_path(tree->store)), out);
    buffer_printf(out, "\nengine: %s\ncodec: ", store_engine(tree->store));
    dialect_describe(tree->options.dialect, out);
    buffer_printf(out, "\nread-only: %s\nnulkeys: %s\n", tree->options.read_only ? "yes" : "no",
                  tree->folds.style == KEYNAME_NUL_HIDDEN ? "yes" : "no");
    keeper_describe(tree->options.keeper, out);
    store_report_notes(tree->store, out);
    if (code == -ENOMEM)
        out->status = code;
    else if (code)
        buffer_printf(out, "keys: unknown (%s)\n", strerror(-code));
    else
        buffer_printf(out,
                      "keys: %zu\nkeys in folded directories: %zu\n"
                      "keys with a path of %d bytes or more: %zu\n",
                      census.keys, census.folded, PATH_MAX, census.deep);
    buffer_add(out, buffer_bytes(&census.examples));
    buffer_release(&census.examples);
    buffer_release(&census.path);
    pthread_mutex_lock(&tree->lock);
    report_memory(tree, out);
    pthread_mutex_unlock(&tree->lock);
    return buffer_status(out);
}

static int report_errors(struct tree *tree, struct buffer *out)
{
    size_t first, i;

    pthread_mutex_lock(&tree->lock);
    first = tree->control.refused > ERRORS_KEPT ? tree->control.refused - ERRORS_KEPT : 0;
    for (i = first; i < tree->control.refused; i++) {
        const struct refusal *refusal = &tree->control.errors[i % ERRORS_KEPT];
        char when[32];
        struct tm parts;

        localtime_r(&refusal->when.tv_sec, &parts);
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &parts);
        buffer_printf(out, "%s %s\n", when, refusal->text ? refusal->text : "(out of memory)");
    }
    pthread_mutex_unlock(&tree->lock);
    return buffer_status(out);
}

static const struct {
    const char *name;
    int (*write)(struct tree *tree, struct buffer *out);
} reports[] = {
    {"status", report_status},
    {"errors", report_errors},
};

int control_add_reports(struct tree *tree)
{
    for (size_t i = 0; i < ARRAY_SIZE(reports); i++) {
        struct place place = {.home = DIRECTORY_CONTROL};
        struct node_name *name;
        struct node *node;
        int code = node_name_new(KEYNAME_EXACT, place, reports[i].name, &name);

        if (code)
            return code;
        /* The first pin is never given back: reports are there for as long as the tree. */
        code = nodes_add(&tree->nodes, place, NODE_REPORT, name, &node);
        if (code) {
            free(name);
            return code;
        }
    }
    return 0;
}

int control_report(struct tree *tree, struct node *node, struct buffer *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(reports); i++) {
        if (strcmp(reports[i].name, node->name->text) == 0)
            return reports[i].write(tree, out);
    }
    return -EIO;
}

/* --- refusals --- */

static char *take_string(struct buffer *text)
{
    buffer_add_byte(text, 0);
    if (buffer_status(text) == 0)
        return (char *)text->data;
    buffer_release(text);
    return NULL;
}

/* The path in its view for a message, shortened if it is long; NULL: out of memory. */
static char *path_of(const struct node *node)
{
    struct buffer path = BUFFER_INIT, text = BUFFER_INIT;
    struct bytes all;

    fold_add_path(node->fold, &path);
    buffer_add(&path, bytes_of(node->name->text, node->name->size));
    all = buffer_bytes(&path);
    if (all.size > PATH_SHOWN) {
        buffer_add(&text, bytes_part(all, 0, PATH_SHOWN / 2));
        buffer_add_string(&text, "...");
        all = bytes_part(all, all.size - PATH_SHOWN / 2, SIZE_MAX);
    }
    buffer_add(&text, all);
    if (buffer_status(&path))
        text.status = buffer_status(&path);
    buffer_release(&path);
    return take_string(&text);
}

/* "line 3, column 14: ..." is the codec's own wording; the name must not drive a terminal. */
static char *describe(const char *path, const char *reason)
{
    struct buffer text = BUFFER_INIT;

    log_escape(bytes_of_string(path), &text);
    buffer_add_string(&text, ": ");
    log_escape(bytes_of_string(reason), &text);
    return take_string(&text);
}

/* Tree lock held. */
static void add_error(struct tree *tree, const char *path, const char *reason)
{
    struct refusal *refusal = &tree->control.errors[tree->control.refused++ % ERRORS_KEPT];

    free(refusal->text);
    refusal->text = describe(path, reason);
    refusal->when = tree_now();
}

/* Tree lock held. */
static void forget_rejected(struct tree *tree, struct node *node)
{
    tree_notice(tree, node);
    nodes_unlink(&tree->nodes, node);
    nodes_let_go(tree, node);
}

/* The oldest texts make room for the newest. Tree lock held. */
static void bound_rejected(struct tree *tree)
{
    size_t count = 0, bytes = 0;
    struct list *at, *previous;

    for (at = tree->nodes.held.previous; at != &tree->nodes.held; at = previous) {
        struct node *node = CONTAINER_OF(at, struct node, held);

        previous = at->previous;
        if (node->kind != NODE_REJECTED)
            continue;
        count++;
        bytes += node->cached.text ? node->cached.text->bytes.size : 0;
        if (count > REJECTED_KEPT || (count > 1 && bytes > REJECTED_BYTES))
            forget_rejected(tree, node);
    }
}

/* Tree lock held. Its node, pinned; NULL: no memory. */
static struct node *keep_text(struct tree *tree, const struct node *refused, struct text *text,
                              const char *reason)
{
    struct place place = {DIRECTORY_REJECTED, refused->fold};
    struct node *node = nodes_find(&tree->nodes, place, refused->name->text);
    struct node_name *name;

    if (node)
        forget_rejected(tree, node);
    if (node_name_new(KEYNAME_EXACT, (struct place){.home = place.home}, refused->name->text,
                      &name))
        return NULL;
    if (nodes_add(&tree->nodes, place, NODE_REJECTED, name, &node)) {
        free(name);
        return NULL;
    }
    nodes_hold(&tree->nodes, node);
    texts_set(&tree->texts, &node->cached, text);
    node->refusal = strdup(reason);
    node->own.mtime = tree_now();
    node->own.set = ATTRIBUTE_MTIME;
    bound_rejected(tree);
    return node;
}

static struct node *rejected_of(struct tree *tree, const struct node *node)
{
    return nodes_find(&tree->nodes, (struct place){DIRECTORY_REJECTED, node->fold},
                      node->name->text);
}

bool control_has_rejected(const struct tree *tree, const struct fold *fold)
{
    const struct list *at;

    for (at = tree->nodes.held.next; at != &tree->nodes.held; at = at->next) {
        const struct node *node = CONTAINER_OF(at, struct node, held);
        const struct fold *above = node->kind == NODE_REJECTED ? node->fold : NULL;

        while (above && above != fold)
            above = above->parent;
        if (above)
            return true;
    }
    return false;
}

void control_mended(struct tree *tree, const struct node *node)
{
    struct node *rejected = rejected_of(tree, node);

    if (rejected)
        forget_rejected(tree, rejected);
}

const char *control_reason(struct tree *tree, const struct node *node)
{
    struct node *rejected = rejected_of(tree, node);

    return rejected ? rejected->refusal : NULL;
}

static struct text *copy_text(struct tree *tree, struct bytes bytes)
{
    struct buffer copy = BUFFER_INIT;
    struct text *text;
    uint64_t edition;

    buffer_add(&copy, bytes);
    if (buffer_status(&copy)) {
        buffer_release(&copy);
        return NULL;
    }
    pthread_mutex_lock(&tree->lock);
    edition = ++tree->texts.editions;
    pthread_mutex_unlock(&tree->lock);
    return text_new(&copy, (struct text_id){.edition = edition, .valid = true}, &text) ? NULL
                                                                                       : text;
}

void control_refuse(struct tree *tree, struct node *node, struct bytes text,
                    const struct failure *failure)
{
    struct text *kept = copy_text(tree, text);
    char *path = path_of(node);
    const char *told = path ? path : node->name->text;
    struct node *rejected = NULL;

    node->refused = true;
    pthread_mutex_lock(&tree->lock);
    add_error(tree, told, failure->message);
    if (kept)
        rejected = keep_text(tree, node, kept, failure->message);
    pthread_mutex_unlock(&tree->lock);
    if (rejected)
        keeper_keep(tree->options.keeper, tree, rejected, true);
    node_unpin(tree, rejected);
    text_release(kept);
    log_refusal(tree->options.log, "not saved: %s: %s", told, failure->message);
    free(path);
}

int control_blocked(struct tree *tree, const struct node *node, const char *what, int code)
{
    struct buffer why = BUFFER_INIT;
    char *path, *reason;

    if (code != -EBUSY)
        return code;
    buffer_printf(&why, "%s: ", what);
    store_explain(tree->store, code, &why);
    path = path_of(node);
    reason = take_string(&why);
    if (path && reason) {
        pthread_mutex_lock(&tree->lock);
        add_error(tree, path, reason);
        pthread_mutex_unlock(&tree->lock);
        log_refusal(tree->options.log, "%s: %s", path, reason);
    }
    free(path);
    free(reason);
    return code;
}
