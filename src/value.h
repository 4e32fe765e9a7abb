/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The graph of Python values: what a pickle or a marshal builds, without building it.
 *
 * A document owns one arena; every node, item array and byte string of its graph lives there, so sharing and
 * cycles need no counting and everything is freed at once. Nothing that walks a graph may recurse: nesting
 * of 10^7 levels is legal input.
 *
 * A node is a recipe for creating an object (its kind, its payload or its items) followed by an ordered list
 * of mutation steps that happen to the object later (BUILD, APPENDS, SETITEMS, ADDITEMS on anything that is not
 * a plain container of that type). Plain containers keep their contents as items. A call
 * may look at an object between two of its steps, so their order matters; codecs/pickle_trace.c has how we know that a graph tells the truth.
 *
 * Text kinds hold UTF-8 with surrogates (UTF8_SURROGATES of src/utf8.h); byte kinds hold anything.
 */
#ifndef SHELVEFS_VALUE_H
#define SHELVEFS_VALUE_H

#include "src/arena.h"

enum value_kind {
    /* Atoms: no identity, never named, may be one node used many times. */
    VALUE_NONE,
    VALUE_FALSE,
    VALUE_TRUE,
    VALUE_INT,     /* .integer; .role is its enum integer_role */
    VALUE_BIG_INT, /* .bytes: two's complement, little-endian, minimal; outside int64_t */
    VALUE_FLOAT,   /* .bits: IEEE 754 binary64; NaN payloads kept */
    VALUE_COMPLEX, /* .complex_: marshal only, as all kinds that say so */
    VALUE_ELLIPSIS,       /* marshal only */
    VALUE_STOP_ITERATION, /* marshal only: the class */
    /* Byte strings: .bytes */
    VALUE_STR,       /* text */
    VALUE_STR8,      /* Python 2's 8-bit str */
    VALUE_BYTES,
    VALUE_BYTEARRAY, /* mutable: has identity */
    /* Containers: .items; a dict's are key, value, key, value, ... in order, duplicates kept. */
    VALUE_LIST,
    VALUE_TUPLE,
    VALUE_SET,
    VALUE_FROZENSET,
    VALUE_DICT,
    /* What a loader would look up or call: .items in the order given. */
    VALUE_GLOBAL,     /* module, name: VALUE_STR, or any value where STACK_GLOBAL took a computed one */
    VALUE_CALL,       /* REDUCE: callable, arguments */
    VALUE_NEW,        /* NEWOBJ: class, arguments */
    VALUE_NEW_EX,     /* NEWOBJ_EX: class, arguments, keywords */
    VALUE_INSTANCE,   /* INST, OBJ: class, then each argument */
    VALUE_PERSISTENT, /* PERSID, BINPERSID: id */
    VALUE_EXTENSION,  /* EXT1, EXT2, EXT4: .integer is the code */
    VALUE_NEXT_BUFFER,
    VALUE_READONLY, /* READONLY_BUFFER: buffer */
    VALUE_SLICE,    /* marshal only: start, stop, step */
    VALUE_PROGRAM,  /* .bytes: a whole pickle as it is, for which no graph tells the truth; only as the root */
    VALUE_CODE,     /* marshal only: .role is its enum code_layout, .items are its fields (codecs/code_layout.h) */
};

/* Python 2 has two types of integers: a long may be as small as an int. Nobody else asks. */
enum integer_role { INTEGER_PLAIN, INTEGER_LONG };
/* Of lists, tuples and dicts. */
enum container_role { CONTAINER_PLAIN, CONTAINER_HELD /* by value_hold() */ };
/* Of calls that a text holds. */
enum call_role { CALL_PLAIN, CALL_MENTIONED /* it or its arguments may stand elsewhere, too */ };

enum value_step_kind {
    STEP_BUILD,    /* one item: the state */
    STEP_APPEND,   /* items, in order */
    STEP_SET_ITEM, /* key, value, key, value, ... */
    STEP_ADD,      /* items, in order */
    STEP_CALL,     /* a function, the value itself, a state: it is called with both, and what it returns is dropped */
};

struct value;

/* A growing array in a document's arena. */
struct value_list {
    struct value **at;
    uint32_t count;
    uint32_t capacity;
};

struct value_step {
    enum value_step_kind kind;
    struct value_list items;
    struct value_step *next; /* the one that happens after it; the first one after the last */
};

/* 40 bytes: a one-byte opcode can make one, and memory is promised at 64 bytes a byte of input. */
struct value {
    uint8_t kind;   /* enum value_kind */
    uint8_t flags;  /* what the decoder knows and the encoder asks: codecs/pickle_internal.h, marshal.h */
    uint16_t role;  /* of an integer, a container, a call, a code object; of others in the parser's table of equal nodes */
    uint32_t references; /* edges to it; set by value_count_references() */
    uint32_t walk, mark; /* one walk's scratch: see value_mark() */
    union {
        int64_t integer;
        uint64_t bits;
        struct {
            uint64_t real, imaginary; /* as .bits */
        } complex_;
        struct bytes bytes;
        struct value_list items;
    };
    struct value_step *last_step; /* NULL: none; its next is the first, so that adding one is cheap */
};

/*
 * What low pickle protocols call to make bytes, bytearray, set and frozenset: nodes that no item refers to once such
 * a call is a plain node (codecs/pickle_lower.c), kept because other nodes may share them.
 */
enum value_helper {
    HELPER_ENCODE, /* _codecs.encode */
    HELPER_LATIN1, /* 'latin1', its second argument */
    HELPER_BYTES,
    HELPER_BYTEARRAY,
    HELPER_SET,
    HELPER_FROZENSET,
    HELPER_COUNT,
};

struct document {
    struct arena arena;
    struct value *root;
    struct value_list effects; /* computed and popped before the root: do(effect, ..., root) */
    struct value_list globals; /* each VALUE_GLOBAL, VALUE_EXTENSION and VALUE_CODE, also those of a decoding that failed */
    struct value_list held;    /* referred to once more than the graph shows: value_hold() */
    struct bytes rest;         /* bytes after STOP, borrowed from the input or the arena */
    uint8_t protocol;          /* of the pickle; what an expression's sugar means depends on it */
    bool python2;              /* plain quoted literals are 8-bit strings */
    bool marshal;              /* a marshal of version `protocol`: its own kinds may occur */
    bool suspect;              /* the order of effects may differ from the graph's: pickle_faithful() */
    bool counted;              /* value_count_references() was done: the graph is final */
    bool flat;                 /* to be printed on one line: expression_print() */
    bool unshared;             /* who made it says: each node that may need a name has one reference */
    uint32_t walk;             /* the current walk's number */
    struct value *none, *true_, *false_, *ellipsis, *stop_iteration; /* one node each */
    struct value *empty_tuple; /* likewise, of a pickle */
    struct value *helpers[HELPER_COUNT]; /* as the pickle names them, or NULL */
};

/*
 * What a value may take, as a few bytes can ask for gigabytes: 64 bytes for each byte of the input, and a mebibyte. The graph, the stacks and tables
 * of those who make and print it, and its text count.
 */
static inline size_t document_limit(size_t input)
{
    return input < (SIZE_MAX >> 6) - (1 << 20) ? input * 64 + (1 << 20) : SIZE_MAX;
}

/* `limit`: most bytes of memory for the graph (SIZE_MAX: none). */
void document_init(struct document *document, size_t limit);
void document_release(struct document *document);

/* All return NULL when the arena failed; document->arena.status then tells why. */
struct value *value_note_lookup(struct document *document, struct value *value);
static inline struct value *value_new(struct document *document, enum value_kind kind)
{
    struct value *value = arena_alloc(&document->arena, sizeof *value);

    if (!value)
        return NULL;
    *value = (struct value){.kind = (uint8_t)kind};
    /* What a loader would look up is noted as it is made, so that no way of making one can forget it. */
    if (kind == VALUE_GLOBAL || kind == VALUE_EXTENSION || kind == VALUE_CODE)
        return value_note_lookup(document, value);
    return value;
}
static inline struct value *value_new_int(struct document *document, int64_t integer)
{
    struct value *value = value_new(document, VALUE_INT);

    if (value)
        value->integer = integer;
    return value;
}
static inline struct value *value_new_float(struct document *document, uint64_t bits)
{
    struct value *value = value_new(document, VALUE_FLOAT);

    if (value)
        value->bits = bits;
    return value;
}
/* Borrows `bytes`: they must live as long as the document. */
static inline struct value *value_new_bytes(struct document *document, enum value_kind kind,
                                            struct bytes bytes)
{
    struct value *value = value_new(document, kind);

    if (value)
        value->bytes = bytes;
    return value;
}

struct value *value_new_global(struct document *document, struct value *module, struct value *name);
struct value *value_new_extension(struct document *document, int64_t code);

bool value_list_add(struct document *document, struct value_list *list, struct value *item);
bool value_list_add_all(struct document *document, struct value_list *list,
                        struct value *const *items, size_t count);
/* Adds to the last step if that is of this kind (never for STEP_BUILD and STEP_CALL), else to a new one. */
bool value_add_step(struct document *document, struct value *value, enum value_step_kind kind,
                    struct value *const *items, size_t count);

static inline bool value_has_bytes(const struct value *value)
{
    return value->kind == VALUE_BIG_INT || value->kind == VALUE_PROGRAM ||
           (value->kind >= VALUE_STR && value->kind <= VALUE_BYTEARRAY);
}
static inline bool value_has_items(const struct value *value)
{
    return value->kind >= VALUE_LIST && value->kind != VALUE_EXTENSION &&
           value->kind != VALUE_NEXT_BUFFER && value->kind != VALUE_PROGRAM;
}

/* The first step, or NULL; and the one after `step`, or NULL. */
static inline struct value_step *value_first_step(const struct value *value)
{
    return value->last_step ? value->last_step->next : NULL;
}
static inline struct value_step *value_next_step(const struct value *value,
                                                 const struct value_step *step)
{
    return step == value->last_step ? NULL : step->next;
}

/*
 * Makes a list, tuple or dict that is in the graph count as one with several references, though perhaps only one is left: that it is one object
 * matters to a writer which comes across it repeatedly, in an object that is made from itself. False: no memory.
 */
bool value_hold(struct document *document, struct value *value);

/*
 * A walk keeps one number per node (memo index, name, ...): 0 until it sets it. A new walk sees all zeros
 * without touching a node; only one walk uses the marks at a time.
 */
static inline void value_start_walk(struct document *document)
{
    document->walk++;
}
static inline uint32_t value_mark(const struct document *document, const struct value *value)
{
    return value->walk == document->walk ? value->mark : 0;
}
static inline void value_set_mark(const struct document *document, struct value *value, uint32_t mark)
{
    value->walk = document->walk;
    value->mark = mark;
}

/* Whether a STEP_CALL may happen to it: to what __reduce__() makes, which names its state's setter. */
bool value_may_be_set(const struct value *value);

/* Whether creating it calls something, or it was changed: computed and dropped, it still matters. */
bool value_has_effect(const struct value *value);

/*
 * Sets `references` of every node reachable from the effects and the root: the number of edges to it. Only the
 * first call does work; the graph must not change after it. Returns 0, or -ENOMEM, -EFBIG: the document's limit.
 */
int value_count_references(struct document *document);

#endif
