package meshfast.peer;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.zip.CRC32;
import org.apache.dubbo.rpc.RpcContext;
import org.apache.dubbo.rpc.TimeoutCountDown;

/** The service as one named instance offers it. */
final class Provider implements PeerService {
    /* What the calls that are asleep now in this process were given as their text. */
    static final Set<String> ASLEEP = ConcurrentHashMap.newKeySet();

    private final String name;
    private final Supplier<PeerService> next;
    private final List<String> records = Collections.synchronizedList(new ArrayList<>());
    private final Map<String, Listener> listeners = new ConcurrentHashMap<>();
    /* Another thread than the call's own: the SDK copies a call's attachments onward only on the same thread. */
    private final ExecutorService hops = Executors.newCachedThreadPool(Threads.daemon("hop"));

    Provider(String name, Supplier<PeerService> next) {
        this.name = name;
        this.next = next;
    }

    @Override
    public String whoami() {
        return name;
    }

    @Override
    public String echo(String text) {
        return text;
    }

    @Override
    public String ask(String text) {
        return name + "|" + text;
    }

    @Override
    public String slow(int millis, String text) {
        ASLEEP.add(text);
        try {
            Thread.sleep(millis);
        } catch (InterruptedException stop) {
            throw new IllegalStateException(stop);
        } finally {
            ASLEEP.remove(text);
        }
        return ask(text);
    }

    @Override
    public CompletableFuture<String> later(int millis, String text) {
        return CompletableFuture.supplyAsync(
                () -> ask(text), CompletableFuture.delayedExecutor(millis, TimeUnit.MILLISECONDS));
    }

    @Override
    public String nothing() {
        return null;
    }

    @Override
    public String fail(String message) {
        throw new IllegalStateException(message);
    }

    @Override
    public String failChecked(String message) throws PeerException {
        throw new PeerException(message);
    }

    @Override
    public Order order(Order order) {
        return order;
    }

    @Override
    public long checksum(byte[] data) {
        CRC32 crc = new CRC32();
        crc.update(data);
        return crc.getValue();
    }

    @Override
    public byte[] produce(int size) {
        byte[] data = new byte[size];
        for (int i = 0; i < size; i++) {
            data[i] = (byte) (i % 251);
        }
        return data;
    }

    @Override
    public Map<String, String> attachments() {
        Map<String, String> seen = new TreeMap<>(RpcContext.getContext().getAttachments());
        RpcContext.getServerContext().setAttachment("from", name);
        if (seen.containsKey("reply")) {
            RpcContext.getServerContext().setAttachment("replied", seen.get("reply"));
        }
        return seen;
    }

    @Override
    public long left() {
        Object left = RpcContext.getContext().get("timeout-countdown"); // of 2.7
        left = left == null ? RpcContext.getContext().getObjectAttachment("timeout-countdown") : left;
        return left == null ? -1 : ((TimeoutCountDown) left).timeRemaining(TimeUnit.MILLISECONDS);
    }

    @Override
    public void record(String token) {
        records.add(token);
    }

    @Override
    public List<String> recorded() {
        return new ArrayList<>(records);
    }

    @Override
    public String attempt(String at, int millis, String token) {
        records.add(token);
        if (!name.equals(at)) {
            return ask(token);
        }
        return millis < 0 ? fail(token) : slow(millis, token);
    }

    @Override
    public String subscribe(String key, Listener listener) {
        listeners.put(key, listener);
        return name;
    }

    @Override
    public String publish(String key, String text) {
        try {
            listeners.get(key).heard(text);
            return "heard";
        } catch (RuntimeException error) {
            return Driver.brief(error);
        }
    }

    @Override
    public String hop(String key) {
        String carried = RpcContext.getContext().getAttachment(key);
        return hopOn(key, carried).join();
    }

    private CompletableFuture<String> hopOn(String key, String carried) {
        return CompletableFuture.supplyAsync(
                () -> {
                    if (carried != null) {
                        RpcContext.getContext().setAttachment(key, carried);
                    }
                    return name + ">" + next.get().whoami();
                },
                hops);
    }
}
