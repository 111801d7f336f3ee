package meshfast.peer;

/** A business failure that the interface declares. */
public class PeerException extends Exception {
    private static final long serialVersionUID = 1L;

    public PeerException(String message) {
        super(message);
    }
}
