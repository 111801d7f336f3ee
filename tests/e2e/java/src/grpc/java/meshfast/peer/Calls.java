package meshfast.peer;

import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** The calls of a caller. */
final class Calls {
    private final Map<String, List<ManagedChannel>> references = new ConcurrentHashMap<>();
    private final Map<String, One> running = new ConcurrentHashMap<>();

    /** As many channels as there are connections; several addresses are taken by turns. */
    void refer(Command told) {
        List<ManagedChannel> made = new ArrayList<>();
        for (int i = 0; i < told.param("connections", 1); i++) {
            NettyChannelBuilder builder = NettyChannelBuilder.forTarget(Addresses.target(told.url))
                    .usePlaintext()
                    .executor(GrpcDriver.POOL)
                    .maxInboundMessageSize(Parts.LONGEST)
                    .maxInboundMetadataSize(1 << 16)
                    .defaultLoadBalancingPolicy("round_robin");
            if (told.params.containsKey("keepalive")) {
                builder.keepAliveTime(told.param("keepalive", 0), TimeUnit.MILLISECONDS).keepAliveWithoutCalls(true);
            }
            if (told.param("retries", 1) == 0) {
                builder.disableRetry();
            }
            made.add(builder.build());
        }
        references.put(told.ref, made);
    }

    void release(String ref) {
        List<ManagedChannel> all = references.remove(ref);
        if (all != null) {
            all.forEach(ManagedChannel::shutdownNow);
        }
    }

    List<ManagedChannel> channels(String ref) {
        return references.get(ref);
    }

    /** One call, from its first byte to its status. */
    static final class One extends ClientCall.Listener<byte[]> {
        final ClientCall<byte[], byte[]> call;
        final long began = System.nanoTime();
        final CountDownLatch first = new CountDownLatch(1);
        final CountDownLatch ended = new CountDownLatch(1);
        private final int size; // of a message whose bytes are looked at; -1: none is
        volatile byte[] body = {};
        volatile int got;
        volatile int wrong;
        private volatile Metadata initial;
        private volatile Metadata trailing;
        private volatile Status status;

        One(ManagedChannel channel, Command told, String method, int size) {
            CallOptions options = CallOptions.DEFAULT;
            if (told.timeout > 0) {
                options = options.withDeadlineAfter(told.timeout, TimeUnit.MILLISECONDS);
            }
            this.size = size;
            call = channel.newCall(Parts.method(method), options);
            call.start(this, Parts.metadata(told.metadata));
            call.request(1);
        }

        One say(byte[] message) {
            call.sendMessage(message);
            call.halfClose();
            return this;
        }

        @Override
        public void onHeaders(Metadata headers) {
            initial = headers;
        }

        @Override
        public void onMessage(byte[] message) {
            if (size >= 0) {
                wrong += Arrays.equals(message, Parts.message(got, size)) ? 0 : 1;
            } else {
                body = message;
            }
            got++;
            first.countDown();
            call.request(1);
        }

        @Override
        public synchronized void onReady() {
            notifyAll();
        }

        @Override
        public void onClose(Status status, Metadata trailers) {
            this.status = status;
            trailing = trailers;
            first.countDown();
            ended.countDown();
            onReady();
        }

        /** Sends when the other side takes more; false once the call has ended. */
        synchronized boolean send(byte[] message) throws InterruptedException {
            while (status == null && !call.isReady()) {
                wait();
            }
            if (status == null) {
                call.sendMessage(message);
            }
            return status == null;
        }

        Status status() throws InterruptedException {
            ended.await();
            return status;
        }

        Map<String, Object> report() throws InterruptedException {
            ended.await();
            byte[] details = trailing.get(Parts.DETAILS);
            Map<String, Object> told = new LinkedHashMap<>();
            told.put("code", status.getCode().value());
            told.put("message", status.getDescription() == null ? "" : status.getDescription());
            told.put("initial", Parts.pairs(initial));
            told.put("trailing", Parts.pairs(trailing));
            told.put("details", details == null ? "" : Base64.getEncoder().encodeToString(details));
            told.put("millis", (System.nanoTime() - began) / 1_000_000);
            return told;
        }
    }

    Map<String, Object> call(Command told) throws InterruptedException {
        One one = new One(channels(told.ref).get(0), told, told.method, -1);
        one.say(Base64.getDecoder().decode(told.body));
        Map<String, Object> report = one.report();
        report.put("body", Base64.getEncoder().encodeToString(one.body));
        return report;
    }

    /** One streaming call of {@code count} messages of {@code size} bytes, each looked at: collect, produce or chat. */
    Map<String, Object> stream(Command told) throws InterruptedException {
        boolean collects = told.method.equals("collect");
        One one = new One(channels(told.ref).get(0), told, told.method, collects ? -1 : told.size);
        if (told.method.equals("produce")) {
            Map<String, Integer> asked = Map.of("count", told.count, "size", told.size, "pause", told.pause);
            one.say(GrpcDriver.GSON.toJson(asked).getBytes(StandardCharsets.UTF_8));
        } else {
            boolean open = true;
            for (int i = 0; i < told.count && open; i++) {
                open = one.send(Parts.message(i, told.size));
            }
            if (open) {
                one.call.halfClose();
            }
        }
        Map<String, Object> report = one.report();
        report.put("got", one.got);
        report.put("wrong", one.wrong);
        report.put("answer", collects ? new String(one.body, StandardCharsets.UTF_8) : "");
        return report;
    }

    /** Begins a call that ends only when it is told to; back when its first message, if it is to have one, is here. */
    void start(Command told) throws InterruptedException {
        One one = new One(channels(told.ref).get(0), told, told.method, -1).say(new byte[0]);
        if (told.method.equals("hang")) {
            one.first.await();
        }
        running.put(told.name, one);
    }

    Map<String, Object> finish(Command told) throws InterruptedException {
        One one = running.remove(told.name);
        if (told.cancel) {
            one.call.cancel("asked to", null);
        }
        return one.report();
    }
}
