#pragma once
/* dubbo_conn: Dubbo2 on a connection, either side: cuts bytes into frames, answers heartbeats, hands requests to
 * dubbo_call and answers to their calls. */
#include "proxy/conn.h"

extern const struct mf_protocol_ops mf_dubbo_down_ops, mf_dubbo_up_ops;

/* Tells a caller to send nothing new, or to go on. */
void mf_dubbo_tell_readonly(struct mf_conn *down, bool readonly);
