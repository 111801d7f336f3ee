package meshfast.peer;

/** What a consumer hands to a provider, to be called by it over the connection that brought it. */
public interface Listener {
    void heard(String text);
}
