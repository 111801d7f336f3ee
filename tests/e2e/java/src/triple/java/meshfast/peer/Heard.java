package meshfast.peer;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import org.apache.dubbo.common.stream.StreamObserver;

/** The caller's end of a stream: what came, in order, to be waited for. */
final class Heard<T> implements StreamObserver<T> {
    private static final int SECONDS = 30;
    private static final Object END = new Object();

    private final Function<T, String> read;
    private final BlockingQueue<Object> came = new LinkedBlockingQueue<>();

    Heard(Function<T, String> read) {
        this.read = read;
    }

    @Override
    public void onNext(T item) {
        came.add(read.apply(item));
    }

    @Override
    public void onError(Throwable error) {
        came.add(error);
    }

    @Override
    public void onCompleted() {
        came.add(END);
    }

    /** The next text; null at the end. */
    String next() throws Exception {
        Object item = came.poll(SECONDS, TimeUnit.SECONDS);
        if (item == null) {
            throw new IllegalStateException("nothing came in " + SECONDS + " s");
        }
        if (item instanceof Exception) {
            throw (Exception) item;
        }
        return item == END ? null : (String) item;
    }

    /** All up to the end. */
    List<String> all() throws Exception {
        List<String> texts = new ArrayList<>();
        for (String text = next(); text != null; text = next()) {
            texts.add(text);
        }
        return texts;
    }
}
