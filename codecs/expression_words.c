/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/expression_words.h"

enum { NAME_DIGITS = 9 };

enum expression_word expression_word(struct bytes word)
{
    static const struct {
        const char *name;
        enum expression_word word;
    } words[] = {
        {"asm", WORD_ASM},
        {"code", WORD_CODE},
        {"do", WORD_DO},
        {"ext", WORD_EXT},
        {"find_class", WORD_FIND_CLASS},
        {"inf", WORD_RESERVED},
        {"inst", WORD_INST},
        {"let", WORD_LET},
        {"nan", WORD_NAN},
        {"new", WORD_NEW},
        {"next_buffer", WORD_NEXT_BUFFER},
        {"persistent", WORD_PERSISTENT},
        {"raw", WORD_RESERVED},
        {"readonly", WORD_READONLY},
        {"str8", WORD_STR8},
        {"stream", WORD_STREAM},
    };

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (bytes_equal(word, bytes_of_string(words[i].name)))
            return words[i].word;
    return WORD_NONE;
}

bool expression_is_name(struct bytes word)
{
    if (word.size < 2 || word.data[0] != '_')
        return false;
    for (size_t i = 1; i < word.size; i++)
        if (word.data[i] < '0' || word.data[i] > '9')
            return false;
    return true;
}

uint32_t expression_name(struct bytes word)
{
    uint32_t number = 0;

    if (!expression_is_name(word) || word.size > 1 + NAME_DIGITS || word.data[1] == '0')
        return 0;
    for (size_t i = 1; i < word.size; i++)
        number = number * 10 + (word.data[i] - '0');
    return number;
}
