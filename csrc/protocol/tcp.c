#include "protocol/tcp.h"

int mf_tcp_start(struct mf_conn *conn, struct mf_inlet *inlet)
{
    struct mf_addr to;
    int rc = mf_inlet_address(inlet, conn, &to);
    if (rc == 0)
        rc = mf_relay_dial(conn, inlet, &to, &conn->local->counters.opaque_bytes, NULL);
    if (rc < 0)
        return rc;
    mf_relay_join(conn);
    MF_COUNT(conn->local, opaque_connections);
    return 0;
}
