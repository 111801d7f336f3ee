package meshfast.peer;

import java.util.List;
import java.util.Map;

/** What the test says, one JSON line. */
final class Command {
    long id;
    String op = "";
    String name = "";
    int port;
    String ref = "";
    String url = "";
    Map<String, String> params = Map.of();
    String method = "";
    String body = "";
    List<List<String>> metadata = List.of();
    int timeout;
    boolean cancel;
    String load = "";
    int threads;
    int calls;
    int count;
    int size;
    int pause;
    int grace;

    int param(String key, int otherwise) {
        return params.containsKey(key) ? Integer.parseInt(params.get(key)) : otherwise;
    }
}
