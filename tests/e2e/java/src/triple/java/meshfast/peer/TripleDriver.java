package meshfast.peer;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.protobuf.Int32Value;
import com.google.protobuf.StringValue;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import org.apache.dubbo.common.stream.StreamObserver;
import org.apache.dubbo.rpc.RpcContext;
import org.apache.dubbo.rpc.protocol.tri.CancelableStreamObserver;

/** The driver with what only Triple has: an instance offers {@link Streams} and {@link Texts} too, at the same port. */
public final class TripleDriver extends Driver {
    private TripleDriver(PrintStream out) {
        super(out, new Worlds());
    }

    public static void main(String[] args) throws Exception {
        new TripleDriver(answers()).run();
        System.exit(0);
    }

    @Override
    Object execute(JsonObject command) throws Exception {
        String ref = text(command, "ref", "");
        int items = number(command, "items", 0);
        int size = number(command, "size", 0);
        switch (text(command, "op", "")) {
            case "export":
                String name = text(command, "name", "");
                Map<String, String> params = strings(command, "params");
                int port = number(command, "port", 0);
                super.execute(command);
                dubbo.export(Streams.class, new StreamsProvider(name), port, params, List.of());
                dubbo.export(Texts.class, new TextsProvider(name), port, params, List.of());
                return null;
            case "refer":
                super.execute(command);
                reach(ref, Streams.class, command);
                reach(ref, Texts.class, command);
                return null;
            case "release":
                dubbo.release(named(ref, Streams.class));
                dubbo.release(named(ref, Texts.class));
                return super.execute(command);
            case "count":
                return count(command, items, size);
            case "gather":
                return gather(command, items, size);
            case "chat":
                return chat(command, items, size);
            case "cancelled":
                return streams(command).cancelled();
            case "bytes":
                return bytes(command);
            case "texts":
                return texts(ref, items);
            case "texts-fail":
                return texts(ref).fail(StringValue.of("boo")).getValue();
            default:
                return super.execute(command);
        }
    }

    private <T> void reach(String ref, Class<T> type, JsonObject command) {
        String url = text(command, "url", "").replace(PeerService.class.getName(), type.getName());
        dubbo.refer(named(ref, type), type, url, strings(command, "params"), List.of());
    }

    private static String named(String ref, Class<?> type) {
        return ref + "/" + type.getSimpleName();
    }

    /** What the next call of this thread goes to, with the attachments that it takes along. */
    private Streams streams(JsonObject command) {
        attach(command);
        return dubbo.service(named(text(command, "ref", ""), Streams.class), Streams.class);
    }

    private Texts texts(String ref) {
        return dubbo.service(named(ref, Texts.class), Texts.class);
    }

    /** Who answered, and how many in order and whole; a failure at the end is thrown after them. */
    private Object count(JsonObject command, int items, int size) throws Exception {
        Heard<String> heard = new Heard<>(Function.identity());
        Map<String, Object> told = new LinkedHashMap<>(Map.of("items", items, "size", size, "fail", command.has("fail")));
        streams(command).count(told, heard);
        String padding = "|" + "x".repeat(size);
        String name = null;
        for (int i = 0; i < items; i++) {
            String text = heard.next();
            name = text.substring(0, text.indexOf('|'));
            if (!text.equals(name + "|" + i + padding)) {
                throw new IllegalStateException("wrong: " + text);
            }
        }
        if (heard.next() != null) {
            throw new IllegalStateException("more than there are");
        }
        return name;
    }

    private Object gather(JsonObject command, int items, int size) throws Exception {
        Heard<String> heard = new Heard<>(Function.identity());
        StreamObserver<String> to = streams(command).gather(heard);
        for (int i = 0; i < items; i++) {
            to.onNext("x".repeat(size));
        }
        to.onCompleted();
        return heard.all();
    }

    /** Each text after the answer to the one before; {@code then} the stream ends, fails, or is cancelled. */
    private Object chat(JsonObject command, int items, int size) throws Exception {
        Heard<String> heard = new Heard<>(Function.identity());
        Cancelable to = new Cancelable(heard);
        StreamObserver<String> ask = streams(command).chat(to);
        List<String> who = new ArrayList<>();
        for (int i = 0; i < items; i++) {
            String text = i + "-" + "x".repeat(size);
            ask.onNext(text);
            String answer = heard.next();
            if (answer == null || !answer.endsWith("|" + text)) {
                throw new IllegalStateException("wrong: " + answer);
            }
            who.add(answer.substring(0, answer.indexOf('|')));
        }
        String then = text(command, "then", "end");
        if (then.equals("cancel")) {
            to.cancel(new IllegalStateException("told to cancel"));
            return who;
        }
        if (then.equals("fail")) {
            ask.onNext("fail");
        } else {
            ask.onCompleted();
        }
        who.addAll(heard.all());
        return who;
    }

    private static final class Cancelable extends CancelableStreamObserver<String> {
        private final Heard<String> heard;

        Cancelable(Heard<String> heard) {
            this.heard = heard;
        }

        @Override
        public void onNext(String text) {
            heard.onNext(text);
        }

        @Override
        public void onError(Throwable error) {
            heard.onError(error);
        }

        @Override
        public void onCompleted() {
            heard.onCompleted();
        }
    }

    /** One call with attachments of bytes: which the provider saw, and which came back. */
    private Object bytes(JsonObject command) {
        Streams streams = streams(command);
        Map<String, Object> reply = new TreeMap<>();
        reply.put("value", streams.bytes());
        Map<String, String> back = new TreeMap<>();
        RpcContext.getServerContext().getObjectAttachments().forEach((key, value) -> {
            if (value instanceof byte[]) {
                back.put(key, Base64.getEncoder().encodeToString((byte[]) value));
            }
        });
        reply.put("attachments", back);
        return reply;
    }

    @Override
    void attach(JsonObject command) {
        super.attach(command);
        if (command.has("bytes")) {
            for (Map.Entry<String, JsonElement> entry : command.getAsJsonObject("bytes").entrySet()) {
                byte[] value = Base64.getDecoder().decode(entry.getValue().getAsString());
                RpcContext.getClientAttachment().setObjectAttachment(entry.getKey(), value);
            }
        }
    }

    /** One call of each kind by messages of protobuf. */
    private Object texts(String ref, int items) throws Exception {
        Texts texts = texts(ref);
        List<Object> all = new ArrayList<>();
        all.add(texts.ask(StringValue.of("q")).getValue());
        Heard<StringValue> counted = new Heard<>(StringValue::getValue);
        texts.count(Int32Value.of(items), counted);
        all.add(counted.all());
        for (boolean each : new boolean[] {false, true}) {
            Heard<StringValue> heard = new Heard<>(StringValue::getValue);
            StreamObserver<StringValue> to = each ? texts.chat(heard) : texts.gather(heard);
            for (int i = 0; i < items; i++) {
                to.onNext(StringValue.of("t" + i));
            }
            to.onCompleted();
            all.add(heard.all());
        }
        return all;
    }
}
