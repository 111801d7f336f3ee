package meshfast.peer;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.context.ConfigManager;
import org.apache.dubbo.rpc.model.FrameworkModel;
import org.apache.dubbo.rpc.model.ModuleModel;

/**
 * Of 3 and later. Triple finds a service by its path alone, whichever port was called: each port gets a world of its own,
 * and so does each reference that asks registries. Such a world is one application, which may say how it is named and
 * where its metadata is kept.
 */
final class Worlds extends Dubbo {
    private final Map<Object, ModuleModel> worlds = new ConcurrentHashMap<>();

    @Override
    <T> ServiceConfig<T> serviceAt(ProtocolConfig protocol, Map<String, String> params) {
        ModuleModel world = world(protocol.getPort(), params);
        ServiceConfig<T> service = new ServiceConfig<>(world);
        if (params.remove("registry") == null) {
            service.setProtocol(protocol);
            service.setRegistries(registries(null));
        } else {
            // Of the application, which offers its metadata by it too.
            ConfigManager configs = world.getApplicationModel().getApplicationConfigManager();
            if (configs.getProtocols().isEmpty()) {
                configs.addProtocol(protocol);
            }
        }
        return service;
    }

    @Override
    <T> ReferenceConfig<T> referenceBy(String ref, Map<String, String> params) {
        if (!params.containsKey("registry")) {
            return super.referenceBy(ref, params);
        }
        ReferenceConfig<T> reference = new ReferenceConfig<>(world(ref, params));
        params.remove("registry");
        return reference;
    }

    @Override
    void unexport(int port) {
        ModuleModel world = worlds.remove(port);
        if (world == null) {
            throw new IllegalArgumentException("nothing at " + port);
        }
        exported.remove(port);
        world.getApplicationModel().getFrameworkModel().destroy();
    }

    private ModuleModel world(Object key, Map<String, String> params) {
        String name = params.remove("application");
        String metadata = params.remove("metadata");
        String registries = params.get("registry");
        return worlds.computeIfAbsent(key, absent -> {
            // Before anything of the SDK makes a default one: the first is, and by its rules classes are read.
            ModuleModel world = new FrameworkModel().newApplication().newModule();
            ConfigManager configs = world.getApplicationModel().getApplicationConfigManager();
            ApplicationConfig application = application();
            if (name != null) {
                application.setName(name);
            }
            application.setMetadataType(metadata);
            configs.setApplication(application);
            if (registries != null) {
                configs.addRegistries(registries(registries));
            }
            return world;
        });
    }
}
