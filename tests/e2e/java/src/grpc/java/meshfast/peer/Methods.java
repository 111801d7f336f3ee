package meshfast.peer;

import io.grpc.Context;
import io.grpc.Deadline;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.Status;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.zip.CRC32;

/** What each method of an instance does. */
final class Methods {
    static final List<String> NAMES =
            List.of("ask", "slow", "attempt", "fail", "told", "wait", "hang", "collect", "produce", "chat");

    private static final class Asked {
        String at = "";
        int millis;
        int code;
        String message = "";
        String details = "";
        int count;
        int size;
        int pause;
        List<List<String>> initial = List.of();
        List<List<String>> trailing = List.of();
    }

    private final byte[] name;
    private final Offer offer;

    Methods(String name, Offer offer) {
        this.name = name.getBytes(StandardCharsets.UTF_8);
        this.offer = offer;
    }

    ServerCallHandler<byte[], byte[]> handler(String method) {
        return (call, headers) -> {
            Told told = new Told(call);
            return ServerCalls.<byte[], byte[]>asyncBidiStreamingCall(
                            out -> new One(method, (ServerCallStreamObserver<byte[]>) out, told, headers))
                    .startCall(told, headers);
        };
    }

    /** A call whose metadata, both ways, may be set while it runs. */
    private static final class Told extends SimpleForwardingServerCall<byte[], byte[]> {
        private Metadata initial = new Metadata();
        private Metadata trailing = new Metadata();

        Told(ServerCall<byte[], byte[]> call) {
            super(call);
        }

        @Override
        public void sendHeaders(Metadata headers) {
            headers.merge(initial);
            super.sendHeaders(headers);
        }

        @Override
        public void close(Status status, Metadata trailers) {
            trailers.merge(trailing);
            super.close(status, trailers);
        }
    }

    /** One call. */
    private final class One implements StreamObserver<byte[]> {
        private final String method;
        private final ServerCallStreamObserver<byte[]> out;
        private final Told told;
        private final Metadata headers;
        private final CRC32 check = new CRC32();
        private final Parts.Room room;
        private int count;
        private long total;
        private boolean waits;

        One(String method, ServerCallStreamObserver<byte[]> out, Told told, Metadata headers) {
            this.method = method;
            this.out = out;
            this.told = told;
            this.headers = headers;
            room = new Parts.Room(out);
            out.setOnCancelHandler(() -> {
                room.end();
                if (waits) {
                    offer.cancelled.incrementAndGet();
                }
            });
        }

        @Override
        public void onNext(byte[] body) {
            try {
                take(body);
            } catch (InterruptedException error) {
                throw new IllegalStateException(error);
            }
        }

        private void take(byte[] body) throws InterruptedException {
            switch (method) {
                case "chat":
                    out.onNext(body);
                    return;
                case "collect":
                    count++;
                    total += body.length;
                    check.update(body);
                    return;
                case "slow":
                    offer.begun.incrementAndGet();
                    Thread.sleep(Integer.parseInt(new String(body, StandardCharsets.UTF_8)));
                    give(body);
                    return;
                case "attempt":
                    attempt(body);
                    return;
                case "ask":
                    give(body);
                    return;
                case "told":
                    tell(asked(body));
                    return;
                case "fail":
                    fail(asked(body));
                    return;
                case "produce":
                    Asked asked = asked(body);
                    GrpcDriver.POOL.execute(() -> produce(asked));
                    return;
                case "hang":
                    out.onNext(name);
                    await();
                    return;
                default:
                    await();
            }
        }

        private void await() {
            waits = true;
            offer.begun.incrementAndGet();
        }

        private Asked asked(byte[] body) {
            String text = body.length == 0 ? "{}" : new String(body, StandardCharsets.UTF_8);
            return GrpcDriver.GSON.fromJson(text, Asked.class);
        }

        private void give(byte[] body) {
            byte[] whole = new byte[name.length + 1 + body.length];
            System.arraycopy(name, 0, whole, 0, name.length);
            whole[name.length] = '|';
            System.arraycopy(body, 0, whole, name.length + 1, body.length);
            out.onNext(whole);
            out.onCompleted();
        }

        private void tell(Asked asked) {
            told.initial = Parts.metadata(asked.initial);
            told.trailing = Parts.metadata(asked.trailing);
            Deadline deadline = Context.current().getDeadline();
            Map<String, Object> seen = new LinkedHashMap<>();
            seen.put("metadata", Parts.pairs(headers));
            seen.put("left", deadline == null ? null : deadline.timeRemaining(TimeUnit.MILLISECONDS));
            out.onNext(GrpcDriver.GSON.toJson(seen).getBytes(StandardCharsets.UTF_8));
            out.onCompleted();
        }

        /** Counts as begun; the instance that is named waits, and fails where a code is told. */
        private void attempt(byte[] body) throws InterruptedException {
            Asked asked = asked(body);
            offer.begun.incrementAndGet();
            boolean meant = asked.at.equals(new String(name, StandardCharsets.UTF_8));
            Thread.sleep(meant ? asked.millis : 0);
            if (meant && asked.code != 0) {
                fail(asked);
            } else {
                give(body);
            }
        }

        private void fail(Asked asked) {
            Metadata trailers = new Metadata();
            if (!asked.details.isEmpty()) {
                trailers.put(Parts.DETAILS, Base64.getDecoder().decode(asked.details));
            }
            Status status = Status.fromCodeValue(asked.code).withDescription(asked.message);
            out.onError(status.asRuntimeException(trailers));
        }

        private void produce(Asked asked) {
            try {
                for (int i = 0; i < asked.count; i++) {
                    if (!room.await()) {
                        return;
                    }
                    out.onNext(Parts.message(i, asked.size));
                    Thread.sleep(asked.pause);
                }
                out.onCompleted();
            } catch (InterruptedException error) {
                out.onError(error);
            }
        }

        @Override
        public void onError(Throwable error) {
            room.end();
        }

        @Override
        public void onCompleted() {
            if (method.equals("collect")) {
                out.onNext((count + " " + total + " " + check.getValue()).getBytes(StandardCharsets.UTF_8));
            }
            if (method.equals("collect") || method.equals("chat")) {
                out.onCompleted();
            }
        }
    }
}
