//! The security level of connections, and per-RPC credentials that require one; bundles.

use std::future::ready;

use rgrpc::credentials::{
    ChannelCredentials, MetadataFuture, PerRpcCredentials, RequestInfo, SecurityLevel,
    ServerCredentials, insecure, local,
};
use rgrpc::{BuildError, Code, Metadata, Response, Status};
use rgrpc_e2e::{
    StubClient, StubService, TestServer, channel_builder, msg, new_channel, new_server,
    register_stub, serve_with, soon, text,
};
use tokio::net::TcpListener;

use super::password::Password;
use super::{assert_says, call, channel, client};

/// Sends the security level that it sees, and requires one.
struct Token {
    name: &'static str,
    required: SecurityLevel,
}

impl PerRpcCredentials for Token {
    fn metadata<'a>(&'a self, request: RequestInfo<'a>) -> MetadataFuture<'a> {
        let level = request.peer().auth.security_level();
        let mut metadata = Metadata::new();
        let appended = metadata.append("token", format!("{} at {level}", self.name));
        Box::pin(ready(match appended {
            Ok(()) => Ok(metadata),
            Err(error) => Err(Status::internal(error.to_string())),
        }))
    }

    fn min_security_level(&self) -> SecurityLevel {
        self.required
    }

    fn name(&self) -> &str {
        self.name
    }
}

fn token(required: SecurityLevel) -> Token {
    Token {
        name: "token",
        required,
    }
}

/// A service that answers with the tokens of the request.
fn showing_tokens() -> StubService {
    StubService::new().unary(async |request| {
        let tokens: Vec<_> = request.metadata().get_all("token").collect();
        Ok(Response::new(msg(tokens.join(&b", "[..]))))
    })
}

fn serve_password(password: &Password) -> TestServer {
    serve_with(
        new_server().credentials(password.server()),
        showing_tokens(),
    )
}

#[tokio::test(start_paused = true)]
async fn per_rpc_credentials_are_sent_if_the_connection_has_their_security_level() {
    use SecurityLevel::{IntegrityOnly, NoSecurity, PrivacyAndIntegrity};
    for (level, required, sent) in [
        (NoSecurity, NoSecurity, true),
        (NoSecurity, IntegrityOnly, false),
        (IntegrityOnly, IntegrityOnly, true),
        (IntegrityOnly, PrivacyAndIntegrity, false),
        (PrivacyAndIntegrity, PrivacyAndIntegrity, true),
    ] {
        let password = Password::new("right").level(level);
        let server = serve_password(&password);
        let of_channel = channel(&server, password.client()).per_rpc_credentials(token(required));
        let of_channel = StubClient::new(of_channel.build().expect("it is not insecure"));
        let of_call = client(&server, password.client());
        let of_call = of_call.unary(msg("")).per_rpc_credentials(token(required));
        let of_call = soon(of_call.into_future()).await;
        let of_call = of_call.map(|response| text(response.message()).to_owned());
        for outcome in [call(&of_channel).await, of_call] {
            match (outcome, sent) {
                (Ok(answer), true) => assert_eq!(answer, format!("token at {level}")),
                (Err(status), false) => {
                    assert_eq!(status.code(), Code::Unauthenticated);
                    assert_says(
                        status.message(),
                        &[
                            "the per-RPC credentials token were not sent to pipe",
                            &format!("level {required} is required"),
                            &format!("has {level} by the credentials password"),
                            "the options are min_security_level and",
                        ],
                    );
                }
                (outcome, _) => panic!("{level} for {required}: {outcome:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bundle_has_a_handshake_and_per_rpc_credentials_which_follow_those_of_the_channel() {
    let password = Password::new("right");
    let server = serve_password(&password);
    let bundle = password.client().with_per_rpc_credentials(Token {
        name: "bundled",
        required: SecurityLevel::NoSecurity,
    });
    assert_eq!(bundle.protocol(), "password");
    let answer = call(&client(&server, bundle.clone())).await;
    assert_eq!(answer.expect("OK"), "bundled at NoSecurity");
    let conn = channel(&server, bundle)
        .per_rpc_credentials(token(SecurityLevel::NoSecurity))
        .build()
        .expect("a valid channel");
    let answer = call(&StubClient::new(conn)).await;
    assert_eq!(
        answer.expect("OK"),
        "token at NoSecurity, bundled at NoSecurity"
    );

    let bundle = insecure().with_per_rpc_credentials(token(SecurityLevel::IntegrityOnly));
    let error = new_channel("localhost", bundle).expect_err("it is insecure");
    assert!(
        matches!(&error, BuildError::PerRpcCredentials(name) if name == "token"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_bundle_is_switched_to_the_credentials_of_a_mode() {
    let password = Password::new("right");
    let server = serve_password(&password);
    let modes = password.clone();
    let bundle = insecure().with_modes(move |mode| match mode {
        "backend" => Some(
            modes
                .client()
                .with_per_rpc_credentials(token(SecurityLevel::NoSecurity)),
        ),
        _ => None,
    });
    assert!(bundle.mode("balancer").is_none());
    assert!(insecure().mode("backend").is_none());
    let backend = bundle.mode("backend").expect("it has the mode");
    let answer = call(&client(&server, backend)).await;
    assert_eq!(answer.expect("OK"), "token at NoSecurity");
}

/// Serves on a listener of this machine.
fn serve_local<L: rgrpc::io::Listener>(listener: L) -> rgrpc::ServerHandle {
    let mut server = new_server().credentials(ServerCredentials::local());
    register_stub(&mut server, showing_tokens()).expect("the first");
    tokio::spawn(server.serve_listener(listener));
    server.handle()
}

fn local_client(target: String, credentials: ChannelCredentials) -> StubClient {
    StubClient::new(new_channel(target, credentials).expect("a valid channel"))
}

#[tokio::test]
async fn local_credentials_protect_unix_sockets_and_not_tcp() {
    let required = || token(SecurityLevel::PrivacyAndIntegrity);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let server = serve_local(listener);
    let target = format!("ipv4:{address}");
    let answer = call(&local_client(target.clone(), local())).await;
    assert_eq!(answer.expect("OK"), "");
    let with_token = local_client(target, local().with_per_rpc_credentials(required()));
    let status = call(&with_token).await.expect_err("TCP is not private");
    assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    server.stop();

    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("rgrpc-local-credentials-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a name");
        let listener = std::os::unix::net::UnixListener::bind_addr(&address).expect("it is free");
        listener.set_nonblocking(true).expect("a socket");
        let listener = tokio::net::UnixListener::from_std(listener).expect("in a runtime");
        let server = serve_local(listener);
        let credentials = local().with_per_rpc_credentials(required());
        let answer = call(&local_client(format!("unix-abstract:{name}"), credentials)).await;
        assert_eq!(answer.expect("OK"), "token at PrivacyAndIntegrity");
        server.stop();
    }
}

#[tokio::test(start_paused = true)]
async fn local_credentials_refuse_other_machines() {
    use rgrpc::io::{Address, Connected, Dial, Peer};
    let server = serve_with(new_server(), StubService::echo());
    let connector = server.connector();
    let dialer = rgrpc_e2e::FnDialer::new(move |address: Address| {
        let dialed = connector.dial(address);
        async move {
            let remote = Address::Tcp(([192, 0, 2, 1], 443).into());
            let peer = Peer::new(remote.clone(), remote);
            Ok(Connected::new(dialed.await?.io, peer))
        }
    });
    let conn = channel_builder("ipv4:192.0.2.1:443", local())
        .dialer(dialer)
        .build()
        .expect("a valid channel");
    let status = super::expect_refused(&StubClient::new(conn)).await;
    assert_says(
        status.message(),
        &[
            "the local handshake with the server failed: 192.0.2.1:443 is not an address of this \
             machine",
        ],
    );
}
