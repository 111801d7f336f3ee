#pragma once
/* sniff: which protocol a connection speaks, told from its first bytes. */
#include "base/slice.h"

enum mf_protocol {
    MF_PROTOCOL_MORE,   /* the bytes so far fit more than one */
    MF_PROTOCOL_DUBBO,  /* starts with 0xDA 0xBB */
    MF_PROTOCOL_HTTP2,  /* the whole preface of RFC 9113 3.4, or one that begins with its word PRI and goes wrong: HTTP/1 keeps
                           that for it (RFC 9113 11.6) */
    MF_PROTOCOL_HTTP1,  /* a method that HTTP defines, a target and ` HTTP/1.`, or a target of MF_SNIFF_TARGET bytes */
    MF_PROTOCOL_OPAQUE, /* anything else: telnet, QoS commands, another protocol */
};

/* So long no word of a protocol that begins like HTTP/1 is. */
enum { MF_SNIFF_TARGET = 2048 };

/* Decides on the earliest byte that proves it, and never otherwise with more bytes. Empty: MF_PROTOCOL_MORE. */
enum mf_protocol mf_sniff(struct mf_slice in);
/* The same of a provider that nobody has spoken to: an event of Dubbo, the settings of HTTP/2, an answer of HTTP/1 for want of
 * a request; else it speaks first, in a protocol that is not read. */
enum mf_protocol mf_sniff_first(struct mf_slice in);
