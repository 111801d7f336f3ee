package meshfast.peer;

import org.apache.dubbo.common.URL;
import org.apache.dubbo.registry.integration.AbstractConfiguratorListener;
import org.apache.dubbo.rpc.cluster.Configurator;
import org.apache.dubbo.rpc.model.ModuleModel;

/** The configurators of one key, read as a registry's directory reads them. */
final class Overrides extends AbstractConfiguratorListener {
    Overrides(ModuleModel module, String key) {
        super(module);
        initWith(key + ".configurators");
    }

    URL over(URL url) {
        for (Configurator configurator : getConfigurators()) {
            url = configurator.configure(url);
        }
        return url;
    }

    @Override
    protected void notifyOverrides() {}
}
