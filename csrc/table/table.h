#pragma once
/* table: the writer's side. Services are built aside, then published with one store each.
 *
 * 1. mf_cluster_new, add, subset...   the instances of an application; shared by the services it offers
 * 2. mf_service_new, rule, match, target...
 * 3. mf_table_publish                  visible to readers from their next lookup on; the old one is retired
 * 4. mf_table_reclaim                  now and then
 * One thread writes. Texts are copied. Anything not published is freed with mf_service_free, mf_cluster_give. */
#include "table/actions.h"
#include "table/epoch.h"
#include "table/label.h"
#include "table/peer.h"
#include "table/policy.h"
#include "table/route.h"
#include "table/stat.h"

struct mf_cluster;
struct mf_service;

int mf_table_new(struct mf_table **out);
void mf_table_free(struct mf_table *table); /* every reader has left */
struct mf_epoch *mf_table_epoch(struct mf_table *table);

/* A cluster, with one reference for the caller. `host`: what it is called in statistics and explain. */
int mf_cluster_new(struct mf_table *table, struct mf_slice host, struct mf_cluster **out);
void mf_cluster_give(struct mf_table *table, struct mf_cluster *cluster);
/* Adds an instance, with one address for every protocol; `weight` 1..65535. 0, -ENOMEM, MF_EADDR, MF_ELIMIT; MF_ECLOSED
 * once it is sealed. */
int mf_cluster_add(struct mf_table *table, struct mf_cluster *cluster, struct mf_slice addr,
                   const struct mf_pair *labels, uint32_t n_labels, uint32_t weight);
/* The same with an address for calls of Dubbo and one for those that are HTTP (mf_query.http); an empty one: it takes
 * none of those. */
enum mf_family { MF_FAMILY_DUBBO, MF_FAMILY_HTTP, MF_FAMILIES };
int mf_cluster_add_apart(struct mf_table *table, struct mf_cluster *cluster, const struct mf_slice addrs[MF_FAMILIES],
                         const struct mf_pair *labels, uint32_t n_labels, uint32_t weight);
/* Declares a named subset: the instances that carry all these labels. 0, -ENOMEM, -EEXIST. */
int mf_cluster_subset(struct mf_table *table, struct mf_cluster *cluster, struct mf_slice name,
                      const struct mf_pair *labels, uint32_t n_labels);
/* The same of the instances with these numbers, from 0 in the order in which they were added, ascending. It is for
 * MF_TARGET_SUBSET alone: no label's value names it. As above, and MF_ELIMIT. */
int mf_cluster_subset_of(struct mf_table *table, struct mf_cluster *cluster, struct mf_slice name,
                         const uint32_t *members, uint32_t n_members);
/* How instances of the cluster are chosen and guarded; with `subset` not empty those of that declared subset, in place of
 * what is said for the cluster. 0, -ENOMEM, -ENOENT; MF_ELIMIT: a locality's places are not as many as the instances. */
int mf_cluster_policy(struct mf_table *table, struct mf_cluster *cluster, struct mf_slice subset,
                      const struct mf_policy *policy);
/* All instances and subsets are given: groups them by label value. Must come before a service uses it. 0, -ENOMEM, MF_ELIMIT as
 * above. */
int mf_cluster_seal(struct mf_table *table, struct mf_cluster *cluster);
/* What is so of each locality of a sealed cluster's instances, or of a declared subset's, for calls of that family; fills at
 * most `room` and returns how many there are: 0 where its policy has no localities. Writer's thread. */
struct mf_level_told { /* one locality in one level */
    uint32_t view, level, number; /* view 1: of the calls that are moved; number: its locality's, as in mf_place */
    uint32_t members, well;
    uint32_t load; /* percent of calls for its level, of those of its view */
    bool panic;    /* all are used */
    double share;  /* percent of all calls */
};
uint32_t mf_cluster_levels(const struct mf_cluster *cluster, struct mf_slice subset, enum mf_family family, uint64_t now,
                           struct mf_level_told *out, uint32_t room);

enum { MF_SERVICE_NAME = 65535 }; /* longest name, bytes */
enum mf_service_pattern { MF_SERVICE_EXACT, MF_SERVICE_PREFIX, MF_SERVICE_ANY, MF_SERVICE_SUFFIX };
/* `name` is the service, or the prefix up to and with its dot for `prefix.*`, or empty for `*`, or from the dot on for
 * `*.suffix`, which is for longer names alone. Of several patterns the longest counts, of two alike the prefix. */
int mf_service_new(struct mf_table *table, struct mf_slice name, enum mf_service_pattern pattern,
                   struct mf_service **out);
void mf_service_free(struct mf_table *table, struct mf_service *service);

/* Each returns the number of what it added, from 0, or -ENOMEM, or MF_ELIMIT; MF_ECLOSED once it is prepared. */
int mf_service_rule(struct mf_service *service, uint32_t timeout_ms);
int mf_service_match(struct mf_service *service, uint16_t rule); /* alternatives: any match will do; none: always */

enum mf_field { MF_FIELD_PATH, MF_FIELD_METHOD, MF_FIELD_AUTHORITY, MF_FIELD_HEADER, MF_FIELD_LABEL, MF_FIELD_NEVER,
                MF_FIELD_SCHEME, MF_FIELD_PARAM, MF_FIELD_HTTP, MF_FIELD_ARGUMENT, MF_FIELDS };
enum { MF_NO_ARGUMENT = 0xffff };
enum mf_op { MF_OP_EXACT, MF_OP_PREFIX, MF_OP_REGEX, MF_OP_PRESENT, MF_OP_ABSENT };
/* All conditions of a match must hold. `key`: the name of the header, the label, the parameter of HTTP's query,
 * or an argument's number in digits, from 0; of a number that no call has (MF_NO_ARGUMENT or more) there is none.
 * `value`: text, or a dfa.h blob for MF_OP_REGEX. Whether header names ignore ASCII case the request says.
 * MF_FIELD_NEVER never holds: a match that this workload cannot make (sourceLabels), kept for explain. Of HTTP the method,
 * scheme, authority and path are HTTP's own (match.h); Dubbo has neither scheme nor parameters. MF_FIELD_HTTP is there for
 * HTTP alone: MF_OP_PRESENT and MF_OP_ABSENT tell the two apart. MF_FIELD_ARGUMENT is Dubbo's. */
int mf_service_condition(struct mf_table *table, struct mf_service *service, uint16_t rule, uint16_t match,
                         enum mf_field field, struct mf_slice key, enum mf_op op, struct mf_slice value);

enum mf_target_kind {
    MF_TARGET_ALL,      /* every instance */
    MF_TARGET_SUBSET,   /* a declared subset, by name */
    MF_TARGET_LABEL,    /* the subset that the request's label `text` names */
    MF_TARGET_BASELINE, /* the instances that carry no label `text` */
};
enum mf_fallback_case {
    MF_FALLBACK_NO_INSTANCE,
    MF_FALLBACK_NO_AVAILABLE,
    MF_FALLBACK_NO_LOCAL, /* none in the own region; where the fallbacks have none either, the others are taken */
};
enum { MF_NO_TARGET = 0xffff };
/* A destination. `weight` 0: reached by fallback only; where all are 0, the first is picked. `fallback`: the target to
 * go on to, which may be added later, or MF_NO_TARGET. A missing label goes on to the fallback in either case. Takes
 * its own reference to `cluster`. */
int mf_service_target(struct mf_table *table, struct mf_service *service, uint16_t rule, struct mf_cluster *cluster,
                      enum mf_target_kind kind, struct mf_slice text, uint32_t weight, enum mf_fallback_case on,
                      uint16_t fallback);

/* What the rule does besides; takes its own reference. 0, MF_ELIMIT, MF_ECLOSED. */
int mf_service_actions(struct mf_service *service, uint16_t rule, struct mf_actions *actions);

/* Does all of a publish that can fail: nothing is visible yet, and the service takes no more rules. 0, -ENOMEM, or
 * MF_ELIMIT for a fallback that points at no target or in a circle. Prepare many, then publish them: all or nothing. */
int mf_table_prepare(struct mf_table *table, struct mf_service *service);
/* Takes the service over. Replaces the one of the same name and pattern. 0, or what mf_table_prepare returns (then it
 * is still the caller's); never an error when it is prepared. */
int mf_table_publish(struct mf_table *table, struct mf_service *service);
/* 0, or MF_EROUTE_SERVICE. */
int mf_table_remove(struct mf_table *table, struct mf_slice name, enum mf_service_pattern pattern);

/* The label plan. Copies `plan`, texts and all. 0, -ENOMEM, or MF_ELIMIT: more labels or sources than a plan may have,
 * or no number is left for a name. */
int mf_table_publish_labels(struct mf_table *table, const struct mf_labels *plan);
const struct mf_labels *mf_table_labels(const struct mf_table *table); /* readers; never NULL */

/* Frees what no reader can see any more. Returns how much still waits. */
size_t mf_table_reclaim(struct mf_table *table);

/* Writer's thread: walks every stat or peer that is alive. */
void mf_table_each_stat(struct mf_table *table, void (*fn)(void *arg, struct mf_stat *stat), void *arg);
void mf_table_each_peer(struct mf_table *table, void (*fn)(void *arg, struct mf_peer *peer), void *arg);
/* The same in pieces, of about `max`: the first begins with a cursor of 0, and there are more as long as it returns true.
 * Between them the table may change: what is there all the time is told once, what comes or goes once or not at all. */
bool mf_table_next_stats(struct mf_table *table, uint64_t *cursor, void (*fn)(void *arg, struct mf_stat *stat),
                         void *arg, size_t max);
bool mf_table_next_peers(struct mf_table *table, uint64_t *cursor, void (*fn)(void *arg, struct mf_peer *peer),
                         void *arg, size_t max);
/* The stat of that name, for calls that no published service counts; the caller bounds how many. It lives, and any reader
 * may count there, until it is given back and its calls are done. NULL: no memory. Writer only. */
struct mf_stat *mf_table_stat(struct mf_table *table, struct mf_slice service, struct mf_slice host,
                              struct mf_slice subset);
void mf_table_stat_give(struct mf_table *table, struct mf_stat *stat);
size_t mf_table_n_services(const struct mf_table *table);
