//! A server on workers in a process that has no file descriptors left for them.
//!
//! A test binary of its own with one test in it: the limit is that of the process.

use std::num::NonZeroUsize;

use rgrpc::io::pipe;
use rgrpc::{Code, ServeError, credentials};
use rgrpc_e2e::{
    StubClient, StubService, channel_builder, expect_text, new_server, register_stub, soon, unary,
};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Sets how high the numbers of new file descriptors may go.
fn limit_files(limit: Rlimit) {
    setrlimit(Resource::Nofile, limit).expect("no more than the hard limit");
}

#[tokio::test]
async fn a_server_whose_workers_cannot_start_says_why_and_serves_when_they_can() {
    let workers = NonZeroUsize::new(2).expect("not 0");
    let mut server = new_server().workers(workers);
    register_stub(&mut server, StubService::echo()).expect("the first");
    let enough = getrlimit(Resource::Nofile);

    // Each file descriptor more takes the workers one step further, in the end past the last.
    for limit in 0.. {
        let (listener, connector) = pipe();
        let conn = channel_builder("passthrough:///pipe", credentials::insecure())
            .dialer(connector)
            .build()
            .expect("a valid target");
        let client = StubClient::new(conn);
        limit_files(Rlimit {
            current: Some(limit),
            ..enough
        });
        let serving = tokio::spawn(server.serve_listener(listener));
        let outcome = soon(unary(&client, "")).await.expect("no panic");
        limit_files(enough);
        if outcome.is_ok() {
            assert!(limit > 0, "nothing was limited");
            expect_text(unary(&client, "served"), "served").await;
            return;
        }
        let status = outcome.expect_err("not served");
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        let error = soon(serving).await.expect("no panic").expect_err("no file");
        let ServeError::Worker(reason) = &error else {
            panic!("{limit}: {error}");
        };
        let no_file = Errno::MFILE.raw_os_error();
        assert_eq!(reason.raw_os_error(), Some(no_file), "{limit}: {error}");
        assert!(error.to_string().contains("workers"), "{error}");
        // Of the workers that did start, none is left.
        soon(server.handle().stopped()).await;
    }
}
