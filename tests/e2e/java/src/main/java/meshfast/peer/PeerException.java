package meshfast.peer;

/** A business failure that the interface declares. Without a stack trace: its frames are kept as test data. */
public class PeerException extends Exception {
    private static final long serialVersionUID = 1L;

    public PeerException(String message) {
        super(message, null, false, false);
    }
}
