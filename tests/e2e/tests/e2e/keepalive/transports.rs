//! The errors of keepalive options on an engine without keepalive.

use std::time::Duration;

use rgrpc::keepalive::{ClientParameters, EnforcementPolicy, ServerParameters};
use rgrpc::{BuildError, ServeError, Transport, credentials};
use rgrpc_e2e::{channel_builder, new_server, soon};

#[tokio::test]
async fn options_that_the_transport_cannot_follow_are_errors_that_say_so() {
    let parameters = ClientParameters::new(Duration::from_secs(60));
    let builder = channel_builder("localhost:1", credentials::insecure());
    let built = builder
        .transport(Transport::H2)
        .keepalive(parameters)
        .build();
    let error = built.expect_err("h2 has no keepalive");
    assert_eq!(error, BuildError::Keepalive(Transport::H2));
    let text = error.to_string();
    assert!(text.contains("H2") && text.contains("keepalive"), "{text}");

    // None is no option.
    let builder = channel_builder("localhost:1", credentials::insecure());
    let built = builder.transport(Transport::H2).keepalive(None).build();
    built.expect("a channel without keepalive");

    let h2 = || new_server().transport(Transport::H2);
    for server in [
        h2().keepalive(ServerParameters::default()),
        h2().keepalive_enforcement(EnforcementPolicy::default()),
    ] {
        let error = soon(server.serve("127.0.0.1:0")).await;
        let error = error.expect_err("h2 has no keepalive");
        assert!(
            matches!(error, ServeError::Keepalive(Transport::H2)),
            "{error}"
        );
        let text = error.to_string();
        assert!(text.contains("keepalive_enforcement"), "{text}");
    }
}
