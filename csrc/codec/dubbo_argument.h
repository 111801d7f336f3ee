#pragma once
/* dubbo_argument: one argument of a request as text, found by passing over those before it; nothing behind it is read. Pure. */
#include "codec/dubbo.h"

/* Of a request that mf_dubbo_parse_request accepted: its argument `index`, from 0, as Java's String.valueOf says it. 1: it is
 * a string, a whole number, true, false or null; 0: there is none such, or it is something else; MF_ELIMIT: a text that has
 * no room. `out` points into the body or at `to`, or is a word of ours. Of a generic call there is none: its own arguments
 * are its method's name, types and values. */
int mf_dubbo_argument(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_request *request, uint32_t index,
                      const struct mf_dubbo_limits *limits, uint8_t *to, size_t room, struct mf_slice *out);
