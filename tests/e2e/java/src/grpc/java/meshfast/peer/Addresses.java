package meshfast.peer;

import io.grpc.EquivalentAddressGroup;
import io.grpc.NameResolver;
import io.grpc.NameResolverProvider;
import io.grpc.NameResolverRegistry;
import io.grpc.StatusOr;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;

/** Targets that list their addresses. */
final class Addresses extends NameResolverProvider {
    private static final String SCHEME = "peers";

    static {
        NameResolverRegistry.getDefaultRegistry().register(new Addresses());
    }

    static String target(String addresses) {
        return SCHEME + ":///" + addresses;
    }

    @Override
    protected boolean isAvailable() {
        return true;
    }

    @Override
    protected int priority() {
        return 5;
    }

    @Override
    public String getDefaultScheme() {
        return SCHEME;
    }

    @Override
    public NameResolver newNameResolver(URI target, NameResolver.Args args) {
        if (!SCHEME.equals(target.getScheme())) {
            return null;
        }
        List<EquivalentAddressGroup> groups = new ArrayList<>();
        for (String address : target.getPath().substring(1).split(",")) {
            String[] parts = address.split(":");
            groups.add(new EquivalentAddressGroup(new InetSocketAddress(parts[0], Integer.parseInt(parts[1]))));
        }
        return new NameResolver() {
            @Override
            public String getServiceAuthority() {
                return "127.0.0.1";
            }

            @Override
            public void start(Listener2 listener) {
                listener.onResult(
                        ResolutionResult.newBuilder().setAddressesOrError(StatusOr.fromValue(groups)).build());
            }

            @Override
            public void shutdown() {}
        };
    }
}
