package meshfast.peer;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.dubbo.common.Version;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ArgumentConfig;
import org.apache.dubbo.config.MethodConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.rpc.service.GenericService;

/** What of the SDK's configuration the tests use: addresses only, no registry, nothing beside the one port. */
final class Dubbo {
    /*
     * That this method's second argument is called back; a registry would tell a consumer what its provider says. From an
     * address 3.3 takes it only beside another parameter of the method.
     */
    private static final String CALLBACK = "subscribe.retries=0&subscribe.1.callback=true";

    private final ApplicationConfig application = new ApplicationConfig("peer");
    private final Map<String, ReferenceConfig<PeerService>> references = new ConcurrentHashMap<>();
    private final Map<String, ReferenceConfig<GenericService>> generics = new ConcurrentHashMap<>();
    private final List<ServiceConfig<PeerService>> exported = Collections.synchronizedList(new ArrayList<>());

    Dubbo() {
        application.setQosEnable(false);
    }

    static String version() {
        return Version.getVersion();
    }

    void export(String name, int port, Map<String, String> params) {
        ProtocolConfig protocol = new ProtocolConfig("dubbo", port);
        protocol.setHost("127.0.0.1");
        protocol.setParameters(params);
        ServiceConfig<PeerService> service = new ServiceConfig<>();
        service.setApplication(application);
        service.setRegistry(new RegistryConfig(RegistryConfig.NO_AVAILABLE));
        service.setProtocol(protocol);
        service.setInterface(PeerService.class);
        service.setRef(new Provider(name, () -> service("next")));
        service.setScope("remote");
        ArgumentConfig listener = new ArgumentConfig();
        listener.setIndex(1);
        listener.setCallback(true);
        MethodConfig subscribe = new MethodConfig();
        subscribe.setName("subscribe");
        subscribe.setArguments(new ArrayList<>(List.of(listener)));
        service.setVersion(params.get("version"));
        service.setGroup(params.get("group"));
        service.setMethods(new ArrayList<>(List.of(subscribe)));
        service.setParameters(params);
        service.export();
        exported.add(service);
    }

    void unexport() {
        for (ServiceConfig<PeerService> service : exported) {
            service.unexport();
        }
        exported.clear();
    }

    void refer(String ref, String url, Map<String, String> params) {
        ReferenceConfig<PeerService> reference = new ReferenceConfig<>();
        prepare(reference, String.join("&" + CALLBACK + ";", url.split(";")) + "&" + CALLBACK, params);
        reference.setInterface(PeerService.class);
        MethodConfig record = new MethodConfig();
        record.setName("record");
        record.setReturn(false);
        reference.setMethods(new ArrayList<>(List.of(record)));
        reference.get();
        ReferenceConfig<PeerService> before = references.put(ref, reference);
        if (before != null) {
            before.destroy();
        }
    }

    void release(String ref) {
        references.remove(ref).destroy();
    }

    PeerService service(String ref) {
        ReferenceConfig<PeerService> reference = references.get(ref);
        if (reference == null) {
            throw new IllegalArgumentException("no such reference: " + ref);
        }
        return reference.get();
    }

    GenericService generic(String url, Map<String, String> params) {
        return generics.computeIfAbsent(url, key -> {
                    ReferenceConfig<GenericService> reference = new ReferenceConfig<>();
                    prepare(reference, url, params);
                    reference.setInterface(PeerService.class.getName());
                    reference.setGeneric("true");
                    return reference;
                })
                .get();
    }

    private void prepare(ReferenceConfig<?> reference, String url, Map<String, String> params) {
        reference.setApplication(application);
        reference.setUrl(url);
        reference.setCheck(false);
        reference.setScope("remote");
        reference.setRetries(0);
        reference.setCluster("failfast");
        reference.setTimeout(Integer.parseInt(params.getOrDefault("timeout", "10000")));
        reference.setVersion(params.get("version"));
        reference.setGroup(params.get("group"));
        reference.setParameters(params);
    }
}
