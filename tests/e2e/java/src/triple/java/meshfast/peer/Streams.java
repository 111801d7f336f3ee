package meshfast.peer;

import java.util.Map;
import org.apache.dubbo.common.stream.StreamObserver;

/** What only Triple has: streams of each kind, and attachments of bytes. */
public interface Streams {
    /** "name|0|x...", "name|1|x...": as many as {@code told} has items, each padded to its size; then an end or a failure. */
    void count(Map<String, Object> told, StreamObserver<String> answers);

    /** Takes all, then answers once: "name|items|characters". */
    StreamObserver<String> gather(StreamObserver<String> answer);

    /** Answers each as it comes: "name|text"; "fail" is answered by a failure. */
    StreamObserver<String> chat(StreamObserver<String> answers);

    /** The attachments of bytes that this provider sees, in base64; "blob" travels back. */
    Map<String, String> bytes();

    /** How many streams of {@link #chat} their callers have cancelled. */
    int cancelled();
}
