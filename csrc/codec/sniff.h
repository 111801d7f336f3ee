#pragma once
/* sniff: which protocol a connection speaks, told from its first bytes. */
#include "base/slice.h"

enum mf_protocol {
    MF_PROTOCOL_MORE,   /* the bytes so far fit more than one */
    MF_PROTOCOL_DUBBO,  /* starts with 0xDA 0xBB */
    MF_PROTOCOL_OPAQUE, /* anything else: telnet, QoS commands, another protocol */
};

/* Decides on the earliest byte that proves it. Empty: MF_PROTOCOL_MORE. */
enum mf_protocol mf_sniff(struct mf_slice in);
