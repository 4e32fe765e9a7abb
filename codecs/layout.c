/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decisions
 * - A group is decided when its opening token is the first one held: the search for its end goes
 *   on from where it stopped each time a token comes, and ends after one line's width at the
 *   latest.
 * - Inside of a group that stays on its line nothing has to be decided, so words go straight to
 *   the output.
 * - Since broken groups are never inside of unbroken ones, two counters say all about the open
 *   groups.
 */
#include "codecs/layout.h"

#include "codecs/literal.h"

#include <errno.h>
#include <stdlib.h>

enum token_kind { TOKEN_WORD, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_BREAK, TOKEN_BYTES };

struct layout_token {
    enum token_kind kind;
    enum layout_break break_kind;
    size_t columns;
    struct bytes bytes; /* TOKEN_BYTES; of a TOKEN_WORD only the size counts */
};

static const struct {
    const char *flat;   /* on the line */
    const char *before; /* the newline */
    const char *after;  /* the newline and its indentation */
    bool closes;        /* the next line is indented like the group's first */
} breaks[] = {
    [BREAK_FIRST] = {"", "", "", false},    [BREAK_NEXT] = {", ", ",", "", false},
    [BREAK_LAST] = {"", ",", "", true},     [BREAK_LAST_COMMA] = {",", ",", "", true},
    [BREAK_LAST_BARE] = {"", "", "", true}, [BREAK_OPEN] = {"", "(", "", false},
    [BREAK_CLOSE] = {"", "", ")", true},
};

void layout_init(struct layout *layout, struct buffer *out, size_t width)
{
    *layout = (struct layout){.out = out, .width = width, .held = BUFFER_INIT};
}

void layout_release(struct layout *layout)
{
    free(layout->tokens);
    buffer_release(&layout->held);
    *layout = (struct layout){.out = layout->out, .width = layout->width, .held = BUFFER_INIT};
}

static size_t columns_of(struct bytes text)
{
    size_t columns = 0;

    for (size_t i = 0; i < text.size; i++)
        columns += (text.data[i] & 0xC0) != 0x80;
    return columns;
}

static void write_string(struct layout *layout, const char *text)
{
    size_t length = strlen(text);

    buffer_add(layout->out, bytes_of(text, length));
    layout->column += length;
}

static void write_newline(struct layout *layout, unsigned level)
{
    size_t indent = (size_t)level * LAYOUT_INDENT;
    uint8_t *room;

    buffer_add_byte(layout->out, '\n');
    room = buffer_extend(layout->out, indent);
    if (room)
        memset(room, ' ', indent);
    layout->column = indent;
}

static void write_break(struct layout *layout, enum layout_break kind)
{
    if (layout->flat) {
        write_string(layout, breaks[kind].flat);
        return;
    }
    write_string(layout, breaks[kind].before);
    write_newline(layout, layout->level - breaks[kind].closes);
    write_string(layout, breaks[kind].after);
}

static void write_bytes(struct layout *layout, struct bytes content)
{
    do {
        size_t size = content.size, used, start;

        if (!layout->flat)
            size = literal_bytes_fitting(content, layout->width - layout->column - 1, &used);
        start = layout->out->size;
        buffer_add_byte(layout->out, 'b');
        literal_print_bytes(bytes_part(content, 0, size), layout->out);
        layout->column += layout->out->size - start;
        content = bytes_part(content, size, SIZE_MAX);
        if (content.size)
            write_newline(layout, layout->level);
    } while (content.size);
}

static bool is_open_decision(const struct layout *layout)
{
    return !layout->flat && layout->level < LAYOUT_LEVELS;
}

enum decision { FITS, TOO_WIDE, UNKNOWN };

/*
 * Whether the group that the first token opens fits, from what is held so far: the words up to its
 * end, and behind it up to the next break, which is one of a group around it or of the next group.
 */
static enum decision decide(struct layout *layout, bool finished)
{
    size_t room = layout->width > layout->column ? layout->width - layout->column : 0;

    for (; layout->seen < layout->count; layout->seen++) {
        const struct layout_token *token = &layout->tokens[layout->seen];
        bool inside = layout->seen_depth > 0 || layout->seen == layout->first;

        if (inside && token->kind == TOKEN_OPEN)
            layout->seen_depth++;
        else if (inside && token->kind == TOKEN_CLOSE)
            layout->seen_depth--;
        else if (token->kind == TOKEN_WORD || token->kind == TOKEN_BYTES)
            layout->seen_width += token->columns;
        else if (inside && token->kind == TOKEN_BREAK)
            layout->seen_width += strlen(breaks[token->break_kind].flat);
        else if (token->kind == TOKEN_BREAK)
            return layout->seen_width + strlen(breaks[token->break_kind].before) > room ? TOO_WIDE
                                                                                        : FITS;
        if (layout->seen_width > room)
            return TOO_WIDE;
    }
    return finished ? FITS : UNKNOWN;
}

static void write_open(struct layout *layout, bool flat)
{
    if (flat)
        layout->flat++;
    else
        layout->level++;
}

static void write_close(struct layout *layout)
{
    if (layout->flat)
        layout->flat--;
    else
        layout->level--;
}

static void write_word(struct layout *layout, const struct layout_token *token)
{
    buffer_add(layout->out,
               bytes_part(buffer_bytes(&layout->held), layout->held_first, token->bytes.size));
    layout->held_first += token->bytes.size;
    layout->column += token->columns;
}

static void forget_search(struct layout *layout)
{
    layout->seen = layout->first;
    layout->seen_width = 0;
    layout->seen_depth = 0;
}

static void forget_written(struct layout *layout)
{
    size_t rest = layout->count - layout->first;

    if (rest && layout->first < 256)
        return;
    if (rest)
        memmove(layout->tokens, layout->tokens + layout->first, rest * sizeof *layout->tokens);
    layout->first = 0;
    layout->count = rest;
    rest = layout->held.size - layout->held_first;
    if (rest)
        memmove(layout->held.data, layout->held.data + layout->held_first, rest);
    layout->held_first = 0;
    if (!buffer_status(&layout->held))
        layout->held.size = rest;
    forget_search(layout);
}

/* Writes the held tokens up to a group that can't be decided yet. */
static void settle(struct layout *layout, bool finished)
{
    while (layout->first < layout->count) {
        const struct layout_token *token = &layout->tokens[layout->first];

        if (token->kind == TOKEN_OPEN) {
            enum decision decision = is_open_decision(layout) ? decide(layout, finished) : FITS;

            if (decision == UNKNOWN)
                return;
            write_open(layout, decision == FITS);
        } else if (token->kind == TOKEN_CLOSE) {
            write_close(layout);
        } else if (token->kind == TOKEN_BREAK) {
            write_break(layout, token->break_kind);
        } else if (token->kind == TOKEN_BYTES) {
            write_bytes(layout, token->bytes);
        } else {
            write_word(layout, token);
        }
        layout->first++;
        forget_search(layout);
    }
    forget_written(layout);
}

static bool is_holding(const struct layout *layout)
{
    return layout->count > layout->first;
}

/* Once the output failed nothing is written any more, so that lost tokens do no harm. */
static void hold(struct layout *layout, struct layout_token token)
{
    if (layout->held.status)
        layout->out->status = layout->held.status;
    if (layout->count == layout->capacity)
        forget_written(layout);
    if (layout->count == layout->capacity) {
        size_t capacity = layout->capacity ? layout->capacity * 2 : 64;
        struct layout_token *tokens = realloc(layout->tokens, capacity * sizeof *tokens);

        if (!tokens) {
            layout->out->status = -ENOMEM;
            return;
        }
        layout->tokens = tokens;
        layout->capacity = capacity;
    }
    layout->tokens[layout->count++] = token;
    settle(layout, false);
}

struct buffer *layout_word(struct layout *layout)
{
    struct buffer *out = is_holding(layout) ? &layout->held : layout->out;

    layout->word = out->size;
    return out;
}

void layout_word_end(struct layout *layout)
{
    struct buffer *out = is_holding(layout) ? &layout->held : layout->out;
    struct bytes word = bytes_part(buffer_bytes(out), layout->word, SIZE_MAX);

    if (is_holding(layout))
        hold(layout, (struct layout_token){.kind = TOKEN_WORD,
                                           .columns = columns_of(word),
                                           .bytes = {NULL, word.size}});
    else
        layout->column += columns_of(word);
}

void layout_add(struct layout *layout, const char *word)
{
    buffer_add_string(layout_word(layout), word);
    layout_word_end(layout);
}

void layout_open(struct layout *layout)
{
    if (is_holding(layout) || is_open_decision(layout))
        hold(layout, (struct layout_token){.kind = TOKEN_OPEN});
    else
        write_open(layout, true);
}

void layout_close(struct layout *layout)
{
    if (is_holding(layout))
        hold(layout, (struct layout_token){.kind = TOKEN_CLOSE});
    else
        write_close(layout);
}

void layout_break(struct layout *layout, enum layout_break kind)
{
    if (is_holding(layout))
        hold(layout, (struct layout_token){.kind = TOKEN_BREAK, .break_kind = kind});
    else
        write_break(layout, kind);
}

void layout_bytes(struct layout *layout, struct bytes content)
{
    struct layout_token token = {.kind = TOKEN_BYTES, .bytes = content};

    if (!is_holding(layout)) {
        write_bytes(layout, content);
        return;
    }
    /* More than a line is too wide, how much doesn't matter. */
    if (literal_bytes_fitting(content, layout->width, &token.columns) < content.size)
        token.columns = layout->width;
    token.columns++;
    hold(layout, token);
}

int layout_finish(struct layout *layout)
{
    settle(layout, true);
    return buffer_status(layout->out);
}
