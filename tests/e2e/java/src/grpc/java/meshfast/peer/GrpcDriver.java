package meshfast.peer;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * One process of grpc-java that is told what to be, as the other peers are: commands as JSON lines on stdin, answers as
 * JSON lines on stdout, each with the command's id. Commands run at the same time; the end of stdin ends the process.
 */
public final class GrpcDriver {
    static final Gson GSON = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();
    static final ExecutorService POOL = Executors.newCachedThreadPool(task -> {
        Thread thread = new Thread(task);
        thread.setDaemon(true);
        return thread;
    });

    private final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    private final Offer offer = new Offer();
    private final Calls calls = new Calls();
    private final Map<String, Load> loads = new ConcurrentHashMap<>();

    public static void main(String[] args) throws Exception {
        new GrpcDriver().run();
        System.exit(0);
    }

    private void run() throws Exception {
        System.setOut(System.err); // stdout belongs to the answers
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            Command command = GSON.fromJson(line, Command.class);
            POOL.execute(() -> answer(command));
        }
    }

    private void answer(Command command) {
        Map<String, Object> reply = new LinkedHashMap<>();
        reply.put("id", command.id);
        try {
            reply.put("value", execute(command));
            reply.put("ok", true);
        } catch (Throwable error) {
            reply.put("ok", false);
            reply.put("error", error.getClass().getName());
            reply.put("message", String.valueOf(error.getMessage()));
        }
        String line = GSON.toJson(reply);
        synchronized (out) {
            out.println(line);
        }
    }

    private Object execute(Command told) throws Exception {
        switch (told.op) {
            case "export":
                return offer.export(told);
            case "seen":
                return offer.seen();
            case "leave":
                offer.leave(told.grace);
                return null;
            case "refer":
                calls.refer(told);
                return null;
            case "release":
                calls.release(told.ref);
                return null;
            case "call":
                return calls.call(told);
            case "stream":
                return calls.stream(told);
            case "start":
                calls.start(told);
                return null;
            case "finish":
                return calls.finish(told);
            case "flood":
                return new Load(told, calls.channels(told.ref)).join();
            case "load":
                loads.put(told.load, new Load(told, calls.channels(told.ref)));
                return null;
            case "progress":
                return loads.get(told.load).report();
            case "stop":
                return loads.remove(told.load).stop();
            default:
                throw new IllegalArgumentException("no such op: " + told.op);
        }
    }
}
