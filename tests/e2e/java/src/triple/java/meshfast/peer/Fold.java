package meshfast.peer;

import java.util.function.Function;
import org.apache.dubbo.common.stream.StreamObserver;

/** The provider's end of a stream of texts: answers each, or all at once at the end. */
final class Fold<T> implements StreamObserver<T> {
    private final String name;
    private final StreamObserver<T> answers;
    private final Function<T, String> read;
    private final Function<String, T> write;
    private final boolean each;
    private final Runnable broken;
    private int items;
    private long characters;

    Fold(
            String name,
            StreamObserver<T> answers,
            Function<T, String> read,
            Function<String, T> write,
            boolean each,
            Runnable broken) {
        this.name = name;
        this.answers = answers;
        this.read = read;
        this.write = write;
        this.each = each;
        this.broken = broken;
    }

    @Override
    public void onNext(T item) {
        String text = read.apply(item);
        items++;
        characters += text.length();
        if (each && text.equals("fail")) {
            answers.onError(new IllegalStateException("told to fail"));
        } else if (each) {
            answers.onNext(write.apply(name + "|" + text));
        }
    }

    @Override
    public void onError(Throwable error) {
        broken.run();
    }

    @Override
    public void onCompleted() {
        if (!each) {
            answers.onNext(write.apply(name + "|" + items + "|" + characters));
        }
        answers.onCompleted();
    }
}
