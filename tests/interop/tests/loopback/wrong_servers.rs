//! A case fails against a server that does not do what it asks for.

use rgrpc::{Request, Response, Server, Status};
use rgrpc_interop::case::Case;
use rgrpc_interop::proto::{
    Empty, TestService, UnimplementedService, register_test_service, register_unimplemented_service,
};

use crate::{channel, start};

/// Answers every call with UNIMPLEMENTED.
struct Nothing;

impl TestService for Nothing {}

/// Implements what no server should.
struct Everything;

impl TestService for Everything {
    async fn unimplemented_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(Response::new(Empty {}))
    }
}

impl UnimplementedService for Everything {
    async fn unimplemented_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(Response::new(Empty {}))
    }
}

#[tokio::test]
async fn the_cases_fail_when_nothing_is_implemented() {
    let mut server = Server::new();
    register_test_service(&mut server, Nothing).expect("the only service");
    let channel = channel(start(server).await);
    for case in Case::ALL {
        // In these the server's answer races with what the client does by itself.
        let races = matches!(case, Case::TimeoutOnSleepingServer | Case::CancelAfterBegin);
        let asks_for_it = matches!(case, Case::UnimplementedMethod | Case::UnimplementedService);
        if !races {
            let outcome = case.run(&channel).await;
            assert_eq!(outcome.is_ok(), asks_for_it, "{case}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn the_unimplemented_cases_fail_when_everything_is_implemented() {
    let mut server = Server::new();
    register_test_service(&mut server, Everything).expect("the first service");
    register_unimplemented_service(&mut server, Everything).expect("the second service");
    let channel = channel(start(server).await);
    for case in [Case::UnimplementedMethod, Case::UnimplementedService] {
        let failure = case.run(&channel).await.expect_err("there is an answer");
        assert!(
            failure.to_string().contains("want Unimplemented"),
            "{failure}"
        );
    }
}
