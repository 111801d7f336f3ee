#pragma once
/* h2_read: the frames that come, one after the other. */
#include "protocol/h2_core.h"

/* As mf_conn_ops.on_read. */
size_t mf_h2_read(struct mf_conn *conn, struct mf_slice view);
