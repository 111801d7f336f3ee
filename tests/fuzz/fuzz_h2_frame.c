/* fuzz_h2_frame: any bytes as a run of frames. Slices lie inside the payload, what is put of a frame is read again, and a
 * prefix is judged no other way. */
#include "codec/h2_frame.h"

#include <stdlib.h>

static void inside(struct mf_slice slice, struct mf_slice whole)
{
    if (slice.len && (slice.ptr < whole.ptr || slice.ptr + slice.len > whole.ptr + whole.len))
        abort();
}

static int decode(const struct mf_h2_head *head, struct mf_slice payload)
{
    struct mf_h2_data data = {0};
    struct mf_h2_headers headers = {0};
    struct mf_h2_priority priority;
    struct mf_h2_push push = {0};
    struct mf_h2_goaway goaway;
    size_t at = 0;
    uint16_t id;
    uint32_t value;
    int rc = 0;
    switch (head->type) {
    case MF_H2_DATA:
        rc = mf_h2_frame_data(head, payload, &data);
        inside(data.data, payload);
        break;
    case MF_H2_HEADERS:
        rc = mf_h2_frame_headers(head, payload, &headers);
        inside(headers.block, payload);
        break;
    case MF_H2_PRIORITY:
        rc = mf_h2_frame_priority(head, payload, &priority);
        break;
    case MF_H2_RST_STREAM:
        mf_h2_frame_rst_stream(payload);
        break;
    case MF_H2_SETTINGS:
        while ((rc = mf_h2_frame_settings(payload, &at, &id, &value)) > 0)
            if (mf_h2_frame_setting(id, value) < 0 || at > payload.len)
                abort();
        break;
    case MF_H2_PUSH_PROMISE:
        rc = mf_h2_frame_push(head, payload, &push);
        inside(push.block, payload);
        break;
    case MF_H2_PING:
        mf_h2_frame_ping(payload);
        break;
    case MF_H2_GOAWAY:
        mf_h2_frame_goaway(payload, &goaway);
        inside(goaway.debug, payload);
        break;
    case MF_H2_WINDOW_UPDATE:
        rc = mf_h2_frame_window(head, payload, &value);
        if ((value == 0) != (rc < 0))
            abort();
        break;
    default:
        break;
    }
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct mf_slice in = mf_slice_of(bytes, len);
    if (mf_h2_frame_preface(in) == MF_H2_PREFACE_LEN)
        in = mf_slice_of(bytes + MF_H2_PREFACE_LEN, len - MF_H2_PREFACE_LEN);
    for (;;) {
        struct mf_h2_head head, again;
        uint8_t put[MF_H2_HEAD_LEN];
        int rc = mf_h2_frame_head(in, MF_H2_FRAME_LEAST, &head);
        if (rc == MF_EMORE)
            break;
        mf_h2_put_head(put, &head);
        if (mf_h2_frame_head(mf_slice_of(put, sizeof put), MF_H2_FRAME_LEAST, &again) != rc
            || memcmp(&head, &again, sizeof head) != 0)
            abort();
        if (rc < 0 || in.len - MF_H2_HEAD_LEN < head.len) {
            mf_h2_frame_code_name((uint32_t)mf_h2_frame_code(rc));
            break;
        }
        struct mf_slice payload = mf_slice_of(in.ptr + MF_H2_HEAD_LEN, head.len);
        rc = decode(&head, payload);
        if (rc < 0 && !mf_h2_frame_of_stream(rc))
            break;
        mf_h2_frame_type_name(head.type);
        in = mf_slice_of(payload.ptr + payload.len, in.len - MF_H2_HEAD_LEN - payload.len);
    }
    return 0;
}
