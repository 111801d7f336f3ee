package meshfast.peer;

import com.google.protobuf.Int32Value;
import com.google.protobuf.StringValue;
import org.apache.dubbo.common.stream.StreamObserver;

/** The same by messages of protobuf. */
final class TextsProvider implements Texts {
    private final String name;

    TextsProvider(String name) {
        this.name = name;
    }

    @Override
    public StringValue ask(StringValue text) {
        return StringValue.of(name + "|" + text.getValue());
    }

    @Override
    public StringValue fail(StringValue text) {
        throw new IllegalStateException(text.getValue());
    }

    @Override
    public void count(Int32Value items, StreamObserver<StringValue> answers) {
        for (int i = 0; i < items.getValue(); i++) {
            answers.onNext(StringValue.of(name + "|" + i));
        }
        answers.onCompleted();
    }

    @Override
    public StreamObserver<StringValue> gather(StreamObserver<StringValue> answer) {
        return new Fold<>(name, answer, StringValue::getValue, StringValue::of, false, () -> {});
    }

    @Override
    public StreamObserver<StringValue> chat(StreamObserver<StringValue> answers) {
        return new Fold<>(name, answers, StringValue::getValue, StringValue::of, true, () -> {});
    }
}
