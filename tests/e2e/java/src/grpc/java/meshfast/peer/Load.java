package meshfast.peer;

import io.grpc.ManagedChannel;
import io.grpc.Status;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;

/** Calls by many callers, so many each or until stopped, spread over the channels; each answer is checked. */
final class Load {
    private final Command told;
    private final List<Future<?>> callers = new ArrayList<>();
    private final Map<String, Integer> errors = new TreeMap<>();
    private final Map<String, Integer> answeredBy = new TreeMap<>();
    private volatile boolean stopped;
    private int good;
    private int wrong;
    private int failed;

    Load(Command told, List<ManagedChannel> channels) {
        this.told = told;
        for (int i = 0; i < told.threads; i++) {
            int caller = i;
            callers.add(GrpcDriver.POOL.submit(() -> run(caller, channels.get(caller % channels.size()))));
        }
    }

    private Void run(int caller, ManagedChannel channel) throws InterruptedException {
        Command plain = new Command();
        plain.timeout = 60_000;
        for (int number = 0; (told.calls == 0 || number < told.calls) && !stopped; number++) {
            String body = caller + "/" + number + ".".repeat(told.size);
            Calls.One one = new Calls.One(channel, plain, "ask", -1).say(body.getBytes(StandardCharsets.UTF_8));
            note(body, one, one.status());
            Thread.sleep(told.pause);
        }
        return null;
    }

    private synchronized void note(String body, Calls.One one, Status status) {
        if (!status.isOk()) {
            failed++;
            errors.merge(status.getCode().value() + " " + status.getDescription(), 1, Integer::sum);
            return;
        }
        String answer = new String(one.body, StandardCharsets.UTF_8);
        int bar = answer.indexOf('|');
        answeredBy.merge(answer.substring(0, Math.max(bar, 0)), 1, Integer::sum);
        if (one.got == 1 && answer.substring(bar + 1).equals(body)) {
            good++;
        } else {
            wrong++;
        }
    }

    Map<String, Object> join() throws InterruptedException, ExecutionException {
        for (Future<?> caller : callers) {
            caller.get();
        }
        return report();
    }

    Map<String, Object> stop() throws InterruptedException, ExecutionException {
        stopped = true;
        return join();
    }

    synchronized Map<String, Object> report() {
        Map<String, Object> report = new LinkedHashMap<>();
        report.put("good", good);
        report.put("wrong", wrong);
        report.put("failed", failed);
        report.put("errors", new TreeMap<>(errors));
        report.put("answered_by", new TreeMap<>(answeredBy));
        return report;
    }
}
