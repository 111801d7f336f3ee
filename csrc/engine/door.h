#pragma once
/* door: a worker's end of a listener: takes connections in and finds out by their first bytes which protocol they are.
 * With protocols.h the only room that knows which there are. */
#include "base/ring.h"
#include "call/inlet.h"
#include "engine/options.h"
#include "engine/protocols.h"
#include "engine/silent.h"

struct mf_door {
    struct mf_listener listener;
    struct mf_inlet inlet;
    struct mf_silent silent;
    struct mf_protocols *protocols;
    enum mf_listen_protocol protocol;
    mf_atom32 open; /* 1 until all that it let in have been taken; read by the engine's thread */
    bool shut, left, ended;
    bool shared; /* when it was looked at last */
};

/* Listens on `fd`, which is the door's from now on unless this fails. 0 or a negated errno. */
int mf_door_open(struct mf_door *door, int fd);
/* Lets nobody new in; those who are being let in still come, until it is closed a moment later. */
void mf_door_shut(struct mf_door *door);
void mf_door_close(struct mf_door *door);
/* Takes nobody any more, as copies of its listener do; who waits in its queue is the last, if it is to `take` those. */
void mf_door_leave(struct mf_door *door, bool take);
/* Now and then, while others have copies of its listener: takes whom only one was told of that has ended. */
void mf_door_look(struct mf_door *door, bool shared);
/* The same, and who still comes is sent away. */
void mf_door_end(struct mf_door *door);
/* Has those of its connections go to another process that may, as far as `to` has room; the door is their `listener`.
 * Returns how many are yet to go. */
uint32_t mf_door_pass(struct mf_door *door, struct mf_ring *to, uint32_t listener);
/* Those stay after all, asked already or not. Returns how many. */
uint32_t mf_door_keep(struct mf_door *door);
/* Goes on with a connection that another process passed, or that this one had passed; it is the door's from now on. */
void mf_door_adopt(struct mf_door *door, struct mf_passed *passed);
