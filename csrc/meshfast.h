#pragma once
/* meshfast: the public C interface: parsers, label table, loop and engine.
 *
 * Embedders include this one file with csrc/ on the include path and link libmeshfast.a; Cython includes nothing else.
 * Prefix mf_. No global state but the allocator (mem.h). */
#include "base/addr.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/ring.h"
#include "base/slice.h"
#include "codec/dubbo.h"
#include "codec/h2_fields.h"
#include "codec/h2_frame.h"
#include "codec/h2_grpc.h"
#include "codec/h2_shown.h"
#include "codec/hessian.h"
#include "codec/hpack.h"
#include "codec/sniff.h"
#include "codec/traceid.h"
#include "loop/loop.h"
#include "loop/sock.h"
#include "table/dfa.h"
#include "table/table.h"
#include "table/trace.h"
#include "engine/engine.h"
