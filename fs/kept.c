/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/kept.h"

#include "codecs/cursor.h"
#include "fs/content.h"
#include "fs/tree_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PREFIX "file/"
#define AFTER_A_CRASH "this text was not saved when the mount ended; there is a key of this name"

enum { HEXADECIMAL_DIGITS = 16 };

/* Never change these. */
static const struct {
    char letter;
    enum node_kind kind;
} kinds[] = {
    {'s', NODE_SCRATCH},
    {'l', NODE_SYMLINK},
    {'r', NODE_REJECTED},
};

/* --- a record --- */

static void pack_string(struct buffer *out, struct bytes string)
{
    buffer_add(out, string);
    buffer_add_byte(out, 0);
}

void kept_pack(const struct kept_file *file, struct buffer *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (kinds[i].kind == file->kind)
            buffer_add_byte(out, (uint8_t)kinds[i].letter);
    }
    attributes_pack(&file->attributes, out);
    pack_string(out, bytes_of_string(directories[file->home].path));
    pack_string(out, file->path);
    pack_string(out, file->name);
    pack_string(out, file->reason);
    buffer_add(out, file->text);
}

static bool take_kind(struct cursor *cursor, enum node_kind *out)
{
    uint8_t letter = cursor_byte(cursor);

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if ((uint8_t)kinds[i].letter == letter && !cursor->failed) {
            *out = kinds[i].kind;
            return true;
        }
    }
    return false;
}

static bool take_attributes(struct cursor *cursor, struct attributes *out)
{
    struct bytes left = bytes_part(cursor->input, cursor->position, SIZE_MAX);

    if (!attributes_unpack(&left, out))
        return false;
    cursor->position = cursor->input.size - left.size;
    return true;
}

static struct bytes take_string(struct cursor *cursor)
{
    struct bytes left = bytes_part(cursor->input, cursor->position, SIZE_MAX);
    struct bytes string = cursor_take(cursor, bytes_find_byte(left, 0));

    cursor_byte(cursor);
    return string;
}

static bool find_home(struct bytes path, enum directory_number *out)
{
    for (int i = 0; i < DIRECTORY_COUNT; i++) {
        if (bytes_equal(path, bytes_of_string(directories[i].path))) {
            *out = (enum directory_number)i;
            return true;
        }
    }
    return false;
}

static bool is_component(struct bytes name)
{
    return name.size > 0 && name.size <= NAME_LONGEST && !bytes_equal(name, BYTES(".")) &&
           !bytes_equal(name, BYTES("..")) && bytes_find_byte(name, '/') == name.size;
}

/* Refused texts are in their own directory, other files where files can be made. */
static bool is_at_home(const struct kept_file *file)
{
    return file->kind == NODE_REJECTED ? file->home == DIRECTORY_REJECTED
                                       : directory_accepts(file->home);
}

bool kept_unpack(struct bytes packed, struct kept_file *out)
{
    struct cursor cursor = cursor_at(packed, 0);
    struct kept_file file;

    if (!take_kind(&cursor, &file.kind) || !take_attributes(&cursor, &file.attributes) ||
        !find_home(take_string(&cursor), &file.home))
        return false;
    file.path = take_string(&cursor);
    file.name = take_string(&cursor);
    file.reason = take_string(&cursor);
    file.text = cursor_take(&cursor, cursor_left(&cursor));
    if (cursor.failed || !is_component(file.name) || !is_at_home(&file))
        return false;
    *out = file;
    return true;
}

struct bytes kept_name(char *room, uint64_t number)
{
    snprintf(room, KEPT_NAME_SIZE, PREFIX "%016llx", (unsigned long long)number);
    return bytes_of_string(room);
}

uint64_t kept_number(struct bytes name)
{
    char room[KEPT_NAME_SIZE];
    uint64_t number = 0;

    if (name.size != strlen(PREFIX) + HEXADECIMAL_DIGITS)
        return 0;
    for (size_t i = strlen(PREFIX); i < name.size; i++) {
        uint8_t digit = name.data[i];

        number = number << 4 | (digit <= '9' ? digit - '0' : digit - 'a' + 10) % 16u;
    }
    return bytes_equal(kept_name(room, number), name) ? number : 0;
}

/* --- records --- */

int kept_records_add(struct kept_records *records, uint64_t number, struct bytes content)
{
    struct kept_record *grown;
    struct kept_record *record;

    if (records->count >= KEPT_MOST + REJECTED_KEPT ||
        content.size > KEPT_ALL_BYTES + REJECTED_BYTES - records->bytes)
        return -EFBIG;
    grown = realloc(records->records, (records->count + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    records->records = grown;
    record = &grown[records->count];
    *record = (struct kept_record){.number = number, .content = BUFFER_INIT};
    buffer_add(&record->content, content);
    if (buffer_status(&record->content)) {
        buffer_release(&record->content);
        return -ENOMEM;
    }
    records->count++;
    records->bytes += content.size;
    if (number > records->last)
        records->last = number;
    return 0;
}

void kept_records_release(struct kept_records *records)
{
    for (size_t i = 0; i < records->count; i++)
        buffer_release(&records->records[i].content);
    free(records->records);
    *records = (struct kept_records){.last = records->last};
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t left = ((const struct kept_record *)a)->number;
    uint64_t right = ((const struct kept_record *)b)->number;

    return left < right ? -1 : left > right;
}

/* --- from records to files --- */

/* The fold of that path, pinned. */
static int enter_folds(struct tree *tree, struct bytes path, struct fold **out)
{
    struct fold *fold = NULL;
    int code = 0;

    while (path.size && code == 0) {
        size_t size = bytes_find_byte(path, '/');
        struct bytes name = bytes_part(path, 0, size);
        char text[NAME_LONGEST + 1];
        struct fold *inner;

        if (size == path.size || !is_component(name)) {
            code = -EINVAL;
            break;
        }
        memcpy(text, name.data, size);
        text[size] = '\0';
        code = folds_enter(&tree->folds, fold, text, &inner);
        if (code)
            break;
        fold_unpin(&tree->folds, fold);
        fold = inner;
        path = bytes_part(path, size + 1, SIZE_MAX);
    }
    if (code)
        fold_unpin(&tree->folds, fold);
    else
        *out = fold;
    return code;
}

/* NULL: out of memory. */
static struct text *new_text(struct tree *tree, struct bytes bytes)
{
    struct text_id id = {.edition = ++tree->texts.editions, .valid = true};
    struct buffer copy = BUFFER_INIT;
    struct text *text;

    buffer_add(&copy, bytes);
    if (buffer_status(&copy)) {
        buffer_release(&copy);
        return NULL;
    }
    return text_new(&copy, id, &text) ? NULL : text;
}

/* A node of that name that exists only here makes room for the later one. */
static void replace(struct tree *tree, struct place place, const char *name)
{
    struct node *node = nodes_find(&tree->nodes, place, name);

    if (!node || list_empty(&node->held))
        return;
    nodes_unlink(&tree->nodes, node);
    list_leave(&node->due);
    nodes_let_go(tree, node);
}

static void fill(struct tree *tree, struct node *node, const struct kept_file *file,
                 struct text *text)
{
    node->own = file->attributes;
    node->own.set &= ~(unsigned)ATTRIBUTE_VALUE;
    if (file->kind == NODE_REJECTED)
        node->refusal = strndup((const char *)file->reason.data, file->reason.size);
    else
        node->shape = scratch_shape(node->fold, node->name->text);
    nodes_hold(&tree->nodes, node);
    texts_set(&tree->texts, &node->cached, text);
    scratch_queue(tree, node);
}

/* A file's name with a NUL. */
struct plain_name {
    char text[NAME_LONGEST + 1];
};

static struct plain_name plain_name(struct bytes name)
{
    struct plain_name plain = {{0}};

    memcpy(plain.text, name.data, name.size);
    return plain;
}

static int make_name(struct tree *tree, struct place place, const struct kept_file *file,
                     struct node_name **out)
{
    struct plain_name plain = plain_name(file->name);

    if (file->kind == NODE_REJECTED)
        return node_name_new(KEYNAME_EXACT, (struct place){.home = place.home}, plain.text, out);
    return node_name_new(tree->folds.style, place, plain.text, out);
}

/* The new node has one pin. */
static int add_file(struct tree *tree, struct place place, const struct kept_file *file,
                    struct node **out)
{
    struct plain_name plain = plain_name(file->name);
    struct text *text = new_text(tree, file->text);
    struct node_name *name = NULL;
    int code = text ? 0 : -ENOMEM;

    replace(tree, place, plain.text);
    if (code == 0)
        code = make_name(tree, place, file, &name);
    if (code == 0 && nodes_find(&tree->nodes, place, plain.text))
        code = -EEXIST;
    if (code == 0)
        code = nodes_add(&tree->nodes, place, file->kind, name, out);
    if (code)
        free(name);
    else
        fill(tree, *out, file, text);
    text_release(text);
    return code;
}

/* Whether the file's name is that of a key that exists, or may exist where the store can't tell: 1, 0, -ENOMEM. */
static int is_key(struct tree *tree, struct place place, const struct kept_file *file)
{
    struct node_name *name;
    int is = make_name(tree, place, file, &name);

    if (is)
        return is == -ENOMEM ? is : 0;
    if (name->has_key)
        is = store_exists(tree->store, name->key);
    free(name);
    return is == -ENOMEM ? is : is != 0;
}

/* The mount ended between saving the file as a key and forgetting it here, or another program made the key. */
static void refuse_late(struct kept_file *file)
{
    file->kind = NODE_REJECTED;
    file->home = DIRECTORY_REJECTED;
    file->reason = BYTES(AFTER_A_CRASH);
}

/* A file that becomes a key some day, unless its name has one. */
static bool is_transient(const struct kept_file *file, const struct fold *fold)
{
    struct plain_name plain = plain_name(file->name);

    return file->kind == NODE_SCRATCH && scratch_shape(fold, plain.text) != SHAPE_COMPANION;
}

static int restore_in(struct tree *tree, struct fold *fold, struct kept_file *file,
                      const struct kept_record *record)
{
    int late = 0, code;
    struct node *node;

    if (file->kind != NODE_REJECTED)
        late = is_key(tree, (struct place){.home = file->home, .fold = fold}, file);
    if (late < 0)
        return late;
    /* An empty file that was about to become a key tells nothing. */
    if (late && !file->text.size)
        return -EEXIST;
    if (late)
        refuse_late(file);
    code = add_file(tree, (struct place){.home = file->home, .fold = fold}, file, &node);
    if (code)
        return code;
    node->record = record->number;
    node->recorded = record->content.size;
    node->unkept = late;
    node_unpin_locked(tree, node);
    return 0;
}

/* -EEXIST: it is of no use any more. */
static int restore(struct tree *tree, const struct kept_record *record)
{
    struct kept_file file;
    struct fold *fold;
    int code;

    if (!kept_unpack(buffer_bytes(&record->content), &file))
        return -EUCLEAN;
    code = enter_folds(tree, file.path, &fold);
    if (code)
        return code;
    if (tree->options.read_only && is_transient(&file, fold))
        code = -EEXIST;
    else
        code = restore_in(tree, fold, &file, record);
    fold_unpin(&tree->folds, fold);
    return code;
}

int kept_records_restore(struct kept_records *records, struct tree *tree, size_t *wrong)
{
    int code = 0;

    *wrong = 0;
    if (records->count)
        qsort(records->records, records->count, sizeof *records->records, compare_numbers);
    for (size_t i = 0; i < records->count && code != -ENOMEM; i++) {
        const struct kept_record *record = &records->records[i];

        code = restore(tree, record);
        if (code)
            buffer_add(&tree->gone, bytes_of(&record->number, sizeof record->number));
        if (code && code != -EEXIST)
            ++*wrong;
    }
    kept_records_release(records);
    return code == -ENOMEM ? code : buffer_status(&tree->gone);
}

/* --- from a file to its record --- */

int kept_pack_node(struct tree *tree, struct node *node, struct buffer *out)
{
    struct kept_file file = {
        .kind = node->kind,
        .attributes = node->own,
        .home = node->home,
        .name = bytes_of(node->name->text, node->name->size),
        .reason = bytes_of_string(node->refusal ? node->refusal : ""),
        .text = content_bytes(tree, node),
    };
    struct buffer path = BUFFER_INIT;

    if (node->draft)
        file.attributes.mtime = node->draft->mtime;
    if (node->kind != NODE_REJECTED && file.text.size > KEPT_BYTES)
        return -EFBIG;
    fold_add_path(node->fold, &path);
    file.path = buffer_bytes(&path);
    kept_pack(&file, out);
    if (buffer_status(&path))
        out->status = buffer_status(&path);
    buffer_release(&path);
    return buffer_status(out);
}
