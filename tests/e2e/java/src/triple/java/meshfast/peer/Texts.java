package meshfast.peer;

import com.google.protobuf.Int32Value;
import com.google.protobuf.StringValue;
import org.apache.dubbo.common.stream.StreamObserver;

/** As {@link Streams}, by messages of protobuf: what gRPC's clients can call, in no wrapper of Dubbo's. */
public interface Texts {
    StringValue ask(StringValue text);

    StringValue fail(StringValue text);

    void count(Int32Value items, StreamObserver<StringValue> answers);

    StreamObserver<StringValue> gather(StreamObserver<StringValue> answer);

    StreamObserver<StringValue> chat(StreamObserver<StringValue> answers);
}
