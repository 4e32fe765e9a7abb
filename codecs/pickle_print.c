/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/pickle_print.h"

#include "codecs/expression.h"
#include "codecs/expression_printer.h"
#include "codecs/literal.h"
#include "codecs/pickle_literal.h"
#include "codecs/pickle_outline.h"

/* A bracket of which the content is being written. */
struct open {
    uint32_t left;  /* items */
    uint8_t closer; /* enum closer */
    bool pairs;
    bool follows; /* an item was written */
};

struct stream {
    struct printer printer;
    struct bytes stored;
    const uint32_t *memo;
    const struct outline_group *group;   /* the next one */
    const struct outline_tuple *tuple;   /* likewise */
    struct open open[PRINTER_DEPTH + 4]; /* the first is no bracket and holds the value */
    size_t depth;
};

static const struct {
    const char *bracket, *empty;
    enum closer closer;
} brackets[] = {
    [OUTLINE_LIST] = {"[", "[]", CLOSE_SQUARE},
    [OUTLINE_TUPLE] = {"(", "()", CLOSE_ROUND},
    [OUTLINE_SET] = {"{", "set()", CLOSE_CURLY},
    [OUTLINE_FROZENSET] = {"{", "frozenset()", CLOSE_CURLY},
    [OUTLINE_DICT] = {"{", "{}", CLOSE_CURLY},
};

static void push(struct stream *s, uint32_t count, enum closer closer, bool pairs)
{
    if (s->depth == ARRAY_SIZE(s->open))
        s->printer.too_deep = true;
    else
        s->open[s->depth++] =
            (struct open){.left = count, .closer = (uint8_t)closer, .pairs = pairs};
}

/* What stands before an item. */
static void separate(struct stream *s)
{
    struct open *open = &s->open[s->depth - 1];

    if (open->pairs && open->left % 2)
        printer_add(&s->printer, ": ");
    else if (open->follows)
        printer_break(&s->printer, BREAK_NEXT);
    open->follows = true;
}

/* Whether a tuple's only item, which begins at `offset`, is a container that isn't empty: is_huggable(). */
static bool hugs(const struct stream *s, size_t offset)
{
    switch (s->stored.data[offset]) {
    case PICKLE_MARK:
    case PICKLE_EMPTY_LIST:
    case PICKLE_EMPTY_DICT:
    case PICKLE_EMPTY_SET:
        return s->tuple->start == offset || s->group->count;
    default:
        return s->tuple->start == offset;
    }
}

static void open_short(struct stream *s, size_t offset)
{
    uint32_t count = s->tuple++->count;

    separate(s);
    if (count == 1 && hugs(s, offset)) {
        printer_open_hug(&s->printer, "(");
        push(s, count, HUG_SINGLE, false);
    } else {
        printer_open_group(&s->printer, "(");
        push(s, count, count == 1 ? CLOSE_SINGLE : CLOSE_ROUND, false);
    }
}

/* An item begins with the instruction at `offset`. */
static ALWAYS_INLINE void begin(struct stream *s, size_t offset)
{
    while (s->tuple->start == offset)
        open_short(s, offset);
    separate(s);
}

/* An item is written, and what it is the last item of. */
static ALWAYS_INLINE void end(struct stream *s)
{
    while (s->depth && --s->open[s->depth - 1].left == 0)
        printer_close(&s->printer, (enum closer)s->open[--s->depth].closer);
}

static void open_group(struct stream *s, size_t offset)
{
    struct outline_group group = *s->group;

    if (group.kind != OUTLINE_BATCH)
        begin(s, offset);
    s->group++;
    if (group.kind == OUTLINE_BATCH)
        return;
    if (!group.count) {
        printer_add(&s->printer, brackets[group.kind].empty);
        end(s);
        return;
    }
    if (group.kind == OUTLINE_FROZENSET) {
        printer_open_hug(&s->printer, "frozenset(");
        push(s, 1, HUG_ROUND, false);
    }
    printer_open_group(&s->printer, brackets[group.kind].bracket);
    push(s, group.count, brackets[group.kind].closer, group.kind == OUTLINE_DICT);
}

/* As printer_atom() does, for what there is most of. */
static ALWAYS_INLINE void print_text(struct stream *s, size_t offset, struct bytes text)
{
    begin(s, offset);
    layout_word_end(&s->printer.layout, literal_print_text(text, s->printer.layout.out));
    end(s);
}

static ALWAYS_INLINE void print_atom(struct stream *s, size_t offset, const struct pickle_op *op,
                                     enum pickle_family family)
{
    struct value atom;

    if (!pickle_literal(op, family, &atom))
        return;
    if (atom.kind == VALUE_STR)
        return print_text(s, offset, atom.bytes);
    begin(s, offset);
    printer_atom(&s->printer, &atom);
    end(s);
}

static NEVER_INLINE void print_any_again(struct stream *s, size_t offset, size_t from)
{
    struct cursor cursor = cursor_at(s->stored, from);
    struct pickle_op op;

    if (!pickle_read_op(&cursor, &op))
        print_atom(s, offset, &op, (enum pickle_family)op.info->family);
}

/* The atom again that the instruction at `from` makes: mostly a key of a dict. */
static ALWAYS_INLINE void print_again(struct stream *s, size_t offset, size_t from)
{
    const uint8_t *at = s->stored.data + from;

    if (*at == PICKLE_SHORT_BINUNICODE)
        print_text(s, offset, bytes_of(at + 2, at[1]));
    else
        print_any_again(s, offset, from);
}

/* One opcode, of which all is known when it is compiled. The outline knows that all is well. */
static ALWAYS_INLINE void step(struct stream *s, struct cursor *cursor, size_t offset, uint8_t code,
                               enum pickle_argument argument, enum pickle_family family)
{
    struct pickle_op op = {.offset = offset, .code = code};

    pickle_read_argument(cursor, &op, argument);
    switch (code) {
    case PICKLE_MARK:
    case PICKLE_EMPTY_LIST:
    case PICKLE_EMPTY_DICT:
    case PICKLE_EMPTY_SET:
        return open_group(s, offset);
    case PICKLE_BINGET:
    case PICKLE_LONG_BINGET:
        return print_again(s, offset, s->memo[op.number]);
    case PICKLE_EMPTY_TUPLE:
        begin(s, offset);
        printer_add(&s->printer, "()");
        return end(s);
    default:
        return print_atom(s, offset, &op, family);
    }
}

static void run(struct stream *s)
{
    struct cursor cursor = cursor_at(s->stored, 2);

    while (s->depth && !s->printer.too_deep && !buffer_status(s->printer.layout.out)) {
        size_t offset = cursor.position++;

        switch ((enum pickle_opcode)s->stored.data[offset]) {
#define X(name, byte, argument, protocol, family)                                                  \
    case PICKLE_##name:                                                                            \
        step(s, &cursor, offset, byte, ARGUMENT_##argument, FAMILY_##family);                      \
        break;
            PICKLE_OPCODES(X)
#undef X
        }
        while (s->stored.data[cursor.position] == PICKLE_MEMOIZE)
            cursor.position++;
    }
}

/* False: only the graph will do. */
static bool print_value(struct bytes stored, const struct outline *outline, struct buffer *text)
{
    struct document document = {.protocol = outline->protocol};
    struct stream s;
    int status;

    printer_init(&s.printer, &document);
    s.stored = stored;
    s.memo = outline->memo;
    s.group = outline->groups;
    s.tuple = outline->tuples;
    s.depth = 0;
    push(&s, 1, CLOSE_NONE, false);
    layout_init(&s.printer.layout, text, EXPRESSION_WIDTH);
    run(&s);
    status = layout_finish(&s.printer.layout);
    layout_release(&s.printer.layout);
    buffer_add_byte(text, '\n');
    return !status && !s.printer.too_deep && !buffer_status(text);
}

/* What print_within_limit() of codec.c leaves for the text if the graph takes as much as it may. */
static size_t text_limit(struct bytes stored, const struct outline *outline)
{
    size_t limit = document_limit(stored.size), graph = outline_graph_size(outline);

    return graph < limit ? (limit - graph) / 3 : 0;
}

static bool print_outlined(struct bytes stored, const struct outline *outline,
                           const struct dialect *mount, struct buffer *text)
{
    const struct dialect dialect = {CODEC_PICKLE, outline->protocol, false};
    size_t start = text->size, most = text->limit, limit = text_limit(stored, outline);
    bool done;

    if (limit < most - start)
        text->limit = start + limit;
    if (!dialect_equal(dialect, *mount))
        header_print(dialect, text);
    done = print_value(stored, outline, text);
    text->limit = most;
    if (!done) {
        text->size = start;
        text->status = 0;
    }
    return done;
}

bool pickle_print(struct bytes stored, const struct dialect *mount, struct buffer *text,
                  struct dialect *dialect, enum value_kind *kind)
{
    static const enum value_kind KINDS[] = {
        [OUTLINE_LIST] = VALUE_LIST, [OUTLINE_TUPLE] = VALUE_TUPLE,
        [OUTLINE_SET] = VALUE_SET,   [OUTLINE_FROZENSET] = VALUE_FROZENSET,
        [OUTLINE_DICT] = VALUE_DICT,
    };
    struct outline outline;
    struct arena arena;
    bool done;

    if (buffer_status(text))
        return false;
    arena_init(&arena, document_limit(stored.size));
    /* Python 2's notation of protocol 2 is left to the graph. */
    done = outline_of(&outline, &arena, stored) &&
           !(mount->python2 && outline.protocol == 2) &&
           print_outlined(stored, &outline, mount, text);
    if (done) {
        *dialect = (struct dialect){CODEC_PICKLE, outline.protocol, false};
        *kind = KINDS[outline_root(&outline)];
    }
    outline_release(&outline);
    return done;
}
