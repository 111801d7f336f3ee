package meshfast.peer;

import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** What the tests call. Method names are unique: the driver finds them by name. */
public interface PeerService {
    String whoami();

    String echo(String text);

    /** "name|text": who answered, and to which question. */
    String ask(String text);

    /** As {@link #ask}, after {@code millis}. */
    String slow(int millis, String text);

    /** As {@link #slow}, answered by a future: the provider's thread does not wait. */
    CompletableFuture<String> later(int millis, String text);

    String nothing();

    String fail(String message);

    String failChecked(String message) throws PeerException;

    Order order(Order order);

    /** CRC-32 of the bytes. */
    long checksum(byte[] data);

    /** {@code size} bytes, each its index modulo 251. */
    byte[] produce(int size);

    /** The attachments this provider sees; "reply" travels back under "replied", with "from" naming the provider. */
    Map<String, String> attachments();

    /** Milliseconds of its caller's time that this provider knows to be left; -1 where it knows of none. */
    long left();

    /** Called one-way. */
    void record(String token);

    List<String> recorded();

    /**
     * Notes {@code token} as {@link #record} does and answers as {@link #ask}; the instance that is named {@code at} after
     * {@code millis}, or with an exception where those are negative.
     */
    String attempt(String at, int millis, String token);

    /** Keeps {@code listener}, a callback argument, under {@code key}; gives the provider's name. */
    String subscribe(String key, Listener listener);

    /** Calls what was subscribed under {@code key}; gives what came of it, "heard" or an exception's text. */
    String publish(String key, String text);

    /** Calls the next provider with this request's attachment {@code key} and no other: "name>next". */
    String hop(String key);
}
