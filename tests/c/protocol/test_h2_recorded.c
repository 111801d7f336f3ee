/* protocol/h2_read, h2_block: client streams that others recorded, right and wrong ones, whole and in two pieces at every
 * byte: what is answered is the same in any cut, and nothing stays behind. */
#include "protocol/h2_echo.h"
#include "protocol/h2_say.h"

#include <dirent.h>

/* In ../shared/vectors, or where the first argument says. */
static const char *const folders[] = {"http2/nghttp2-streams/h2spec", "http2/nghttp2-streams/nghttp"};

static uint8_t bytes[1 << 20];
static size_t len;

/* What was answered: types, streams and codes of all frames. Window updates depend on the cut. */
static uint64_t play(size_t cut)
{
    world_open();
    struct wire wire = world_accept(sizeof(struct echo_conn), echo_begin);
    say(&wire, bytes, cut);
    settle();
    say(&wire, bytes + cut, len - cut);
    settle();
    wire.conn->eof = true;
    settle();
    pass(11000); /* what it never reads has its time */
    uint64_t sum = 0;
    struct mf_h2_head head;
    struct mf_slice payload;
    while (next_frame(&wire, &head, &payload)) {
        if (head.type == MF_H2_WINDOW_UPDATE)
            continue;
        sum = sum * 31 + head.type * 7 + head.stream;
        if (head.type == MF_H2_RST_STREAM)
            sum = sum * 31 + mf_h2_frame_rst_stream(payload);
        if (head.type == MF_H2_GOAWAY)
            sum = sum * 31 + payload.ptr[7];
    }
    CHECK_INT(wire.at, wire.conn->out.len);
    world_close();
    return sum;
}

int main(int argc, char **argv)
{
    int files = 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char folder[256];
        snprintf(folder, sizeof folder, "%s/%s", argc > 1 ? argv[1] : "../shared/vectors", folders[i]);
        DIR *dir = opendir(folder);
        for (struct dirent *entry; dir && (entry = readdir(dir));) {
            char path[512];
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "rb");
            if (!file)
                continue;
            len = fread(bytes, 1, sizeof bytes, file);
            fclose(file);
            files++;
            uint64_t whole = play(len);
            size_t step = 1 + len / 400; /* of the longest not every byte */
            int before = test_failures;
            for (size_t cut = 0; cut < len; cut += step)
                CHECK(play(cut) == whole);
            if (test_failures > before)
                fprintf(stderr, "  ... in %s\n", entry->d_name);
        }
        if (dir)
            closedir(dir);
    }
    printf("test_h2_recorded: %d streams\n", files);
    return test_end("test_h2_recorded");
}
