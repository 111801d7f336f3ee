#pragma once
/* stat: what is counted per service and subset, one shard per reader so that counting is two plain moves.
 *
 * A call may outlive the epoch it was routed in, so a stat is freed only when `begun` equals `done` in every shard. */
#include "base/atom.h"
#include "base/slice.h"
#include "table/epoch.h"
#include "table/retries.h"

enum { MF_STAT_STATUS = 37, MF_STAT_BUCKETS = 20, MF_STAT_OUTCOMES = 16 };
/* Places of statuses: Dubbo's, lost (no answer, whatever the protocol), another of Dubbo's; grpc-status 0 to 16, another;
 * HTTP's by class. */
enum { MF_STAT_LOST = 12, MF_STAT_OTHER = 13, MF_STAT_GRPC = 14, MF_STAT_GRPC_OTHER = 31, MF_STAT_HTTP = 32 };

struct mf_stat;

struct mf_stat_shard {
    mf_atom64 begun, done;       /* calls and relayed connections */
    mf_atom64 bytes_up, bytes_down;
    mf_atom64 fallbacks;         /* calls that came here by a fallback */
    mf_atom64 one_way;
    mf_atom64 retries;           /* tries of a call beside its first, by policy */
    mf_atom64 relayed;           /* of `begun`: connections whose bytes are relayed */
    mf_atom64 status[MF_STAT_STATUS]; /* by mf_stat_status_index, mf_stat_grpc_index, mf_stat_http_index */
    mf_atom64 latency[MF_STAT_BUCKETS]; /* by mf_stat_bucket: counts of answered calls */
    mf_atom64 latency_sum_ns;
    mf_atom64 outcome[MF_STAT_OUTCOMES]; /* how calls ended; 0, all was well, is not counted: it is the rest of `status` */
    /* Keeps two readers' words apart wherever the allocator puts them: a cache line, less `of` and the last words above,
     * which no outcome has. */
    char _pad[MF_CACHE_LINE - 4 * sizeof(uint64_t)];
    struct mf_retry_budget budget; /* its reader's alone */
    const struct mf_stat *of; /* NULL: of none */
};
struct mf_stat_shards;

/* Of most only the name is ever needed, and there may be hundreds of thousands: it is kept small. */
struct mf_stat {
    union {
        struct mf_epoch_entry _entry; /* when it is gone */
        struct {
            struct mf_stat *_next;  /* in the writer's hash */
            struct mf_stat *_dying; /* on the writer's list of those that no service holds */
        };
    };
    struct mf_table *_table;
    _Atomic(struct mf_stat_shards *) _shards;
    const char *service, *host; /* shared with those beside it */
    uint32_t _refs;         /* writer only: compiled services, and whoever asked for it */
    mf_atom32 _spilled;     /* some calls are counted elsewhere: never freed before the table */
    bool _listed;           /* on the dying list */
    char subset[];          /* with host "": calls of the service that reached no target */
};

/* The reader's own shard, made on first use; without memory one shared by all, whose counts are lost: never NULL. */
struct mf_stat_shard *mf_stat_shard(struct mf_stat *stat, int reader);
/* Whether anybody ever counted there. Any thread. */
bool mf_stat_used(const struct mf_stat *stat);
/* Adds one reader's words onto `out`. Any thread. */
void mf_stat_add(const struct mf_stat_shard *shard, struct mf_stat_shard *out);
/* Adds all shards onto `out`, which the caller has set to zero. Any thread. */
void mf_stat_sum(const struct mf_stat *stat, struct mf_stat_shard *out);

/* Of the Dubbo statuses 20 25 30 31 35 40 50 60 70 80 90 100; MF_STAT_OTHER for another. */
int mf_stat_status_index(int dubbo_status);
/* Of grpc-status 0 to 16; MF_STAT_GRPC_OTHER for another. */
int mf_stat_grpc_index(int grpc_status);
/* Of the class of an HTTP status; one that is of none counts as 5xx (RFC 9110, section 15). */
int mf_stat_http_index(int http_status);
/* The label of an index: "20", ..., "lost", "other"; "0", ..., "16", "other"; "1xx", ..., "5xx". */
const char *mf_stat_status_name(int index);
/* "dubbo", "grpc" or "http"; "" for lost, and for what is no index. */
const char *mf_stat_protocol_name(int index);

/* Upper bounds in ns: 50 us 100 us 250 us 500 us 1 ms 2.5 5 10 25 50 100 250 500 1 s 2.5 5 10 30 60 s, infinity. */
int mf_stat_bucket(uint64_t ns);
uint64_t mf_stat_bucket_bound(int bucket); /* UINT64_MAX for the last */
