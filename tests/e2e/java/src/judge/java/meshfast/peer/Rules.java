package meshfast.peer;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import java.util.HashMap;
import java.util.Map;
import org.apache.dubbo.common.config.configcenter.ConfigurationListener;
import org.apache.dubbo.common.config.configcenter.DynamicConfiguration;

/** A configuration centre that holds what it was made with: routers look up their rules here by their own keys. */
final class Rules implements DynamicConfiguration {
    private final Map<String, String> texts = new HashMap<>();

    /** @param told pairs of key and text */
    Rules(JsonArray told) {
        for (JsonElement one : told) {
            JsonArray pair = one.getAsJsonArray();
            texts.put(pair.get(0).getAsString(), pair.get(1).getAsString());
        }
    }

    boolean any(String suffix) {
        return texts.keySet().stream().anyMatch(key -> key.endsWith(suffix));
    }

    @Override
    public String getConfig(String key, String group, long timeout) {
        return DEFAULT_GROUP.equals(group) ? texts.get(key) : null;
    }

    @Override
    public Object getInternalProperty(String key) {
        return null;
    }

    @Override
    public void addListener(String key, String group, ConfigurationListener listener) {}

    @Override
    public void removeListener(String key, String group, ConfigurationListener listener) {}

    @Override
    public void close() {}
}
