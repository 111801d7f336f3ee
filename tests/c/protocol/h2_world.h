#pragma once
/* h2_world: HTTP/2 connections on a loop without a kernel (engine/fake.h). */
#include "call/bare.h"
#include "engine/fake.h"
#include "protocol/h2_conn.h"

static struct bare bare;
static struct mf_h2_share share;

__attribute__((unused)) static void world_open(void)
{
    (void)fake_connect; /* not every test has a use for all */
    (void)fake_open_window;
    fake_open();
    open_bare(&bare, fake.loop, 0);
    CHECK_INT(mf_h2_share_init(&share, NULL, 0, &bare.local, NULL), 0);
}

/* With limits of the test's: `change` sets them. */
__attribute__((unused)) static void world_open_with(void (*change)(struct mf_limits *limits))
{
    fake_open();
    open_bare(&bare, fake.loop, 0);
    change(&bare.limits);
    CHECK_INT(mf_h2_share_init(&share, NULL, 0, &bare.local, NULL), 0);
}

#define COUNTED(name) mf_load_relaxed(&bare.local.counters.name)

static void settle(void)
{
    for (int i = 0; i < 8; i++)
        fake_turn(0);
}

/* Time passes, in steps that wake what waits. */
__attribute__((unused)) static void pass(uint64_t ms)
{
    for (uint64_t end = fake.now + ms * 1000000; fake.now < end;) {
        uint64_t left = end - fake.now;
        fake_turn((int64_t)(left < 50000000 ? left : 50000000));
    }
    settle();
}

/* Lets every peer go, and looks whether all memory has come back. */
static void world_close(void)
{
    for (int i = 0; i < fake.n; i++)
        fake.conns[i].reset = true;
    settle();
    CHECK(mf_list_empty(&bare.local.conns));
    CHECK_INT(mf_loop_memory(fake.loop), 0);
    fake_close();
    mf_h2_share_dispose(&share);
    close_bare(&bare);
}

/* --- connections, each with a peer that is the test */

struct wire {
    struct fake_conn *conn;
    struct mf_h2_conn *h2; /* good while conn->sock is */
    size_t at;             /* of conn->out, what has been looked at */
};

static struct wire wire_of(struct mf_conn *conn)
{
    return (struct wire){.conn = conn->sock._backend, .h2 = (struct mf_h2_conn *)(void *)conn};
}

/* A connection that is asked. */
__attribute__((unused)) static struct wire world_accept(size_t size, void (*begin)(struct mf_conn *conn, struct mf_h2_share *share))
{
    struct mf_conn *conn = mf_conn_accept(&bare.local, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), size, NULL);
    begin(conn, &share);
    return wire_of(conn);
}

/* One that asks, and is there. */
/* `ops` of an end that is being connected. */
__attribute__((unused)) static struct wire world_knock(size_t size, const struct mf_h2_ops *ops)
{
    struct mf_addr addr;
    int rc;
    CHECK_INT(mf_addr_parse(mf_slice_str("tcp://127.0.0.1:1"), &addr), 0);
    struct mf_conn *conn = mf_conn_dial(&bare.local, &addr, size, NULL, &rc);
    mf_h2_conn_begin((struct mf_h2_conn *)(void *)conn, ops, &share, false);
    return wire_of(conn);
}

__attribute__((unused)) static struct wire world_dial(size_t size, const struct mf_h2_ops *ops)
{
    struct wire wire = world_knock(size, ops);
    fake_answer_connect(wire.conn, 0);
    settle();
    return wire;
}
