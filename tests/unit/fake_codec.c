/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/codec.h"
#include <errno.h>
int codec_render(const struct dialect *d, struct bytes stored, struct buffer *text, struct codec_note *note)
{
    if (note) *note = (struct codec_note){.dialect=*d,.type="str"};
    buffer_add(text, stored);
    if (stored.size) buffer_add_byte(text,'\n');
    return buffer_status(text);
}
int codec_accept(const struct dialect *d, const struct codec_rules *r, struct bytes text, const struct bytes *old, struct buffer *stored, struct failure *f)
{
    if (text.size > r->max_value) return failure_set(f,-EFBIG,0,"large");
    if (text.size && text.data[text.size-1]=='\n') text.size--;
    if (text.size && text.data[0]=='[' && text.data[text.size-1] != ']' && old && old->size && old->data[0]=='[')
        return failure_set(f,-EINVAL,0,"line 1, column 7: expected");
    if (bytes_start_with(text, BYTES("os.system("))) return failure_set(f,-EPERM,0,"global");
    buffer_add(stored,text);
    return 0;
}
int codec_accept_stored(const struct dialect *d, const struct codec_rules *r, struct bytes b, const struct bytes *old, struct failure *f)
{ return b.size > r->max_value ? failure_set(f,-EFBIG,0,"large") : 0; }
void dialect_describe(struct dialect d, struct buffer *out) { buffer_printf(out, "pickle protocol %u", d.protocol); }
