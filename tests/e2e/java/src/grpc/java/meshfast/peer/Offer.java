package meshfast.peer;

import io.grpc.Server;
import io.grpc.ServerServiceDefinition;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/** The service as one instance offers it. */
final class Offer {
    final AtomicLong begun = new AtomicLong();
    final AtomicLong cancelled = new AtomicLong();
    private Server server;

    Map<String, Long> seen() {
        return Map.of("begun", begun.get(), "cancelled", cancelled.get());
    }

    int export(Command told) throws IOException {
        NettyServerBuilder builder = NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", told.port))
                .executor(GrpcDriver.POOL)
                .maxInboundMessageSize(Parts.LONGEST)
                .maxInboundMetadataSize(1 << 16)
                .maxConnectionAgeGrace(30, TimeUnit.SECONDS);
        if (!told.params.containsKey("strict")) {
            builder.permitKeepAliveTime(50, TimeUnit.MILLISECONDS).permitKeepAliveWithoutCalls(true);
        }
        if (told.params.containsKey("age")) {
            builder.maxConnectionAge(told.param("age", 0), TimeUnit.MILLISECONDS);
        }
        if (told.params.containsKey("keepalive")) {
            builder.keepAliveTime(told.param("keepalive", 0), TimeUnit.MILLISECONDS);
            builder.keepAliveTimeout(10, TimeUnit.SECONDS);
        }
        if (told.params.containsKey("streams")) {
            builder.maxConcurrentCallsPerConnection(told.param("streams", 0));
        }
        ServerServiceDefinition.Builder service = ServerServiceDefinition.builder(Parts.SERVICE);
        Methods methods = new Methods(told.name, this);
        for (String name : Methods.NAMES) {
            service.addMethod(Parts.method(name), methods.handler(name));
        }
        server = builder.addService(service.build()).build().start();
        return server.getPort();
    }

    /** Stop as the SDK does: what runs may end within the time. */
    void leave(int millis) throws InterruptedException {
        server.shutdown();
        if (!server.awaitTermination(millis, TimeUnit.MILLISECONDS)) {
            server.shutdownNow();
        }
    }
}
