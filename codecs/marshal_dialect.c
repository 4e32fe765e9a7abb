/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which Pythons may have written a dump: their versions as sets of bits. */
#include "codecs/marshal_decoder.h"

uint32_t marshal_dialect_bit(unsigned version, bool python2)
{
    return UINT32_C(1) << (version + (python2 ? PYTHON2_SHIFT : 0));
}

struct dialect marshal_likeliest(uint32_t set)
{
    static const struct dialect order[] = {
        {CODEC_MARSHAL, 4, false}, {CODEC_MARSHAL, 2, false}, {CODEC_MARSHAL, 3, false},
        {CODEC_MARSHAL, 5, false}, {CODEC_MARSHAL, 2, true},  {CODEC_MARSHAL, 1, true},
        {CODEC_MARSHAL, 1, false}, {CODEC_MARSHAL, 0, true},  {CODEC_MARSHAL, 0, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(order); i++)
        if (set & marshal_dialect_bit(order[i].protocol, order[i].python2))
            return order[i];
    return order[0];
}

bool decoder_note_type(struct decoder *d, enum marshal_type type)
{
    switch (type) {
    case MARSHAL_INT64:
        d->possible &= ALL_2;
        break;
    case MARSHAL_FLOAT:
    case MARSHAL_COMPLEX:
        d->possible &= BEFORE_2;
        break;
    case MARSHAL_BINARY_FLOAT:
    case MARSHAL_BINARY_COMPLEX:
        d->possible &= SINCE_2;
        break;
    case MARSHAL_INTERNED:
        d->possible &= SINCE_3 | INTERNING_2;
        break;
    case MARSHAL_STRING_REF:
        d->possible &= INTERNING_2;
        return d->python2;
    case MARSHAL_REF:
        d->possible &= SINCE_3;
        d->least = d->least < 3 ? 3 : d->least;
        return !d->python2;
    case MARSHAL_ASCII:
    case MARSHAL_ASCII_INTERNED:
    case MARSHAL_SHORT_ASCII:
    case MARSHAL_SHORT_ASCII_INTERNED:
    case MARSHAL_SMALL_TUPLE:
        d->possible &= SINCE_4;
        d->least = d->least < 4 ? 4 : d->least;
        return !d->python2;
    case MARSHAL_SLICE:
        d->possible &= SINCE_5;
        d->least = 5;
        return !d->python2;
    case MARSHAL_CODE:
        return d->python2 == (d->layout == CODE_2);
    default:
        break;
    }
    return true;
}
