#pragma once
/* probe: what processes and the machine have spent so far, read from /proc at both ends of a window.
 *
 * CPU comes from schedstat (nanoseconds on a CPU); for a thread that is running it may be one scheduler tick (at most
 * 4 ms) behind. Threads that end inside a window are not seen. */
#include "net.h"

#include <dirent.h>

struct probe_machine {
    double busy_s, steal_s; /* summed over the CPUs, in steps of a clock tick (10 ms) */
};

struct probe_cpu {
    uint64_t all, main; /* nanoseconds; `main`: of the thread that the process began with */
};

/* CPU of all threads of `pid`; gives up when the process is gone. */
static inline struct probe_cpu probe_cpu(int pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        die(EXIT_FAILED, "process %d is gone", pid);
    struct probe_cpu sum = {0};
    for (struct dirent *task; (task = readdir(tasks));) {
        int tid = atoi(task->d_name);
        unsigned long long ns;
        if (tid <= 0)
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", pid, tid);
        FILE *file = fopen(path, "re");
        if (!file)
            continue;
        if (fscanf(file, "%llu", &ns) == 1) {
            sum.all += ns;
            sum.main += tid == pid ? ns : 0;
        }
        fclose(file);
    }
    closedir(tasks);
    return sum;
}

/* Resident bytes; 0 when unknown. */
static inline uint64_t probe_rss(int pid)
{
    char path[64];
    unsigned long long size, resident = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    FILE *file = fopen(path, "re");
    if (file) {
        if (fscanf(file, "%llu %llu", &size, &resident) != 2)
            resident = 0;
        fclose(file);
    }
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static inline struct probe_machine probe_machine(void)
{
    unsigned long long user = 0, nice = 0, system = 0, idle, iowait, irq = 0, softirq = 0, steal = 0;
    FILE *file = fopen("/proc/stat", "re");
    if (!file || fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &iowait, &irq,
                        &softirq, &steal) != 8)
        die(EXIT_FAILED, "cannot read /proc/stat");
    fclose(file);
    double tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
    return (struct probe_machine){(double)(user + nice + system + irq + softirq) * tick, (double)steal * tick};
}
