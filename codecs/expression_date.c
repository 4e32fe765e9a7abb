/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The constructors of datetime as a person calls them: datetime.date(2026, 11, 21), datetime.time(5, fold=1). */
#include "codecs/expression_builder.h"

/* How many of the positional arguments are fields; a tzinfo may follow them. */
static int take_positional(const struct builder *b, enum datetime_class class,
                           struct datetime_fields *fields, uint32_t *given, struct value **tzinfo)
{
    uint32_t first = datetime_first_field(class), end = datetime_end_field(class);
    const struct value_list *items = &b->call->arguments->items;

    for (uint32_t i = 0; i < items->count; i++) {
        if (first + i == end && class != DATETIME_DATE && !*tzinfo) {
            *tzinfo = items->at[i];
            continue;
        }
        if (first + i >= end || !value_is_plain(items->at[i], VALUE_INT))
            return FAIL(b, "expected %s",
                        first + i >= end ? "fewer arguments" : "an integer for each field");
        fields->at[first + i] = items->at[i]->integer;
        *given |= 1u << (first + i);
    }
    return 0;
}

static int take_keyword(const struct builder *b, enum datetime_class class, struct bytes key,
                        struct value *value, struct datetime_fields *fields, uint32_t *given,
                        struct value **tzinfo)
{
    if (class != DATETIME_DATE && bytes_equal(key, BYTES("tzinfo"))) {
        *tzinfo = value;
        return 0;
    }
    for (unsigned i = datetime_first_field(class); i < DATETIME_FIELDS; i++) {
        bool has = i < (unsigned)datetime_end_field(class) ||
                   (i == DATETIME_FOLD && class != DATETIME_DATE);

        if (!has || !bytes_equal(key, bytes_of_string(datetime_field_name((enum datetime_field)i))))
            continue;
        if (!value_is_plain(value, VALUE_INT) || (*given & 1u << i))
            return FAIL(b, "expected one integer for %s",
                        datetime_field_name((enum datetime_field)i));
        fields->at[i] = value->integer;
        *given |= 1u << i;
        return 0;
    }
    return FAIL(b, "'%.*s' is no field of this date or time", (int)(key.size < 40 ? key.size : 40),
                (const char *)key.data);
}

static int take_fields(const struct builder *b, enum datetime_class class,
                       struct datetime_fields *fields, struct value **tzinfo)
{
    const struct value_list *keywords = b->call->keywords ? &b->call->keywords->items : NULL;
    uint32_t given = 0, needed = class == DATETIME_TIME ? 0 : 7;
    int status = take_positional(b, class, fields, &given, tzinfo);

    for (uint32_t i = 0; !status && keywords && i < keywords->count; i += 2)
        status = take_keyword(b, class, keywords->at[i]->bytes, keywords->at[i + 1], fields, &given,
                              tzinfo);
    if (!status && (given & needed) != needed)
        status = FAIL(b, "expected at least year, month and day");
    if (*tzinfo && value_is_plain(*tzinfo, VALUE_NONE))
        *tzinfo = NULL;
    return status;
}

int builder_date(const struct builder *b, enum datetime_class class, struct value **out)
{
    struct datetime_fields fields = {0};
    struct value *tzinfo = NULL, *state, *arguments;
    uint8_t packed[DATETIME_STATE];
    const char *wrong;
    size_t size = 0;
    int status = take_fields(b, class, &fields, &tzinfo);

    if (status)
        return status;
    if (fields.at[DATETIME_FOLD] && b->document->protocol < 4)
        return FAIL(b, "fold needs pickle protocol 4");
    wrong = datetime_pack(class, &fields, packed, &size);
    if (wrong)
        return FAIL(b, "the %s is out of range", wrong);
    state = known_string(b->known, b->document->python2 ? VALUE_STR8 : VALUE_BYTES,
                         arena_copy(&b->document->arena, bytes_of(packed, size)));
    if (!state)
        return arena_status(&b->document->arena);
    arguments = builder_node(b->document, VALUE_TUPLE, state, tzinfo, NULL);
    return builder_finish(b, builder_node(b->document, VALUE_CALL, b->call->callee, arguments, NULL), out);
}

int call_build_utc(struct known *known, struct value **out)
{
    struct document *document = known->document;
    struct value *zero = value_new_int(document, 0), *delta, *zone;

    delta = builder_node(document, VALUE_CALL, known_global(known, BYTES("datetime"), BYTES("timedelta")),
                         builder_node(document, VALUE_TUPLE, zero, zero, zero), NULL);
    zone = known_global(known, BYTES("datetime"), BYTES("timezone"));
    *out = builder_node(document, VALUE_CALL, zone, builder_node(document, VALUE_TUPLE, delta, NULL, NULL), NULL);
    return arena_status(&document->arena);
}
