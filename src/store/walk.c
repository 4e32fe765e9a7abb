/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/walk.h"

#include <errno.h>

int walk_note(struct walk *walk, int status)
{
    if (status == -ENOMEM)
        return status;
    if (status == -EUCLEAN)
        walk->damaged++;
    else if (status && !walk->failure)
        walk->failure = status;
    return 0;
}

int walk_take(struct walk *walk, int status)
{
    if (status)
        return walk_note(walk, status);
    walk->stopped = !walk->visitor(walk->context, buffer_bytes(&walk->key));
    return 0;
}

int walk_verdict(const struct walk *walk)
{
    return walk->damaged ? -EUCLEAN : walk->failure;
}
