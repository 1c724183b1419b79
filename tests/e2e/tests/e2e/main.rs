//! End-to-end tests, a module for each behaviour; see the crate's documentation.

mod bad_input;
mod cancellation;
mod codec;
mod combinators;
mod concurrency;
mod connecting;
mod deadlines;
mod dispatch;
mod flow_control;
mod framing;
mod goaway;
mod http2_rules;
mod limits;
mod listeners;
mod metadata;
mod outgoing;
mod races;
mod request_checks;
mod request_head;
mod response_checks;
mod shutdown;
mod status;
mod streaming;
mod tls;
mod unary;
