//! Header metadata, trailers and peer of a call, on success and on failure, the same for all kinds
//! of calls. Source: grpc-go's call options `Header`, `Trailer` and `Peer`.

use std::time::Duration;

use rgrpc::io::Address;
use rgrpc::{Code, Metadata, Request, Response, ResponseInfo, Status};
use rgrpc_e2e::{
    Message, StubClient, StubService, TestServer, channel_builder, msg, serve, soon, text,
};

fn metadata(key: &'static str, value: &str) -> Metadata {
    Metadata::from_pairs([(key, value.to_owned())]).expect("valid")
}

/// Sets metadata, sends the headers, and then ends as the first message says.
async fn end<T>(request: &Request<T>, first: &Message) -> Result<(), Status> {
    request.send_header(metadata("x-head", "1"))?;
    request.set_trailer(metadata("x-tail", "2"));
    match text(first) {
        "fail" => Err(Status::data_loss("gone")),
        "hang" => std::future::pending().await,
        _ => Ok(()),
    }
}

fn server() -> TestServer {
    serve(
        StubService::new()
            .unary(async |request| {
                end(&request, request.message()).await?;
                Ok(Response::new(msg("")))
            })
            .server_streaming(async |request, mut responses| {
                end(&request, request.message()).await?;
                responses.send(msg("")).await
            })
            .client_streaming(async |requests| {
                let (mut messages, request) = requests.split();
                let first = messages.recv().await?.unwrap_or_default();
                end(&request, &first).await?;
                Ok(Response::new(msg("")))
            })
            .bidi_streaming(async |requests, mut responses| {
                let (mut messages, request) = requests.split();
                let first = messages.recv().await?.unwrap_or_default();
                end(&request, &first).await?;
                responses.send(msg("")).await
            }),
    )
}

const KINDS: [&str; 4] = ["unary", "server streaming", "client streaming", "bidi"];

/// Makes a call of this kind, which ends within a second, and tells how it ended.
async fn call(
    client: &StubClient,
    kind: &str,
    end: &'static str,
    info: &ResponseInfo,
) -> Result<(), Status> {
    let limit = Duration::from_secs(1);
    match kind {
        "unary" => {
            let call = client.unary(msg(end)).timeout(limit);
            call.response_info(info).await.map(drop)
        }
        "server streaming" => {
            let call = client.server_streaming(msg(end)).timeout(limit);
            let mut responses = call.response_info(info).await?;
            while responses.recv().await?.is_some() {}
            Ok(())
        }
        "client streaming" => {
            let call = client.client_streaming().timeout(limit);
            let mut call = call.response_info(info).await?;
            call.send(msg(end)).await?;
            call.close_and_recv().await.map(drop)
        }
        _ => {
            let call = client.bidi_streaming().timeout(limit);
            let (mut requests, mut responses) = call.response_info(info).await?;
            requests.send(msg(end)).await?;
            requests.close();
            while responses.recv().await?.is_some() {}
            Ok(())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_call_tells_its_metadata_and_its_peer_however_it_ends() {
    let server = server();
    let client = server.client();
    for kind in KINDS {
        for (end, code, tail) in [
            ("", Code::Ok, Some("2")),
            ("fail", Code::DataLoss, Some("2")),
            ("hang", Code::DeadlineExceeded, None),
        ] {
            let info = ResponseInfo::new();
            assert!(info.header().is_empty() && info.trailer().is_empty());
            assert!(info.peer().is_none());
            let outcome = soon(call(&client, kind, end, &info)).await;
            let ended = outcome.map_or_else(|status| status.code(), |()| Code::Ok);
            assert_eq!(ended, code, "{kind} {end}");
            assert_eq!(info.header().get("x-head"), Some("1"), "{kind} {end}");
            // At the deadline, the server's trailers and the client's clock race.
            if end != "hang" {
                assert_eq!(info.trailer().get("x-tail"), tail, "{kind} {end}");
            }
            let peer = info.peer().expect("a connection");
            assert_eq!(peer.remote, Address::Pipe, "{kind} {end}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_retried_call_reports_the_attempt_that_it_ended_with() {
    use rgrpc::credentials;

    for (policy, field) in [
        (
            "retryPolicy",
            r#""initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1,
            "retryableStatusCodes": ["UNAVAILABLE"]"#,
        ),
        (
            "hedgingPolicy",
            r#""hedgingDelay": "1s", "nonFatalStatusCodes": ["UNAVAILABLE"]"#,
        ),
    ] {
        let service = StubService::new().unary(async |request| {
            let attempt = request.metadata().get("grpc-previous-rpc-attempts");
            let attempt = attempt.unwrap_or("0").to_owned();
            request.set_trailer(metadata("x-attempt", &attempt));
            match &*attempt {
                "0" => Err(Status::unavailable("busy")),
                _ => Err(Status::data_loss("gone")),
            }
        });
        let server = serve(service);
        let config = format!(
            r#"{{"methodConfig": [{{"name": [{{}}], "{policy}": {{"maxAttempts": 3, {field}}}}}]}}"#
        );
        let conn = channel_builder("passthrough:///stub.test", credentials::insecure())
            .dialer(server.connector())
            .default_service_config(config.as_str())
            .build()
            .expect("a valid channel");
        let info = ResponseInfo::new();
        let client = StubClient::new(conn);
        let call = client.unary(msg("")).response_info(&info);
        let status = call.await.expect_err("it fails");
        assert_eq!(status.code(), Code::DataLoss, "{policy}");
        assert_eq!(info.trailer().get("x-attempt"), Some("1"), "{policy}");
    }
}
