//! Handshakes that choose other credentials for each connection: the configuration of a cluster,
//! and certificates that are reloaded.

use std::sync::{Arc, Mutex, PoisonError};

use rgrpc::Response;
use rgrpc::credentials::{
    ChannelCredentials, ClientHandshake, ClientHandshakeInfo, ClientTls, HandshakeResult,
    SecurityLevel, ServerCredentials, ServerHandshake, ServerHandshakeInfo, ServerTls, insecure,
};
use rgrpc::io::{Address, BoxedIo, TlsInfo};
use rgrpc::resolver::{Attributes, Endpoint, ManualResolver, ResolverState};
use rgrpc_e2e::{StubClient, StubService, channel_builder, msg, new_server, serve_with};

use super::{assert_says, call, client, expect_refused};
use crate::tls::certificates::{Ca, Identity};

fn server_tls(identity: &Identity) -> ServerCredentials {
    let tls = ServerTls::new(&identity.chain_pem, &identity.key_pem).build();
    tls.expect("sound inputs")
}

fn client_tls(ca: &Ca) -> ChannelCredentials {
    let tls = ClientTls::new().ca_certificates(ca.pem()).build();
    tls.expect("sound inputs")
}

/// The TLS configuration of a cluster, which its subchannels have as an attribute.
#[derive(Clone)]
struct ClusterTls {
    credentials: ChannelCredentials,
    name: &'static str,
}

impl PartialEq for ClusterTls {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl std::fmt::Debug for ClusterTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Credentials that use those of the cluster, and others where there are none.
struct ByCluster {
    fallback: ChannelCredentials,
}

impl ClientHandshake for ByCluster {
    fn protocol(&self) -> &'static str {
        "tls"
    }

    async fn handshake(&self, io: BoxedIo, info: ClientHandshakeInfo<'_>) -> HandshakeResult {
        match info.attribute::<ClusterTls>() {
            Some(cluster) => {
                let info = info.with_server_name(cluster.name);
                cluster.credentials.handshake(io, info).await
            }
            None => self.fallback.handshake(io, info).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_delegates_to_the_credentials_of_its_cluster_or_to_a_fallback() {
    let ca = Ca::new();
    let service = || {
        StubService::new().unary(async |request| {
            let authority = request.metadata().get(":authority").unwrap_or_default();
            let peer = request.context().expect("in a handler").peer();
            Ok(Response::new(msg(format!(
                "{authority} {}",
                peer.auth.protocol()
            ))))
        })
    };
    let tls = serve_with(
        new_server().credentials(server_tls(&ca.server("cluster-1.test"))),
        service(),
    );
    let plain = serve_with(new_server(), service());
    for (server, attributes, answer, level) in [
        (
            &tls,
            Attributes::new().with(ClusterTls {
                credentials: client_tls(&ca),
                name: "cluster-1.test",
            }),
            "stub.test tls",
            SecurityLevel::PrivacyAndIntegrity,
        ),
        (
            &plain,
            Attributes::new(),
            "stub.test insecure",
            SecurityLevel::NoSecurity,
        ),
    ] {
        let manual = ManualResolver::new("manual");
        let backend = Endpoint::from(Address::Pipe).with_connection_attributes(attributes);
        manual.update(ResolverState::new(vec![backend]));
        let credentials = ChannelCredentials::new(ByCluster {
            fallback: insecure(),
        });
        let conn = channel_builder("manual:///stub.test", credentials)
            .resolver(manual)
            .dialer(server.connector())
            .build()
            .expect("a valid channel");
        let response = StubClient::new(conn).unary(msg("")).await.expect("OK");
        assert_eq!(rgrpc_e2e::text(response.message()), answer);
        let peer = response.peer().expect("it came by a connection");
        assert_eq!(peer.auth.security_level(), level);
    }
}

/// The number of the client's verified certificates.
#[derive(Debug, PartialEq)]
struct Verified(usize);

/// Credentials of a server that are replaced while it serves.
#[derive(Clone)]
struct Reloaded(Arc<Mutex<ServerCredentials>>);

impl ServerHandshake for Reloaded {
    fn protocol(&self) -> &'static str {
        "tls"
    }

    async fn handshake(&self, io: BoxedIo, info: ServerHandshakeInfo<'_>) -> HandshakeResult {
        let current = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut secured = current.handshake(io, info).await?;
        let tls = secured.auth.details::<TlsInfo>();
        let certificates = tls.map_or(0, |tls| tls.peer_certificates.len());
        // The details of the delegated handshake stay.
        secured.auth = secured.auth.with_details(Verified(certificates));
        Ok(secured)
    }
}

#[tokio::test(start_paused = true)]
async fn certificates_are_reloaded_for_new_connections() {
    let (first, second) = (Ca::new(), Ca::another());
    let current = server_tls(&first.server("stub.test"));
    let reloaded = Reloaded(Arc::new(Mutex::new(current)));
    let credentials = ServerCredentials::new(reloaded.clone());
    let service = StubService::new().unary(async |request| {
        let auth = &request.context().expect("in a handler").peer().auth;
        assert!(auth.details::<TlsInfo>().is_some());
        Ok(Response::new(msg(format!(
            "{:?}",
            auth.details::<Verified>()
        ))))
    });
    let server = serve_with(new_server().credentials(credentials), service);
    let connected = client(&server, client_tls(&first));
    let answer = call(&connected).await;
    assert_eq!(answer.expect("OK"), "Some(Verified(0))");

    *reloaded.0.lock().unwrap_or_else(PoisonError::into_inner) =
        server_tls(&second.server("stub.test"));
    let status = expect_refused(&client(&server, client_tls(&first))).await;
    assert_says(status.message(), &["the TLS handshake with the server"]);
    call(&client(&server, client_tls(&second)))
        .await
        .expect("the new certificate is trusted");
    call(&connected).await.expect("its connection is there");
}
