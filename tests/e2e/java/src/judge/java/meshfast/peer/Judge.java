package meshfast.peer;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.dubbo.common.URL;
import org.apache.dubbo.common.config.configcenter.DynamicConfiguration;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.rpc.Invoker;
import org.apache.dubbo.rpc.RpcInvocation;
import org.apache.dubbo.rpc.cluster.RouterChain;
import org.apache.dubbo.rpc.cluster.SingleRouterChain;
import org.apache.dubbo.rpc.cluster.router.RouterSnapshotSwitcher;
import org.apache.dubbo.rpc.cluster.router.affinity.config.AffinityListenableStateRouter;
import org.apache.dubbo.rpc.cluster.router.condition.config.ListenableStateRouter;
import org.apache.dubbo.rpc.cluster.router.state.BitList;
import org.apache.dubbo.rpc.cluster.router.state.StateRouter;
import org.apache.dubbo.rpc.model.ApplicationModel;
import org.apache.dubbo.rpc.model.FrameworkModel;
import org.apache.dubbo.rpc.model.ModuleModel;

/** One case: a consumer, the providers that it knows, rules, and what the routers make of calls. */
final class Judge implements AutoCloseable {
    private final JsonObject told;
    private final ApplicationModel application = FrameworkModel.defaultModel().newApplication();
    private final ModuleModel module = application.newModule();
    private final Rules rules;
    private final URL consumer;
    private final BitList<Invoker<Object>> providers;

    Judge(JsonObject told) {
        this.told = told;
        rules = new Rules(told.getAsJsonArray("rules"));
        application.modelEnvironment().setDynamicConfiguration(rules);
        consumer = URL.valueOf(told.get("consumer").getAsString()).setScopeModel(module);
        application.getApplicationConfigManager().setApplication(new ApplicationConfig(consumer.getApplication()));
        List<Invoker<Object>> known = new ArrayList<>();
        for (JsonElement text : told.getAsJsonArray("providers")) {
            known.add(new Offered(held(URL.valueOf(text.getAsString()))));
        }
        providers = new BitList<>(known);
    }

    @Override
    public void close() {
        application.destroy();
    }

    /** What was told of each call, and each provider's parameters as configurators leave them. */
    Object verdict() {
        SingleRouterChain<Object> chain = chain();
        chain.setInvokers(providers);
        List<Object> calls = new ArrayList<>();
        for (JsonElement call : told.getAsJsonArray("calls")) {
            calls.add(calls(chain, call.getAsJsonObject(), told.get("rounds").getAsInt()));
        }
        Map<String, Object> reply = new LinkedHashMap<>();
        reply.put("calls", calls);
        reply.put("params", overridden());
        return reply;
    }

    /** A provider's URL as its consumer holds it. */
    private URL held(URL url) {
        return url.addParameter("remote.application", url.getApplication())
                .addParameter("application", consumer.getApplication())
                .addParameter("side", "consumer")
                .setScopeModel(module);
    }

    /**
     * The routers that Dubbo activates, in its order. Its affinity routers are no extensions of its jar, so they are put
     * where their order says; the one for the provider's application would read another kind of rule, so that the one for
     * services stands for both.
     */
    private SingleRouterChain<Object> chain() {
        SingleRouterChain<Object> own = RouterChain.buildSingleChain(Object.class, consumer);
        if (!rules.any(AffinityListenableStateRouter.RULE_SUFFIX)) {
            return own;
        }
        List<StateRouter<Object>> routers = new ArrayList<>(own.getStateRouters());
        int at = 0;
        while (!(routers.get(at) instanceof ListenableStateRouter)) {
            at++;
        }
        String remote = providers.get(0).getUrl().getRemoteApplication();
        routers.add(at, new Affinity(consumer, remote));
        routers.add(at, new Affinity(consumer, DynamicConfiguration.getRuleKey(consumer)));
        RouterSnapshotSwitcher switcher =
                FrameworkModel.defaultModel().getBeanFactory().getBean(RouterSnapshotSwitcher.class);
        return new SingleRouterChain<>(List.of(), routers, true, switcher);
    }

    private static final class Affinity extends AffinityListenableStateRouter<Object> {
        Affinity(URL url, String key) {
            super(url, key);
        }
    }

    /** How often which providers were left, or what was thrown. */
    private Object calls(SingleRouterChain<Object> chain, JsonObject call, int rounds) {
        Map<String, Integer> counts = new TreeMap<>();
        RpcInvocation invocation = invocation(call);
        for (int i = 0; i < rounds; i++) {
            String left;
            try {
                left = chain.route(consumer, providers, invocation).stream()
                        .map(one -> one.getUrl().getAddress())
                        .sorted()
                        .collect(Collectors.joining(" "));
            } catch (RuntimeException thrown) {
                left = "!" + thrown.getClass().getSimpleName();
            }
            counts.merge(left, 1, Integer::sum);
        }
        return counts;
    }

    private RpcInvocation invocation(JsonObject call) {
        List<Class<?>> types = new ArrayList<>();
        List<Object> arguments = new ArrayList<>();
        for (JsonElement argument : call.getAsJsonArray("arguments")) {
            String type = argument.getAsJsonArray().get(0).getAsString();
            JsonElement value = argument.getAsJsonArray().get(1);
            types.add(type(type));
            arguments.add(value.isJsonNull() ? null : value(type, value));
        }
        Map<String, Object> attachments = new LinkedHashMap<>();
        for (Map.Entry<String, JsonElement> one : call.getAsJsonObject("attachments").entrySet()) {
            attachments.put(one.getKey(), one.getValue().getAsString());
        }
        return new RpcInvocation(
                null,
                call.get("method").getAsString(),
                consumer.getServiceInterface(),
                consumer.getProtocolServiceKey(),
                types.toArray(new Class<?>[0]),
                arguments.toArray(),
                attachments);
    }

    private static Class<?> type(String name) {
        switch (name) {
            case "int":
                return int.class;
            case "long":
                return long.class;
            case "boolean":
                return boolean.class;
            default:
                return String.class;
        }
    }

    private static Object value(String type, JsonElement value) {
        switch (type) {
            case "int":
                return value.getAsInt();
            case "long":
                return value.getAsLong();
            case "boolean":
                return value.getAsBoolean();
            default:
                return value.getAsString();
        }
    }

    private List<Map<String, String>> overridden() {
        Overrides first = new Overrides(module, consumer.getApplication());
        Overrides then = new Overrides(module, DynamicConfiguration.getRuleKey(consumer));
        return providers.stream()
                .map(one -> new TreeMap<>(then.over(first.over(one.getUrl())).getParameters()))
                .collect(Collectors.toList());
    }
}
