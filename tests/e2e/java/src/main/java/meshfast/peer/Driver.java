package meshfast.peer;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.dubbo.rpc.RpcContext;
import org.apache.dubbo.rpc.RpcException;
import org.apache.dubbo.rpc.service.GenericService;

/**
 * One process that is told what to be: commands as JSON lines on stdin, answers as JSON lines on stdout, each with the
 * command's id. Commands run at the same time; the end of stdin ends the process.
 */
public class Driver {
    private static final Gson GSON = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();

    private final PrintStream out;
    private final ExecutorService pool = Executors.newCachedThreadPool(Threads.daemon("command"));
    final Dubbo dubbo;
    private final Map<String, Load> loads = new ConcurrentHashMap<>();
    private final Map<String, List<String>> heard = new ConcurrentHashMap<>();

    Driver(PrintStream out, Dubbo dubbo) {
        this.dubbo = dubbo;
        this.out = out;
    }

    public static void main(String[] args) throws Exception {
        new Driver(answers(), new Dubbo()).run();
        System.exit(0);
    }

    /** stdout, which belongs to the answers: what else is printed goes to stderr. */
    static PrintStream answers() {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        return out;
    }

    void run() throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonObject command = GSON.fromJson(line, JsonObject.class);
            pool.execute(() -> answer(command));
        }
    }

    private void answer(JsonObject command) {
        Map<String, Object> reply = new LinkedHashMap<>();
        reply.put("id", command.get("id").getAsLong());
        try {
            reply.put("value", execute(command));
            reply.put("ok", true);
        } catch (Throwable error) {
            Throwable cause = error instanceof InvocationTargetException ? error.getCause() : error;
            reply.put("ok", false);
            reply.put("error", cause.getClass().getName());
            reply.put("message", String.valueOf(cause.getMessage()));
            if (cause instanceof RpcException) {
                reply.put("code", ((RpcException) cause).getCode());
            }
        }
        String line = GSON.toJson(reply);
        synchronized (out) {
            out.println(line);
        }
    }

    Object execute(JsonObject command) throws Exception {
        String op = text(command, "op", "");
        switch (op) {
            case "version":
                return Dubbo.version();
            case "export":
                dubbo.export(text(command, "name", ""), number(command, "port", 0), strings(command, "params"));
                return null;
            case "unexport":
                if (command.has("port")) {
                    dubbo.unexport(number(command, "port", 0));
                } else {
                    dubbo.unexport();
                }
                return null;
            case "asleep":
                return new ArrayList<>(Provider.ASLEEP);
            case "next":
                dubbo.refer("next", text(command, "url", ""), strings(command, "params"));
                return null;
            case "refer":
                dubbo.refer(text(command, "ref", ""), text(command, "url", ""), strings(command, "params"));
                return null;
            case "release":
                dubbo.release(text(command, "ref", ""));
                return null;
            case "call":
                return call(command);
            case "subscribe":
                return subscribe(text(command, "ref", ""), text(command, "key", ""));
            case "heard":
                return heard.getOrDefault(text(command, "key", ""), List.of());
            case "futures":
                return futures(command);
            case "generic":
                return generic(command);
            case "order":
                Order order = Order.of(number(command, "seed", 1));
                Order back = service(command).order(order);
                return order.describe().equals(back.describe()) ? "same" : back.describe();
            case "checksum":
                return checksum(command);
            case "produce":
                return service(command).produce(number(command, "size", 0)).length;
            case "flood":
                return load(command).start().join();
            case "load":
                loads.put(text(command, "load", ""), load(command).start());
                return null;
            case "progress":
                return loads.get(text(command, "load", "")).report();
            case "stop":
                return loads.remove(text(command, "load", "")).stop();
            default:
                throw new IllegalArgumentException("no such op: " + op);
        }
    }

    /** Any method of the service, by name; gives the value and the attachments that came back with it. */
    private Object call(JsonObject command) throws Exception {
        String name = text(command, "method", "");
        for (Method method : PeerService.class.getMethods()) {
            if (!method.getName().equals(name)) {
                continue;
            }
            Class<?>[] types = method.getParameterTypes();
            Object[] args = new Object[types.length];
            for (int i = 0; i < types.length; i++) {
                args[i] = GSON.fromJson(command.getAsJsonArray("args").get(i), types[i]);
            }
            PeerService service = service(command);
            attach(command);
            Object value = method.invoke(service, args);
            if (value instanceof CompletableFuture) {
                value = ((CompletableFuture<?>) value).join();
            }
            Map<String, Object> reply = new LinkedHashMap<>();
            reply.put("value", value);
            reply.put("attachments", new LinkedHashMap<>(RpcContext.getServerContext().getAttachments()));
            return reply;
        }
        throw new IllegalArgumentException("no such method: " + name);
    }

    private Object subscribe(String ref, String key) {
        List<String> texts = new CopyOnWriteArrayList<>();
        heard.put(key, texts);
        return dubbo.service(ref).subscribe(key, texts::add);
    }

    /** {@code count} calls in flight at once from one thread, the first ones answered last. */
    private Object futures(JsonObject command) {
        PeerService service = service(command);
        int count = number(command, "count", 1);
        List<CompletableFuture<String>> waiting = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            waiting.add(service.later((count - i) * 2, "f" + i));
        }
        int good = 0;
        for (int i = 0; i < count; i++) {
            good += waiting.get(i).join().endsWith("|f" + i) ? 1 : 0;
        }
        return good;
    }

    private Object generic(JsonObject command) {
        GenericService service = dubbo.generic(text(command, "url", ""), strings(command, "params"));
        attach(command);
        String[] types = GSON.fromJson(command.get("types"), String[].class);
        Object[] args = GSON.fromJson(command.get("args"), Object[].class);
        return service.$invoke(text(command, "method", ""), types, args);
    }

    private Object checksum(JsonObject command) {
        byte[] data = new Provider("local", null).produce(number(command, "size", 0));
        return service(command).checksum(data) == new Provider("local", null).checksum(data) ? "same" : "different";
    }

    private Load load(JsonObject command) {
        return new Load(
                service(command),
                number(command, "threads", 1),
                number(command, "calls", 0),
                number(command, "pause", 0),
                number(command, "millis", 0),
                number(command, "size", 0));
    }

    private PeerService service(JsonObject command) {
        return dubbo.service(text(command, "ref", ""));
    }

    void attach(JsonObject command) {
        strings(command, "attachments").forEach((key, value) -> RpcContext.getContext().setAttachment(key, value));
    }

    static String brief(Throwable error) {
        String message = String.valueOf(error.getMessage());
        return error.getClass().getSimpleName() + ": " + message.substring(0, Math.min(4000, message.length()));
    }

    static String text(JsonObject command, String key, String otherwise) {
        JsonElement value = command.get(key);
        return value == null ? otherwise : value.getAsString();
    }

    static int number(JsonObject command, String key, int otherwise) {
        JsonElement value = command.get(key);
        return value == null ? otherwise : value.getAsInt();
    }

    static Map<String, String> strings(JsonObject command, String key) {
        Map<String, String> map = new LinkedHashMap<>();
        if (command.has(key)) {
            command.getAsJsonObject(key).entrySet().forEach(e -> map.put(e.getKey(), e.getValue().getAsString()));
        }
        return map;
    }
}
