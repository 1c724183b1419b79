//! Calls over TLS, with the certificates that the programs have for tests.

use crate::{run_client, start_interop_server_with};

#[tokio::test]
async fn a_case_passes_over_tls_by_the_name_in_the_test_certificate() {
    let port = start_interop_server_with(&["--use_tls"]).await;
    let flags = [
        "--use_tls",
        "--use_test_ca",
        "--server_host_override=foo.test.google.fr",
        "--test_case=ping_pong",
    ];
    let outcome = run_client(port, &flags).await;
    assert_eq!(outcome, Ok("ping_pong: passed".to_owned()));
}

#[tokio::test]
async fn a_case_fails_when_one_side_alone_has_tls() {
    let secured = start_interop_server_with(&["--use_tls"]).await;
    let outcome = run_client(secured, &["--test_case=empty_unary"]).await;
    let error = outcome.expect_err("the client is in plain text");
    assert!(error.contains("it may expect TLS"), "{error}");

    let plain = start_interop_server_with(&[]).await;
    let flags = ["--use_tls", "--use_test_ca", "--test_case=empty_unary"];
    let outcome = run_client(plain, &flags).await;
    let error = outcome.expect_err("the server is in plain text");
    assert!(error.contains("it does not speak TLS"), "{error}");
}
