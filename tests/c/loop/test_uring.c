/* uring: the raw ring: full, overflown, waits, buffers; and what a filter that forbids parts of it is called. */
#include "loop/loop.h"
#include "loop/uring.h"
#include "test.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void nop(struct mf_uring *ring, uint64_t name)
{
    struct io_uring_sqe *sqe = mf_uring_sqe(ring);
    CHECK(sqe != NULL);
    sqe->opcode = IORING_OP_NOP;
    sqe->user_data = name;
}

static void test_ring(struct mf_uring *ring)
{
    struct io_uring_cqe cqe;
    CHECK_INT(mf_uring_enable(ring), 0);
    CHECK(!mf_uring_peek(ring, &cqe));
    CHECK_INT(mf_uring_enter(ring, 1, 1000000), 0); /* a wait that runs out is no error */
    /* More than both rings hold: submissions go out when theirs is full, completions wait in the kernel. */
    for (uint64_t i = 0; i < 1000; i++)
        nop(ring, i + 1);
    uint64_t next = 1;
    for (int round = 0; round < 1000 && next <= 1000; round++) {
        CHECK_INT(mf_uring_enter(ring, 1, 1000000000), 0);
        while (mf_uring_peek(ring, &cqe)) {
            CHECK_INT(cqe.user_data, next);
            next++;
        }
    }
    CHECK_INT(next, 1001);
    CHECK(!mf_uring_overflown(ring));
}

static void test_buffers(struct mf_uring *ring)
{
    struct mf_uring_buffers buffers;
    CHECK_INT(mf_uring_buffers_open(ring, &buffers, 2, 16, 32), 0);
    int fds[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    static const char text[] = "thirty-two bytes for each buffer, and more";
    for (int round = 0; round < 5; round++) { /* each buffer comes round again */
        CHECK_INT(write(fds[1], text, 40), 40);
        size_t got = 0;
        while (got < 40) {
            struct io_uring_sqe *sqe = mf_uring_sqe(ring);
            sqe->opcode = IORING_OP_RECV;
            sqe->fd = fds[0];
            sqe->flags = IOSQE_BUFFER_SELECT;
            struct io_uring_cqe cqe = {0};
            CHECK_INT(mf_uring_enter(ring, 1, 1000000000), 0);
            CHECK(mf_uring_peek(ring, &cqe));
            if (cqe.res <= 0)
                break;
            uint16_t id = (uint16_t)(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
            CHECK(cqe.res <= 32 && id < 2);
            CHECK(memcmp(mf_uring_buffer(&buffers, id), text + got, (size_t)cqe.res) == 0);
            got += (size_t)cqe.res;
            mf_uring_buffers_give(&buffers, id);
        }
        CHECK_INT(got, 40);
    }
    close(fds[0]);
    close(fds[1]);
    mf_uring_close(ring);
    mf_uring_buffers_close(&buffers);
}

/* In a child whose system call `nr` answers `error`: io_uring is refused with a reason, AUTO takes epoll and works. */
static void filtered(unsigned nr, unsigned error, const char *want)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct sock_filter code[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {sizeof code / sizeof *code, code};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
            _exit(77);
        struct mf_loop *loop = NULL;
        const char *why = NULL;
        struct mf_loop_options options = {.backend = MF_LOOP_URING};
        int rc = mf_loop_new(&options, &loop, &why);
        if (want && (rc >= 0 || loop || !why || !strstr(why, want)))
            _exit(1);
        mf_loop_free(loop);
        options.backend = MF_LOOP_AUTO;
        if (mf_loop_new(&options, &loop, &why) < 0 || (want && (!why || strcmp(mf_loop_name(loop), "epoll") != 0)))
            _exit(2);
        mf_loop_free(loop);
        options.backend = MF_LOOP_EPOLL;
        if (mf_loop_new(&options, &loop, &why) < 0 || mf_loop_turn(loop, 1000000) < 0)
            _exit(3);
        mf_loop_wake(loop);
        if (mf_loop_turn(loop, 1000000000) != 1)
            _exit(4);
        mf_loop_free(loop);
        _exit(0);
    }
    int status = 0;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        printf("test_uring: filters skipped: seccomp is not to be had\n");
    else
        CHECK_INT(status, 0);
}

int main(void)
{
    struct mf_uring ring;
    const char *why = NULL;
    int rc = mf_uring_open(&ring, 8, &why);
    if (rc < 0) {
        CHECK(why != NULL);
        printf("test_uring: io_uring skipped: %s (%s)\n", why, mf_err_text(rc));
    } else {
        test_ring(&ring);
        test_buffers(&ring);
        filtered(SYS_io_uring_enter, EPERM, "io_uring_enter");
        filtered(SYS_io_uring_register, EPERM, "io_uring_register");
    }
    filtered(SYS_io_uring_setup, EPERM, "permitted");
    filtered(SYS_io_uring_setup, ENOSYS, "no io_uring");
    filtered(SYS_io_uring_setup, EINVAL, "older");
    filtered(SYS_epoll_pwait2, ENOSYS, NULL); /* before Linux 5.11: the older wait */
    return test_end("loop/uring");
}
