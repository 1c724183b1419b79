//! The status of a call on its way from handler to caller: code, text, details.

use rgrpc::prost::Message;
use rgrpc::prost_types::{Any, Duration, Timestamp};
use rgrpc::{Code, Metadata, RpcStatus, Status};
use rgrpc_e2e::{STUB_UNARY, StubClient, StubService, framed, msg, scripted, serve, soon};
use rgrpc_test_support::{GrpcResponse, data, grpc_request, trailers_only};

/// The response to a unary call whose handler fails with this status, as on the wire.
async fn wire_failure(status: Status) -> GrpcResponse {
    let server = serve(failing(status));
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed("")).end_stream()).await;
    peer.expect_response(1).await
}

fn failing(status: Status) -> StubService {
    StubService::new().unary(move |_| {
        let status = status.clone();
        async move { Err(status) }
    })
}

/// The status of a unary call that is answered with these trailers.
async fn received(fields: &[(&str, &[u8])]) -> Status {
    let (conn, mut server) = scripted();
    let call = tokio::spawn(async move { StubClient::new(conn).unary(msg("")).await });
    let mut peer = server.accept().await;
    peer.expect_request(1).await;
    let trailers = fields
        .iter()
        .fold(trailers_only(1, 9), |trailers, (name, value)| {
            trailers.field(name, value)
        });
    peer.send(trailers).await;
    soon(call).await.expect("no panic").expect_err("a failure")
}

#[tokio::test(start_paused = true)]
async fn every_code_and_its_text_reach_the_caller() {
    for number in 1..=16 {
        let code = Code::from_i32(number);
        let server = serve(failing(Status::new(code, format!("this is {number}"))));
        let status = server.client().unary(msg("")).await.expect_err("a failure");
        assert_eq!(status.code(), code);
        assert_eq!(status.message(), format!("this is {number}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_handlers_failure_with_code_ok_becomes_internal() {
    let server = serve(failing(Status::new(Code::Ok, "well")));
    let status = server.client().unary(msg("")).await.expect_err("a failure");
    assert_eq!(status.code(), Code::Internal);
}

#[tokio::test(start_paused = true)]
async fn an_empty_text_is_not_sent() {
    let response = wire_failure(Status::aborted("")).await;
    assert_eq!(response.trailers.code, 10);
    assert!(!response.trailers.fields.contains("grpc-message"));
}

#[tokio::test(start_paused = true)]
async fn ok_has_neither_text_nor_details() {
    let server = serve(StubService::echo());
    let mut peer = server.wire_client().await;
    peer.send(grpc_request(1, STUB_UNARY)).await;
    peer.send(data(1, framed("")).end_stream()).await;
    let trailers = peer.expect_response(1).await.trailers;
    assert_eq!(trailers.fields.names(), ["grpc-status"]);
}

#[tokio::test(start_paused = true)]
async fn the_text_is_percent_encoded_in_upper_case() {
    for (text, wire) in [
        ("plain ~ text", "plain ~ text"),
        ("100%", "100%25"),
        ("tab\tline\r\nend", "tab%09line%0D%0Aend"),
        ("\u{7f}", "%7F"),
        (
            "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n",
            "%09%0Atest with whitespace%0D%0Aand Unicode BMP %E2%98%BA and non-BMP %F0%9F%98%88%09%0A",
        ),
    ] {
        let response = wire_failure(Status::aborted(text)).await;
        assert_eq!(response.trailers.fields.get("grpc-message"), Some(wire));
        assert_eq!(response.trailers.message, text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_with_broken_escapes_or_broken_utf_8_is_shown_as_far_as_it_goes() {
    for (wire, text) in [
        (&b"%"[..], "%"),
        (b"%2", "%2"),
        (b"%zz%25", "%zz%"),
        (b"a%FFb", "a\u{fffd}b"),
        (b"%e2%98%ba", "☺"),
        (b"raw \xc3\xa9", "raw é"),
    ] {
        let status = received(&[("grpc-message", wire)]).await;
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(status.message(), text);
    }
}

#[tokio::test(start_paused = true)]
async fn details_reach_the_caller_byte_for_byte() {
    let details: Vec<u8> = (0..=255).collect();
    let status = Status::aborted("see details").with_details(details.clone());
    let server = serve(failing(status));
    let status = server.client().unary(msg("")).await.expect_err("a failure");
    assert_eq!(status.details(), details);
    assert!(
        status
            .metadata()
            .get_bytes("grpc-status-details-bin")
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn without_details_none_are_sent() {
    let response = wire_failure(Status::aborted("short")).await;
    assert!(!response.trailers.fields.contains("grpc-status-details-bin"));
    let response = wire_failure(Status::aborted("long").with_details(vec![8, 10])).await;
    assert_eq!(
        response.trailers.fields.get_all("grpc-status-details-bin"),
        ["CAo"]
    );
}

#[tokio::test(start_paused = true)]
async fn details_are_accepted_with_and_without_padding() {
    for wire in [&b"CAk"[..], b"CAk="] {
        let status = received(&[("grpc-status-details-bin", wire)]).await;
        assert_eq!(status.details(), [8, 9]);
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_google_rpc_status_reach_the_caller() {
    let retry_after = Duration {
        seconds: 3,
        nanos: 0,
    };
    let since = Timestamp {
        seconds: 4,
        nanos: 5,
    };
    let sent = Status::unavailable("busy")
        .with_detail(&retry_after)
        .with_detail(&since);
    let server = serve(failing(sent.clone()));
    let status = server.client().unary(msg("")).await.expect_err("a failure");
    assert_eq!(status.to_proto(), sent.to_proto());
    assert_eq!(status.detail(), Ok(Some(retry_after)));
    assert_eq!(status.detail(), Ok(Some(since)));

    let proto = RpcStatus {
        code: 14,
        message: "busy".to_owned(),
        details: vec![Any::from_msg(&retry_after).expect("it can be encoded")],
    };
    let server = serve(failing(Status::from_proto(proto.clone())));
    let status = server.client().unary(msg("")).await.expect_err("a failure");
    assert_eq!(status.to_proto(), proto);
}

#[tokio::test(start_paused = true)]
async fn a_status_and_details_with_different_codes_are_internal() {
    // The status is FAILED_PRECONDITION, the details are ABORTED.
    let status = received(&[
        ("grpc-message", b"not yet"),
        ("grpc-status-details-bin", b"CAo"),
        ("x-trailer", b"1"),
    ])
    .await;
    assert_eq!(status.code(), Code::Internal);
    for part in ["FAILED_PRECONDITION", "not yet", "ABORTED"] {
        assert!(status.message().contains(part), "{status}");
    }
    assert_eq!(status.metadata().get("x-trailer"), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn the_text_of_details_replaces_that_of_the_status() {
    let details = RpcStatus {
        code: 9,
        message: "the whole text".to_owned(),
        details: Vec::new(),
    };
    let details = Metadata::encode_binary(&details.encode_to_vec());
    let status = received(&[
        ("grpc-message", b"the whole"),
        ("grpc-status-details-bin", details.as_bytes()),
    ])
    .await;
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.message(), "the whole text");
}

#[tokio::test(start_paused = true)]
async fn details_that_are_not_base64_are_internal() {
    let status = received(&[("grpc-status-details-bin", b"!")]).await;
    assert_eq!(status.code(), Code::Internal);
}

#[tokio::test(start_paused = true)]
async fn the_cause_of_a_failure_stays_on_its_side() {
    let cause = std::io::Error::other("the disk is full");
    let status = Status::unavailable("try again").with_source(cause);
    let response = wire_failure(status).await;
    assert_eq!(response.trailers.message, "try again");
    for (_, value) in response.trailers.fields.iter() {
        assert!(!value.windows(4).any(|window| window == b"disk"));
    }
}
