//! Each case passes.

use rgrpc_interop::case::Case;

use crate::{channel, run_client, start_interop_server};

macro_rules! passes {
    ($($name:ident => $case:ident,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let case = Case::$case.name();
                let port = start_interop_server().await;
                let outcome = run_client(port, &["--test_case", case]).await;
                assert_eq!(outcome, Ok(format!("{case}: passed")));
            }
        )*

        #[test]
        fn no_case_is_left_out() {
            assert_eq!([$(Case::$case),*], Case::ALL);
        }
    };
}

passes! {
    empty_unary => EmptyUnary,
    large_unary => LargeUnary,
    client_streaming => ClientStreaming,
    server_streaming => ServerStreaming,
    ping_pong => PingPong,
    empty_stream => EmptyStream,
    timeout_on_sleeping_server => TimeoutOnSleepingServer,
    cancel_after_begin => CancelAfterBegin,
    cancel_after_first_response => CancelAfterFirstResponse,
    status_code_and_message => StatusCodeAndMessage,
    special_status_message => SpecialStatusMessage,
    custom_metadata => CustomMetadata,
    unimplemented_method => UnimplementedMethod,
    unimplemented_service => UnimplementedService,
}

/// The deadline may pass while the call connects, sends or waits, on another thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_has_the_same_status_whenever_it_passes() {
    let channel = channel(start_interop_server().await);
    for _ in 0..200 {
        let outcome = Case::TimeoutOnSleepingServer.run(&channel).await;
        assert!(outcome.is_ok(), "{outcome:?}");
    }
}
