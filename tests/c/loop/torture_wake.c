/* torture: many threads wake a loop and read its counts while it turns, on each backend. */
#include "world.h"

#include <pthread.h>

enum { THREADS = 3, WAKES = 3000 };

static void *wake_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < WAKES; i++) {
        struct mf_loop_counts counts;
        mf_loop_wake(loop);
        mf_loop_counts(loop, &counts);
    }
    return NULL;
}

static int done;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *wake_and_say(void *arg)
{
    wake_often(arg);
    pthread_mutex_lock(&lock);
    done++;
    pthread_mutex_unlock(&lock);
    mf_loop_wake(loop); /* after it was said: the last turn must not sleep on */
    return NULL;
}

static int all_done(void)
{
    pthread_mutex_lock(&lock);
    int n = done;
    pthread_mutex_unlock(&lock);
    return n == THREADS;
}

static void test_wakes(void)
{
    pthread_t threads[THREADS];
    done = 0;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, wake_and_say, NULL);
    while (!all_done())
        CHECK_INT(turn(-1) >= 0, 1);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    ON_EACH(test_wakes);
    return test_end("loop/torture_wake");
}
