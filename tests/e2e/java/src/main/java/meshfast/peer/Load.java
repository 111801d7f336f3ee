package meshfast.peer;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/** Many threads asking; every answer is compared with its question. */
final class Load {
    private final PeerService service;
    private final int threads;
    private final long calls;
    private final int pause;
    private final int millis;
    private final String padding;
    private final AtomicBoolean stop = new AtomicBoolean();
    private final AtomicLong good = new AtomicLong();
    private final AtomicLong wrong = new AtomicLong();
    private final AtomicLong failed = new AtomicLong();
    private final Map<String, Long> errors = new TreeMap<>();
    private final Map<String, Long> answeredBy = new TreeMap<>();
    private final List<Double> failureMillis = new ArrayList<>();
    private final CountDownLatch done;
    private final long started = System.nanoTime();
    private volatile double seconds;

    /** {@code calls} per thread, 0 for until {@link #stop}; each waits {@code millis} at the provider. */
    Load(PeerService service, int threads, long calls, int pause, int millis, int size) {
        this.service = service;
        this.threads = threads;
        this.calls = calls;
        this.pause = pause;
        this.millis = millis;
        this.padding = "x".repeat(size);
        this.done = new CountDownLatch(threads);
    }

    Load start() {
        for (int i = 0; i < threads; i++) {
            int thread = i;
            Threads.daemon("load-" + i).newThread(() -> run(thread)).start();
        }
        return this;
    }

    private void run(int thread) {
        Map<String, Long> mine = new TreeMap<>();
        try {
            for (long i = 0; !stop.get() && (calls == 0 || i < calls); i++) {
                ask(thread + "-" + i + "-" + padding, mine);
                if (pause > 0) {
                    Thread.sleep(pause);
                }
            }
        } catch (InterruptedException end) {
            Thread.currentThread().interrupt();
        } finally {
            synchronized (errors) {
                mine.forEach((name, count) -> answeredBy.merge(name, count, Long::sum));
                seconds = (System.nanoTime() - started) / 1e9;
            }
            done.countDown();
        }
    }

    private void ask(String question, Map<String, Long> mine) {
        long from = System.nanoTime();
        try {
            /* Not slow(): 2.7 interrupts its threads when it stops, which then answer with that. */
            String answer = millis > 0 ? service.later(millis, question).join() : service.ask(question);
            int cut = answer == null ? -1 : answer.indexOf('|');
            if (cut < 0 || !answer.substring(cut + 1).equals(question)) {
                wrong.incrementAndGet();
            } else {
                good.incrementAndGet();
                mine.merge(answer.substring(0, cut), 1L, Long::sum);
            }
        } catch (RuntimeException error) {
            failed.incrementAndGet();
            synchronized (errors) {
                errors.merge(Driver.brief(error instanceof CompletionException ? error.getCause() : error), 1L, Long::sum);
                failureMillis.add((System.nanoTime() - from) / 1e6);
            }
        }
    }

    Map<String, Object> stop() throws InterruptedException {
        stop.set(true);
        return join();
    }

    Map<String, Object> join() throws InterruptedException {
        done.await();
        return report();
    }

    Map<String, Object> report() {
        Map<String, Object> report = new LinkedHashMap<>();
        report.put("good", good.get());
        report.put("wrong", wrong.get());
        report.put("failed", failed.get());
        synchronized (errors) {
            report.put("errors", new TreeMap<>(errors));
            report.put("answered_by", new TreeMap<>(answeredBy));
            report.put("failure_millis", new ArrayList<>(failureMillis));
            report.put("seconds", seconds);
        }
        return report;
    }
}
