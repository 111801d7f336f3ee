package meshfast.peer;

import java.util.Base64;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import org.apache.dubbo.common.stream.StreamObserver;
import org.apache.dubbo.rpc.RpcContext;

/** The streams as one named instance offers them. */
final class StreamsProvider implements Streams {
    private final String name;
    private final AtomicInteger cancelled = new AtomicInteger();

    StreamsProvider(String name) {
        this.name = name;
    }

    @Override
    public void count(Map<String, Object> told, StreamObserver<String> answers) {
        int items = ((Number) told.get("items")).intValue();
        String padding = "x".repeat(((Number) told.get("size")).intValue());
        for (int i = 0; i < items; i++) {
            answers.onNext(name + "|" + i + "|" + padding);
        }
        if (Boolean.TRUE.equals(told.get("fail"))) {
            answers.onError(new IllegalStateException("told to fail"));
        } else {
            answers.onCompleted();
        }
    }

    @Override
    public StreamObserver<String> gather(StreamObserver<String> answer) {
        return new Fold<>(name, answer, Function.identity(), Function.identity(), false, () -> {});
    }

    @Override
    public StreamObserver<String> chat(StreamObserver<String> answers) {
        return new Fold<>(
                name, answers, Function.identity(), Function.identity(), true, cancelled::incrementAndGet);
    }

    @Override
    public Map<String, String> bytes() {
        Map<String, String> seen = new TreeMap<>();
        RpcContext.getServerAttachment().getObjectAttachments().forEach((key, value) -> {
            if (value instanceof byte[]) {
                seen.put(key, Base64.getEncoder().encodeToString((byte[]) value));
                RpcContext.getServerContext().setObjectAttachment(key, value);
            }
        });
        return seen;
    }

    @Override
    public int cancelled() {
        return cancelled.get();
    }
}
