package meshfast.peer;

import io.grpc.KnownLength;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.stub.CallStreamObserver;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;

/** What both ends know: the service's methods, the messages of a stream, metadata as JSON has it. */
final class Parts {
    static final String SERVICE = "meshfast.peer.Echo";
    static final int LONGEST = 64 << 20;
    static final Metadata.Key<byte[]> DETAILS =
            Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);

    private Parts() {}

    /** All are streams of bytes both ways here; what comes on them says of which kind they are. */
    static MethodDescriptor<byte[], byte[]> method(String name) {
        String full = name.startsWith("/") ? name.substring(1) : SERVICE + "/" + name;
        return MethodDescriptor.newBuilder(new Bytes(), new Bytes())
                .setFullMethodName(full)
                .setType(MethodDescriptor.MethodType.BIDI_STREAMING)
                .build();
    }

    private static final class Bytes implements MethodDescriptor.Marshaller<byte[]> {
        @Override
        public InputStream stream(byte[] value) {
            return new Sized(value);
        }

        @Override
        public byte[] parse(InputStream stream) {
            try {
                return stream.readAllBytes();
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }
    }

    private static final class Sized extends ByteArrayInputStream implements KnownLength {
        Sized(byte[] value) {
            super(value);
        }
    }

    /** One message of a stream: four bytes of its number, then bytes that depend on it. */
    static byte[] message(int number, int size) {
        ByteBuffer made = ByteBuffer.allocate(Math.max(size, 4)).putInt(number);
        for (int at = number % 251; made.hasRemaining(); at++) {
            made.put((byte) (at % 251));
        }
        return made.array();
    }

    static Metadata metadata(List<List<String>> pairs) {
        Metadata made = new Metadata();
        for (List<String> pair : pairs == null ? List.<List<String>>of() : pairs) {
            if (pair.get(0).endsWith("-bin")) {
                made.put(binary(pair.get(0)), Base64.getDecoder().decode(pair.get(1)));
            } else {
                made.put(text(pair.get(0)), pair.get(1));
            }
        }
        return made;
    }

    static List<List<String>> pairs(Metadata all) {
        List<List<String>> made = new ArrayList<>();
        for (String key : all == null ? List.<String>of() : all.keys()) {
            if (key.endsWith("-bin")) {
                all.getAll(binary(key)).forEach(v -> made.add(List.of(key, Base64.getEncoder().encodeToString(v))));
            } else {
                all.getAll(text(key)).forEach(v -> made.add(List.of(key, v)));
            }
        }
        return made;
    }

    private static Metadata.Key<byte[]> binary(String key) {
        return Metadata.Key.of(key, Metadata.BINARY_BYTE_MARSHALLER);
    }

    private static Metadata.Key<String> text(String key) {
        return Metadata.Key.of(key, Metadata.ASCII_STRING_MARSHALLER);
    }

    /** Lets whoever sends wait until the other side takes more; made before the stream begins. */
    static final class Room {
        private final CallStreamObserver<?> stream;
        private boolean over;

        Room(CallStreamObserver<?> stream) {
            this.stream = stream;
            stream.setOnReadyHandler(this::look);
        }

        private synchronized void look() {
            notifyAll();
        }

        synchronized void end() {
            over = true;
            notifyAll();
        }

        /** False once the stream has ended. */
        synchronized boolean await() throws InterruptedException {
            while (!over && !stream.isReady()) {
                wait();
            }
            return !over;
        }
    }
}
