/* fuzz_http1: the end of a head is found the same in any cut; what is let pass has one reading, and lies inside. */
#include "codec/http1_head.h"

#include <stdlib.h>

static void need(bool holds)
{
    if (!holds)
        abort();
}

static void inside(struct mf_slice part, struct mf_slice whole)
{
    if (part.len)
        need(part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static bool is_host(struct mf_slice key)
{
    static const char text[] = "host";
    for (size_t i = 0; i < 4; i++)
        if (key.len != 4 || (key.ptr[i] | 0x20) != text[i])
            return false;
    return true;
}

static void check_bytes(struct mf_slice head)
{
    for (size_t i = 0; i < head.len; i++) {
        uint8_t c = head.ptr[i];
        need(c != '\r' || head.ptr[i + 1] == '\n');
        need(c != '\n' || head.ptr[i - 1] == '\r');
        need(c == '\r' || c == '\n' || c == '\t' || (c >= ' ' && c != 0x7f));
    }
}

static void check(struct mf_slice head, const struct mf_http1_head *read)
{
    static struct mf_pair fields[2048];
    const struct mf_slice parts[] = {read->method, read->scheme, read->authority, read->host, read->query, read->fields};
    uint8_t room[MF_HTTP1_HOST];
    uint32_t hosts = 0;
    struct mf_slice service, method;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        inside(parts[i], head);
    check_bytes(head);
    need(read->n_fields <= head.len / 4 && read->n_fields < sizeof fields / sizeof *fields);
    mf_http1_head_fields(read, fields);
    for (uint32_t i = 0; i < read->n_fields; i++) {
        inside(fields[i].key, head);
        inside(fields[i].value, head);
        need(fields[i].key.len > 0);
        hosts += is_host(fields[i].key);
    }
    need(hosts == 1 || (hosts == 0 && read->minor == 0));
    struct mf_slice name = mf_http1_head_service(read, room);
    need(name.len == read->host.len && name.len <= sizeof room);
    for (size_t i = 0; i < name.len; i++)
        need(name.ptr[i] < 'A' || name.ptr[i] > 'Z');
    if (mf_http1_head_call(read, &service, &method))
        need(memchr(service.ptr, '/', service.len) == NULL && memchr(method.ptr, '/', method.len) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct mf_http1_head read;
    size_t whole = 0, seen = 0;
    struct mf_slice in = mf_slice_of(data, len < 4096 ? len : 4096);
    int rc = mf_http1_head_end(in, &whole), cut = MF_EMORE;
    for (size_t n = 0; n <= in.len && cut == MF_EMORE; n++)
        cut = mf_http1_head_end(mf_slice_of(data, n), &seen);
    need(cut == rc && seen == whole);
    if (rc != 0)
        return 0;
    /* It ends where it is told, and nothing behind is looked at. */
    uint8_t *copy = malloc(whole);
    memcpy(copy, data, whole);
    struct mf_slice head = mf_slice_of(copy, whole);
    if (mf_http1_head_read(head, &read) == 0)
        check(head, &read);
    free(copy);
    return 0;
}
