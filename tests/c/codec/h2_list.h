#pragma once
/* h2_list: lists of fields written as text, one "name=value" a line. */
#include "codec/h2_fields.h"
#include "test.h"

enum { LIST_MOST = 2048 };
static struct mf_pair fields[LIST_MOST];
static struct mf_h2_mark marks[LIST_MOST];
static uint32_t n;

static void list(struct mf_slice text)
{
    for (n = 0; text.len; n++) {
        const uint8_t *end = memchr(text.ptr, '\n', text.len), *is = memchr(text.ptr + 1, '=', text.len - 1);
        if (text.ptr[0] == '=')
            is = text.ptr;
        fields[n] = (struct mf_pair){mf_slice_of(text.ptr, (size_t)(is - text.ptr)), mf_slice_of(is + 1, (size_t)(end - is - 1))};
        marks[n] = mf_h2_mark_judge(fields[n], (struct mf_h2_mark){0, 0});
        text = mf_slice_of(end + 1, text.len - (size_t)(end + 1 - text.ptr));
    }
}
