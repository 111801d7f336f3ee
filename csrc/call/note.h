#pragma once
/* note: what is kept of a call beside it until it ends, where somebody asked: a record for the access log, and where the
 * calls of its method are counted. Nothing is where neither is wanted. */
#include "base/addr.h"
#include "base/ring.h"
#include "call/local.h"
#include "call/tally.h"

enum {
    MF_RECORD_SERVICE = 128, MF_RECORD_METHOD = 64, MF_RECORD_SUBSET = 64, MF_RECORD_LABELS = 256,
    MF_NOTE_ALL_CALLS = 1 << 30, /* a sample of all */
};

/* One call that has ended, as the engine's thread gets it. Texts are cut to their room. */
struct mf_record {
    uint64_t ended;          /* monotonic ns */
    uint64_t took, bytes_up, bytes_down;
    uint64_t request_id;     /* the caller's */
    struct mf_addr caller, peer; /* of length 0: not known; it reached none */
    uint8_t direction, outcome;
    uint8_t status;          /* what the caller was told, its place in statistics; MF_STAT_LOST: nothing */
    uint8_t service_len, method_len, subset_len;
    uint8_t fallbacks, tries; /* targets passed over by the rule; peers that were chosen */
    int32_t rule;            /* of the service, from 0; -1: none */
    uint16_t labels_len;
    uint16_t http;           /* the status of HTTP that its caller was told; 0: none */
    uint32_t code;           /* the status itself, where `status` stands for several others; 0: not known */
    char service[MF_RECORD_SERVICE], method[MF_RECORD_METHOD], subset[MF_RECORD_SUBSET];
    uint8_t labels[MF_RECORD_LABELS]; /* name and value in turn, each behind a byte that says its length */
};

struct mf_note {
    struct mf_note *_made, *_free;
    struct mf_stat_shard *method; /* NULL: not counted */
    uint64_t up, down;            /* bytes of content that went on part by part */
    bool logged;
    struct mf_record record;      /* where logged: its beginning is filled, its end to come */
};

/* A worker's. The ring's other end is the engine's thread. */
struct mf_notes {
    struct mf_local *local;
    struct mf_ring ring;
    uint32_t sample;         /* of MF_NOTE_ALL_CALLS; 0: no log */
    struct mf_tally methods;
    bool by_method;
    struct mf_note **of_slots; /* of the calls in flight that have one, by slot */
    struct mf_note *_made, *_free;
};

/* Ready for that share of calls; the limits say how many methods are counted. 0 or -ENOMEM. */
int mf_notes_init(struct mf_notes *notes, struct mf_local *local, uint32_t sample);
void mf_notes_dispose(struct mf_notes *notes);
/* For a request that is to be dispatched; NULL: nobody asks for this one. `labelled`: where its labels are looked
 * for. `caller_fd`: -1 where there is none. */
struct mf_note *mf_note_begin(struct mf_notes *notes, uint8_t direction, const struct mf_query *query,
                              const struct mf_query *labelled, uint64_t request_id, int caller_fd);

/* How a call ended. */
struct mf_note_end {
    uint8_t outcome, status, tries; /* as in mf_record */
    bool two_way, answered;
    uint64_t took, bytes_up, bytes_down;
    const struct mf_addr *peer; /* NULL: it reached none */
    struct mf_slice subset;
};
/* Gives the note back. */
void mf_note_end(struct mf_notes *notes, struct mf_note *note, const struct mf_note_end *end);
