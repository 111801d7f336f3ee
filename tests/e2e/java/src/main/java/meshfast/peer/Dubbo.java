package meshfast.peer;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
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

/**
 * What of the SDK's configuration the tests use: addresses, and nothing beside the one port; or, where the parameter
 * "registry" names some by ";", registries.
 */
class Dubbo {
    /*
     * That this method's second argument is called back; a registry would tell a consumer what its provider says. From an
     * address 3.3 takes it only beside another parameter of the method.
     */
    private static final String CALLBACK = "subscribe.retries=0&subscribe.1.callback=true";

    private final ApplicationConfig application = application();
    private final Map<String, ReferenceConfig<?>> references = new ConcurrentHashMap<>();
    private final Map<String, ReferenceConfig<GenericService>> generics = new ConcurrentHashMap<>();
    final Map<Integer, List<ServiceConfig<?>>> exported = new ConcurrentHashMap<>();

    static ApplicationConfig application() {
        ApplicationConfig application = new ApplicationConfig("peer");
        application.setQosEnable(false);
        return application;
    }

    /** Those at {@code addresses}; without, that there is none. */
    static List<RegistryConfig> registries(String addresses) {
        List<RegistryConfig> registries = new ArrayList<>();
        for (String address : (addresses == null ? RegistryConfig.NO_AVAILABLE : addresses).split(";")) {
            RegistryConfig registry = new RegistryConfig();
            registries.add(registry);
            if (addresses != null && addresses.contains(";")) {
                registry.setId("registry" + registries.size());
            }
            registry.setAddress(address);
        }
        return registries;
    }

    static String version() {
        return Version.getVersion();
    }

    void export(String name, int port, Map<String, String> params) {
        ArgumentConfig listener = new ArgumentConfig();
        listener.setIndex(1);
        listener.setCallback(true);
        MethodConfig subscribe = new MethodConfig();
        subscribe.setName("subscribe");
        subscribe.setArguments(new ArrayList<>(List.of(listener)));
        Provider provider = new Provider(name, () -> service("next"));
        export(PeerService.class, provider, port, params, List.of(subscribe));
    }

    /** {@code params} may name the protocol; without, it is Dubbo's own. */
    <T> void export(Class<T> type, T with, int port, Map<String, String> params, List<MethodConfig> methods) {
        Map<String, String> others = new LinkedHashMap<>(params);
        String named = others.remove("protocol");
        ProtocolConfig protocol = new ProtocolConfig(named == null ? "dubbo" : named, port);
        ServiceConfig<T> service = serviceAt(protocol, others);
        protocol.setHost("127.0.0.1");
        protocol.setParameters(others);
        service.setInterface(type);
        service.setRef(with);
        service.setScope("remote");
        service.setVersion(params.get("version"));
        service.setGroup(params.get("group"));
        service.setMethods(new ArrayList<>(methods));
        service.setParameters(others);
        service.export();
        exported.computeIfAbsent(port, key -> Collections.synchronizedList(new ArrayList<>())).add(service);
    }

    /** Takes from {@code params} what is not of the service. */
    <T> ServiceConfig<T> serviceAt(ProtocolConfig protocol, Map<String, String> params) {
        ServiceConfig<T> service = new ServiceConfig<>();
        service.setApplication(application);
        service.setProtocol(protocol);
        service.setRegistries(registries(params.remove("registry")));
        return service;
    }

    /** Takes from {@code params} what is not of the reference. */
    <T> ReferenceConfig<T> referenceBy(String ref, Map<String, String> params) {
        ReferenceConfig<T> reference = new ReferenceConfig<>();
        reference.setApplication(application);
        String registries = params.remove("registry");
        if (registries != null) {
            reference.setRegistries(registries(registries));
        }
        return reference;
    }

    /** All that is offered. */
    void unexport() {
        exported.values().forEach(services -> services.forEach(ServiceConfig::unexport));
        exported.clear();
    }

    /** The instance at {@code port}, as one that leaves. */
    void unexport(int port) {
        exported.remove(port).forEach(ServiceConfig::unexport);
    }

    void refer(String ref, String url, Map<String, String> params) {
        MethodConfig record = new MethodConfig();
        record.setName("record");
        record.setReturn(false);
        String calling = url.isEmpty() ? "" : String.join("&" + CALLBACK + ";", url.split(";")) + "&" + CALLBACK;
        refer(ref, PeerService.class, calling, params, List.of(record));
    }

    <T> void refer(String ref, Class<T> type, String url, Map<String, String> params, List<MethodConfig> methods) {
        Map<String, String> others = new LinkedHashMap<>(params);
        ReferenceConfig<T> reference = referenceBy(ref, others);
        prepare(reference, url, others);
        reference.setInterface(type);
        reference.setMethods(new ArrayList<>(methods));
        reference.get();
        ReferenceConfig<?> before = references.put(ref, reference);
        if (before != null) {
            before.destroy();
        }
    }

    void release(String ref) {
        references.remove(ref).destroy();
    }

    PeerService service(String ref) {
        return service(ref, PeerService.class);
    }

    <T> T service(String ref, Class<T> type) {
        ReferenceConfig<?> reference = references.get(ref);
        if (reference == null) {
            throw new IllegalArgumentException("no such reference: " + ref);
        }
        return type.cast(reference.get());
    }

    GenericService generic(String url, Map<String, String> params) {
        return generics.computeIfAbsent(url, key -> {
                    ReferenceConfig<GenericService> reference = referenceBy(url, params);
                    prepare(reference, url, params);
                    reference.setInterface(PeerService.class.getName());
                    reference.setGeneric("true");
                    return reference;
                })
                .get();
    }

    private void prepare(ReferenceConfig<?> reference, String url, Map<String, String> params) {
        if (!url.isEmpty()) {
            reference.setUrl(url);
        }
        reference.setCheck(false);
        reference.setScope("remote");
        reference.setRetries(Integer.parseInt(params.getOrDefault("retries", "0")));
        reference.setCluster(params.getOrDefault("cluster", "failfast"));
        reference.setTimeout(Integer.parseInt(params.getOrDefault("timeout", "10000")));
        reference.setVersion(params.get("version"));
        reference.setGroup(params.get("group"));
        reference.setParameters(params);
    }
}
