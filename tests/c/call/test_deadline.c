/* deadline: what a request is told of the time that is left, when, and once. */
#include "bare.h"
#include "call/deadline.h"

#define MS UINT64_C(1000000)

/* The text that it was given, or NULL. `left`: how much there is, 0: no end. */
static const char *told(struct bare *bare, struct mf_request *request, uint64_t left_ns, bool ruled)
{
    struct mf_call call = {.calls = &bare->calls};
    call.deadline = left_ns ? mf_local_now(&bare->local) + left_ns : 0;
    request->n_stamps = 0;
    mf_deadline_stamp(&call, request, ruled);
    mf_deadline_stamp(&call, request, ruled); /* it is placed anew */
    CHECK(request->n_stamps <= 1);
    if (request->n_stamps == 0)
        return NULL;
    CHECK(mf_slice_eq(request->stamps[0].key, MF_SLICE("timeout")));
    return request->left;
}

/* Whether both that Dubbo has for it say the same. */
static bool told_both(struct bare *bare, struct mf_request *request, uint64_t left_ns)
{
    struct mf_call call = {.calls = &bare->calls, .deadline = mf_local_now(&bare->local) + left_ns};
    request->n_stamps = 0;
    mf_deadline_stamp(&call, request, false);
    mf_deadline_stamp(&call, request, false);
    if (request->n_stamps < 2)
        return false;
    CHECK_INT(request->n_stamps, 2);
    CHECK(mf_slice_eq(request->stamps[1].key, MF_SLICE("_TO")));
    return mf_slice_eq(request->stamps[0].value, request->stamps[1].value);
}

static void test_stamp(void)
{
    struct mf_loop *loop;
    struct bare bare;
    const char *why;
    static struct mf_request request;
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = MF_LOOP_EPOLL}, &loop, &why), 0);
    open_bare(&bare, loop, 3);
    request.stampable = true;
    request.timeout_ms = 1000;
    CHECK_STR(mf_slice_str(told(&bare, &request, 900 * MS, false)), "900");
    CHECK_STR(mf_slice_str(told(&bare, &request, 900 * MS - 1, false)), "899");
    CHECK_STR(mf_slice_str(told(&bare, &request, 1, false)), "1");
    CHECK(!told(&bare, &request, 1000 * MS, true));
    CHECK(!told(&bare, &request, 0, true));
    request.timeout_ms = -1;
    CHECK(!told(&bare, &request, 900 * MS, false));
    CHECK_STR(mf_slice_str(told(&bare, &request, 900 * MS, true)), "900");
    CHECK(!told(&bare, &request, UINT64_C(4000000000) * MS, true));
    struct mf_pair headers[] = {{MF_SLICE("_TO"), {NULL, 0}}}; /* a number */
    request.query.headers = headers;
    request.query.n_headers = 1;
    request.timeout_ms = 1000;
    CHECK(told_both(&bare, &request, 900 * MS));
    CHECK(!told_both(&bare, &request, 1000 * MS));
    request.query.n_headers = 0;
    CHECK(!told_both(&bare, &request, 900 * MS));
    request.timeout_ms = -1;
    request.flows = true;
    CHECK(!told(&bare, &request, 900 * MS, true));
    request.flows = request.stampable = false;
    CHECK(!told(&bare, &request, 900 * MS, true));
    close_bare(&bare);
    mf_loop_free(loop);
}

int main(void)
{
    test_stamp();
    return test_end("deadline");
}
