package meshfast.peer;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.rpc.model.FrameworkModel;
import org.apache.dubbo.rpc.model.ModuleModel;

/** Triple finds a service by its path alone, whichever port was called: each port gets a world of its own. */
final class TripleDubbo extends Dubbo {
    private final Map<Integer, ModuleModel> worlds = new ConcurrentHashMap<>();

    @Override
    <T> ServiceConfig<T> serviceAt(int port) {
        ModuleModel world = worlds.computeIfAbsent(
                port, key -> new FrameworkModel().newApplication().newModule());
        world.getApplicationModel().getApplicationConfigManager().getApplication().orElseGet(() -> {
            world.getApplicationModel().getApplicationConfigManager().setApplication(application());
            return null;
        });
        return new ServiceConfig<>(world);
    }
}
