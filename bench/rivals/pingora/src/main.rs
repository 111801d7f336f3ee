//! pingora as a proxy for the comparison of gRPC calls: HTTP/2 in the clear both ways, one thread, one backend.
//! `pingora LISTEN BACKEND`.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::HttpServerOptions;
use pingora::prelude::*;
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::protocols::ALPN;
use pingora::proxy::ProxyServiceBuilder;
use pingora::server::configuration::ServerConf;

struct ToBackend(HttpPeer);

#[async_trait]
impl ProxyHttp for ToBackend {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(self.0.clone()))
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, listen, backend] = args.as_slice() else {
        eprintln!("usage: pingora LISTEN BACKEND");
        std::process::exit(2);
    };
    let mut peer = HttpPeer::new(backend.as_str(), false, String::new());
    peer.options.alpn = ALPN::H2;
    peer.options.max_h2_streams = 1000;
    peer.options.h2_stream_window_size = Some(4 << 20);
    peer.options.h2_connection_window_size = Some(64 << 20);
    let conf = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: 8000,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    let mut service = ProxyServiceBuilder::new(&Arc::clone(&server.configuration), ToBackend(peer))
        .server_options(options)
        .build();
    let mut h2 = default_h2_options();
    h2.max_concurrent_streams(1000);
    h2.initial_window_size(4 << 20);
    h2.initial_connection_window_size(64 << 20);
    if let Some(proxy) = service.app_logic_mut() {
        proxy.h2_options = Some(h2);
    }
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever();
}
